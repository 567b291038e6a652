"""Kernels that match point spread functions: beside photutils, and convolution beside a plain sum with the exact kernel of each pixel."""

from __future__ import annotations

import numpy as np
import pytest
from photutils.psf_matching import make_kernel
from scipy.interpolate import RectBivariateSpline
from scipy.signal import fftconvolve

from spica.kernels.convolve import convolve, windowed_or
from spica.kernels.homogenise import FINE, Kernels, Target, applied, matching_kernel, target_samples, varying

METRIC = 0.2**2 * np.eye(2)
FLAT = np.zeros((90, 110))


def _bells(rows: int, columns: int, half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernels that turn and widen from place to place, and the places."""
    x, y = np.linspace(0.0, 109.0, columns), np.linspace(0.0, 89.0, rows)
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    made = np.empty((rows, columns, 2 * half + 1, 2 * half + 1))
    for j in range(rows):
        for i in range(columns):
            a, b = 1.2 + 0.3 * x[i] / 109, 1.3 + 0.2 * y[j] / 89
            bell = np.exp(-0.5 * ((u / a) ** 2 + (v / b) ** 2 + 0.3 * u * v * (x[i] / 109 - 0.5)))
            made[j, i] = bell / bell.sum()
    return made, x, y


def test_a_kernel_is_the_one_that_photutils_makes() -> None:
    model = target_samples(Target(0.8, 3.0), METRIC, 24)
    target = target_samples(Target(1.2, 3.0), METRIC, 24)
    kernel = matching_kernel(model, target, 1e-6, 24)
    fine = make_kernel(model, target, regularization=1e-4)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)
    # Theirs is of samples, ours of pixels, of which there are fewer.
    theirs = fftconvolve(model, fine, mode="same")
    ours = applied(kernel, model)
    assert np.abs(ours - theirs).max() < 3e-3 * target.max()
    assert np.abs(ours - target).max() < 1e-3 * target.max()


def test_convolution_is_the_sum_with_each_pixels_own_kernel() -> None:
    kernels, x, y = _bells(5, 6, 6)
    rng = np.random.default_rng(1)
    image, variance = rng.normal(1000.0, 30.0, FLAT.shape), rng.uniform(90.0, 110.0, FLAT.shape)
    none = np.zeros(FLAT.shape, np.bool_)
    found = varying(kernels, x, y)
    made = convolve(image.astype(np.float32), variance.astype(np.float32), none, none, found)
    by = [[RectBivariateSpline(y, x, kernels[:, :, j, i]) for i in range(13)] for j in range(13)]
    for row, column in ((20, 30), (45, 80), (70, 50), (83, 100)):
        own = np.array([[float(spline(row, column)[0, 0]) for spline in line] for line in by])
        around = np.s_[row - 6 : row + 7, column - 6 : column + 7]
        # An image is convolved: the kernel turned by half a circle lies on it.
        assert made.pixels[row, column] == pytest.approx((own[::-1, ::-1] * image[around]).sum(), abs=0.05)
        expected = (own[::-1, ::-1] ** 2 * variance[around]).sum()
        assert made.variance[row, column] == pytest.approx(expected, rel=0.02)
    assert made.lost[20:70, 20:90].max() < 1e-6


def test_kernels_that_are_the_same_everywhere_need_no_pattern() -> None:
    kernels, x, y = _bells(4, 4, 6)
    kernels[:] = kernels[0, 0]
    found = varying(kernels, x, y)
    assert found.patterns.shape == (0, 13, 13)
    assert isinstance(found, Kernels)
    assert found.squares == pytest.approx(np.sum(kernels[0, 0] ** 2))


def test_patterns_sum_to_nothing() -> None:
    found = varying(*_bells(5, 6, 6))
    assert 1 < len(found.patterns) <= 12
    assert np.abs(found.patterns.sum(axis=(1, 2))).max() < 1e-12


def test_a_target_is_round_on_the_sky_whatever_pixels_are() -> None:
    metric = np.array([[0.04, 0.004], [0.004, 0.03]])
    made = target_samples(Target(1.2, 3.0), metric, 25)
    at = np.arange(-25 * FINE, 25 * FINE + 1) / FINE
    u, v = np.meshgrid(at, at)
    moment = [(made * each).sum() for each in (u * u, u * v, v * v)]
    inverse = np.linalg.inv(metric)
    assert moment[1] / moment[0] == pytest.approx(inverse[0, 1] / inverse[0, 0], rel=0.01)
    assert moment[2] / moment[0] == pytest.approx(inverse[1, 1] / inverse[0, 0], rel=0.01)


@pytest.mark.parametrize("half", [0, 1, 2, 3, 7])
def test_bits_of_a_square_are_those_of_any_pixel_in_it(half: int) -> None:
    rng = np.random.default_rng(half)
    bits = np.where(rng.random((30, 40)) < 0.02, 1 << rng.integers(0, 6, (30, 40)), 0).astype(np.int32)
    made = windowed_or(bits, half)
    for row, column in ((0, 0), (15, 20), (29, 39), (7, 3)):
        part = bits[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
        assert made[row, column] == np.bitwise_or.reduce(part.ravel())
