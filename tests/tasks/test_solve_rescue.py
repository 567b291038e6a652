"""What `solve` does with exposures that are not where their headers say, and what belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.solution import Standing
from spica.core.task import Member
from spica.kernels.wcs import TangentWcs, pixel_to_sky, sky_to_pixel, tangent_wcs
from spica.kernels.wcs_rows import from_columns
from spica.tasks.solve.settings import SolveSettings
from tests.support.joint_field import Field, draw, together, true_positions
from tests.support.joint_lists import SMALL
from tests.support.joint_task import cards, inputs, solved

PLAN = replace(SMALL, exposures=4, offset=1.0)


@pytest.fixture(scope="module")
def field() -> Field:
    return draw(PLAN)


def shifted(wcs: TangentWcs, east: float, north: float) -> TangentWcs:
    """The same solution, looking elsewhere by so many arc seconds."""
    crval = wcs.crval + np.array([east / np.cos(np.radians(wcs.crval[1])), north]) / 3600.0
    return tangent_wcs(crval, wcs.crpix, wcs.cd, pv=wcs.pv if wcs.pv.size else None)


def off(field: Field, exposures: Sequence[int], east: float, north: float) -> Field:
    header = [
        tuple(shifted(wcs, east, north) for wcs in solutions) if number in exposures else solutions
        for number, solutions in enumerate(field.header)
    ]
    return replace(field, header=tuple(header))


def error(field: Field, solution: Catalogue) -> np.ndarray:
    """Of each row, rms per coordinate [mas]."""
    out = []
    for row in range(len(solution)):
        exposure, chip = int(solution["exposure_id"][row]) - 100, int(solution["detector"][row])
        x, y, ra, dec = true_positions(field.truth[exposure][chip], field.plan, 5)
        there = pixel_to_sky(from_columns(solution.columns, row), x, y)
        away = 3.6e6 * np.hypot((there[0] - ra) * np.cos(np.radians(dec)), there[1] - dec)
        out.append(np.sqrt(0.5 * np.mean(away**2)))
    return np.array(out)


def test_a_neighbour_tells_where_headers_are_off(field: Field) -> None:
    """All headers are off by minutes; the pointing of three exposures was found before, the fourth's was not."""
    lost = off(field, range(4), 95.0, -60.0)
    found = tuple(
        Member(
            f"exposure:demo-{number}",
            {"detectors": {str(chip): {"cards": cards(wcs)} for chip, wcs in enumerate(field.header[number])}},
        )
        for number in range(3)
    )
    told = solved(SolveSettings(search=5.0), **inputs(lost) | {"pointing": found})
    assert told["refused"] == {}
    assert told["solution"]["rung"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert error(field, told["solution"]).max() < 12.0
    assert told["solving"]["astrometry_rescued"].value == 1


def test_a_wider_circle_finds_one_that_is_off_by_itself(field: Field) -> None:
    told = solved(SolveSettings(search=10.0), **inputs(off(field, [2], 40.0, 15.0)))
    assert told["refused"] == {}
    assert told["solution"]["rung"].tolist() == [0, 0, 0, 0, 2, 2, 0, 0]
    assert error(field, told["solution"]).max() < 12.0


@pytest.mark.parametrize("how", ["header", "another sky", "trailed"])
def test_an_exposure_that_fails_is_left_out_by_name_and_the_others_are_as_without_it(field: Field, how: str) -> None:
    if how == "header":
        both, codes = off(field, [3], 900.0, 500.0), {"solve.unmatched"}
    elif how == "another sky":
        lonely = draw(replace(PLAN, exposures=1, seed=77))
        both = replace(field, detections=(*field.detections[:3], lonely.detections[0]))
        codes = {"solve.unmatched", "solve.bad-fit"}  # by chance a dozen may fall together
    else:
        rng = np.random.default_rng(3)
        smeared = tuple(
            replace(each, x=each.x + 2.0 * rng.choice([-1.0, 0.0, 1.0], each.x.size), err=np.minimum(each.err, 0.05))
            for each in field.detections[3]
        )
        both = replace(field, detections=(*field.detections[:3], smeared))
        codes = {"solve.bad-fit"}
    told = solved(SolveSettings(), **inputs(both))
    assert list(told["refused"]) == ["demo-3"]
    assert told["refused"]["demo-3"]["code"] in codes
    given = inputs(field)
    alone = given | {
        "exposures": given["exposures"][:3],
        "sources": tuple(each for each in given["sources"] if "demo-3/" not in each.unit),
    }
    without = solved(SolveSettings(), **alone)
    for row in range(6):
        x, y = np.array([0.0, 350.0, 699.0]), np.array([0.0, 800.0, 1199.0])
        one, two = (pixel_to_sky(from_columns(each["solution"].columns, row), x, y) for each in (told, without))
        assert 3.6e6 * np.max(np.abs(np.subtract(one, two))) < 0.5
    assert (told["solution"]["standing"][:6] == Standing.SOLVED).all()
    assert np.abs(told["solution"]["zero_point"][:6] - without["solution"]["zero_point"]).max() < 1e-3


def bent(plan_corner: float, seed: int) -> Field:
    return draw(replace(PLAN, corner=plan_corner, exposures=3, seed=seed))


@pytest.mark.parametrize("name", ["run", "filter"])
def test_distortion_is_shared_within_a_context_and_free_between_them(name: str) -> None:
    """Before and after an intervention at the camera: 4 pixels of distortion one way, then the other."""
    before = bent(4.0, 1)
    after = bent(-4.0, 1)
    both = together(before, after)
    given = inputs(both)
    apart = tuple(
        replace(record, **{name: "first" if number < 3 else "second"})
        for number, record in enumerate(given["exposures"])
    )
    free = solved(SolveSettings(), **given | {"exposures": apart})
    one = solved(SolveSettings(largest_scatter=1e6), **given)
    assert error(both, free["solution"]).max() < 12.0
    assert error(both, one["solution"]).mean() > 5.0 * error(both, free["solution"]).mean()
    # Shared within: three exposures know the distortion better than each by itself.
    single = solved(SolveSettings(), **given | {"exposures": tuple(replace(r, run=r.name) for r in given["exposures"])})
    assert np.mean(single["solution"]["sky_err"]) > 1.15 * np.mean(free["solution"]["sky_err"])


def test_what_is_known_of_the_distortion_helps_where_stars_are_few() -> None:
    """A polynomial of degree 5 from a handful of stars: its high terms stay where they are known to be."""
    few = draw(replace(PLAN, stars=6_000.0, exposures=2, corner=0.3, offset=1.0))
    free = solved(SolveSettings(degree=5, least_matches=8, least_reference=8), **inputs(few))
    known = solved(
        SolveSettings(degree=5, least_matches=8, least_reference=8, distortion_prior=(6e4, 6e4, 6e4, 50.0, 2.0)),
        **inputs(few),
    )
    assert np.mean(error(few, known["solution"])) < 0.8 * np.mean(error(few, free["solution"]))


def test_verification_numbers_are_what_they_say(field: Field) -> None:
    """Share of matched references, chi square, scatter within and against the reference, from the truth alone."""
    told: dict[str, Any] = solved(SolveSettings(), **inputs(field))
    solution = told["solution"]
    for row in range(len(solution)):
        exposure, chip = int(solution["exposure_id"][row]) - 100, int(solution["detector"][row])
        wcs, seen = field.truth[exposure][chip], field.detections[exposure][chip]
        x, y = sky_to_pixel(wcs, field.ra[field.reference], field.dec[field.reference])
        on = (x > 0) & (x < PLAN.nx - 1) & (y > 0) & (y < PLAN.ny - 1)
        matched = np.isin(field.reference[on], seen.star)
        assert solution["share"][row] == pytest.approx(matched.mean(), abs=0.04)
        assert solution["ties"][row] == pytest.approx(matched.sum(), rel=0.05)
        assert solution["chi2"][row] == pytest.approx(1.0, abs=0.2)
        # Detection against reference: both errors; the truth tells which they are.
        u, v = sky_to_pixel(wcs, field.ra[seen.star], field.dec[seen.star])
        pair = np.isin(seen.star, field.reference)
        noise = 250.0 * np.sqrt(0.5 * np.mean((seen.x - u)[pair] ** 2 + (seen.y - v)[pair] ** 2))
        assert solution["rms_external"][row] == pytest.approx(np.hypot(noise, PLAN.error), rel=0.12)
        sharp = np.argsort(seen.err)[: seen.err.size // 4]
        noise = 250.0 * np.sqrt(0.5 * np.mean((seen.x - u)[sharp] ** 2 + (seen.y - v)[sharp] ** 2))
        assert solution["rms_internal"][row] == pytest.approx(noise, rel=0.25)
