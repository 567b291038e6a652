"""The task `zero_point`: from catalogues and a reference to zero points, with what goes wrong named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.task import Member
from spica.tasks.zero_point import TASK
from tests.support.joint_field import draw
from tests.support.joint_lists import SMALL
from tests.support.joint_task import exposure_inputs


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """One exposure, its true sky solution as what `pointing` found."""
    return exposure_inputs(draw(SMALL), 0)


def with_magnitudes(given: dict[str, Any], mag: np.ndarray) -> Catalogue:
    reference: Catalogue = given["reference"]
    return Catalogue({**reference.columns, "mag_r": mag.astype(np.float32)}, extra=reference.extra)


def test_zero_points_are_those_of_the_truth(given: dict[str, Any]) -> None:
    made = TASK.run(TASK.settings(), **given)
    zero = draw(SMALL).zero[0]
    for told in made["zero_points"]["detectors"].values():
        assert told["own"]
        assert abs(told["zero"] - zero) < 4 * told["error"] + 0.003
    assert made["photometry"]["zero_point_slope"].value == pytest.approx(1.0, abs=0.01)
    assert made["photometry"]["zero_point_scatter"].value < 0.02


def test_a_detector_without_stars_takes_the_exposure_s(given: dict[str, Any]) -> None:
    empty = Member(given["sources"][1].unit, given["sources"][1].value.select(np.zeros(0, np.int64)))
    made = TASK.run(TASK.settings(), **given | {"sources": (given["sources"][0], empty)})
    one, two = made["zero_points"]["detectors"]["0"], made["zero_points"]["detectors"]["1"]
    assert two["zero"] == one["zero"]
    assert two["own"] is False


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("zero-point.no-magnitudes", "magnitudes"),
        ("zero-point.too-few", "place"),
        ("zero-point.all-bad", "shuffled"),
        ("zero-point.slope", "slope"),
    ],
)
def test_failures_have_names(given: dict[str, Any], code: str, wrong: str) -> None:
    mag = given["reference"]["mag_r"].astype(np.float64)
    changed = dict(given)
    if wrong == "magnitudes":
        changed["reference"] = with_magnitudes(given, np.full(mag.size, np.nan))
    if wrong == "place":
        columns = dict(given["reference"].columns)
        changed["reference"] = Catalogue(columns | {"dec": columns["dec"] + 1.0})
    if wrong == "shuffled":
        changed["reference"] = with_magnitudes(given, np.random.default_rng(1).permutation(mag))
    if wrong == "slope":
        changed["reference"] = with_magnitudes(given, 20.0 + 0.93 * (mag - 20.0))
    with pytest.raises(DataFault) as raised:
        TASK.run(TASK.settings(), **changed)
    assert raised.value.code == code
