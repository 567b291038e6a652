"""Pointing: wrong headers of every kind are put right, and what cannot be placed is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.calibration._zoo import Frame, Wild, drawn, kinds
from benchmarks.calibration.finding import _found
from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.task import Member
from spica.tasks.pointing import TASK

QUICK = (
    "offset of 3′",
    "mosaic, offset of 3′",
    "any rotation",
    "flipped parity",
    "12 stars",
    "12 stars, any rotation",
    "90 % spurious",
    "hot columns and cosmic rays",
    "trailed",
    "half-empty reference",
    "clouds",
    "wrong sign of declination",
    "mosaic, one detector mirrored",
    "mosaic, no distortion told",
)
REFUSED = ("no stars", "no reference there", "no reference at all", "singular CD matrix")


def run(frame: Frame, **settings: float) -> dict[str, Any]:
    made = TASK.run(
        TASK.settings.model_validate({**frame.wild.settings, **settings}),
        sources=frame.sources,
        headers=frame.headers,
        exposure=frame.exposure,
        reference=frame.reference,
    )
    value: dict[str, Any] = made["pointing"]
    assert set(made) == {"pointing", "pointing_quality"}
    return value


def with_reference(frame: Frame, columns: dict[str, Any]) -> Frame:
    return replace(frame, reference=Catalogue(columns))


@pytest.mark.parametrize("kind", QUICK)
def test_a_wrong_header_is_put_right(kind: str) -> None:
    errors, said = _found(drawn(kinds()[kind], 100))
    assert said == ""
    assert max(errors) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(set(kinds()) - set(QUICK) - set(REFUSED)))
def test_the_rest_of_the_zoo(kind: str) -> None:
    frame = drawn(kinds()[kind], 100)
    errors, said = _found(frame)
    assert said == frame.wild.expected
    assert frame.wild.expected or max(errors) < 0.3


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_placed_is_refused_by_name(kind: str) -> None:
    frame = drawn(kinds()[kind], 100)
    errors, said = _found(frame)
    assert errors == []
    assert said == frame.wild.expected


def test_another_sky_is_refused_with_numbers() -> None:
    frame = drawn(replace(kinds()["wrong sky"], stars=40), 101)
    with pytest.raises(DataFault) as caught:
        run(frame, search=1.0, reach=0.03)
    assert caught.value.code == "pointing.no-match"
    assert caught.value.evidence["log_false"] > -6.0  # type: ignore[operator]
    assert caught.value.evidence["rungs"] > 5  # type: ignore[operator]
    assert "by chance" in caught.value.message


def test_order_of_rows_and_of_detectors_does_not_matter() -> None:
    frame = drawn(kinds()["mosaic, offset of 3′"], 102)
    rng = np.random.default_rng(1)
    mixed = replace(
        frame,
        sources=tuple(Member(m.unit, m.value.select(rng.permutation(len(m.value)))) for m in reversed(frame.sources)),
        headers=dict(reversed(frame.headers.items())),
        reference=frame.reference.select(rng.permutation(len(frame.reference))),
    )
    one, other = run(frame), run(mixed)
    assert one["matches"] == other["matches"]
    for number, told in one["detectors"].items():
        for name, value in told["cards"].items():
            if isinstance(value, float):
                assert other["detectors"][number]["cards"][name] == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_bad_rows_of_the_reference_are_left_out_and_counted() -> None:
    frame = drawn(kinds()["offset of 3′"], 103)
    clean = {name: np.asarray(frame.reference[name]) for name in ("ra", "dec", "mag_r")}
    twice = {name: np.concatenate([column, column[:500]]) for name, column in clean.items()}
    bad = np.array([np.nan, 10.0, 20.0])
    spoilt = {
        "ra": np.concatenate([twice["ra"], bad]),
        "dec": np.concatenate([twice["dec"], [0.0, np.nan, 95.0]]),
        "mag_r": np.concatenate([np.where(np.arange(twice["mag_r"].size) % 7 == 0, np.nan, twice["mag_r"]), [1, 2, 3]]),
    }
    found = run(with_reference(frame, spoilt))
    assert found["reference"]["unusable"] == 3
    assert found["reference"]["duplicates"] >= 500
    assert found["detectors"]["0"]["matches"] > 0.7 * run(frame)["detectors"]["0"]["matches"]


def test_a_reference_of_a_wrong_epoch_is_survived() -> None:
    frame = drawn(kinds()["offset of 3′"], 104)
    rng = np.random.default_rng(2)
    # A century of motion: a tenth of an arcsecond for most, arcseconds for some.
    years = 100.0 * rng.normal(0.0, 0.003, (2, len(frame.reference))) / 3600.0
    moved = {
        "ra": np.asarray(frame.reference["ra"]) + years[0],
        "dec": np.asarray(frame.reference["dec"]) + years[1],
        "mag_r": np.asarray(frame.reference["mag_r"]),
    }
    errors, said = _found(with_reference(frame, moved))
    assert said == ""
    assert errors[0] < 0.3


def test_a_dead_and_a_mirrored_detector_leave_the_others_alone() -> None:
    plain = drawn(replace(kinds()["mosaic, offset of 3′"], kind="m"), 105)
    dead = drawn(replace(plain.wild, wild_detector="dead"), 105)
    mirrored = drawn(replace(plain.wild, wild_detector="mirrored"), 105)
    for frame, how in ((dead, {"lost", "plane"}), (mirrored, {"alone"})):
        found = run(frame)["detectors"]
        assert found["2"]["how"] in how
        errors, _ = _found(frame)
        assert max(errors) < 0.3


def test_a_detector_without_a_solution_is_told_and_the_others_go_on() -> None:
    frame = drawn(kinds()["mosaic, offset of 3′"], 106)
    for cards, why in (({}, "no sky solution"), ({**frame.headers[1], "CD1_1": 0.0, "CD1_2": 0.0}, "singular")):
        found = run(replace(frame, headers={**frame.headers, 1: cards}))
        assert why in found["reference"]["without"]["1"]
        assert {number for number, told in found["detectors"].items() if told["cards"]} == {"0", "2", "3"}


def test_zoo_frames_are_reproducible() -> None:
    wild = Wild("x", stars=20)
    one, other = drawn(wild, 3), drawn(wild, 3)
    assert np.array_equal(one.sources[0].value["x"], other.sources[0].value["x"])
    assert not np.array_equal(one.sources[0].value["x"], drawn(wild, 4).sources[0].value["x"])
