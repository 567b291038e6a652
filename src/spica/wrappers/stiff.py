"""STIFF as a task: a picture of an image, in place of `quicklook`.

Source: Bertin 2012, ASP Conf. 461, 263.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spica.core.records import Grain
from spica.core.settings import setting
from spica.core.task import Form, Give, Need, Products
from spica.wrappers import configuration, results
from spica.wrappers.form import Paths, ProgramSettings, wrapped
from spica.wrappers.programs import Program, call

STIFF = Program("STIFF", ("stiff",), least="2.4", below="3", install="install it (Debian: apt-get install stiff)")


class StiffSettings(ProgramSettings):
    """The keys of STIFF's configuration that people change; others by `more`."""

    binning: int = setting(1, "pixels of the image per pixel of the picture", "pixel", ge=1)
    gamma: float = setting(2.2, "gamma of the screen", "", gt=0)
    gamma_fac: float = setting(1.0, "contrast", "", gt=0)
    sky_type: str = setting("AUTO", "how the level of the sky is found: AUTO, MANUAL")
    min_type: str = setting("GREYLEVEL", "how the darkest level is found: GREYLEVEL, QUANTILE, MANUAL")
    min_level: float = setting(0.005, "the darkest level")
    max_type: str = setting("QUANTILE", "how the brightest level is found: QUANTILE, MANUAL")
    max_level: float = setting(0.995, "the brightest level")
    more: dict[str, str | float | bool] = setting({}, "further keys of the configuration")


def stiff(settings: StiffSettings, paths: Paths, folder: Path) -> Products:
    """A picture of the image by STIFF."""
    fixed: dict[str, Any] = {
        "OUTFILE_NAME": "out.tif", "IMAGE_TYPE": "TIFF", "BITS_PER_CHANNEL": 8, "COMPRESSION_TYPE": "NONE",
        "COPY_HEADER": False, "WRITE_XML": False, "NTHREADS": 1, "VERBOSE_TYPE": "NORMAL",
    }  # fmt: skip
    configuration.write(folder / "task.stiff", settings, **fixed)
    call(STIFF.name, [STIFF.path(), paths["science"].name, "-c", "task.stiff"], folder, settings.time_limit)
    return {"stiff_picture": _picture(folder / "out.tif")}


def _picture(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise results.no_output(STIFF.name, path)
    try:
        with Image.open(path) as image:
            return np.ascontiguousarray(image.convert("L"), np.uint8)
    except (UnidentifiedImageError, OSError) as error:
        raise results.no_output(STIFF.name, path, f"cannot be read: {error}") from error


TASK = wrapped(
    name="stiff",
    version=1,
    grain=Grain.DETECTOR,
    settings=StiffSettings,
    program=STIFF,
    needs=(Need("science"),),
    gives=(Give("stiff_picture", Form.PICTURE, meaning="the image as STIFF shows it"),),
    run=stiff,
)
