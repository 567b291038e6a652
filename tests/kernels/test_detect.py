"""Matched filter, threshold and labelling in one pass."""

import numpy as np
import pytest
from scipy import ndimage

from spica.kernels.compiled import Float32, Numbers
from spica.kernels.detect import Segments, find_segments, gaussian_kernel
from tests.kernels.sky import gaussian_star

NO_FILTER = 0.1
"""A kernel of this width is one pixel."""


def find(image: Numbers, fwhm: float = NO_FILTER, threshold: float = 0.5, **options: Numbers | int) -> Segments:
    """Segments of an image on a sky of zero and unit noise."""
    sky, variance = options.pop("sky", np.zeros(image.shape)), options.pop("variance", np.ones(image.shape))
    assert isinstance(sky, np.ndarray)
    assert isinstance(variance, np.ndarray)
    return find_segments(image, sky, variance, fwhm, threshold, **options)  # type: ignore[arg-type]


def snr(image: Numbers, variance: Numbers, fwhm: float, **options: Numbers | int) -> Float32:
    """The filtered image: below such a threshold every pixel is part of one segment."""
    found = find(image, fwhm, -1e30, variance=variance, **options)
    assert found.count == 1
    return found.values.reshape(image.shape)


def test_noise_becomes_unit_noise_whatever_its_variance() -> None:
    rng = np.random.default_rng(14)
    variance = rng.uniform(1.0, 100.0, (300, 300))
    image = rng.normal(0.0, np.sqrt(variance))
    assert snr(image, variance, 3.0).std() == pytest.approx(1.0, rel=0.03)


def test_a_star_is_found_at_its_optimal_signal_to_noise() -> None:
    image = gaussian_star((60, 61), 28.0, 30.0, 1000.0, 3.0)
    found = snr(image, np.full(image.shape, 25.0), 3.0)
    assert divmod(int(found.argmax()), 61) == (30, 28)
    assert found.max() == pytest.approx(np.sqrt(np.sum(image**2) / 25.0), rel=1e-3)


@pytest.mark.parametrize("fwhm", [0.6, 1.2, 2.5, 4.4])
def test_the_filter_is_the_convolution_of_scipy(fwhm: float) -> None:
    rng = np.random.default_rng(15)
    image, sky, variance = rng.normal(5, 1, (40, 50)), rng.normal(5, 1, (40, 50)), rng.uniform(1, 3, (40, 50))
    mask = (rng.random((40, 50)) < 0.1).astype(np.int32)
    kernel = gaussian_kernel(fwhm)
    square = np.outer(kernel, kernel)
    weight = np.where(mask == 0, 1 / variance, 0.0)
    above = ndimage.convolve((image - sky) * weight, square, mode="constant")
    below = ndimage.convolve(weight, square**2, mode="constant")
    expected = np.divide(above, np.sqrt(below), out=np.zeros_like(above), where=below > 0)
    found = snr(image, variance, fwhm, sky=sky, mask=mask, bad_bits=1)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_a_masked_pixel_has_no_effect_and_scaling_has_none() -> None:
    rng = np.random.default_rng(16)
    image, mask = rng.normal(0, 1, (30, 30)), np.zeros((30, 30), dtype=np.int32)
    variance = np.ones((30, 30))
    mask[15, 15] = 4
    spoiled = image.copy()
    spoiled[15, 15] = np.nan
    expected = snr(image, variance, 3.0, mask=mask, bad_bits=4)
    np.testing.assert_array_equal(snr(spoiled, variance, 3.0, mask=mask, bad_bits=4), expected)
    np.testing.assert_array_equal(snr(4 * image, 16 * variance, 3.0, mask=mask, bad_bits=4), expected)


@pytest.mark.parametrize("density", [0.02, 0.2, 0.4, 0.9])
def test_segments_are_those_of_scipy(density: float) -> None:
    image = np.random.default_rng(17).random((57, 83)) < density
    expected, count = ndimage.label(image, structure=np.ones((3, 3)))
    found = find(image.astype(np.float32))
    assert found.count == count
    np.testing.assert_array_equal(found.labels(), expected)


def test_pixel_lists_and_labels_say_the_same_and_small_segments_are_dropped() -> None:
    image = np.random.default_rng(18).normal(0, 1, (80, 90)).astype(np.float32)
    found = find(image, threshold=1.0, min_area=5)
    areas = np.diff(found.start)
    assert found.count == areas.size > 10
    assert areas.min() >= 5
    owner = np.repeat(np.arange(1, found.count + 1), areas)
    labels = found.labels()
    np.testing.assert_array_equal(labels.ravel()[found.pixels], owner)
    np.testing.assert_array_equal(found.values, image.ravel()[found.pixels])
    assert np.count_nonzero(labels) == found.pixels.size
    assert np.all(np.diff(found.pixels[found.start[:-1]]) > 0)
    assert all(np.all(np.diff(part) > 0) for part in np.split(found.pixels, found.start[1:-1]))


def test_nothing_above_the_threshold_and_undefined_values() -> None:
    empty = find(np.zeros((5, 6)), threshold=1.0)
    assert (empty.count, empty.pixels.size, empty.start.tolist()) == (0, 0, [0])
    assert not empty.labels().any()
    values = np.full((3, 4), np.nan)
    values[1, 1:] = 5.0
    assert find(values, threshold=1.0).pixels.tolist() == [5, 6, 7]


def test_too_many_segments_are_counted_but_not_made() -> None:
    values = np.zeros((40, 40))
    values[::2, ::2] = 1.0
    found = find(values, max_segments=399)
    assert found.overflow
    assert found.count == 400
    assert found.pixels.size == 0
    assert not find(values, max_segments=400).overflow


def test_bad_arguments_are_refused() -> None:
    image = np.zeros((4, 4))
    with pytest.raises(ValueError, match="differ in shape"):
        find(image, variance=np.ones((4, 5)))
    with pytest.raises(ValueError, match="cannot be searched"):
        find(np.zeros((0, 4)))
    with pytest.raises(ValueError, match="FWHM"):
        gaussian_kernel(0.0)
