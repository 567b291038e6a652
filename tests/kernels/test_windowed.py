"""Windowed centroids, core widths and Kron photometry."""

import numpy as np
import pytest
import sep

from spica.kernels.compiled import Float32
from spica.kernels.detect import label
from spica.kernels.kron import kron_photometry
from spica.kernels.measure import ellipses, measure_segments
from spica.kernels.windowed import core_fwhm, windowed_centroid
from tests.kernels.sky import SIGMA, gaussian_star


@pytest.mark.parametrize("place", [(20.0, 20.0), (20.5, 19.5), (20.31, 19.87)])
def test_the_centroid_of_a_star_is_its_place(place: tuple[float, float]) -> None:
    image = gaussian_star((41, 41), *place, 1000.0, 3.5)
    found = windowed_centroid(image, np.ones((41, 41)), [place[0] + 0.4], [place[1] - 0.3], 3.5)
    assert found.converged[0]
    assert (found.x[0], found.y[0]) == pytest.approx(place, abs=1e-3)


def test_it_agrees_with_sep() -> None:
    rng = np.random.default_rng(27)
    places = [(20.3 + 30 * i, 22.7 + 30 * j) for i in range(5) for j in range(5)]
    image = sum(gaussian_star((170, 170), x, y, 800.0, 3.0) for x, y in places) + rng.normal(0, 2, (170, 170))
    x, y = np.array(places).T
    found = windowed_centroid(image, np.full(image.shape, 4.0), x + 0.3, y, 3.0)
    peer_x, peer_y, _ = sep.winpos(image, x + 0.3, y, 3.0 * SIGMA)
    np.testing.assert_allclose(found.x, peer_x, atol=5e-4)
    np.testing.assert_allclose(found.y, peer_y, atol=5e-4)
    errors = np.sqrt(found.x_variance)
    assert np.std(found.x - x) == pytest.approx(errors.mean(), rel=0.4)


def test_scaling_shift_and_transposition() -> None:
    rng = np.random.default_rng(28)
    image = gaussian_star((50, 50), 24.2, 25.9, 500.0, 4.0) + rng.normal(0, 1, (50, 50))
    image = image.astype(np.float32)
    ones = np.ones((50, 50))
    one = windowed_centroid(image, ones, [24.0], [26.0], 4.0)
    four = windowed_centroid(4 * image, 16 * ones, [24.0], [26.0], 4.0)
    turned = windowed_centroid(image.T, ones, [26.0], [24.0], 4.0)
    moved = windowed_centroid(np.roll(image, 4, axis=1), ones, [28.0], [26.0], 4.0)
    assert (four.x[0], four.x_variance[0]) == (one.x[0], one.x_variance[0])
    assert (turned.y[0], turned.x[0]) == pytest.approx((one.x[0], one.y[0]), abs=1e-9)
    assert moved.x[0] - 4 == pytest.approx(one.x[0], abs=1e-9)


def test_a_hole_does_not_pull_the_centre_and_nothing_gives_nothing() -> None:
    image = gaussian_star((41, 41), 20.0, 20.0, 1000.0, 4.0)
    mask = np.zeros((41, 41), dtype=np.int32)
    mask[20, 22] = 1
    spoiled = np.where(mask == 1, np.nan, image)
    found = windowed_centroid(spoiled, np.ones((41, 41)), [20.3], [20.1], 4.0, mask, bad_bits=1)
    assert (found.x[0], found.y[0]) == pytest.approx((20.0, 20.0), abs=0.02)
    empty = windowed_centroid(-image, np.ones((41, 41)), [20.0, np.nan], [20.0, 1.0], 4.0)
    assert not empty.converged.any()
    assert np.isnan(empty.x).all()


@pytest.mark.parametrize("fwhm", [2.2, 3.0, 5.0])
def test_core_width_of_a_gaussian(fwhm: float) -> None:
    image = gaussian_star((41, 41), 20.3, 19.8, 1000.0, fwhm)
    assert core_fwhm(image, [20.3], [19.8], 1.5 * fwhm)[0] == pytest.approx(fwhm, rel=1e-4)
    assert core_fwhm(7 * image.T, [19.8], [20.3], 1.5 * fwhm)[0] == pytest.approx(fwhm, rel=1e-4)
    assert np.isnan(core_fwhm(np.ones((41, 41)), [20.0], [20.0], 5.0)[0])


def test_kron_is_that_of_sep_on_a_real_frame(real_image: Float32) -> None:
    back = sep.Background(real_image)
    image = real_image - back.back()
    variance = np.full(image.shape, back.globalrms**2)
    segments = label(image / np.float32(back.globalrms), 3.0, min_area=8)
    found = measure_segments(image, variance, segments.start, segments.pixels)
    a, b, theta = ellipses(found.xx, found.yy, found.xy)
    inner = (found.x > 30) & (found.x < 225) & (found.y > 30) & (found.y < 225)
    x, y, a, b, theta = (column[inner] for column in (found.x, found.y, a, b, theta))
    kron = kron_photometry(image, variance, x, y, a, b, theta, smallest_radius=0.0)
    radius, _ = sep.kron_radius(image, x, y, a, b, theta, 6.0)
    np.testing.assert_allclose(kron.radius, radius, rtol=1e-9)
    flux, _, _ = sep.sum_ellipse(image, x, y, a, b, theta, kron.scale, subpix=5)
    np.testing.assert_allclose(kron.flux, flux, rtol=1e-9)


def test_kron_holds_the_light_of_a_star_and_scales() -> None:
    image = gaussian_star((61, 61), 30.2, 29.7, 1000.0, 4.0)
    ones = np.ones((61, 61))
    sigma = np.array([4.0 * SIGMA])
    place = (np.array([30.2]), np.array([29.7]))
    one = kron_photometry(image, ones, *place, sigma, sigma, np.zeros(1))
    assert one.flux[0] == pytest.approx(1000.0, rel=0.01)
    four = kron_photometry(4 * image, 16 * ones, *place, sigma, sigma, np.zeros(1))
    assert (four.flux[0], four.flux_variance[0]) == (4 * one.flux[0], 16 * one.flux_variance[0])
    tiny = kron_photometry(image, ones, *place, sigma / 100, sigma / 100, np.zeros(1))
    assert tiny.scale[0] == 1.75
    flat = kron_photometry(ones, ones, *place, sigma / 100, sigma / 100, np.zeros(1))
    assert flat.flux[0] == pytest.approx(np.pi * 1.75**2, rel=0.02)
