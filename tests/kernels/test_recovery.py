"""The curve of completeness: what was put in comes out, with errors that are its scatter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from spica.kernels.recovery import recovery, wilson


def draw(seed: int, number: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Sources of which 95 % are found where bright, half of those at 24.7, by a threshold of 5."""
    rng = np.random.default_rng(seed)
    magnitude = rng.uniform(22, 26, number)
    chance = 0.95 * ndtr(5.0 * (10 ** (-0.4 * (magnitude - 24.7)) - 1))
    return magnitude, rng.random(number) < chance


def test_limits_are_those_of_the_curve_and_errors_their_scatter() -> None:
    fitted = [recovery(*draw(seed)) for seed in range(12)]
    curves = [each for each in fitted if each is not None]
    assert len(curves) == 12
    grid = np.linspace(23, 26, 30001)
    for part in (0.8, 0.5):
        true = grid[np.argmax(0.95 * ndtr(5.0 * (10 ** (-0.4 * (grid - 24.7)) - 1)) < part)]
        found = np.array([curve.limit(part) for curve in curves])
        pulls = (found[:, 0] - true) / found[:, 1]
        assert abs(np.mean(pulls)) < 1.0
        assert 0.5 < np.std(pulls) < 1.6
        assert np.mean(np.abs(found[:, 0] - true)) < 0.03
        assert float(curves[0].fraction(found[:1, 0])[0]) == pytest.approx(part, abs=1e-9)
    assert np.mean([curve.plateau for curve in curves]) == pytest.approx(0.95, abs=0.02)
    assert np.isnan(curves[0].limit(0.99)[0])


def test_nothing_is_made_of_too_few() -> None:
    magnitude, found = draw(1)
    assert recovery(magnitude, np.ones_like(found)) is None
    assert recovery(magnitude[:20], found[:20]) is None


def test_bounds_of_fractions_hold_them() -> None:
    low, high = wilson(np.array([0.0, 5.0, 10.0, 0.0]), np.array([10.0, 10.0, 10.0, 0.0]))
    assert np.all((low >= 0) & (high <= 1) & (low < high))
    assert low[1] == pytest.approx(1 - high[1])
    assert (low[3], high[3]) == (0.0, 1.0)
