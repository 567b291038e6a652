"""Bleed trails: what the simulator lets bleed is found, what only saturates is not."""

import numpy as np
import pytest

from spica.kernels.bleeding import grow_marks, mark_bleeding
from spica.kernels.detrend import Box
from spica.kernels.draw_marks import bleed

SATURATED, BLEED = 2, 4
NY, NX = 300, 120
WELL = 80_000.0


def star(flux: float, y: int = 150, x: int = 60, sigma: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Electrons of a star on a sky after bleeding, and the simulator's mask."""
    v, u = np.mgrid[:NY, :NX]
    light = 300.0 + flux * np.exp(-0.5 * ((u - x) ** 2 + (v - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)
    light += flux * 1e-4 / (1 + ((u - x) ** 2 + (v - y) ** 2) / 16.0) ** 1.5
    image, mask = light.astype(np.float32), np.zeros((NY, NX), np.int32)
    bleed(image, Box(0, NY, 0, NX), WELL, mask, SATURATED, BLEED)
    return image, mask


def marked(image: np.ndarray) -> tuple[np.ndarray, int]:
    mask = np.where(image >= 0.98 * WELL, SATURATED, 0).astype(np.int32)
    rows = np.flatnonzero(np.any(mask, axis=1))
    count = mark_bleeding(mask, rows, SATURATED, BLEED)
    return mask, count


@pytest.mark.parametrize("flux", [2e7, 6e7, 2e8])
def test_bled_charge_is_found(flux: float) -> None:
    image, truth = star(flux)
    mask, count = marked(image)
    assert count == np.count_nonzero(mask & BLEED)
    bled = truth & BLEED != 0
    missed = bled & (mask & (SATURATED | BLEED) == 0)
    # A column on the rim of the core, two or three pixels long, cannot be told from a round one.
    assert np.count_nonzero(missed) <= 4
    assert np.all(np.abs(np.argwhere(missed) - (150, 60)) <= 8)
    trail = bled & (np.abs(np.arange(NY) - 150)[:, None] > 20)
    assert not trail.any() or np.mean(mask[trail] & BLEED != 0) > 0.99
    clean = truth == 0
    # Only the two pixels beyond each end of the trail are marked without need.
    assert np.count_nonzero(mask[clean]) <= 4 + 4 * np.count_nonzero(np.any(bled, axis=0))


def test_a_round_saturated_core_has_not_bled() -> None:
    v, u = np.mgrid[:NY, :NX]
    image = np.where((v - 100) ** 2 + (u - 50) ** 2 < 81, WELL, 100.0)
    mask, count = marked(image)
    assert count == 0
    assert np.count_nonzero(mask) > 200


def test_a_star_that_bleeds_through_the_detector_marks_its_columns() -> None:
    image, _ = star(3e9)
    mask, _ = marked(image)
    column = mask[:, 60]
    assert np.all(column & SATURATED != 0)
    assert np.all(column[:100] & BLEED != 0)
    assert np.all(column[-100:] & BLEED != 0)


def test_everything_saturated_is_no_trouble() -> None:
    mask, _ = marked(np.full((NY, NX), WELL))
    assert np.all(mask & SATURATED != 0)
    assert mark_bleeding(np.zeros((5, 5), np.int32), np.empty(0, np.int64), SATURATED, BLEED) == 0


def test_growth_is_a_disc_around_each_saturated_pixel() -> None:
    mask = np.zeros((20, 20), np.int32)
    mask[10, 10] = mask[0, 0] = SATURATED
    rows = np.array([0, 10])
    count = grow_marks(mask, rows, SATURATED, BLEED, 2)
    v, u = np.mgrid[:20, :20]
    near = ((v - 10) ** 2 + (u - 10) ** 2 <= 4) | (v**2 + u**2 <= 4)
    near[10, 10] = near[0, 0] = False
    np.testing.assert_array_equal(mask == BLEED, near)
    assert count == np.count_nonzero(near)
    assert grow_marks(mask, rows, SATURATED, BLEED, 0) == 0
