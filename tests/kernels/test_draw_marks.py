"""Tracks, bleeding and runs: conservation of charge and of pixels."""

import numpy as np
import pytest

from spica.kernels.detrend import Box
from spica.kernels.draw_marks import add_track, bleed, runs


@pytest.mark.parametrize("end", [(70.0, 20.0), (20.0, 70.0), (61.0, 55.0), (-0.0, 10.0)])
def test_track_deposits_its_charge_per_length(end: tuple[float, float]) -> None:
    image = np.zeros((90, 90), dtype=np.float32)
    start = (20.0, 20.0)
    add_track(image, start, end, 50.0, 1.2)
    length = np.hypot(end[0] - start[0], end[1] - start[1])
    assert image.sum() == pytest.approx(50.0 * length, rel=0.01)


def test_track_lies_on_its_line() -> None:
    image = np.zeros((60, 60), dtype=np.float32)
    add_track(image, (-100.0, -70.0), (200.0, 230.0), 10.0, 0.5)
    jj, ii = np.nonzero(image > 0.1 * image.max())
    assert np.all(np.abs(jj - ii - 30) <= 2)
    assert image[40, 10] == pytest.approx(image[50, 20])


def test_bleeding_conserves_charge_and_fills_neighbours() -> None:
    image = np.full((41, 5), 10.0, dtype=np.float32)
    image[20, 2] = 1000.0
    mask = np.zeros(image.shape, dtype=np.int32)
    full = bleed(image, Box(0, 41, 0, 5), 100.0, mask, 2, 4)
    assert image.sum() == pytest.approx(10.0 * 204 + 1000.0)
    assert image.max() == 100.0
    np.testing.assert_allclose(image[:, 2], image[::-1, 2])
    assert np.all(image[:, [0, 1, 3, 4]] == 10.0)
    assert mask[20, 2] == 2
    assert mask[16, 2] == mask[24, 2] == 6
    # 900 electrons of excess into wells with room for 90.
    assert full == np.count_nonzero(mask) == 11


def test_bleeding_stays_in_its_amplifier() -> None:
    image = np.zeros((20, 4), dtype=np.float32)
    image[9, 1] = 1e4
    mask = np.zeros(image.shape, dtype=np.int32)
    bleed(image, Box(0, 10, 0, 4), 100.0, mask, 2, 4)
    assert not image[10:].any()
    assert not mask[10:].any()
    assert np.all(image[:10, 1] == 100.0)


def test_nothing_bleeds_below_the_full_well() -> None:
    image = np.full((8, 8), 99.0, dtype=np.float32)
    mask = np.zeros(image.shape, dtype=np.int32)
    assert bleed(image, Box(0, 8, 0, 8), 100.0, mask, 2, 4) == 0
    assert not mask.any()
    assert np.all(image == 99.0)


def test_runs_give_the_mask_back() -> None:
    rng = np.random.default_rng(5)
    mask = np.where(rng.random((30, 40)) < 0.3, rng.integers(1, 4, (30, 40)), 0).astype(np.int32)
    mask[3] = 7
    again = np.zeros_like(mask)
    for y, x0, x1, bits in runs(mask):
        assert not again[y, x0:x1].any()
        again[y, x0:x1] = bits
    np.testing.assert_array_equal(again, mask)
    assert runs(mask)[np.flatnonzero(runs(mask)[:, 0] == 3)].tolist() == [[3, 0, 40, 7]]
    assert runs(np.zeros((5, 5), dtype=np.int32)).shape == (0, 4)
