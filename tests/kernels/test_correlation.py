"""Correlated noise: what is measured is what was put in, and sums scatter as is foretold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from spica.kernels.compiled import Float32, as_pixels
from spica.kernels.correlation import (
    REACH,
    bell,
    circle,
    covariance,
    excess,
    excess_within,
    of_resampling,
    of_smoothing,
    smoothing_reach,
)
from spica.kernels.resample import KERNELS, kernel


def noise(weights: list[float], side: int = 512, seed: int = 3) -> Float32:
    white = np.random.default_rng(seed).normal(size=(side, side))
    return as_pixels(correlate1d(correlate1d(white, weights, 0, mode="wrap"), weights, 1, mode="wrap"))


def test_white_noise_has_no_excess_whatever_is_summed() -> None:
    plane = noise([1.0])
    found, pixels = covariance([(plane, np.ones_like(plane, bool))])
    assert pixels == plane.size
    assert found[REACH, REACH] == pytest.approx(1.0, abs=0.01)
    exact = np.zeros_like(found)
    exact[REACH, REACH] = 1.0
    for pattern in (np.ones((1, 1)), circle(4.3), *bell(3.7)):
        assert excess(exact, pattern) == pytest.approx(1.0, abs=1e-9)
        assert excess(found, pattern) == pytest.approx(1.0, abs=0.03)


def test_the_covariance_is_that_of_the_filter_and_holes_do_not_matter() -> None:
    weights = [0.25, 0.5, 0.25]
    own = np.convolve(weights, weights)
    plane = noise(weights)
    good = np.random.default_rng(4).random(plane.shape) < 0.7
    found, pixels = covariance([(plane[:256], good[:256]), (plane[256:], good[256:])])
    assert pixels == np.count_nonzero(good)
    expected = np.zeros(2 * REACH + 1)
    expected[REACH - 2 : REACH + 3] = own
    np.testing.assert_allclose(found, np.outer(expected, expected), atol=0.004)


def test_sums_scatter_as_foretold() -> None:
    weights = [0.2, 0.6, 0.2]
    own = np.zeros(2 * REACH + 1)
    own[REACH - 2 : REACH + 3] = np.convolve(weights, weights)
    exact = np.outer(own, own)
    plane = noise(weights, 1024)
    for radius in (1.5, 4.0, 9.0):
        pattern = circle(radius)
        n = pattern.shape[0]
        step = n + 4
        sums = [
            np.sum(plane[y : y + n, x : x + n] * pattern)
            for y in range(0, 1024 - n, step)
            for x in range(0, 1024 - n, step)
        ]
        expected = excess(exact, pattern) * np.sqrt(np.sum(pattern**2))
        assert np.std(sums) == pytest.approx(expected, rel=4.0 / np.sqrt(2 * len(sums)))
        assert float(excess_within(exact, [radius])[0]) == pytest.approx(excess(exact, pattern), rel=1e-6)
    # A large sum sees all of it.
    assert excess(exact, np.ones((301, 301))) == pytest.approx(1.0, abs=0.01)
    assert np.isnan(excess_within(exact, [np.nan])[0])


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.73])
@pytest.mark.parametrize("name", list(KERNELS))
def test_the_covariance_that_a_kernel_makes_is_that_of_white_noise_resampled(name: str, ratio: float) -> None:
    foretold = of_resampling(name, ratio)
    middle = foretold.shape[0] // 2
    assert middle >= REACH
    assert foretold[middle, middle] == 1.0
    rng, by = np.random.default_rng(1), kernel(name)
    line = rng.normal(0.0, 1.0, (400, 200))
    fraction = (np.arange(400) + 0.5) / 400
    made = np.empty((400, round(180 * ratio)))
    for number in range(made.shape[1]):
        place = fraction + 4.0 + number / ratio
        whole = np.floor(place)
        t = np.where(place - whole > by.snap, place - whole, 0.0) - 0.5
        powers = t ** (2 * np.arange(by.weights.shape[2]))[:, None]
        even, odd = (by.weights[:, k].astype(float) @ powers for k in (0, 1))
        taps = np.concatenate([even + t * odd, (even - t * odd)[::-1]])
        values = np.take_along_axis(line, whole.astype(int)[:, None] + np.arange(len(taps)) - len(taps) // 2, 1)
        made[:, number] = np.sum(taps.T * values, axis=1)
    for apart in range(5):
        found = np.mean(made[:, apart:] * made[:, : made.shape[1] - apart]) / np.mean(made**2)
        assert found == pytest.approx(foretold[middle, middle + apart], abs=0.02)


def test_a_large_sum_has_the_noise_of_the_pixels_that_went_into_it() -> None:
    """Finer pixels have each less noise than the ones they come from, their sum has the same."""
    for name in ("lanczos3", "lanczos4"):
        usual = float(np.sqrt(of_resampling(name).sum()))
        for ratio in (1.4, 2.0, 3.0):
            assert float(np.sqrt(of_resampling(name, ratio).sum())) == pytest.approx(ratio * usual, rel=2e-3)


@pytest.mark.parametrize("ratio", [1.0, 1.6])
def test_the_covariance_of_pixels_smoothed_before_they_are_resampled(ratio: float) -> None:
    """Beside the sum over all pairs of the pixels that a Gaussian kernel joined."""
    at = np.arange(-9.0, 10.0)
    line = np.exp(-0.5 * (at / 1.5) ** 2)
    line /= line.sum()
    left, own = float(np.sum(line**2)), np.convolve(line, line)
    resampled = of_resampling("lanczos3", ratio)
    foretold = of_smoothing(resampled, left, ratio)
    reach, more = resampled.shape[0] // 2, smoothing_reach(left, ratio)
    assert foretold.shape[0] // 2 == reach + more
    # Along x, all of y together.
    direct = np.zeros(foretold.shape[0])
    here = np.arange(-reach, reach + 1)
    for apart, weight in zip(np.arange(-18, 19), own, strict=True):
        direct += weight * np.interp(
            np.arange(-reach - more, reach + more + 1) - apart * ratio, here, resampled.sum(0), 0, 0
        )
    assert foretold.sum(0) * left**2 == pytest.approx(direct, abs=0.04)
    assert foretold.sum() == pytest.approx(resampled.sum() / left**2, rel=1e-6)
