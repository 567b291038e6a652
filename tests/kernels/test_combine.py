"""Combination of stacks."""

import numpy as np
import pytest
from astropy.stats import sigma_clip

from spica.kernels.combine import combine


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(7).normal(500.0, 10.0, (11, 20, 70)).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 40])
def test_mean_and_median_are_those_of_numpy(n: int) -> None:
    stack = np.random.default_rng(n).normal(500.0, 10.0, (n, 5, 7)).astype(np.float32)
    mean = combine(stack, method="mean")
    np.testing.assert_allclose(mean.mean, stack.mean(0), rtol=1e-6)
    np.testing.assert_allclose(combine(stack, method="median").mean, np.median(stack, 0), rtol=1e-6)
    if n > 1:
        np.testing.assert_allclose(mean.variance, stack.var(0, ddof=1, dtype=float) / n, rtol=1e-5)
    assert np.all(mean.used == n)


def test_clipped_mean_agrees_with_astropy(stack: np.ndarray) -> None:
    spoiled = stack.copy()
    spoiled[3, ::2] += 5000.0
    found = combine(spoiled, kappa=(4.0, 4.0), iterations=1)
    peer = sigma_clip(spoiled, sigma=4, maxiters=1, axis=0, cenfunc="median", stdfunc="mad_std")
    np.testing.assert_allclose(found.mean, peer.mean(0), rtol=1e-6)
    np.testing.assert_array_equal(found.used, peer.count(0))


def test_a_cosmic_ray_vanishes_without_a_trace(stack: np.ndarray) -> None:
    spoiled = stack.copy()
    spoiled[5, 10, 30] = 60_000.0
    clean, found = combine(np.delete(stack, 5, axis=0)), combine(spoiled)
    assert found.mean[10, 30] == clean.mean[10, 30]
    assert found.used[10, 30] == clean.used[10, 30]


@pytest.mark.parametrize("method", ["mean", "median", "clipped"])
def test_masked_values_have_no_effect(stack: np.ndarray, method: str) -> None:
    spoiled = stack.copy()
    masks = np.zeros(stack.shape, dtype=np.int32)
    masks[2] = 8
    spoiled[2] = np.inf
    expected = combine(np.delete(stack, 2, axis=0), method=method)
    for one, other in zip(expected, combine(spoiled, masks, bad_bits=8, method=method), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("method", ["mean", "median", "clipped"])
def test_bands_and_order_do_not_matter(stack: np.ndarray, method: str) -> None:
    whole = combine(stack, method=method)
    for y0, y1 in ((0, 1), (1, 8), (8, 20)):
        band = combine(stack[:, y0:y1], method=method)
        for one, other in zip(whole, band, strict=True):
            np.testing.assert_array_equal(one[y0:y1], other)
    turned = combine(stack[::-1], method=method)
    np.testing.assert_allclose(whole.mean, turned.mean, rtol=1e-6)


@pytest.mark.parametrize("method", ["mean", "median", "clipped"])
def test_scaling_scales_the_mean_and_squares_the_variance(stack: np.ndarray, method: str) -> None:
    one = combine(stack, method=method)
    four = combine(stack, method=method, scales=np.full(11, 4.0))
    np.testing.assert_array_equal(four.mean, 4 * one.mean)
    np.testing.assert_array_equal(four.variance, 16 * one.variance)


def test_variance_is_that_of_the_estimate() -> None:
    stack = np.random.default_rng(8).normal(0.0, 1.0, (15, 100, 100)).astype(np.float32)
    for method, tolerance in (("mean", 0.03), ("median", 0.06), ("clipped", 0.12)):
        found = combine(stack, method=method)
        assert found.variance.mean() == pytest.approx(found.mean.var(), rel=tolerance), method


def test_no_value_gives_zeros_and_bad_shapes_are_refused() -> None:
    empty = combine(np.full((3, 1, 1), np.nan))
    assert (empty.mean[0, 0], empty.variance[0, 0], empty.used[0, 0]) == (0, 0, 0)
    with pytest.raises(ValueError, match="masks of shape"):
        combine(np.zeros((3, 2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="'mode'"):
        combine(np.zeros((3, 2, 2)), method="mode")
    with pytest.raises(ValueError, match="for 3 images"):
        combine(np.zeros((3, 2, 2)), scales=np.ones(2))
