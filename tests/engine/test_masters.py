"""Association: qualities in their order, orders, kinds of flat, and why nothing serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

import pytest

from spica.core.records import ExposureState, FrameType, Grain, Unit
from spica.engine.candidates import Quality
from spica.engine.masters import Masters
from spica.engine.targets import Target
from spica.files.survey import CalibrationSettings
from spica.registry.rows import CalibrationOrder, DetectorRow, MasterRow

START = 61364.0
NIGHTS = tuple(f"2026-11-{day}" for day in range(20, 31))
numbers: Iterator[int] = count()


def master(night: int = 0, **facts: Any) -> MasterRow:
    """A master of a night, valid for five days about it."""
    middle = START + night + 0.8
    given: dict[str, Any] = {
        "key": f"m{next(numbers):05d}",
        "name": "flat",
        "camera": "demo",
        "detector": 1,
        "band": "r",
        "shape": (64, 64),
        "binning": (1, 1),
        "readout_mode": "normal",
        "valid_from": middle - 5,
        "valid_to": middle + 5,
        "block": NIGHTS[night],
        "job": "j",
        "path": "p",
        "checksum": "c",
        "recorded": 0.0,
        "gain": 1.5,
    }
    return MasterRow(**(given | facts))


def target(night: int = 0, **facts: Any) -> Target:
    """An object frame in the middle of a night."""
    given: dict[str, Any] = {
        "exposure": "demo-1",
        "exposure_id": 1,
        "detector": 1,
        "camera": "demo",
        "frame_type": FrameType.OBJECT,
        "state": ExposureState.RAW,
        "night": NIGHTS[night],
        "mjd": START + night + 1.0,
        "exposure_time": 30.0,
        "band": "r",
        "filter": "r",
        "flat_kind": "",
        "binning": (1, 1),
        "readout_mode": "normal",
        "exposure_digest": "e",
        "input_digest": "i",
        "nx": 64,
        "ny": 64,
        "gain": 1.5,
    }
    row = DetectorRow(**(given | facts))
    return Target(Unit(Grain.DETECTOR, (row.exposure, str(row.detector))), (row,), row.night)


def order(action: str, block: str, first: str, last: str = "", **facts: Any) -> CalibrationOrder:
    given: dict[str, Any] = {"name": "", "band": "", "detector": None}
    return CalibrationOrder(action, "demo", block, first=first, last=last or first, **(given | facts))


def choose(
    rows: Iterable[MasterRow],
    unit: Target,
    orders: Iterable[CalibrationOrder] = (),
    settings: CalibrationSettings | None = None,
) -> tuple[str, Quality] | None:
    found = Masters(rows, orders, settings).choose("flat", unit)
    return None if found is None else (found.master.block, found.quality)


IMPORTED = master(block="imported-1", origin="/elsewhere/flat.fits", valid_from=0.0, valid_to=1e6)


def test_qualities_come_in_their_order() -> None:
    outside = CalibrationSettings(outside=True)
    copied = [order("copy", NIGHTS[10], NIGHTS[0])]
    far, near, own = master(10), master(2), master(0)
    assert choose([far], target(), (), outside) == (NIGHTS[10], Quality.OUTSIDE)
    assert choose([far, IMPORTED], target(), (), outside) == ("imported-1", Quality.IMPORTED)
    assert choose([far, IMPORTED], target(), copied, outside) == (NIGHTS[10], Quality.COPIED)
    assert choose([far, IMPORTED, near], target(), copied) == (NIGHTS[2], Quality.NEAREST)
    assert choose([far, IMPORTED, near, own], target(), copied) == (NIGHTS[0], Quality.SAME_NIGHT)
    fixed = [*copied, order("use", NIGHTS[2], NIGHTS[0])]
    assert choose([far, IMPORTED, near, own], target(), fixed) == (NIGHTS[2], Quality.FIXED)
    assert choose([far], target()) is None


def test_an_order_is_for_its_nights_names_and_detectors_only() -> None:
    rows = [master(0), master(2)]
    for given in (
        order("use", NIGHTS[2], NIGHTS[1], NIGHTS[5]),
        order("use", NIGHTS[2], NIGHTS[0], detector=2),
        order("use", NIGHTS[2], NIGHTS[0], name="bias"),
        order("use", NIGHTS[2], NIGHTS[0], band="g"),
        order("use", NIGHTS[7], NIGHTS[0]),
    ):
        assert choose(rows, target(), [given]) == (NIGHTS[0], Quality.SAME_NIGHT)
    last = [order("use", NIGHTS[2], NIGHTS[0], NIGHTS[9]), order("use", NIGHTS[0], NIGHTS[0])]
    assert choose(rows, target(), last) == (NIGHTS[0], Quality.FIXED)
    assert choose(rows, target(1), last) == (NIGHTS[2], Quality.FIXED)


def test_the_kind_of_flat_decides_between_equal_qualities() -> None:
    dome = master(0, flat_kind="dome")
    sky = master(0, flat_kind="twilight", block=f"{NIGHTS[0]}~twilight")
    assert choose([dome, sky], target()) == (sky.block, Quality.SAME_NIGHT)
    domes = CalibrationSettings(flats=("dome",))
    assert choose([dome, sky], target(), (), domes) == (dome.block, Quality.SAME_NIGHT)
    assert choose([dome, sky], target(1)) == (sky.block, Quality.NEAREST)
    yesterday = master(2, flat_kind="twilight", block=f"{NIGHTS[2]}~twilight")
    assert choose([dome, yesterday], target()) == (dome.block, Quality.SAME_NIGHT)


@pytest.mark.parametrize(
    ("facts", "code", "told"),
    [
        ({"band": "g"}, "calibration.band", "'g'"),
        ({"binning": (2, 2)}, "calibration.binning", "2x2"),
        ({"readout_mode": "fast"}, "calibration.readout", "'fast'"),
        ({"gain": 3.0}, "calibration.gain", "3"),
        ({"valid_to": START}, "calibration.expired", "days off"),
        ({"detector": 2}, "calibration.missing", "no flat for demo detector 1"),
    ],
)
def test_what_does_not_suit_is_not_taken_and_the_refusal_says_why(facts: dict[str, Any], code: str, told: str) -> None:
    outside = CalibrationSettings(outside=code != "calibration.expired")
    copied = [order("copy", NIGHTS[0], NIGHTS[0])] if code != "calibration.expired" else []
    masters = Masters([master(0, **facts)], copied, outside)
    assert masters.choose("flat", target()) is None
    fault = masters.why_none("flat", target())
    assert fault.code == code
    assert told in fault.message
    assert fault.advice


def test_gains_that_are_not_known_keep_nothing_apart() -> None:
    assert choose([master(0, gain=0.0)], target()) == (NIGHTS[0], Quality.SAME_NIGHT)
    assert choose([master(0, gain=1.52)], target()) == (NIGHTS[0], Quality.SAME_NIGHT)
    assert choose([master(0, gain=9.0)], target(gain=0.0)) == (NIGHTS[0], Quality.SAME_NIGHT)


def test_the_own_band_comes_before_none() -> None:
    every = master(0, band="", block=f"{NIGHTS[0]}~all")
    assert choose([every, master(0)], target()) == (NIGHTS[0], Quality.SAME_NIGHT)
    assert choose([every], target()) == (every.block, Quality.SAME_NIGHT)
