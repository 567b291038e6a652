"""Detectors with few stars: held to the focal plane of their neighbours, and never called good when they are wild."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.records import Exposure, FrameType, Grain, Unit
from spica.core.solution import Standing
from spica.core.task import Member
from spica.kernels.focal_model import Mosaic, Terms
from spica.kernels.focal_prior import stretches
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_rows import from_columns
from spica.tasks import express
from spica.tasks.solve.settings import SolveSettings
from tests.support.joint_field import Field, Plan, draw, true_positions
from tests.support.joint_task import inputs, solved

SMALL = Plan(exposures=2, detectors=12, nx=256, ny=576, stars=40_000.0, step=15.0, corner=2.0, scale=0.187)
FEW = {0: (15, 0.6), 3: (14, 0.6), 7: (13, 1.0), 9: (6, 1.0)}
"""Stars that are left at most of some detectors, and within which part of each side."""


def starved(given: dict[str, Any], few: dict[int, tuple[int, float]]) -> dict[str, Any]:
    """The same with few detections on some detectors, all in one corner."""
    sources = []
    for member in given["sources"]:
        most, part = few.get(int(member.unit.rpartition("/")[2]), (10**9, 1.0))
        table = member.value
        rows = np.flatnonzero((table["x"] < part * SMALL.nx) & (table["y"] < part * SMALL.ny))[:most]
        sources.append(Member(member.unit, Catalogue({name: each[rows] for name, each in table.columns.items()})))
    return given | {"sources": tuple(sources)}


def away(field: Field, solution: Catalogue, row: int) -> np.ndarray:
    """Distances of a grid of pixels from the truth [mas]."""
    exposure = int(solution["exposure_id"][row]) - 100
    x, y, ra, dec = true_positions(field.truth[exposure][solution["detector"][row]], field.plan, 5)
    there = pixel_to_sky(from_columns(solution.columns, row), x, y)
    return np.asarray(3.6e6 * np.hypot((there[0] - ra) * np.cos(np.radians(dec)), there[1] - dec))


def grade(solution: Catalogue, row: int) -> str:
    number = int(solution["exposure_id"][row])
    exposure = Exposure(number, "demo", "demo", FrameType.OBJECT, "2026-01-01", 61000.0, 10.0, band="r")
    unit = Unit(Grain.DETECTOR, ("demo", str(solution["detector"][row])))
    made = express.TASK.run(express.TASK.settings(), unit, exposure, solution, {}, {})
    return str(made["sky_solution"]["grade"])


@pytest.mark.parametrize("seed", [2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 5, 6, 7))])
def test_a_detector_of_few_stars_is_held_by_its_neighbours(seed: int) -> None:
    """With a cubic of its own it was seconds of arc off in its corners, and those of a dozen stars a fifth of one."""
    plan = Plan(**(vars(SMALL) | {"seed": seed}))
    field = draw(plan)
    settings = SolveSettings(least_reference=5, least_matches=5)
    solution = solved(settings, **starved(inputs(field), FEW))["solution"]
    off = np.array([away(field, solution, row) for row in range(len(solution))])
    assert len(off) >= 22
    assert off.max() < 800.0
    rms = np.sqrt(0.5 * np.mean(off**2, axis=1))
    assert np.median(rms) < 130.0
    assert np.mean(rms < 2.5 * solution["sky_err"]) > 0.9
    assert solution["stretch"].max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("detectors", [1, 2, 3])
def test_no_wild_solution_of_a_camera_of_few_detectors_is_called_good(detectors: int) -> None:
    for seed in range(6):
        field = draw(Plan(**(vars(SMALL) | {"seed": seed, "detectors": detectors, "stars": 60_000.0})))
        solution = solved(SolveSettings(least_reference=4, least_matches=4), **starved(inputs(field), {0: (30, 0.6)}))
        for row in range(len(solution["solution"])):
            if solution["solution"]["standing"][row] not in {Standing.SOLVED, Standing.SPARSE}:
                continue
            off = away(field, solution["solution"], row)
            assert grade(solution["solution"], row) > "A" or np.sqrt(0.5 * np.mean(off**2)) < 0.6 * 187.0
            assert off.max() < 2000.0


def test_a_scale_that_departs_is_noticed_and_a_turn_is_not() -> None:
    one = np.arange(1)
    mosaic = Mosaic(one, one, np.array([[100.0, 200.0]]), one, np.array([10.0]), np.array([5.0]), 2, 1, 0.01)
    detectors = np.zeros((1, 6), complex)
    detectors[0, 1:3] = 0.01j, 0.005
    start = Terms(detectors, np.array([[0.0, 0.01, 0.0]], complex))
    turned = Terms(detectors * np.exp(0.3j), start.exposures)
    assert stretches(mosaic, start, turned)[0] < 1e-6
    wide = detectors * np.array([1.0, 1.15, 1.0, 1.0, 1.0, 1.0])
    assert stretches(mosaic, start, Terms(wide, start.exposures))[0] == pytest.approx(0.15, abs=1e-4)
