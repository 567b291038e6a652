"""Fits of point sources: what was drawn comes back with honest errors, alone, blended, in a crowd, beside bad pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import QTable
from photutils.psf import ImagePSF, PSFPhotometry, SourceGrouper

from spica.kernels.compiled import Float32, Float64
from spica.kernels.draw import Psf, add_stars
from spica.kernels.psf_groups import groups
from spica.kernels.psf_members import FAILED, HELD
from spica.kernels.psf_sources import Fitted, Fitting, blurred, fit_sources

FWHM, BETA, SKY, READ = 3.4, 3.0, 400.0, 5.0
STEP = 0.5
"""Pixels per sample of the model."""
HOW = Fitting(FWHM, 2.0 * FWHM, 2.0 * FWHM, furthest=0.5 * FWHM)


def model(n: int = 71, step: float = STEP) -> Float32:
    """The Moffat profile of the drawing in samples `step` pixels apart, (1, n, n): what a pixel there receives."""
    image = np.zeros((n, n), np.float32)
    middle = np.full(1, float(n // 2))
    add_stars(image, middle, middle, np.ones(1), Psf(np.full(1, FWHM / step), np.zeros(1), np.zeros(1), BETA), 1e-9)
    return image[None] / np.float32(step**2)


def draw(x: npt.ArrayLike, y: npt.ArrayLike, flux: npt.ArrayLike, shape: tuple[int, int]) -> Float32:
    xs, ys, fluxes = (np.atleast_1d(np.asarray(values, float)) for values in (x, y, flux))
    light = np.zeros(shape, np.float32)
    ones = np.ones(xs.size)
    add_stars(light, xs, ys, fluxes, Psf(FWHM * ones, 0 * ones, 0 * ones, BETA), 1e-3)
    return light


def noisy(light: Float32, seed: int) -> tuple[Float32, Float32]:
    """Pixels and the variance that detrending can know: their own."""
    rng = np.random.default_rng(seed)
    pixels = rng.poisson(light + SKY).astype(np.float32)
    variance = pixels + np.float32(READ**2)
    return pixels + rng.normal(0, READ, light.shape).astype(np.float32), variance


def fit(
    pixels: Float32,
    variance: Float32,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    flux: npt.ArrayLike,
    how: Fitting = HOW,
    *,
    sky: float = SKY,
    mask: npt.NDArray[np.int32] | None = None,
    free: npt.ArrayLike = True,
    lost: npt.ArrayLike = False,
) -> Fitted:
    xs, ys, fluxes = (np.atleast_1d(np.asarray(values, float)) for values in (x, y, flux))
    number = xs.size
    cube = model()
    return fit_sources(
        pixels,
        np.full_like(pixels, sky),
        variance,
        np.zeros(pixels.shape, np.int32) if mask is None else mask,
        (cube, blurred(cube, FWHM / 16.0 / STEP), np.ones((number, 1)), STEP),
        (xs, ys, fluxes, np.broadcast_to(np.asarray(free), number), np.broadcast_to(np.asarray(lost), number)),
        replace(how, sky=float(np.median(variance))),
        bad_bits=1,
    )


def field(seed: int, side: int = 700, step: float = 32.0) -> tuple[Float64, Float64, npt.NDArray[np.int64]]:
    """Places of isolated stars, at all parts of a pixel."""
    rng = np.random.default_rng(seed)
    along = np.arange(20.0, side - 18.0, step)
    x, y = (grid.ravel() for grid in np.meshgrid(along, along))
    return x + rng.uniform(-1, 1, x.size), y + rng.uniform(-1, 1, x.size), np.arange(x.size)


def test_pulls_of_isolated_sources_have_the_width_of_one() -> None:
    x, y, number = field(1)
    flux = 10.0 ** np.random.default_rng(2).uniform(3.2, 6.0, x.size)
    pixels, variance = noisy(draw(x, y, flux, (700, 700)), 3)
    start = np.random.default_rng(4).normal(0, 0.1, (2, x.size))
    found = fit(pixels, variance, x + start[0], y + start[1], flux)
    assert np.all(found.status == 0)
    assert np.all(found.flux / np.sqrt(found.var_flux) > 10)
    allowed = 4.0 / np.sqrt(2 * number.size)
    for off, var in ((found.flux - flux, found.var_flux), (found.x - x, found.var_x), (found.y - y, found.var_y)):
        pulls = off / np.sqrt(var)
        assert pulls.std() == pytest.approx(1.0, abs=allowed)
        assert abs(pulls.mean()) < 4.0 / np.sqrt(number.size)
    pulls = found.spread / found.spread_err
    assert pulls.std() == pytest.approx(1.0, abs=allowed + 0.05)
    # The first exposures of bright stars are good to a part in ten thousand: no weights pull them down.
    bright = flux > 2e5
    assert np.median(found.flux[bright] / flux[bright]) == pytest.approx(1.0, abs=5e-4)
    faint = flux < 2e5
    assert np.median((found.chi2 / (found.pixels - 3))[faint]) == pytest.approx(1.0, abs=0.03)


def test_fluxes_are_linear_and_places_do_not_depend_on_brightness_without_noise() -> None:
    x, y, number = field(5, side=200)
    light = draw(x, y, 1e4 + 1e3 * number, (200, 200))
    flat = np.full_like(light, 100.0)
    one = fit(light, flat, x, y, 1e4 + 0 * x, replace(HOW, gain=0.0), sky=0.0)
    ten = fit(10 * light, 100 * flat, x, y, 1e5 + 0 * x, replace(HOW, gain=0.0), sky=0.0)
    np.testing.assert_allclose(ten.flux, 10 * one.flux, rtol=1e-5)
    np.testing.assert_allclose(ten.x, one.x, atol=1e-4)
    np.testing.assert_allclose(ten.var_flux, 100 * one.var_flux, rtol=1e-4)
    # Whatever part of a pixel they are shifted by.
    np.testing.assert_allclose(one.flux / (1e4 + 1e3 * number), 1.0, atol=2e-3)
    assert np.hypot(one.x - x, one.y - y).max() < 2e-3
    # What is left is nothing but the error of interpolation.
    assert np.abs(one.rest).max() < 0.003 * light.max()


@pytest.mark.parametrize("apart", [0.7, 1.0, 1.5, 2.0, 2.6])
@pytest.mark.parametrize("ratio", [1.0, 4.0])
def test_blends_come_back_without_bias(apart: float, ratio: float) -> None:
    x, y, number = field(6, side=660)
    turn = np.random.default_rng(7).uniform(0, 2 * np.pi, x.size)
    xs, ys = np.append(x, x + apart * FWHM * np.cos(turn)), np.append(y, y + apart * FWHM * np.sin(turn))
    flux = np.append(np.full(x.size, 6e4), np.full(x.size, 6e4 / ratio))
    pixels, variance = noisy(draw(xs, ys, flux, (660, 660)), 8)
    start = np.random.default_rng(9).normal(0, 0.15, (2, xs.size))
    found = fit(pixels, variance, xs + start[0], ys + start[1], flux)
    assert np.mean(found.status == 0) > 0.98
    for part in (number, number + x.size):
        pulls = (found.flux - flux)[part] / np.sqrt(found.var_flux[part])
        # A tenth of the error: the curvature of so close a blend.
        assert abs(pulls.mean()) < 4.0 / np.sqrt(x.size) + 0.1
        assert pulls.std() == pytest.approx(1.0, abs=0.15)


def test_neighbours_may_change_places_in_the_list() -> None:
    x, y = np.array([30.3, 34.0, 33.1]), np.array([30.0, 31.2, 35.9])
    flux = np.array([2e4, 9e3, 4e4])
    pixels, variance = noisy(draw(x, y, flux, (64, 64)), 10)
    one = fit(pixels, variance, x, y, flux)
    order = np.array([2, 0, 1])
    other = fit(pixels, variance, x[order], y[order], flux[order])
    np.testing.assert_allclose(other.flux, one.flux[order], rtol=1e-3)
    np.testing.assert_allclose(other.x, one.x[order], atol=2e-3)
    np.testing.assert_allclose(other.var_flux, one.var_flux[order], rtol=1e-2)
    # Upside down: the same sources.
    mirrored = fit(pixels[::-1].copy(), variance[::-1].copy(), x, 63 - y, flux)
    np.testing.assert_allclose(mirrored.flux, one.flux, rtol=1e-3)


def test_masked_pixels_have_no_effect_whatever_they_hold() -> None:
    x, y, flux = np.array([31.2, 50.0]), np.array([30.7, 20.0]), np.array([3e4, 1e4])
    pixels, variance = noisy(draw(x, y, flux, (64, 64)), 11)
    mask = np.zeros(pixels.shape, np.int32)
    mask[31, 32], mask[29:31, 35] = 1, 1
    made = []
    for value in (0.0, 1e6, np.nan):
        spoilt = np.where(mask > 0, np.float32(value), pixels)
        made.append(fit(spoilt, variance, x, y, flux, mask=mask))
        assert made[-1].flux[0] == made[0].flux[0]
        assert made[-1].x[0] == made[0].x[0]
    whole = fit(pixels, variance, x, y, flux)
    assert made[0].flux[1] == pytest.approx(whole.flux[1], rel=1e-4)
    assert made[0].covered[0] < 0.97
    assert whole.covered[0] == pytest.approx(1.0)
    assert abs(made[0].flux[0] - flux[0]) < 4 * np.sqrt(made[0].var_flux[0])
    assert made[0].var_flux[0] > whole.var_flux[0]


def test_a_lost_core_is_fitted_by_what_is_around_it() -> None:
    x, y, flux = np.array([40.4]), np.array([39.7]), np.array([3e6])
    pixels, variance = noisy(draw(x, y, flux, (81, 81)), 12)
    mask = (pixels > 5e4).astype(np.int32)
    assert mask.sum() > 8
    pixels[mask > 0] = 5e4
    found = fit(pixels, variance, x + 0.4, y - 0.3, flux, mask=mask, lost=True)
    assert found.flux[0] == pytest.approx(flux[0], rel=0.01)
    assert (found.x[0], found.y[0]) == pytest.approx((x[0], y[0]), abs=0.02)


def test_a_faint_source_that_is_held_has_the_flux_of_the_best_filter() -> None:
    x, y, number = field(13, side=500)
    flux = np.full(x.size, 250.0)
    pixels, variance = noisy(draw(x, y, flux, (500, 500)), 14)
    found = fit(pixels, variance, x, y, flux, free=False)
    np.testing.assert_array_equal(found.x, x)
    pulls = (found.flux - flux) / np.sqrt(found.var_flux)
    assert abs(pulls.mean()) < 4.0 / np.sqrt(number.size)
    assert pulls.std() == pytest.approx(1.0, abs=0.2)
    assert np.all(np.isnan(found.var_x))


def test_what_cannot_be_fitted_says_so_and_harms_nobody() -> None:
    x, y, flux = np.array([20.0, 60.0, 60.0, 95.0]), np.array([20.0, 60.0, 60.0, 20.0]), np.full(4, 2e4)
    pixels, variance = noisy(draw(x[:1], y[:1], flux[:1], (100, 100)), 15)
    mask = np.zeros(pixels.shape, np.int32)
    mask[:, 80:] = 1
    found = fit(pixels, variance, x, y, flux, mask=mask)
    assert found.status[0] == 0
    # No good pixel at all; two at one place, on empty sky.
    assert found.status[3] & FAILED
    assert np.isnan(found.flux[3])
    assert np.all(found.status[1:3] & (FAILED | HELD))
    alone = fit(pixels, variance, x[:1], y[:1], flux[:1], mask=mask)
    assert found.flux[0] == pytest.approx(alone.flux[0], rel=1e-6)
    assert fit(pixels, variance, [], [], []).flux.size == 0


@pytest.mark.filterwarnings("ignore:One or more fit")
def test_a_crowd_is_fitted_as_photutils_does() -> None:
    rng = np.random.default_rng(16)
    side, count = 80, 60
    x, y = rng.uniform(8, side - 8, (2, count))
    flux = 10 ** rng.uniform(3.5, 5.0, count)
    pixels, variance = noisy(draw(x, y, flux, (side, side)), 17)
    found = fit(pixels, variance, x, y, flux, replace(HOW, sweeps=8))
    one = model(n=35, step=1.0)[0]
    peer = PSFPhotometry(
        ImagePSF(one / one.sum()), (13, 13), grouper=SourceGrouper(1.5 * FWHM), aperture_radius=4, progress_bar=False
    )
    table = {"x": x, "y": y, "flux": flux}
    theirs = peer(pixels - SKY, error=np.sqrt(variance), init_params=QTable(table))
    off, peer_off = np.abs(found.flux - flux), np.abs(np.asarray(theirs["flux_fit"]) - flux)
    assert np.median(off / np.sqrt(flux)) <= 1.05 * np.median(peer_off / np.sqrt(flux))
    assert np.median(np.abs(found.flux - flux) / np.sqrt(found.var_flux)) < 0.9
    assert np.median(np.hypot(found.x - x, found.y - y)) < 0.1


def test_groups_are_those_of_friends_and_no_larger_than_asked() -> None:
    x = np.array([0.0, 3.0, 6.0, 50.0, 9.0])
    made = groups(x, np.zeros(5), np.array([1.0, 2.0, 3.0, 9.0, np.nan]), 4.0, 8, np.full(5, 5.0))
    assert [made.members[a:b].tolist() for a, b in zip(made.start[:-1], made.start[1:], strict=True)] == [
        [3],
        [0, 1, 2, 4],
    ]
    assert made.near.size == 0
    rng = np.random.default_rng(18)
    xs, ys = rng.uniform(0, 40, (2, 300))
    crowd = groups(xs, ys, rng.uniform(1, 2, 300), 8.0, 5, np.full(300, 6.0))
    assert np.bincount(crowd.number).max() <= 5
    assert sorted(crowd.members.tolist()) == list(range(300))
    assert np.all(crowd.number[crowd.near[:, 0]] != crowd.number[crowd.near[:, 1]])


def test_a_blurred_profile_is_convolved_with_the_disk() -> None:
    cube = model(n=61, step=1.0)
    wide = blurred(cube, 0.5)[0]
    assert wide.sum() == pytest.approx(cube.sum(), rel=1e-4)
    v, u = np.indices(wide.shape) - 30.0
    near = np.hypot(u, v) < 12
    grown = [np.sum((u**2 * image)[near]) / np.sum(image[near]) for image in (cube[0], wide)]
    # Of an exponential disk of scale h the variance along an axis is 3 h².
    assert grown[1] - grown[0] == pytest.approx(3 * 0.5**2, rel=0.1)
