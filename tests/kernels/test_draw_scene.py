"""Whole-frame passes against the same formulae in numpy."""

import numpy as np
import pytest

from spica.kernels.draw_scene import dust_into, expose_into, fringes_into, vignette_into

ABSENT = np.ones((1, 1), dtype=np.float32)


def test_exposure_is_the_formula() -> None:
    rng = np.random.default_rng(1)
    light, response, fringes, dark = (rng.random((6, 9)).astype(np.float32) for _ in range(4))
    image = light.copy()
    expose_into(image, (5.0, 0.5, -0.25), response, fringes, 2.0, dark, 30.0)
    jj, ii = np.indices(light.shape)
    expected = (light + 5.0 + 0.5 * ii - 0.25 * jj + 2.0 * fringes) * response + 30.0 * dark
    np.testing.assert_allclose(image, expected, rtol=1e-5)


def test_absent_planes_change_nothing() -> None:
    image = np.full((4, 5), 3.0, dtype=np.float32)
    expose_into(image, (0.0, 0.0, 0.0), ABSENT, ABSENT, 9.0, ABSENT, 9.0)
    assert np.all(image == 3.0)


def test_vignetting_is_one_on_the_axis_and_falls_outwards() -> None:
    image = np.ones((41, 41), dtype=np.float32)
    vignette_into(image, (-1.0, -1.0), (0.05, 0.0), (0.0, 0.05), 0.2)
    assert image[20, 20] == 1.0
    assert image[20, 40] == pytest.approx(0.8)
    assert np.all(np.diff(image[20, 20:]) <= 0)
    np.testing.assert_allclose(image, image[::-1].T, atol=1e-6)


def test_dust_is_a_ring() -> None:
    image = np.ones((60, 60), dtype=np.float32)
    dust_into(image, 30.0, 25.0, 5.0, 12.0, 0.1)
    assert image[25, 30] == 1.0
    assert image[25, 38] == pytest.approx(0.9)
    assert image[25, 50] == 1.0
    assert np.count_nonzero(image < 1) == pytest.approx(np.pi * (12**2 - 5**2), rel=0.15)


def test_fringes_swing_about_zero() -> None:
    image = np.empty((200, 200), dtype=np.float32)
    fringes_into(image, (0.3, 0.2, 0.1, 3.0, 0.02, 0.03))
    assert abs(image.mean()) < 0.1
    assert image.std() == pytest.approx(np.sqrt(0.5), rel=0.1)
