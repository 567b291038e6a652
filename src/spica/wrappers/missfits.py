"""MissFITS as a task: keywords of an image's header removed, renamed and checked.

Source: Marmo and Bertin 2008, ASP Conf. 394, 619.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spica.core.records import Grain
from spica.core.settings import setting
from spica.core.task import Form, Give, Need, Products
from spica.wrappers import configuration, results
from spica.wrappers.form import Paths, ProgramSettings, wrapped
from spica.wrappers.programs import Program, call

MISSFITS = Program(
    "MissFITS", ("missfits",), least="2.4", below="3", install="install it (Debian: apt-get install missfits)"
)


class MissfitsSettings(ProgramSettings):
    """The keys of MissFITS's configuration that people change; others by `more`."""

    remove_keyword: tuple[str, ...] = setting((), "keywords that are removed")
    replace_keyword: tuple[str, ...] = setting((), "keywords that are renamed, as OLD:NEW")
    fix_wfi: bool = setting(False, "mend headers of the camera WFI")
    more: dict[str, str | float | bool] = setting({}, "further keys of the configuration")


def missfits(settings: MissfitsSettings, paths: Paths, folder: Path) -> Products:
    """The image with its header mended by MissFITS."""
    fixed: dict[str, Any] = {
        "SAVE_TYPE": "NEW", "NEW_SUFFIX": ".miss", "OUTFILE_TYPE": "SAME", "PROCESS_TYPE": "NONE", "WRITE_XML": True,
        "XML_NAME": "out.xml", "NTHREADS": 1, "VERBOSE_TYPE": "NORMAL",
    }  # fmt: skip
    configuration.write(folder / "task.missfits", settings, **fixed)
    call(MISSFITS.name, [MISSFITS.path(), paths["science"].name, "-c", "task.missfits"], folder, settings.time_limit)
    mended = results.read_image(MISSFITS.name, folder / "science.miss.fits")
    return {
        "mended": mended,
        "missfits_quality": results.read_metrics(MISSFITS.name, folder / "out.xml", prefix="missfits"),
    }


TASK = wrapped(
    name="missfits",
    version=1,
    grain=Grain.DETECTOR,
    settings=MissfitsSettings,
    program=MISSFITS,
    needs=(Need("science"), Need("exposure", source="exposure"), Need("detector", source="detector")),
    gives=(
        Give("mended", Form.IMAGE, meaning="the image with its header mended by MissFITS"),
        Give("missfits_quality", Form.METRICS, meaning="what MissFITS's XML says"),
    ),
    run=missfits,
)
