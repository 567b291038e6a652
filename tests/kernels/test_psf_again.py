"""A second look: companions come apart, light of galaxies is taken from stars beside them, and nothing else is changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from spica.kernels.compiled import Float32, Float64
from spica.kernels.draw import Psf, add_stars
from spica.kernels.psf_again import Again, look_again, reduced
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_sources import Fitted, Fitting, blurred, fit_sources

FWHM, BETA, SKY, READ, STEP = 3.4, 3.0, 400.0, 5.0, 0.5
SIDE, APART = 640, 64.0
HOW = Fitting(FWHM, 2.0 * FWHM, 2.0 * FWHM, furthest=0.5 * FWHM, sky=SKY + READ**2)


def model() -> Float32:
    image, middle = np.zeros((71, 71), np.float32), np.full(1, 35.0)
    add_stars(image, middle, middle, np.ones(1), Psf(np.full(1, FWHM / STEP), np.zeros(1), np.zeros(1), BETA), 1e-9)
    return image[None] / np.float32(STEP**2)


CUBE = model()


def grid() -> tuple[Float64, Float64]:
    along = np.arange(APART / 2, SIDE, APART)
    x, y = (axis.ravel() for axis in np.meshgrid(along, along))
    shift = np.random.default_rng(1).uniform(-0.5, 0.5, (2, x.size))
    return x + shift[0], y + shift[1]


def add(light: Float32, x: Float64, y: Float64, flux: npt.ArrayLike, disk: float = 0.0) -> None:
    """Points, or exponential disks of a scale length in widths."""
    cube = blurred(CUBE, disk * FWHM / STEP) if disk else CUBE
    half = 15
    stamps = psf_stamps(cube, np.ones((x.size, 1)), STEP, x, y, 2 * half + 1)[:, 0]
    x0, y0 = (np.floor(axis + 0.5).astype(int) - half for axis in (x, y))
    for k, stamp in enumerate(stamps * np.broadcast_to(np.asarray(flux, np.float32), x.size)[:, None, None]):
        light[y0[k] : y0[k] + 2 * half + 1, x0[k] : x0[k] + 2 * half + 1] += stamp


def looked(light: Float32, x: Float64, y: Float64, flux: npt.ArrayLike) -> tuple[Fitted, Again]:
    rng = np.random.default_rng(2)
    pixels = rng.poisson(light + SKY).astype(np.float32)
    variance = pixels + np.float32(READ**2)
    pixels += rng.normal(0, READ, light.shape).astype(np.float32)
    mask, yes, ones = np.zeros(light.shape, np.int32), np.ones(x.size, np.bool_), np.ones((x.size, 1))
    psf = CUBE, blurred(CUBE, FWHM / 16.0 / STEP), ones, STEP
    start = x, y, np.broadcast_to(np.asarray(flux, float), x.size), yes, ~yes
    first = fit_sources(pixels, np.full_like(pixels, SKY), variance, mask, psf, start, HOW, bad_bits=1)
    return first, look_again(variance, mask, 1, psf, first, ~yes, HOW)


@pytest.mark.parametrize(("apart", "ratio"), [(1.0, 0.9), (0.9, 0.5), (1.2, 0.3)])
def test_two_stars_that_were_detected_as_one_come_apart(apart: float, ratio: float) -> None:
    x, y = grid()
    angle = np.random.default_rng(3).uniform(0, 2 * np.pi, x.size)
    other = x + apart * FWHM * np.cos(angle), y + apart * FWHM * np.sin(angle)
    light, flux = np.zeros((SIDE, SIDE), np.float32), 6e4
    add(light, x, y, flux)
    add(light, *other, ratio * flux)
    part = ratio / (1.0 + ratio)
    first, again = looked(light, x + part * (other[0] - x), y + part * (other[1] - y), (1.0 + ratio) * flux)
    found = again.fitted
    assert np.mean(again.beside > 0.0) > 0.95
    two = again.beside > 0.0
    assert np.median(found.flux[two]) == pytest.approx(flux, rel=0.01)
    assert np.median(again.beside[two]) == pytest.approx(ratio * flux, rel=0.02)
    # Of two that are nearly alike noise may choose the other.
    own = two & (np.hypot(found.x - x, found.y - y) < 0.5 * FWHM)
    assert np.std((found.flux[own] - flux) / np.sqrt(found.var_flux[own])) == pytest.approx(1.0, abs=0.25)
    assert np.std((found.x[own] - x[own]) / np.sqrt(found.var_x[own])) == pytest.approx(1.0, abs=0.25)
    assert abs(np.median(found.spread[two])) < 0.1 * np.median(first.spread)


def test_galaxies_are_not_made_pairs_of_stars() -> None:
    x, y = grid()
    light = np.zeros((SIDE, SIDE), np.float32)
    size = np.where(np.arange(x.size) % 2 == 0, 0.15, 0.4)
    for disk in (0.15, 0.4):
        add(light, x[size == disk], y[size == disk], 1e5, disk)
    first, again = looked(light, x, y, 8e4)
    assert np.all(reduced(first) > 1.3)
    assert np.count_nonzero(again.beside) <= 1
    same = again.beside == 0.0
    np.testing.assert_array_equal(again.fitted.spread[same], first.spread[same])


def test_a_stars_figures_are_cleared_of_a_galaxy_beside_it() -> None:
    x, y = grid()
    angle = np.random.default_rng(4).uniform(0, 2 * np.pi, x.size)
    at = 2.2 * FWHM
    galaxy = x + at * np.cos(angle), y + at * np.sin(angle)
    light, flux = np.zeros((SIDE, SIDE), np.float32), 3e4
    add(light, x, y, flux)
    add(light, *galaxy, 1e5, 0.5)
    both = np.concatenate([x, galaxy[0]]), np.concatenate([y, galaxy[1]])
    first, again = looked(light, *both, np.concatenate([np.full(x.size, flux), np.full(x.size, 8e4)]))
    stars = np.arange(x.size)
    cleared = again.cleared[stars]
    assert np.mean(cleared) > 0.8
    before, after = (np.abs(np.median(each.flux[stars][cleared]) / flux - 1.0) for each in (first, again.fitted))
    assert after < 0.5 * before
    assert np.median(again.fitted.spread[stars][cleared]) < 0.4 * np.median(first.spread[stars][cleared])
    assert np.median(again.fitted.spread[x.size :]) > 0.8 * np.median(first.spread[x.size :])


def test_points_alone_stay_as_they_are() -> None:
    x, y = grid()
    light = np.zeros((SIDE, SIDE), np.float32)
    add(light, x, y, 10 ** np.random.default_rng(5).uniform(3.5, 5.5, x.size))
    first, again = looked(light, x, y, 1e4)
    assert not again.beside.any()
    assert not again.cleared.any()
    for one, other in zip(again.fitted, first, strict=True):
        np.testing.assert_array_equal(one, other)
