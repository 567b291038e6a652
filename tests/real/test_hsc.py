"""Real cosmic rays of Hyper Suprime-Cam: against astroscrappy, and put on real stars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.real import Marked, mark, rays_alone, rays_on_stars, sources_of, star_field

pytestmark = pytest.mark.realdata
SHIFTS = ((0, 0), (-100, 0), (-60, -100), (-150, -90), (80, 0))
"""Where the frame of rays is laid over the frame of stars."""


@pytest.fixture(scope="module")
def alone(real_data: Path) -> Marked:
    return rays_alone(real_data)


@pytest.fixture(scope="module")
def crossed(real_data: Path) -> list[Marked]:
    return [rays_on_stars(real_data, shift) for shift in SHIFTS]


def test_every_deposit_is_found_by_both(alone: Marked) -> None:
    deposits, shared = alone.shared(alone.ours, alone.theirs)
    pieces, ours = alone.shared(alone.theirs, alone.ours)
    # Ten rays; astroscrappy breaks two of them where they are more than a pixel wide.
    assert (deposits, shared) == (10, 10)
    assert ours == pieces
    assert pieces >= deposits


def test_the_whole_of_a_wide_ray_is_marked(alone: Marked) -> None:
    complete, pure = alone.told(alone.ours)
    others, _ = alone.told(alone.theirs)
    assert complete > 0.99
    assert pure > 0.99
    # The thick cores of rays stay in astroscrappy's image.
    assert others < 0.7


def test_no_light_of_a_field_without_rays_is_taken(real_data: Path) -> None:
    field = star_field(real_data)
    assert not np.any(mark(field, np.zeros(field.shape, np.float32)).ours)


def test_no_core_of_a_star_is_taken_and_rays_on_stars_are_found(real_data: Path, crossed: list[Marked]) -> None:
    sources = sources_of(star_field(real_data))
    bright = sources.select(sources["snr"] > 20)
    assert len(bright) >= 10
    for each in crossed:
        assert each.image.variance is not None
        free = each.charge < np.sqrt(each.image.variance)
        for x, y in zip(np.rint(bright["x"]).astype(int), np.rint(bright["y"]).astype(int), strict=True):
            core = np.s_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            assert not np.any(each.ours[core] & free[core]), (x, y)


def test_truth_is_kept_better_than_by_astroscrappy(crossed: list[Marked]) -> None:
    ours, theirs = (np.array([each.told(marked) for each, marked in pairs]).mean(axis=0) for pairs in (
        [(each, each.ours) for each in crossed], [(each, each.theirs) for each in crossed],
    ))  # fmt: skip
    assert ours[0] > 0.965
    assert ours[1] > 0.97
    assert np.all(ours > theirs)
