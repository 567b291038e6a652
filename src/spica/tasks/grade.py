"""Grade: a detector's figures in the sky's units, and a verdict with its reasons by the camera's thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spica.core.records import Exposure, Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.core.verdict import GRADES, number_of, reasons_of


class GradeSettings(Settings):
    """What a verdict needs."""

    required: tuple[str, ...] = setting(("seeing",), "graded figures that must be there: one that cannot be had is a D")


def grade(
    settings: GradeSettings,
    figures: Mapping[str, Any],
    exposure: Exposure,
    geometry: Mapping[str, Any],
    passband: Mapping[str, Any],
    grading: Mapping[str, Sequence[float]],
) -> Products:
    """Arcseconds and nominal magnitudes; the verdict is the worst grade of any figure that the camera grades.

    Limits are those of A, B and C; beyond the last is D. Where they rise, less is better; where they fall, more is.

    Returns
    -------
    grade : metrics: `verdict` (A 1 … D 4), `seeing` and `seeing_sky` [arcsec], `depth_mag` [mag], `sky_mag`
        [mag/arcsec2] (with the nominal zero point of the table), `cosmic_rate` [1/cm2/s].
    verdict : value: `grade`, `reasons` (what is worse than A, the worst first), `figures`.
    """
    known = {name: Measured(float(value), str(units)) for name, (value, units) in figures.items()}
    added = _in_sky(known, exposure, geometry) | _nominal(known, exposure, geometry, passband)
    known |= added
    reasons = reasons_of(known, grading, settings.required)
    worst = reasons[0]["grade"] if reasons else GRADES[0]
    plain = {name: [figure.value, figure.units] for name, figure in known.items()}
    return {
        "grade": {"verdict": Measured(number_of(worst)), **added},
        "verdict": {"grade": worst, "reasons": reasons, "figures": plain},
    }


def _in_sky(figures: Mapping[str, Measured], exposure: Exposure, geometry: Mapping[str, Any]) -> dict[str, Measured]:
    """Widths in arcseconds, cosmic rays per area and time."""
    pixel = float(geometry["pixel_scale"]) * float(np.sqrt(exposure.binning[0] * exposure.binning[1]))
    found = {
        name: Measured(pixel * figures[width].value, "arcsec")
        for name, width in (("seeing", "fwhm"), ("seeing_sky", "fwhm_sky"))
        if width in figures
    }
    square = geometry["nx"] * geometry["ny"] * (float(geometry["pixel_size"]) * 1e-4) ** 2
    seconds = _seconds(figures, exposure) or exposure.dark_time
    if "cosmic_hits" in figures and seconds > 0:
        # Rays come in every slice of a cube, the light of the image is that of one.
        whole = seconds * float(exposure.extra.get("slices") or 1)
        found["cosmic_rate"] = Measured(figures["cosmic_hits"].value / square / whole, "1/cm2/s")
    return found


def _seconds(figures: Mapping[str, Measured], exposure: Exposure) -> float:
    """Time in which the image gathered light: its own where it tells it, as that of two snaps does."""
    return figures["exposure_time"].value if "exposure_time" in figures else exposure.exposure_time


def _nominal(
    figures: Mapping[str, Measured], exposure: Exposure, geometry: Mapping[str, Any], passband: Mapping[str, Any]
) -> dict[str, Measured]:
    """Magnitudes by the table's zero point and extinction: nominal, no star was compared."""
    seconds = _seconds(figures, exposure)
    if not passband or seconds <= 0:
        return {}
    zero = float(passband["zero_point"])
    if exposure.airmass is not None:
        zero -= float(passband["extinction"]) * (exposure.airmass - 1.0)
    area = float(geometry["pixel_scale"]) ** 2 * exposure.binning[0] * exposure.binning[1]
    found = {}
    for name, figure, units, square in (
        ("depth_mag", "depth_5sigma", "mag", 1.0),
        ("sky_mag", "sky_level", "mag/arcsec2", area),
    ):
        light = figures[figure].value if figure in figures else 0.0
        if light > 0:
            rate = light / seconds / square
            found[name] = Measured(zero - 2.5 * float(np.log10(rate)), units)
    return found


TASK = Task(
    name="grade",
    version=2,
    grain=Grain.DETECTOR,
    settings=GradeSettings,
    needs=(
        Need("figures"),
        Need("exposure", source="exposure"),
        Need("geometry", source="camera", section="geometry"),
        Need("passband", source="camera", section="filter"),
        Need("grading", source="camera", section="grading"),
    ),
    gives=(
        Give("grade", Form.METRICS, meaning="verdict, seeing in arcseconds, nominal magnitudes"),
        Give("verdict", Form.VALUE, meaning="grade A to D with its reasons, and all figures"),
    ),
    run=grade,
)
