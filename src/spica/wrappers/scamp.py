"""SCAMP as a task: the sky solutions of an exposure's detectors, in place of `solve`.

Source: Bertin 2006, ASP Conf. 351, 112. Reference stars come from the survey's own catalogue, none from the network.
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

SCAMP = Program("SCAMP", ("scamp",), least="2.4", below="3", install="install it (Debian: apt-get install scamp)")


class ScampSettings(ProgramSettings):
    """The keys of SCAMP's configuration that people change; others by `more`."""

    margin: float = setting(0.05, "how far reference stars reach over the edge", "degree", ge=0, le=5)
    match: bool = setting(True, "find the offset by patterns first")
    pixscale_maxerr: float = setting(1.05, "greatest error of the scale, as a factor", "", ge=1)
    posangle_maxerr: float = setting(2.0, "greatest error of the angle", "degree", ge=0)
    position_maxerr: float = setting(2.0, "greatest error of the place", "arcmin", gt=0)
    mosaic_type: str = setting("UNCHANGED", "what detectors have in common")
    crossid_radius: float = setting(2.0, "radius of the cross-identification", "arcsec", gt=0)
    distort_degrees: int = setting(2, "degree of the distortion", "", ge=1, le=7)
    astref_weight: float = setting(1.0, "relative weight of the reference", "", gt=0)
    sn_thresholds: tuple[float, float] = setting((10.0, 100.0), "signal-to-noise of all and of bright sources")
    more: dict[str, str | float | bool] = setting({}, "further keys of the configuration")


def scamp(settings: ScampSettings, paths: Paths, folder: Path) -> Products:
    """Sky solutions of the detectors of one exposure by SCAMP."""
    fixed: dict[str, Any] = {
        "ASTREF_CATALOG": "FILE", "ASTREFCAT_NAME": paths["reference"].name, "SOLVE_PHOTOM": False,
        "ASTRINSTRU_KEY": "FILTER", "PHOTINSTRU_KEY": "FILTER", "STABILITY_TYPE": "EXPOSURE", "HEADER_SUFFIX": ".head",
        "CHECKPLOT_DEV": "NULL", "CHECKPLOT_TYPE": "NONE", "CHECKPLOT_NAME": "none", "WRITE_XML": True,
        "XML_NAME": "out.xml", "NTHREADS": 1, "VERBOSE_TYPE": "NORMAL",
    }  # fmt: skip
    plain = settings.model_copy(update={"more": dict(settings.more)})
    text = configuration.configuration(plain, **fixed)
    lines = [line for line in text.splitlines() if not line.startswith("MARGIN ")]
    (folder / "task.scamp").write_text("\n".join(lines) + "\n", encoding="ascii")
    call(SCAMP.name, [SCAMP.path(), paths["sources"].name, "-c", "task.scamp"], folder, settings.time_limit)
    out = paths["sources"].with_suffix(".head")
    heads = results.read_heads(SCAMP.name, out)
    units = paths["sources.units"].read_text(encoding="utf-8").split()
    if len(heads) != len(units):
        raise results.no_output(SCAMP.name, out, f"holds {len(heads)} headers for {len(units)} detectors")
    solutions = {unit.rpartition("/")[2]: head for unit, head in zip(units, heads, strict=True)}
    metrics = results.read_metrics(SCAMP.name, folder / "out.xml", table="Fields", prefix="scamp")
    return {"scamp_solution": solutions, "scamp_quality": metrics}


TASK = wrapped(
    name="scamp",
    version=1,
    grain=Grain.EXPOSURE,
    settings=ScampSettings,
    program=SCAMP,
    needs=(
        Need("sources", grain=Grain.DETECTOR, quorum=1),
        Need("exposure", source="exposure"),
        Need("wcs", source="wcs"),
        Need("reference", source="reference", section="astrometry", margin="margin"),
    ),
    gives=(
        Give("scamp_solution", Form.VALUE, meaning="header cards of each detector's sky solution, by SCAMP"),
        Give("scamp_quality", Form.METRICS, meaning="what SCAMP's XML says"),
    ),
    run=scamp,
)
