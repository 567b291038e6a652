"""Pixels of HiPS tiles: where they lie, by wcslib's HPX projection; numbers, orders, means."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels import hips
from tests.support.hips import apart, on_sky, tile_solution


@pytest.mark.parametrize(
    ("order", "cell"),
    # Both caps, the equator, tiles at right ascension 0, at both poles, and across 2/3 of the axis.
    [
        (3, 300),
        (3, 1),
        (3, 63),
        (3, 12 * 64 - 64),
        (3, 4 * 64),
        (3, 27),
        (8, 65535),
        (8, 4 * 65536 + 12345),
        (8, 9 * 65536),
    ],
)
def test_pixels_lie_where_wcslib_says(order: int, cell: int) -> None:
    ra, dec = hips.places(order, cell)
    rows, columns = np.mgrid[0:512:73, 0:512:73]
    theirs = on_sky(tile_solution(order, cell), columns, rows)
    away = apart(ra[rows, columns], dec[rows, columns], theirs[0], theirs[1])
    assert away.max() < 0.01 * hips.pixel_width(order) * 3600


def test_a_cell_knows_its_pixel_and_place() -> None:
    numbers = hips.numbering(4)
    assert sorted(numbers.ravel()) == list(range(256))
    rows, columns = hips.pixel_of(numbers, 4)
    assert np.array_equal(rows, np.mgrid[0:16, 0:16][0])
    assert np.array_equal(columns, np.mgrid[0:16, 0:16][1])
    ra, dec = hips.places(5, 1234, 4)
    assert np.array_equal(hips.cells_at(ra, dec, 9), (1234 << 8) + numbers)
    assert hips.with_neighbours(np.array([0]), 0).tolist() == [0, 1, 2, 3, 4, 5, 8]


def test_the_deepest_order_shows_all_that_pixels_hold() -> None:
    for scale in (0.05, 0.2, 0.263, 1.0, 2.5):
        order = hips.deepest_order(scale / 3600)
        assert 0.55 * scale < hips.pixel_width(order) * 3600 <= 1.1 * scale
    assert hips.deepest_order(1.0) == hips.SHALLOWEST
    assert hips.deepest_order(1e-9) == hips.DEEPEST


def test_four_tiles_are_one_of_means_at_the_same_places() -> None:
    rng = np.random.default_rng(2)
    parent = {number: rng.normal(size=(512, 512)).astype(np.float32) for number in range(4)}
    parent[2][:2, :2] = np.nan
    parent[1][0, 0] = np.nan
    tile = hips.joined(parent)
    cells, below = hips.numbering(), hips.numbering()
    flat = np.empty((4, 512 * 512))
    for number, child in parent.items():
        flat[number][below.ravel()] = child.ravel()
    # Nested numbers: the four cells within a cell follow upon each other.
    with np.errstate(invalid="ignore"):
        good = np.isfinite(flat.reshape(-1, 4))
        means = np.where(good, flat.reshape(-1, 4), 0).sum(axis=1) / good.sum(axis=1)
    assert np.allclose(tile, means[cells], rtol=1e-6, equal_nan=True)
    assert np.count_nonzero(np.isnan(tile)) == 1
    assert np.isnan(hips.joined({0: parent[0]})).sum() == 3 * 256**2
