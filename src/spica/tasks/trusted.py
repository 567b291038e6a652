"""Trusted: a frame that was reduced elsewhere, with the place and the zero point that came with it, as a stack needs them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from spica.core.faults import DataFault
from spica.core.records import Detector, Exposure, Grain, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.wcs import outline
from spica.kernels.wcs_cards import from_cards, to_cards


class TrustedSettings(Settings):
    """Where zero points come from."""

    zero_points: dict[str, float] = setting({}, "by exposure or exposure/detector", "mag")
    unit: Literal["electron/s", "count"] = setting(
        "electron/s",
        "what they are the magnitude of: an electron per second, or the value 1 in the delivered image (a rate or not, whatever its gain)",
    )
    extra: str = setting(
        "zero_point",
        "otherwise the exposure's value of this name: extra.zero_point of the camera's [header], from its keyword",
    )
    scale: str = setting("AB", "system of these magnitudes")


def trusted(settings: TrustedSettings, unit: Unit, exposure: Exposure, detector: Detector) -> Products:
    """The delivered sky solution and zero point of a detector, believed as they are.

    Returns
    -------
    sky_solution : value: `cards` of the header, `exposure_time` [s], `outline`.
    detector_outline : vertices on the sky.
    light : value: `zero` [mag at 1 electron per second], `error` (0: not told), `scale`, `of` (delivered), `flat`, `size`, `exposure_time` [s].
    scale : metrics: `zero_point` where the scale is AB, else with the scale's name.

    Raises
    ------
    DataFault
        ``data.no-pointing`` without a sky solution, ``zero-point.none`` without a zero point or an exposure time.
    """
    try:
        wcs = from_cards(detector.wcs)
    except ValueError as error:
        message = f"{unit} was delivered without a sky solution that can be read: {error}"
        raise DataFault("data.no-pointing", message, unit=str(unit)) from error
    zero = _zero(settings, exposure, detector)
    if zero is None or not exposure.exposure_time > 0.0:
        message = (
            f"{unit} was delivered without a zero point, or without an exposure time: give it in trusted.zero_points"
        )
        raise DataFault("zero-point.none", message, unit=str(unit), exposure=exposure.name, detector=detector.detector)
    edge = outline(wcs, (detector.nx, detector.ny))
    light = {
        "zero": zero,
        "error": 0.0,
        "scale": settings.scale,
        "of": "delivered",
        "flat": [],
        "size": [detector.nx, detector.ny],
        "exposure_time": exposure.exposure_time,
    }
    name = "zero_point" if settings.scale == "AB" else f"zero_point_{settings.scale.lower()}"
    return {
        "sky_solution": {"cards": to_cards(wcs), "exposure_time": exposure.exposure_time, "outline": edge},
        "detector_outline": edge,
        "light": light,
        "scale": {name: Measured(zero, "mag")},
    }


def _zero(settings: TrustedSettings, exposure: Exposure, detector: Detector) -> float | None:
    """Magnitude of one electron per second; None where there is none."""
    told: Mapping[str, Any] = settings.zero_points
    names = [name for name in (f"{exposure.name}/{detector.detector}", exposure.name) if name in told]
    value = told[names[0]] if names else exposure.extra.get(settings.extra)
    if not isinstance(value, int | float):
        return None
    if settings.unit == "electron/s" or not exposure.exposure_time > 0.0:
        return float(value)
    return float(value) + 2.5 * math.log10(detector.amplifiers[0].gain / exposure.exposure_time)


TASK = Task(
    name="trusted",
    version=2,
    grain=Grain.DETECTOR,
    settings=TrustedSettings,
    needs=(Need("unit", source="unit"), Need("exposure", source="exposure"), Need("detector", source="detector")),
    gives=(
        Give("sky_solution", Form.VALUE, meaning="header cards of the detector's place on the sky, as delivered"),
        Give("detector_outline", Form.OUTLINE, meaning="the detector's outline on the sky"),
        Give("light", Form.VALUE, meaning="the detector's zero point, as told"),
        Give("scale", Form.METRICS, meaning="the zero point of the detector"),
    ),
    run=trusted,
)
