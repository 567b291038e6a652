"""Robust statistics and running sums."""

import numpy as np
import pytest
from astropy.stats import mad_std, sigma_clip

from spica.kernels.robust import (
    robust_statistics,
)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 1001])
def test_median_and_mad_are_those_of_numpy_and_astropy(size: int) -> None:
    values = np.random.default_rng(size).normal(7.0, 3.0, size).astype(np.float32)
    found = robust_statistics(values)
    assert found.median == pytest.approx(float(np.median(values)), rel=1e-6)
    assert found.sigma == pytest.approx(float(mad_std(values.astype(float))), rel=1e-5, abs=1e-12)
    assert found.good == size


def test_outliers_do_not_move_the_clipped_mean() -> None:
    values = np.random.default_rng(1).normal(100.0, 5.0, 10_000)
    values[:300] = 1e6
    found = robust_statistics(values)
    clipped = sigma_clip(values, sigma=3, maxiters=20, cenfunc="median", stdfunc="mad_std")
    assert found.mean == pytest.approx(float(clipped.mean()), abs=0.02)
    assert found.deviation == pytest.approx(5.0, rel=0.03)
    assert found.good == 10_000
    assert found.used <= 9_700


def test_masked_and_undefined_pixels_have_no_effect() -> None:
    values = np.arange(12.0).reshape(3, 4)
    mask = np.zeros((3, 4), dtype=np.int32)
    spoiled = values.copy()
    spoiled[0, 0], spoiled[1, 1] = 1e9, np.nan
    mask[0, 0] = 4
    expected = robust_statistics(np.delete(values.ravel(), [0, 5]))
    assert robust_statistics(spoiled, mask, bad_bits=4) == expected
    assert np.isnan(spoiled[1, 1])


def test_no_good_pixel_gives_nan_and_zero_counts() -> None:
    found = robust_statistics(np.full(3, np.nan))
    assert np.isnan(found.median)
    assert (found.used, found.good) == (0, 0)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="mask has 3 pixels, values have 4"):
        robust_statistics(np.zeros(4), np.zeros(3))
