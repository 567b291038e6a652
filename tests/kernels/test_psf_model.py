"""The evaluator of the point spread function: what it must keep, and that it agrees with an independent one."""

import numpy as np
import pytest

from spica.core.psf import PsfModel
from spica.kernels.compiled import Float32
from spica.kernels.psf_model import psf_stamps, stamp_at


def moffat(x: np.ndarray, y: np.ndarray, fwhm: float, beta: float = 3.0) -> np.ndarray:
    """Light per pixel of unit light."""
    alpha = 0.5 * fwhm / np.sqrt(2 ** (1 / beta) - 1)
    found: np.ndarray = (beta - 1) / (np.pi * alpha**2) * (1 + (x * x + y * y) / alpha**2) ** -beta
    return found


def cube(fwhm: float, sampling: float, n: int) -> Float32:
    at = (np.arange(n) - n // 2) * sampling
    return np.asarray(moffat(at, at[:, None], fwhm)[None], np.float32)


def test_on_the_samples_it_is_the_samples() -> None:
    samples = np.random.default_rng(1).normal(0, 1, (1, 11, 11)).astype(np.float32)
    out = psf_stamps(samples, [[1.0]], 1.0, [40.0], [17.0], 11)
    np.testing.assert_allclose(out[0, 0], samples[0], atol=1e-6)


def test_a_polynomial_of_the_fourth_degree_is_kept() -> None:
    at = np.arange(31) - 15.0
    surface = (1 + 0.1 * at - 0.03 * at**2 + 0.002 * at**4) * (2 - at[:, None] ** 3 * 0.01)
    out = psf_stamps(surface[None], [[1.0]], 0.8, [10.3], [20.6], 9)[0, 0]
    x, y = (np.arange(9) - 4 - 0.3) / 0.8, (np.arange(9) - 4 + 0.4) / 0.8
    expected = (1 + 0.1 * x - 0.03 * x**2 + 0.002 * x**4) * (2 - y[:, None] ** 3 * 0.01)
    np.testing.assert_allclose(out, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("sampling", [1.0, 2 / 3, 0.5, 0.4])
def test_light_is_kept_wherever_the_source_lies(sampling: float) -> None:
    x, y = np.random.default_rng(2).uniform(50, 60, (2, 40))
    n = 2 * int(16 / sampling) + 1
    sums = psf_stamps(cube(4.0, sampling, n), np.ones((40, 1)), sampling, x, y, 41)[:, 0].sum((1, 2))
    # The model ends in a step of 3e-6 of the light a pixel, some of which is within the stamp or not.
    assert np.ptp(sums) < 4e-4
    assert sums.mean() == pytest.approx(cube(4.0, sampling, n).sum() * sampling**2, abs=2e-4)


@pytest.mark.parametrize(("fwhm", "sampling", "close"), [(4.0, 0.8, 4e-3), (4.0, 0.5, 4e-4), (1.6, 0.32, 4e-3)])
def test_a_known_profile_is_drawn_at_any_place(fwhm: float, sampling: float, close: float) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.uniform(99, 101, (2, 50))
    n = 2 * int(4 * fwhm / sampling) + 1
    out = psf_stamps(cube(fwhm, sampling, n), np.ones((50, 1)), sampling, x, y, 13)[:, 0]
    for k in range(50):
        at_x, at_y = np.rint(x[k]) + np.arange(13) - 6 - x[k], np.rint(y[k]) + np.arange(13) - 6 - y[k]
        truth = moffat(at_x, at_y[:, None], fwhm)
        assert np.abs(out[k] - truth).max() < close * moffat(np.zeros(1), np.zeros(1), fwhm)[0]


def test_a_whole_pixel_moves_nothing() -> None:
    here, there = psf_stamps(cube(3.0, 0.7, 31), np.ones((2, 1)), 0.7, [30.2, 71.2], [40.7, 11.7], 15)
    np.testing.assert_allclose(here, there, atol=1e-7)


def test_slopes_are_derivatives() -> None:
    rng = np.random.default_rng(4)
    step = 1e-3
    samples = rng.normal(0, 1, (1, 21, 21)).astype(np.float32)
    for sampling in (1.0, 0.7):
        _, by_x, by_y = psf_stamps(samples, [[1.0]], sampling, [30.2], [29.6], 25, slopes=True)[0]
        for slope, dx, dy in ((by_x, step, 0.0), (by_y, 0.0, step)):
            after = psf_stamps(samples, [[1.0]], sampling, [30.2 + dx], [29.6 + dy], 25)[0, 0]
            before = psf_stamps(samples, [[1.0]], sampling, [30.2 - dx], [29.6 - dy], 25)[0, 0]
            np.testing.assert_allclose((after - before) / (2 * step), slope, atol=5e-3)


def test_one_stamp_is_as_many() -> None:
    rng = np.random.default_rng(5)
    coefficients = rng.normal(0, 1, (6, 15, 15)).astype(np.float32)
    model = PsfModel(coefficients, 2, (100.0, 200.0), (100.0, 200.0), 0.8, 3.0)
    one = stamp_at(coefficients, 2, (100.0, 200.0), (100.0, 200.0), 0.8, 33.3, 371.8, 17)
    many = psf_stamps(coefficients, model.values(33.3, 371.8), 0.8, [33.3], [371.8], 17)[0, 0]
    np.testing.assert_array_equal(one, many)


def test_a_stamp_larger_than_the_model_ends_in_nothing() -> None:
    out = psf_stamps(np.ones((1, 7, 7)), [[1.0]], 1.0, [10.0], [10.0], 31)[0, 0]
    assert out[:9].max() == 0.0
    assert out[15, 15] == 1.0


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        psf_stamps(np.ones((1, 5, 5)), [[1.0]], 1.0, [10.0], [10.0], 9)
    with pytest.raises(ValueError, match="do not fit"):
        psf_stamps(np.ones((2, 9, 9)), [[1.0]], 1.0, [10.0], [10.0], 9)
