"""The task `zero_point`: from catalogues and a reference to zero points, with what goes wrong named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.systems import Colour, Systems
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
    assert raised.value.evidence["exposure"] == given["exposure"].name
    numbers = {"magnitudes": "stars", "place": "matched", "shuffled": "scatter", "slope": "slope"}
    assert numbers[wrong] in raised.value.evidence
    assert raised.value.advice


def test_a_colour_term_and_the_light_that_came_through_are_found(given: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    mag = given["reference"]["mag_r"].astype(np.float64)
    colour = rng.normal(1.0, 0.4, mag.size)
    reference = with_magnitudes(given, mag + 0.08 * (colour - 1.0))
    columns = {**reference.columns, "mag_i": (reference["mag_r"] - 0.4 * colour).astype(np.float32)}
    columns |= {"mag_g": columns["mag_i"] + colour.astype(np.float32)}
    systems = Systems("sdss", "AB", dict.fromkeys("gri", "AB"), colours=(Colour(bands=("g", "i"), pivot=1.0),))
    made = TASK.run(TASK.settings(), **given | {"reference": Catalogue(columns), "systems": systems})
    zero = draw(SMALL).zero[0]
    value, figures = made["zero_points"], made["photometry"]
    assert value["colour"] == pytest.approx(0.08, abs=4 * value["colour_error"] + 0.002)
    assert (value["colour_of"], value["pivot"], value["scale"]) == (["g", "i"], 1.0, "AB")
    assert figures["zero_point"].value == pytest.approx(zero, abs=0.01)
    assert figures["clouds"].value == pytest.approx(25.0 - figures["zero_point"].value)
    assert figures["transparency"].value == pytest.approx(10 ** (-0.4 * figures["clouds"].value))


def test_magnitudes_on_another_scale_give_no_ab_zero_point(given: dict[str, Any]) -> None:
    made = TASK.run(TASK.settings(), **given | {"systems": Systems(scales={"r": "Vega"})})
    assert "zero_point_vega" in made["photometry"]
    assert not {"zero_point", "clouds", "transparency"} & set(made["photometry"])
