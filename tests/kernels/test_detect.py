"""Matched filter and labelling."""

import numpy as np
import pytest
from scipy import ndimage

from spica.kernels.compiled import Float64
from spica.kernels.detect import gaussian_kernel, label, matched_filter


def star(shape: tuple[int, int], y: float, x: float, flux: float, fwhm: float) -> Float64:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    sigma = fwhm / 2.354820045
    profile = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
    return np.asarray(flux * profile / (2 * np.pi * sigma**2))


def test_noise_becomes_unit_noise_whatever_its_variance() -> None:
    rng = np.random.default_rng(14)
    variance = rng.uniform(1.0, 100.0, (300, 300))
    image = rng.normal(0.0, np.sqrt(variance))
    assert matched_filter(image, variance, gaussian_kernel(3.0)).std() == pytest.approx(1.0, rel=0.03)


def test_a_star_is_found_at_its_optimal_signal_to_noise() -> None:
    image = star((60, 61), 30.0, 28.0, 1000.0, 3.0)
    snr = matched_filter(image, np.full(image.shape, 25.0), gaussian_kernel(3.0))
    assert divmod(int(snr.argmax()), 61) == (30, 28)
    assert snr.max() == pytest.approx(np.sqrt(np.sum(image**2) / 25.0), rel=1e-3)


def test_the_filter_is_the_convolution_of_scipy() -> None:
    rng = np.random.default_rng(15)
    image, variance = rng.normal(0, 1, (40, 50)), rng.uniform(1, 3, (40, 50))
    mask = (rng.random((40, 50)) < 0.1).astype(np.int32)
    kernel = gaussian_kernel(2.5)
    square = np.outer(kernel, kernel)
    weight = np.where(mask == 0, 1 / variance, 0.0)
    above = ndimage.convolve(image * weight, square, mode="constant")
    below = ndimage.convolve(weight, square**2, mode="constant")
    found = matched_filter(image, variance, kernel, mask, bad_bits=1)
    np.testing.assert_allclose(found, above / np.sqrt(below), rtol=1e-4, atol=1e-5)


def test_a_masked_pixel_has_no_effect_and_scaling_has_none() -> None:
    rng = np.random.default_rng(16)
    image, mask = rng.normal(0, 1, (30, 30)), np.zeros((30, 30), dtype=np.int32)
    variance = np.ones((30, 30))
    mask[15, 15] = 4
    spoiled = image.copy()
    spoiled[15, 15] = np.nan
    kernel = gaussian_kernel(3.0)
    expected = matched_filter(image, variance, kernel, mask, bad_bits=4)
    np.testing.assert_array_equal(matched_filter(spoiled, variance, kernel, mask, bad_bits=4), expected)
    np.testing.assert_array_equal(matched_filter(4 * image, 16 * variance, kernel, mask, bad_bits=4), expected)


@pytest.mark.parametrize("density", [0.02, 0.2, 0.4, 0.9])
def test_segments_are_those_of_scipy(density: float) -> None:
    image = np.random.default_rng(17).random((57, 83)) < density
    expected, count = ndimage.label(image, structure=np.ones((3, 3)))
    found = label(image.astype(np.float32), 0.5)
    assert found.count == count
    np.testing.assert_array_equal(found.labels, expected)


def test_pixel_lists_and_labels_say_the_same_and_small_segments_are_dropped() -> None:
    values = np.random.default_rng(18).normal(0, 1, (80, 90)).astype(np.float32)
    found = label(values, 1.0, min_area=5)
    areas = np.diff(found.start)
    assert found.count == areas.size > 10
    assert areas.min() >= 5
    owner = np.repeat(np.arange(1, found.count + 1), areas)
    np.testing.assert_array_equal(found.labels.ravel()[found.pixels], owner)
    assert np.count_nonzero(found.labels) == found.pixels.size
    assert np.all(np.diff(found.pixels[found.start[:-1]]) > 0)
    assert all(np.all(np.diff(part) > 0) for part in np.split(found.pixels, found.start[1:-1]))
    assert np.all(values.ravel()[found.pixels] > 1.0)


def test_nothing_above_the_threshold_and_undefined_values() -> None:
    empty = label(np.zeros((5, 6)), 1.0)
    assert (empty.count, empty.pixels.size, empty.start.tolist()) == (0, 0, [0])
    values = np.full((3, 4), np.nan)
    values[1, 1:] = 5.0
    assert label(values, 1.0).pixels.tolist() == [5, 6, 7]


def test_too_many_segments_are_counted_but_not_made() -> None:
    values = np.zeros((40, 40))
    values[::2, ::2] = 1.0
    found = label(values, 0.5, max_segments=399)
    assert found.overflow
    assert found.count == 400
    assert found.pixels.size == 0
    assert not label(values, 0.5, max_segments=400).overflow


def test_bad_arguments_are_refused() -> None:
    image = np.zeros((4, 4))
    with pytest.raises(ValueError, match="differ in shape"):
        matched_filter(image, np.ones((4, 5)), gaussian_kernel(2.0))
    with pytest.raises(ValueError, match="one-dimensional and odd"):
        matched_filter(image, np.ones((4, 4)), np.ones(4))
    with pytest.raises(ValueError, match="FWHM"):
        gaussian_kernel(0.0)
