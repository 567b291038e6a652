"""SWarp as a task: the stack of a tile in a band, in place of `stack`.

Source: Bertin et al. 2002, ASP Conf. 281, 228. The sky solutions are those of the images' headers; fluxes are scaled by
FLXSCALE where the headers have it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import setting
from spica.core.task import Form, Give, Need, Products
from spica.files import cards
from spica.wrappers import configuration, results
from spica.wrappers.form import Paths, ProgramSettings, wrapped
from spica.wrappers.programs import Program, call

SWARP = Program(
    "SWarp", ("SWarp", "swarp"), least="2.38", below="3", install="install it (Debian: apt-get install swarp)"
)


class SwarpSettings(ProgramSettings):
    """The keys of SWarp's configuration that people change; others by `more`."""

    combine_type: str = setting(
        "WEIGHTED", "how images are combined: WEIGHTED, MEDIAN, AVERAGE, CLIPPED, CHI2, MIN, MAX"
    )
    clip_sigma: float = setting(4.0, "threshold of the clipped mean", "", gt=0)
    resampling_type: str = setting("LANCZOS3", "kernel: NEAREST, BILINEAR, LANCZOS2, LANCZOS3, LANCZOS4")
    rescale_weights: bool = setting(False, "fit the weights to the noise that is seen; ours are inverse variances")
    subtract_back: bool = setting(True, "subtract the background of each image")
    back_size: int = setting(128, "mesh of the background", "pixel", ge=4)
    back_filtersize: int = setting(3, "meshes over which the background is smoothed", "", ge=1)
    more: dict[str, str | float | bool] = setting({}, "further keys of the configuration")


def swarp(settings: SwarpSettings, paths: Paths, folder: Path) -> Products:
    """The stack of a tile in a band by SWarp."""
    tile = json.loads(paths["tile"].read_text(encoding="utf-8"))
    head = {"NAXIS": 2, "NAXIS1": tile["nx"], "NAXIS2": tile["ny"], **tile["cards"]}
    lines = [cards.card(key, value).rstrip() for key, value in head.items()]
    (folder / "out.head").write_text("\n".join([*lines, "END", ""]), encoding="ascii")
    fixed: dict[str, Any] = {
        "IMAGEOUT_NAME": "out.fits", "WEIGHTOUT_NAME": "out.weight.fits", "HEADER_ONLY": False, "COMBINE": True,
        "WEIGHT_TYPE": "MAP_WEIGHT", "WEIGHT_SUFFIX": ".weight.fits", "RESAMPLE": True, "RESAMPLE_DIR": ".",
        "DELETE_TMPFILES": True, "GAIN_KEYWORD": "NOGAIN", "GAIN_DEFAULT": 1.0, "WRITE_XML": True, "XML_NAME": "out.xml",
        "NTHREADS": 1, "VERBOSE_TYPE": "NORMAL", "WRITE_FILEINFO": False,
    }  # fmt: skip
    configuration.write(folder / "task.swarp", settings, **fixed)
    command = [SWARP.path(), f"@{paths['science'].name}", "-c", "task.swarp"]
    call(SWARP.name, command, folder, settings.time_limit)
    made = results.read_image(SWARP.name, folder / "out.fits")
    weight = results.read_image(SWARP.name, folder / "out.weight.fits").pixels
    seen = weight > 0
    variance = np.where(seen, 1 / np.where(seen, weight, 1), np.inf).astype(np.float32)
    mask = np.where(seen, 0, int(Mask.NO_DATA)).astype(np.int32)
    stack = Image(made.pixels, variance, mask, made.header)
    return {"stack": stack, "swarp_quality": results.read_metrics(SWARP.name, folder / "out.xml", prefix="swarp")}


TASK = wrapped(
    name="swarp",
    version=1,
    grain=Grain.TILE_BAND,
    settings=SwarpSettings,
    program=SWARP,
    needs=(Need("tile", source="tile"), Need("science", grain=Grain.DETECTOR, quorum=1)),
    gives=(
        Give("stack", Form.IMAGE, meaning="the sky of the tile in the band, by SWarp"),
        Give("swarp_quality", Form.METRICS, meaning="what SWarp's XML says"),
    ),
    run=swarp,
)
