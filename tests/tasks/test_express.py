"""The tasks `express` and `sky_summary`: rows of a joint solution as each detector's and exposure's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.outline import Outline
from spica.core.records import Unit
from spica.core.task import Member, Products
from spica.kernels.wcs import pixel_to_sky, sky_to_pixel
from spica.kernels.wcs_cards import from_cards
from spica.tasks.express import TASK as EXPRESS
from spica.tasks.express import ExpressSettings
from spica.tasks.sky_summary import TASK as SUMMARY
from spica.tasks.solve import TASK as SOLVE
from tests.support.joint_field import Field, draw, together, true_positions
from tests.support.joint_lists import SMALL
from tests.support.joint_task import inputs


@pytest.fixture(scope="module")
def field() -> Field:
    lonely = draw(replace(SMALL, exposures=1, centre=(200.0, -50.0), seed=7))
    return together(draw(SMALL), lonely)


@pytest.fixture(scope="module")
def joint(field: Field) -> tuple[dict[str, Any], Products]:
    given = inputs(field)
    return given, SOLVE.run(SOLVE.settings(), **given)


def expressed(joint: tuple[dict[str, Any], Products], number: int, chip: int, **settings: Any) -> Products:
    given, made = joint
    record = given["exposures"][number]
    needs = {"unit": Unit.parse(f"{record.name}/{chip}"), "exposure": record, "grading": {}}
    return EXPRESS.run(ExpressSettings(**settings), solution=made["solution"], refused=made["refused"], **needs)


@pytest.mark.parametrize("form", ["tpv", "sip"])
def test_cards_say_where_the_detector_lies(field: Field, joint: tuple[dict[str, Any], Products], form: str) -> None:
    told = expressed(joint, 2, 1, form=form)["sky_solution"]
    assert told["cards"]["CTYPE1"] == {"tpv": "RA---TPV", "sip": "RA---TAN-SIP"}[form]
    x, y, ra, dec = true_positions(field.truth[2][1], field.plan, 5)
    there = pixel_to_sky(from_cards(told["cards"]), x, y)
    away = 3.6e6 * np.hypot((there[0] - ra) * np.cos(np.radians(dec)), there[1] - dec)
    assert np.sqrt(0.5 * np.mean(away**2)) < 3.0 * told["figures"]["astrometry_error"][0]
    assert told["photometric"] == 1
    assert abs(told["figures"]["zero_point"][0] - field.zero[2]) < 0.05


def test_the_outline_holds_all_pixels_and_no_others(joint: tuple[dict[str, Any], Products]) -> None:
    made = expressed(joint, 0, 0)
    outline = Outline.of(Unit.parse("demo-0/0"), made["detector_outline"])
    wcs = from_cards(made["sky_solution"]["cards"])
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-100, SMALL.nx + 100, 400), rng.uniform(-100, SMALL.ny + 100, 400)
    ra, dec = pixel_to_sky(wcs, x, y)
    inside = np.array([outline.contains(float(a), float(d)) for a, d in zip(ra, dec, strict=True)])
    truly = (x > -0.5) & (x < SMALL.nx - 0.5) & (y > -0.5) & (y < SMALL.ny - 0.5)
    assert np.count_nonzero(inside != truly) <= 2  # sides are bent by distortion between their middles and corners


def test_a_verdict_by_limits_that_the_camera_may_overrule(joint: tuple[dict[str, Any], Products]) -> None:
    made = expressed(joint, 1, 0)
    assert made["astrometry"]["sky_verdict"].value == 1.0, made["sky_solution"]["reasons"]
    assert made["astrometry"]["astrometry_chi2"].value < 1.5
    bad = expressed(joint, 1, 0, internal=(1e-6, 1e-5, 1e-4))
    assert bad["astrometry"]["sky_verdict"].value == 4.0
    assert bad["sky_solution"]["reasons"][0]["metric"] == "astrometry_internal"
    given, solved = joint
    needs = {"unit": Unit.parse("demo-1/0"), "exposure": given["exposures"][1], "refused": {}}
    overruled = EXPRESS.run(
        ExpressSettings(), solution=solved["solution"], grading={"astrometry_ties": [1e6, 100, 1]}, **needs
    )
    assert overruled["astrometry"]["sky_verdict"].value in {2.0, 3.0}


def test_who_has_no_solution_is_told_why(joint: tuple[dict[str, Any], Products]) -> None:
    with pytest.raises(DataFault) as caught:
        expressed(joint, 5, 0)
    assert caught.value.code == "solve.unmatched"
    assert caught.value.evidence["least_matches"] == 12
    with pytest.raises(DataFault) as caught:
        expressed(joint, 1, 7)
    assert caught.value.code == "solve.sparse"


def test_an_exposure_has_the_outline_of_all_its_detectors(joint: tuple[dict[str, Any], Products]) -> None:
    members = tuple(Member(f"detector:demo-3/{chip}", expressed(joint, 3, chip)["sky_solution"]) for chip in (0, 1))
    made = SUMMARY.run(SUMMARY.settings(), sky_solution=members, members=(0, 1, 2, 4))
    whole = Outline.of(Unit.parse("demo-3"), made["exposure_outline"])
    for member in members:
        wcs = from_cards(member.value["cards"])
        ra, dec = pixel_to_sky(wcs, np.array([1.0, 698.0, 350.0]), np.array([1.0, 1198.0, 600.0]))
        assert all(whole.contains(float(a), float(d)) for a, d in zip(ra, dec, strict=True))
        x, _ = sky_to_pixel(wcs, *whole.middle)
        assert -800 < x < 1500
    figures = made["exposure_astrometry"]
    assert figures["astrometry_lost"].value == 2
    assert figures["sky_verdict"].value == 1.0  # the median of two A and two that are lost
    used = [member.value["figures"]["astrometry_used"][0] for member in members]
    assert figures["astrometry_used"].value == sum(used)
