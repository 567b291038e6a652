"""Zero points that come with frames: by name, by header, of an electron or of what the image has for one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.camera import AmplifierSpec
from spica.core.faults import DataFault
from spica.core.keys import exposure_id
from spica.core.records import Detector, Exposure, FrameType, Grain, Unit
from spica.kernels.wcs import tangent_wcs
from spica.kernels.wcs_cards import to_cards
from spica.tasks.trusted import TASK

WCS = dict(to_cards(tangent_wcs((10.0, 20.0), (50.0, 40.0), 1e-4 * np.eye(2))))


def zero(
    settings: dict[str, Any], gain: float = 1.0, time: float = 80.0, wcs: dict[str, Any] = WCS, **extra: float
) -> float:
    name, whole = "demo-2", (0, 100, 0, 80)
    frame = Exposure(
        exposure_id("demo", name), name, "demo", FrameType.OBJECT, "2026-11-20", 61364.0, time, extra=extra
    )
    amplifier = AmplifierSpec(name="whole", data=whole, detector=whole, gain=gain)
    detector = Detector(name, 1, "c" * 40, (1,), (amplifier,), 100, 80, wcs=wcs)
    unit = Unit(Grain.DETECTOR, (name, "1"))
    made = TASK.run(TASK.settings.model_validate(settings), unit, frame, detector)
    assert made["scale"]["zero_point"].value == made["light"]["zero"]
    return float(made["light"]["zero"])


def test_a_detector_of_its_own_comes_before_its_exposure_and_that_before_the_header() -> None:
    told = {"zero_points": {"demo-2": 26.5, "demo-2/1": 26.6}}
    assert zero(told) == 26.6
    assert zero({"zero_points": {"demo-2": 26.5}}, zero_point=25.0) == 26.5
    assert zero({}, zero_point=25.0) == 25.0


def test_zero_points_of_the_image_as_it_was_delivered() -> None:
    told = {"zero_points": {"demo-2": 30.0}, "unit": "count"}
    # 80 s of an image of 4 electrons each: 1 is 0.05 electrons per second.
    assert zero(told, gain=4.0) == pytest.approx(30.0 + 2.5 * np.log10(4.0 / 80.0))
    # A rate: its gain has the exposure time in it, 1 is an electron per second.
    assert zero(told, gain=80.0) == 30.0
    assert zero({"unit": "count"}, gain=4.0, zero_point=30.0) == zero(told, gain=4.0)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"wcs": {}}, "data.no-pointing"),
        ({}, "zero-point.none"),
        ({"time": 0.0, "zero_point": 25.0}, "zero-point.none"),
    ],
)
@pytest.mark.parametrize("unit", ["electron/s", "count"])
def test_what_cannot_be_trusted_is_named(given: dict[str, Any], code: str, unit: str) -> None:
    with pytest.raises(DataFault) as caught:
        zero({"unit": unit}, **given)
    assert caught.value.code == code
