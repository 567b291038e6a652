"""Photon transfer: laws of the moments, truth in and truth out of the fits, pulls of unit width."""

import numpy as np
import pytest
from scipy.signal import correlate

from spica.kernels import transfer
from spica.kernels.noise import collect_into, seeded
from spica.kernels.transfer import (
    LAGS,
    fit_area_change,
    fit_linearity,
    fit_transfer,
    linearised,
    pair_moments,
    shot_variance,
)

SIDE = 200


def flats(mean: float, gain: float, noise: float, seed: int, ratio: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Two flats [ADU]; the second `ratio` times as bright."""
    rng = np.random.default_rng(seed)
    first, second = (
        rng.poisson(mean * gain * r, (SIDE, SIDE)) / gain + rng.normal(0, noise, (SIDE, SIDE)) for r in (1, ratio)
    )
    return first, second


@pytest.mark.parametrize("ratio", [1.0, 1.08])
def test_shot_noise_of_a_pair_over_its_share_is_mean_over_gain(ratio: float) -> None:
    found = pair_moments(*flats(3000.0, 2.0, 5.0, 1, ratio))
    shot = (found.variance - 25.0 * found.noise_share) / found.share
    assert shot == pytest.approx(found.mean / 2.0, rel=4.0 * np.sqrt(2.0) / SIDE)
    assert found.second / found.first == pytest.approx(ratio, rel=1e-3)


def test_moments_scale_with_the_unit() -> None:
    a, b = flats(1000.0, 1.5, 4.0, 2)
    one, ten = pair_moments(a, b), pair_moments(10.0 * a, 10.0 * b)
    assert ten.mean == pytest.approx(10.0 * one.mean, rel=1e-6)
    assert ten.variance == pytest.approx(100.0 * one.variance, rel=1e-6)
    assert ten.covariances == pytest.approx([100.0 * each for each in one.covariances], rel=1e-5)


def test_response_and_lamp_leave_no_trace() -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    response = 1.0 + 0.05 * rng.normal(size=(SIDE, SIDE)) - 0.2 * x
    lamps = [(1.0 + 0.004 * (x - y)) * s for s in (1.0, 1.03)]
    a, b = (rng.poisson(20000.0 * response * lamp).astype(float) for lamp in lamps)
    found = pair_moments(a, b)
    assert found.variance / found.share == pytest.approx(found.mean, rel=0.03)
    assert np.abs(found.covariances).max() < 5.0 * found.variance / SIDE


def test_cosmic_rays_and_undefined_pixels_are_left_out() -> None:
    a, b = flats(1000.0, 1.0, 3.0, 4)
    clean = pair_moments(a, b)
    a[5:8, 5:40] += 5000.0
    b[100, :] = np.nan
    spoilt = pair_moments(a, b)
    assert spoilt.variance == pytest.approx(clean.variance, rel=0.01)
    assert spoilt.mean == pytest.approx(clean.mean, rel=2e-4)
    assert spoilt.pixels == pytest.approx(SIDE * SIDE - SIDE - 105, abs=3)


def test_bands_of_a_flickering_lamp_leave_no_trace_where_rows_are_scaled() -> None:
    rng = np.random.default_rng(10)
    rows = np.arange(SIDE)[:, None]
    lamps = [20000.0 * (1.0 + 0.3 * np.sin(rows / 15.0 + phase)) for phase in (0.0, 2.0)]
    a, b = (rng.poisson(np.broadcast_to(lamp, (SIDE, SIDE))) / 2.0 + rng.normal(0, 30, (SIDE, SIDE)) for lamp in lamps)
    found = pair_moments(a, b, by_row=1)
    shot = (found.variance - 900.0 * found.noise_share) / found.share
    assert shot == pytest.approx(found.mean / 2.0, rel=5.0 * np.sqrt(2.0) / SIDE)
    assert pair_moments(a, b).variance > 100.0 * found.variance
    assert np.abs(found.covariances).max() < 5.0 * found.variance / SIDE


def test_dark_flats_and_lost_pixels_give_nothing() -> None:
    zero = np.zeros((20, 20))
    assert pair_moments(zero, zero).pixels == 0
    nothing = np.full((20, 20), np.nan)
    assert pair_moments(nothing, nothing, scaled=False).pixels == 0


def test_covariances_equal_an_independent_correlation() -> None:
    rng = np.random.default_rng(5)
    white = rng.normal(size=(90, 80))
    a = 10.0 * (white + 0.3 * np.roll(white, 1, axis=1) + 0.2 * np.roll(white, 1, axis=0))
    found = pair_moments(a, np.zeros_like(a), scaled=False, kappa=50.0)
    centred = a - a.mean()
    full = correlate(centred, centred, mode="full", method="direct")
    for (dx, dy), value in zip(LAGS, found.covariances, strict=True):
        lags = [(dx, dy), (-dx, dy)] if dx and dy else [(dx, dy)]
        expected = np.mean([full[89 + v, 79 + u] / ((90 - abs(v)) * (80 - abs(u))) for u, v in lags])
        assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_curve_is_poisson_without_repulsion_and_bends_below_it_with() -> None:
    mean = np.array([10.0, 1000.0, 50000.0])
    assert shot_variance(mean, 2.0, 0.0) == pytest.approx(mean / 2.0)
    assert shot_variance(mean, 2.0, -1e-15) == pytest.approx(mean / 2.0, rel=1e-9)
    bent = shot_variance(mean, 2.0, -1e-6)
    assert np.all(bent < mean / 2.0)
    # To first order C00 = μ/g + a00 μ².
    assert bent[1] == pytest.approx(mean[1] / 2.0 - 1e-6 * mean[1] ** 2, rel=1e-5)


@pytest.mark.parametrize("a00", [0.0, -2e-6])
def test_pulls_of_the_curve_have_unit_width(a00: float) -> None:
    rng = np.random.default_rng(6)
    mean = np.geomspace(500.0, 50000.0, 8)
    truth = shot_variance(mean, 1.7, a00)
    pulls = []
    for _ in range(150):
        found = fit_transfer(mean, truth * (1.0 + 0.004 * rng.normal(size=8)), np.full(8, 0.004), curved=True)
        pulls.append([(found.gain - 1.7) / found.gain_error, (found.a00 - a00) / found.a00_error])
    # Errors are never taken smaller than the counts say, so a lucky fit makes pulls a little narrow.
    assert np.std(pulls, axis=0) == pytest.approx([0.9, 0.9], abs=0.2)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.25


def test_one_level_gives_the_gain_alone() -> None:
    found = fit_transfer(np.array([1000.0]), np.array([400.0]), np.array([0.01]), curved=False)
    assert found.gain == pytest.approx(2.5)
    assert found.gain_error == pytest.approx(0.025, rel=1e-3)
    assert found.a00 == 0.0
    assert np.isnan(found.chi2)


def test_area_change_is_found_from_covariances() -> None:
    mean = np.linspace(5000.0, 40000.0, 6)
    covariance = 4e-7 * mean**2 * (1.0 - 4.0 / 3.0 * 1.5e-6 * 1.6 * mean)
    value, error = fit_area_change(mean, covariance, np.full(6, 10.0), 1.6, -1.5e-6)
    assert value == pytest.approx(4e-7, rel=1e-9)
    assert error == pytest.approx(10.0 / np.sqrt(((covariance / 4e-7) ** 2).sum()), rel=1e-9)


def test_repelling_pixels_are_measured_as_they_were_drawn() -> None:
    """Charge gathered by the simulator's kernel against the law that is fitted."""
    state, gain = seeded([7]), 1.6
    means, shots, rows = [], [], []
    for level in (8000.0, 20000.0, 36000.0, 50000.0):
        expected = np.full((400, 400), level, dtype=np.float32)
        pair = [np.zeros_like(expected) for _ in range(2)]
        for wells in pair:
            collect_into(wells, expected, 6, 4e-7, 7e-7, state)
            assert wells.mean() == pytest.approx(level, rel=5.0 / np.sqrt(level) / 400)
        found = pair_moments(pair[0] / gain, pair[1] / gain)
        means.append(found.mean)
        shots.append(found.variance / found.share)
        rows.append([each / found.share for each in found.covariances])
    mean, shot, covariances = np.array(means), np.array(shots), np.array(rows)
    law = fit_transfer(mean, shot, np.full(4, np.sqrt(2.0) / 400), curved=True)
    assert law.gain == pytest.approx(gain, abs=4.0 * law.gain_error)
    assert law.a00 == pytest.approx(-2.0 * (4e-7 + 7e-7), abs=4.0 * law.a00_error)
    for lag, truth in enumerate((4e-7, 7e-7, 0.0, 0.0, 0.0)):
        value, error = fit_area_change(mean, covariances[:, lag], shot / 400, law.gain, law.a00)
        assert value == pytest.approx(truth, abs=4.0 * error)


def test_pixels_that_do_not_repel_are_poissonian() -> None:
    expected = np.full((300, 300), 5000.0, dtype=np.float32)
    wells = np.zeros_like(expected)
    collect_into(wells, expected, 4, 0.0, 0.0, seeded([8]))
    assert wells.var() == pytest.approx(5000.0, rel=5.0 * np.sqrt(2.0) / 300)


def test_linearity_is_recovered_with_honest_errors() -> None:
    rng = np.random.default_rng(9)
    seconds = np.repeat(np.linspace(1.0, 40.0, 10), 2)
    truth, pulls = (2e-7, 1e-12), []
    for _ in range(100):
        light = 1000.0 * seconds * (1.0 + 2e-4 * rng.normal(size=20))
        signal = light.copy()
        for _ in range(20):
            signal -= (linearised(signal, truth)[0] - light) / linearised(signal, truth)[1]
        found = fit_linearity(signal, seconds, 2)
        assert found is not None
        assert found.rate == pytest.approx(1000.0, rel=1e-3)
        pulls.append((np.array(found.coefficients) - truth) / found.errors)
    assert np.std(pulls, axis=0) == pytest.approx([1.0, 1.0], abs=0.2)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.3


def test_linearity_needs_enough_exposure_times() -> None:
    one_time = np.full(10, 5.0)
    assert fit_linearity(1000.0 * one_time, one_time, 1) is None
    near = np.linspace(5.0, 6.0, 10)
    assert fit_linearity(1000.0 * near, near, 1) is None
    assert fit_linearity(np.array([]), np.array([]), 1) is None


def test_derivative_of_the_correction() -> None:
    x = np.array([100.0, 30000.0])
    true, slope = linearised(x, (1e-6, -3e-12))
    step = (linearised(x + 0.5, (1e-6, -3e-12))[0] - linearised(x - 0.5, (1e-6, -3e-12))[0]) / 1.0
    assert slope == pytest.approx(step, rel=1e-9)
    assert true == pytest.approx(x * (1.0 + 1e-6 * x - 3e-12 * x * x))


def test_cells_cover_every_pixel() -> None:
    for length in (1, 100, 129, 1000):
        cells = transfer._cells(length)
        assert [cell.start for cell in cells][1:] == [cell.stop for cell in cells][:-1]
        assert (cells[0].start, cells[-1].stop) == (0, length)
