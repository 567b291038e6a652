"""Circular apertures and light radii."""

import numpy as np
import pytest
import sep
from photutils.aperture import CircularAperture, aperture_photometry

from spica.kernels.aperture import circle_overlap, circular_photometry
from spica.kernels.compiled import Float32

RADII = [0.3, 1.0, 2.0, 3.5, 7.0]


def test_fluxes_are_those_of_sep_and_photutils(real_image: Float32) -> None:
    rng = np.random.default_rng(23)
    x, y = rng.uniform(15, 240, 40), rng.uniform(15, 240, 40)
    found = circular_photometry(real_image, np.abs(real_image), x, y, RADII)
    for k, radius in enumerate(RADII):
        exact, _, _ = sep.sum_circle(real_image, x, y, radius, subpix=0)
        np.testing.assert_allclose(found.flux[:, k], exact, rtol=1e-9)
        table = aperture_photometry(real_image.astype(float), CircularAperture(np.column_stack([x, y]), radius))
        np.testing.assert_allclose(found.flux[:, k], table["aperture_sum"], rtol=1e-9)
    assert not found.masked.any()


@pytest.mark.parametrize("radius", [0.2, 0.5, 0.75, 1.0, 4.3, 30.0])
def test_the_pixels_of_a_circle_add_up_to_its_area(radius: float) -> None:
    for dx, dy in ((0.0, 0.0), (0.5, 0.5), (0.31, -0.48)):
        reach = int(radius) + 2
        steps = range(-reach, reach + 1)
        total = sum(circle_overlap(i - dx, j - dy, radius) for i in steps for j in steps)
        assert total == pytest.approx(np.pi * radius**2, rel=1e-10)


def test_scaling_flux_and_variance() -> None:
    rng = np.random.default_rng(24)
    image, variance = rng.normal(0, 1, (40, 40)), rng.uniform(1, 2, (40, 40))
    one = circular_photometry(image, variance, [20.3, 11.0], [19.1, 12.7], RADII)
    four = circular_photometry(4 * image, 16 * variance, [20.3, 11.0], [19.1, 12.7], RADII)
    np.testing.assert_array_equal(four.flux, 4 * one.flux)
    np.testing.assert_array_equal(four.flux_variance, 16 * one.flux_variance)


def test_shift_and_transposition() -> None:
    image = np.random.default_rng(25).normal(0, 1, (40, 50)).astype(np.float32)
    one = circular_photometry(image, image, [20.3], [19.1], RADII)
    shifted = np.roll(image, (3, 5), axis=(0, 1))
    moved = circular_photometry(shifted, shifted, [25.3], [22.1], RADII)
    turned = circular_photometry(image.T, image.T, [19.1], [20.3], RADII)
    np.testing.assert_allclose(moved.flux, one.flux, atol=1e-9)
    np.testing.assert_allclose(turned.flux, one.flux, atol=1e-9)


def test_errors_are_the_scatter() -> None:
    rng = np.random.default_rng(26)
    variance = np.full((200, 200), 9.0)
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(10.0, 190, 12) + 0.3, np.arange(10.0, 190, 12)))
    found = circular_photometry(rng.normal(0, 3, (200, 200)), variance, x, y, [2.0, 4.0])
    np.testing.assert_allclose(np.sqrt(found.flux_variance.mean(0)), found.flux.std(0), rtol=0.13)


def test_bad_pixels_and_the_edge_are_replaced_and_counted() -> None:
    image = np.ones((30, 30))
    mask = np.zeros((30, 30), dtype=np.int32)
    mask[15, 16] = 2
    spoiled = image.copy()
    spoiled[15, 16] = np.nan
    found = circular_photometry(spoiled, image, [15.0, 0.0], [15.0, 0.0], [4.0], mask, bad_bits=2)
    # The opposite pixel stands for the bad one; beyond the corner there is none.
    assert found.flux[0, 0] == pytest.approx(np.pi * 16)
    assert found.masked[0, 0] == 1
    assert found.flux[1, 0] < np.pi * 16 - 10
    assert found.masked[1, 0] > 30


def test_light_of_others_is_replaced_and_the_sky_taken_off() -> None:
    image = np.full((30, 30), 5.0)
    labels = np.zeros((30, 30), dtype=np.int32)
    image[15, 17] += 100.0
    labels[15, 17], labels[15, 15] = 2, 1
    found = circular_photometry(
        image, image, [15.0, 15.0], [15.0, 15.0], [4.0], sky=np.full((30, 30), 4.0), labels=labels, own=[1, 2]
    )
    assert found.flux[0, 0] == pytest.approx(np.pi * 16)
    assert found.flux[1, 0] == pytest.approx(np.pi * 16 + 100.0 - 1.0)


def test_a_source_without_a_place_gives_nan() -> None:
    found = circular_photometry(np.ones((5, 5)), np.ones((5, 5)), [np.nan], [2.0], [1.0])
    assert np.isnan(found.flux[0, 0])
    with pytest.raises(ValueError, match="not all positive"):
        circular_photometry(np.ones((5, 5)), np.ones((5, 5)), [1.0], [2.0], [0.0])
    with pytest.raises(ValueError, match="mask of shape"):
        circular_photometry(np.ones((5, 5)), np.ones((5, 5)), [1.0], [2.0], [1.0], np.ones((4, 4)))
