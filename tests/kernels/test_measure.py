"""Isophotal measurements: sep as the independent implementation, and laws."""

import numpy as np
import pytest
import sep

from spica.kernels.compiled import Float32
from spica.kernels.detect import label
from spica.kernels.measure import ellipses, measure_segments


def test_it_agrees_with_sep_on_a_real_frame(real_image: Float32) -> None:
    back = sep.Background(real_image)
    image = real_image - back.back()
    rms = back.globalrms
    variance = np.full(image.shape, rms**2)
    peer = sep.extract(image, 1.5, err=rms, minarea=5, filter_kernel=None, deblend_cont=1.0, clean=False)
    segments = label(image / np.float32(rms), 1.5, min_area=5)
    found = measure_segments(image, variance, segments.start, segments.pixels)
    peer = peer[np.lexsort((peer["xpeak"], peer["ypeak"]))]
    order = np.lexsort((found.peak_x, found.peak_y))
    assert len(peer) == segments.count > 100
    a, b, theta = ellipses(found.xx, found.yy, found.xy)
    for name, whole in (("npix", found.area), ("xpeak", found.peak_x), ("ypeak", found.peak_y)):
        np.testing.assert_array_equal(whole[order], peer[name])
    for name, whole in (("xmin", found.x_min), ("xmax", found.x_max), ("ymin", found.y_min), ("ymax", found.y_max)):
        np.testing.assert_array_equal(whole[order], peer[name])
    for name, values in (("x", found.x), ("y", found.y), ("a", a), ("b", b), ("theta", theta)):
        np.testing.assert_allclose(values[order], peer[name], atol=2e-5)
    for name, values in (("flux", found.flux), ("x2", found.xx), ("errx2", found.x_variance), ("peak", found.peak)):
        np.testing.assert_allclose(values[order], peer[name], rtol=1e-5)


@pytest.fixture
def blobs() -> Float32:
    noise = np.random.default_rng(21).normal(0.0, 1.0, (60, 70))
    smooth = np.real(
        np.fft.ifft2(np.fft.fft2(noise) * np.exp(-40 * np.add.outer(np.fft.fftfreq(60) ** 2, np.fft.fftfreq(70) ** 2)))
    )
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def test_scaling_scales_flux_and_squares_variance(blobs: Float32) -> None:
    segments = label(blobs, 1.0, min_area=4)
    variance = np.abs(blobs) + 1
    one = measure_segments(blobs, variance, segments.start, segments.pixels)
    four = measure_segments(4 * blobs, 16 * variance, segments.start, segments.pixels)
    np.testing.assert_array_equal(four.flux, 4 * one.flux)
    np.testing.assert_array_equal(four.flux_variance, 16 * one.flux_variance)
    for name in ("x", "y", "x_variance", "xx", "yy", "xy"):
        np.testing.assert_array_equal(getattr(four, name), getattr(one, name))


def test_shifting_the_image_shifts_positions_only(blobs: Float32) -> None:
    segments = label(blobs, 1.0, min_area=4)
    wide = np.zeros((100, 120), dtype=np.float32)
    wide[23 : 23 + 60, 31 : 31 + 70] = blobs
    moved = label(wide, 1.0, min_area=4)
    one = measure_segments(blobs, blobs, segments.start, segments.pixels)
    other = measure_segments(wide, wide, moved.start, moved.pixels)
    np.testing.assert_allclose(other.x, one.x + 31, rtol=0, atol=1e-12)
    np.testing.assert_allclose(other.y, one.y + 23, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(other.flux, one.flux)
    np.testing.assert_array_equal(other.xx, one.xx)


def test_transposing_exchanges_the_axes(blobs: Float32) -> None:
    segments, turned = (label(image, 1.0, min_area=4) for image in (blobs, blobs.T))
    one = measure_segments(blobs, blobs**2, segments.start, segments.pixels)
    other = measure_segments(blobs.T, blobs.T**2, turned.start, turned.pixels)
    order = np.lexsort((one.peak_y, one.peak_x))
    back = np.lexsort((other.peak_x, other.peak_y))
    for name, swapped in (("x", "y"), ("xx", "yy"), ("xy", "xy"), ("x_variance", "y_variance"), ("flux", "flux")):
        np.testing.assert_allclose(getattr(one, name)[order], getattr(other, swapped)[back], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(one.x_max[order], other.y_max[back])


def test_bits_are_gathered_and_negative_light_still_has_a_place() -> None:
    image = np.zeros((6, 8), dtype=np.float32)
    image[2, 3:5] = -5.0
    mask = np.zeros((6, 8), dtype=np.int32)
    mask[2, 3], mask[2, 4], mask[0, 0] = 4, 9, 64
    found = measure_segments(image, np.ones((6, 8)), np.array([0, 2]), np.array([19, 20]), mask)
    assert (found.bits[0], found.flux[0], found.flux_variance[0]) == (13, -10.0, 2.0)
    assert (found.x[0], found.y[0]) == (3.5, 2.0)


def test_the_error_of_the_centroid_is_its_scatter() -> None:
    rows, columns = np.mgrid[:15, :15]
    star = 500.0 * np.exp(-((columns - 7.2) ** 2 + (rows - 6.9) ** 2) / 4.0)
    core = np.flatnonzero(star > 50)
    variance = star + 100.0
    rng = np.random.default_rng(22)
    start = np.array([0, core.size])
    tries = [measure_segments(star + rng.normal(0, np.sqrt(variance)), variance, start, core) for _ in range(300)]
    scatter = np.std([found.x[0] for found in tries])
    assert np.sqrt(tries[0].x_variance[0]) == pytest.approx(scatter, rel=0.15)


def test_ellipses_of_round_thin_and_tilted_moments() -> None:
    a, b, theta = ellipses(np.array([4.0, 0.0, 2.5]), np.array([4.0, 0.0, 2.5]), np.array([0.0, 0.0, 1.5]))
    np.testing.assert_allclose(a, [2.0, np.sqrt(1 / 12), 2.0])
    np.testing.assert_allclose(b, [2.0, np.sqrt(1 / 12), 1.0])
    assert theta[2] == pytest.approx(np.pi / 4)
