"""Overscan: levels free of outliers; what is fitted along the rows, and its stated variance."""

import numpy as np
import pytest
from scipy.interpolate import make_lsq_spline

from spica.kernels.detrend import Box
from spica.kernels.overscan import Rows, fit_levels, overscan_rows, without_trail

NY, SIGMA = 400, 4.0
HOW = ("row", "spline", "polynomial", "running", "constant")


@pytest.mark.parametrize("method", ["median", "mean"])
def test_overscan_is_free_of_outliers(method: str) -> None:
    rng = np.random.default_rng(5)
    levels = np.linspace(990.0, 1010.0, 200)
    section = rng.normal(levels[:, None], SIGMA, (200, 64)).round()
    section[::3, 7] = 65_535
    found = overscan_rows(section.astype(np.uint16), method=method)
    scatter = SIGMA / 8.0 * (1.25 if method == "median" else 1.0)
    assert np.std(found.level - levels) == pytest.approx(scatter, rel=0.2)
    assert abs(np.mean(found.level - levels)) < 0.15
    assert np.sqrt(np.median(found.variance)) == pytest.approx(scatter, rel=0.05)
    assert found.scatter == pytest.approx(SIGMA, rel=0.03)


def test_a_jump_between_rows_is_followed() -> None:
    rng = np.random.default_rng(9)
    levels = np.where(np.arange(100) < 40, 1000.0, 5000.0)
    found = overscan_rows(rng.normal(levels[:, None], SIGMA, (100, 32)))
    assert np.max(np.abs(found.level - levels)) < 5 * SIGMA / np.sqrt(32)


def test_overscan_without_clipping_is_the_plain_mean() -> None:
    section = np.random.default_rng(6).integers(0, 100, (5, 9)).astype(np.uint16)
    np.testing.assert_allclose(overscan_rows(section, method="mean", iterations=0).level, section.mean(1), rtol=1e-6)
    nothing = overscan_rows(np.full((1, 4), np.nan))
    assert np.isnan(nothing.level[0])
    assert np.isnan(nothing.variance[0])
    with pytest.raises(ValueError, match="'mode'"):
        overscan_rows(section, method="mode")
    with pytest.raises(ValueError, match="no columns"):
        overscan_rows(section[:, :0])


def rows(truth: np.ndarray, seed: int = 1) -> Rows:
    rng = np.random.default_rng(seed)
    return overscan_rows(rng.normal(truth[:, None], SIGMA, (NY, 30)).astype(np.float32))


@pytest.mark.parametrize("how", HOW)
def test_the_stated_variance_is_the_scatter_about_the_truth(how: str) -> None:
    truth = np.full(NY, 1000.0)
    errors, stated = [], []
    for seed in range(20):
        found = fit_levels(rows(truth, seed), how)
        errors.append(np.mean((found.level - truth) ** 2))
        stated.append(float(np.mean(found.variance)))
    assert np.mean(errors) == pytest.approx(np.mean(stated), rel=0.4 if how == "constant" else 0.25)


@pytest.mark.parametrize("how", ["spline", "polynomial", "running"])
def test_a_slow_drift_is_fitted_better_than_row_by_row(how: str) -> None:
    y = np.linspace(-1.0, 1.0, NY)
    truth = 1000.0 + 5.0 * y + 3.0 * np.sin(3.0 * y)
    given = rows(truth)
    fitted, single = fit_levels(given, how, window=31), fit_levels(given, "row")
    assert np.std(fitted.level - truth) < 0.5 * np.std(single.level - truth)


@pytest.mark.parametrize("how", HOW)
def test_rows_that_are_unknown_or_absurd_do_no_harm(how: str) -> None:
    truth = np.full(NY, 1000.0)
    given = rows(truth)
    given.level[100:104] = np.nan
    if how != "row":
        given.level[200:205] = 30_000.0
    found = fit_levels(given, how)
    assert np.all(np.isfinite(found.level))
    assert np.max(np.abs(found.level - truth)) < 5.0
    assert np.all(found.variance > 0)


def test_the_spline_is_that_of_scipy() -> None:
    given = rows(1000.0 + 5.0 * np.sin(np.arange(NY) / 40.0))
    found = fit_levels(given, "spline", order=6, kappa=1e9).level
    step = (NY - 1) / 6
    knots = step * np.arange(-3, 10)
    theirs = make_lsq_spline(np.arange(NY), given.level.astype(float), knots, k=3)(np.arange(NY))
    np.testing.assert_allclose(found, theirs, rtol=1e-6)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ValueError, match="'wild'"):
        fit_levels(rows(np.full(NY, 1.0)), "wild")


def test_columns_next_to_the_data_are_left_out_on_the_right_side() -> None:
    data = Box(0, 10, 20, 60)
    assert without_trail(Box(0, 10, 60, 80), data, 2) == Box(0, 10, 62, 80)
    assert without_trail(Box(0, 10, 0, 20), data, 2) == Box(0, 10, 0, 18)
    assert without_trail(Box(0, 10, 60, 63), data, 2) == Box(0, 10, 60, 63)
