"""Drawing: laws of light, and GalSim as the independent implementation."""

import galsim
import numpy as np
import pytest

from spica.kernels.compiled import Float32, Float64
from spica.kernels.draw import Mixture, Psf, add_galaxies, add_stars
from spica.simulate.profiles import moffat, sersic

SIDE = 129
CENTRE = 64.3


def _one(value: float) -> Float64:
    return np.full(1, value)


def _psf(fwhm: float, g1: float, g2: float, beta: float) -> Psf:
    return Psf(_one(fwhm), _one(g1), _one(g2), beta)


def star(fwhm: float, g1: float = 0.0, g2: float = 0.0, beta: float = 3.0, edge: float = 1e-3) -> Float32:
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    add_stars(image, _one(CENTRE), _one(CENTRE - 0.9), _one(1e4), _psf(fwhm, g1, g2, beta), edge)
    return image


def galaxy(index: float, size: float, shear: tuple[float, float], psf: Psf, side: int = SIDE) -> Float32:
    image = np.zeros((side, side), dtype=np.float32)
    middle = side // 2 + 0.3
    shape = _one(shear[0]), _one(shear[1])
    add_galaxies(
        image, _one(middle), _one(middle), _one(1e4), _one(size), shape, sersic(index), psf, moffat(psf.beta), 1e-3
    )
    return image


def peer(profile: galsim.GSObject, x: float, y: float, side: int = SIDE) -> Float64:
    """The profile as GalSim samples it at pixel centres."""
    image = galsim.Image(side, side, scale=1.0, dtype=np.float64)
    middle = (side - 1) / 2.0
    profile.drawImage(image, method="no_pixel", offset=(x - middle, y - middle))
    return np.asarray(image.array)


def half_light_radius(image: Float32 | Float64, x: float, y: float) -> float:
    jj, ii = np.indices(image.shape)
    r = np.hypot(ii - x, jj - y).ravel()
    order = np.argsort(r)
    grown = np.cumsum(image.ravel()[order], dtype=float)
    return float(np.interp(0.5 * grown[-1], grown, r[order]))


def moments(image: Float32 | Float64, reach: float) -> Float64:
    """Second moments under a Gaussian window of the size `reach`."""
    jj, ii = np.indices(image.shape)
    x = np.sum(image * ii) / np.sum(image)
    y = np.sum(image * jj) / np.sum(image)
    weight = image * np.exp(-0.5 * ((ii - x) ** 2 + (jj - y) ** 2) / reach**2)
    dx, dy = ii - x, jj - y
    return np.array([float(np.sum(weight * q) / np.sum(weight)) for q in (dx * dx, dx * dy, dy * dy)])


@pytest.mark.parametrize("beta", [2.5, 3.0, 3.5, 4.0, 3.3])
def test_star_equals_galsim(beta: float) -> None:
    ours = star(4.2, 0.08, -0.05, beta)
    profile = galsim.Moffat(beta=beta, fwhm=4.2, flux=1e4).shear(g1=0.08, g2=-0.05)
    theirs = peer(profile, CENTRE, CENTRE - 0.9)
    drawn = ours > 0
    np.testing.assert_allclose(ours[drawn], theirs[drawn], rtol=2e-4, atol=2e-3)
    assert ours.sum() == pytest.approx(1e4, rel=1e-3)


@pytest.mark.parametrize("index", [1.0, 4.0])
@pytest.mark.parametrize("size", [0.5, 2.0, 5.0])
def test_galaxy_equals_galsim(index: float, size: float) -> None:
    side = 601
    psf = _psf(4.0, 0.03, 0.02, 3.0)
    ours = galaxy(index, size, (0.3, -0.1), psf, side)
    atmosphere = galsim.Moffat(beta=3.0, fwhm=4.0).shear(g1=0.03, g2=0.02)
    light = galsim.Sersic(n=index, half_light_radius=size, flux=1e4).shear(g1=0.3, g2=-0.1)
    params = galsim.GSParams(maximum_fft_size=16384, folding_threshold=2e-3)
    place = side // 2 + 0.3
    theirs = peer(galsim.Convolve(light, atmosphere, gsparams=params), place, place, side)
    assert ours.sum() == pytest.approx(1e4, rel=1e-3)
    near = np.s_[side // 2 - 60 : side // 2 + 61, side // 2 - 60 : side // 2 + 61]
    mine, other = half_light_radius(ours[near], 60.3, 60.3), half_light_radius(theirs[near], 60.3, 60.3)
    assert mine == pytest.approx(other, rel=5e-3)
    np.testing.assert_allclose(moments(ours[near], 5.0), moments(theirs[near], 5.0), rtol=1e-2, atol=0.02)
    assert np.abs(ours - theirs).max() < 0.01 * theirs.max()


def test_light_is_additive_and_scales() -> None:
    image = np.zeros((64, 64), dtype=np.float32)
    x, y, flux = np.array([20.0, 40.2]), np.array([30.0, 33.7]), np.array([500.0, 800.0])
    both = Psf(np.array([3.0, 4.0]), np.zeros(2), np.zeros(2), 3.0)
    add_stars(image, x, y, flux, both, 1e-3)
    separate = np.zeros_like(image)
    for k in range(2):
        one = Psf(both.fwhm[k : k + 1], both.g1[k : k + 1], both.g2[k : k + 1], 3.0)
        add_stars(separate, x[k : k + 1], y[k : k + 1], flux[k : k + 1], one, 1e-3)
    np.testing.assert_array_equal(image, separate)
    np.testing.assert_allclose(star(3.0, edge=1e-3) * 2, 2 * star(3.0, edge=1e-3))


def test_point_like_galaxy_is_a_star() -> None:
    psf = _psf(4.0, 0.0, 0.0, 3.0)
    ours = galaxy(1.0, 1e-3, (0.0, 0.0), psf)
    image = np.zeros_like(ours)
    add_stars(image, _one(SIDE // 2 + 0.3), _one(SIDE // 2 + 0.3), _one(1e4), psf, 1e-3)
    assert np.abs(ours - image).max() < 0.004 * image.max()


def test_turning_by_a_right_angle_transposes() -> None:
    psf = _psf(4.0, 0.0, 0.0, 3.0)
    along = galaxy(1.0, 3.0, (0.4, 0.0), psf)
    across = galaxy(1.0, 3.0, (-0.4, 0.0), psf)
    np.testing.assert_allclose(along, across.T, atol=1e-3)
    assert moments(along, 6.0)[0] > 1.5 * moments(along, 6.0)[2]


def test_sources_far_outside_leave_no_mark_and_edges_are_safe() -> None:
    image = np.zeros((32, 32), dtype=np.float32)
    far = np.array([-500.0, 600.0, 16.0])
    psf = Psf(np.full(3, 3.0), np.zeros(3), np.zeros(3), 3.0)
    add_stars(image, far, far[::-1].copy() + np.array([0.0, 0.0, 900.0]), np.full(3, 10.0), psf, 0.1)
    assert not image.any()
    corner = np.array([-0.4, 31.4])
    shape = np.zeros(2), np.zeros(2)
    two = Psf(np.full(2, 3.0), np.zeros(2), np.zeros(2), 3.0)
    gaussian = Mixture(np.ones(1), np.ones(1))
    add_galaxies(image, corner, corner, np.full(2, 100.0), np.full(2, 2.0), shape, gaussian, two, gaussian, 1e-3)
    # A quarter of each falls inside.
    assert image.sum() == pytest.approx(50.0, rel=0.15)
