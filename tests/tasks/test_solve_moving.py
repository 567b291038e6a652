"""A joint solution over years: stars that move are the same stars in every exposure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_rows import from_columns
from spica.tasks.solve.settings import SolveSettings
from tests.support.joint_field import draw, true_positions
from tests.support.joint_lists import SMALL
from tests.support.joint_moving import Moved, independent, moved
from tests.support.joint_task import solved

PLAN = replace(SMALL, error=10.0, floor=0.01)


@pytest.fixture(scope="module")
def years() -> Moved:
    return moved(draw(PLAN), 3.0)


def away(made: Moved, **settings: bool) -> tuple[float, dict[str, Any]]:
    """Error of the solution per coordinate, rms [mas], and what the task gave."""
    told = solved(SolveSettings(**settings), **made.given)
    out = []
    for row in range(len(told["solution"])):
        exposure, chip = int(told["solution"]["exposure_id"][row]) - 100, int(told["solution"]["detector"][row])
        x, y, ra, dec = true_positions(made.field.truth[exposure][chip], PLAN, 5)
        there = pixel_to_sky(from_columns(told["solution"].columns, row), x, y)
        out.append(3.6e6 * ((there[0] - ra) * np.cos(np.radians(dec)) + 1j * (there[1] - dec)))
    return float(np.sqrt(0.5 * np.mean(np.abs(out) ** 2))), told


@pytest.mark.slow
def test_three_years_of_motion_cost_little_where_motions_are_known(years: Moved) -> None:
    still, _ = away(moved(draw(PLAN), 3.0, common=0.0)._replace(fast=years.fast))
    error, told = away(years)
    blind, lost = away(years, motions=False)
    # Four in ten stars are not in the reference: over years they tie exposures no longer.
    assert error < 1.25 * still
    assert blind > 2.0 * error
    # The stars that move most are found again in every exposure, and count.
    fast = years.field.reference[years.fast[years.field.reference]]
    used: dict[str, int] = {}
    for name, each in (("known", told), ("blind", lost)):
        matches = each["matches"]
        mine = (matches["detector"] >= 0) & (matches["used"] == 1)
        ties = matches["match_id"][(matches["detector"] < 0) & np.isin(matches["source_id"], fast)]
        used[name] = int(np.count_nonzero(np.isin(matches["match_id"][mine], ties)))
    assert used["known"] > 2 * max(used["blind"], 10)
    assert told["solving"]["astrometry_chi2"].value < 1.15


def test_places_are_those_of_the_full_model_of_stellar_motion(years: Moved) -> None:
    from spica.kernels.joint_motion import Moving
    from spica.tasks.solve.inputs import gather, moving

    asked = {name: years.given[name] for name in ("exposures", "wcs", "sources", "pointing", "reference")}
    found = moving(gather(SolveSettings(), **asked))
    assert isinstance(found, Moving)
    stars = np.flatnonzero(years.fast[years.field.reference])[:6]
    for number, record in enumerate(years.given["exposures"]):
        shift = found.away(stars, np.full(stars.size, number))
        for star, each in zip(stars, shift, strict=True):
            whole = int(years.field.reference[star])
            ra, dec = independent(years, whole, record.mjd)
            east = 3.6e6 * (ra - years.field.ra[whole]) * np.cos(np.radians(years.field.dec[whole]))
            assert abs(each - complex(east, 3.6e6 * (dec - years.field.dec[whole]))) < 0.05


def test_one_night_is_solved_as_before() -> None:
    night = moved(draw(PLAN), 1e-4)
    still, _ = away(night, motions=False)
    error, _ = away(night)
    assert error == pytest.approx(still, rel=0.02)
