"""Moffat profiles and the noise of the sky: what was drawn comes back, whatever its place, brightness and orientation."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import curve_fit

from spica.kernels.compiled import Float32
from spica.kernels.draw import Psf, add_stars
from spica.kernels.skynoise import sky_noise
from spica.kernels.stars import fit_moffats, noise_area

SKY = 300.0


def field(fwhm: float, beta: float, g1: float, g2: float, seed: int) -> tuple[Float32, np.ndarray, np.ndarray]:
    """400 stars of the profile given on a noisy sky, and their places."""
    rng = np.random.default_rng(seed)
    grid = np.array([(x, y) for x in range(30, 830, 40) for y in range(30, 830, 40)], float)
    x, y = (grid + rng.uniform(-1, 1, grid.shape)).T
    ones = np.ones(x.size)
    expected = np.full((860, 860), np.float32(SKY))
    add_stars(
        expected, x.copy(), y.copy(), rng.uniform(2e4, 2e5, x.size), Psf(fwhm * ones, g1 * ones, g2 * ones, beta), 0.1
    )
    return rng.poisson(expected).astype(np.float32), x, y


@pytest.mark.parametrize(
    ("fwhm", "beta", "g1", "g2"), [(2.0, 3.0, 0.0, 0.0), (3.1, 2.5, 0.06, -0.03), (5.0, 4.5, -0.1, 0.05)]
)
def test_width_shape_and_exponent_come_back(fwhm: float, beta: float, g1: float, g2: float) -> None:
    image, x, y = field(fwhm, beta, g1, g2, 5)
    clear = np.zeros(image.shape, np.int32)
    level = np.full_like(image, SKY)
    found = fit_moffats(image, level, np.full(x.size, SKY), np.rint(x), np.rint(y), 1.2 * fwhm, clear)
    assert np.isfinite(found.fwhm).mean() > 0.98
    assert np.nanmedian(found.fwhm) == pytest.approx(fwhm, rel=0.005)
    assert np.nanmedian(found.beta) == pytest.approx(beta, rel=0.03)
    square = 1 + g1**2 + g2**2
    assert np.nanmedian(found.e1) == pytest.approx(2 * g1 / square, abs=0.004)
    assert np.nanmedian(found.e2) == pytest.approx(2 * g2 / square, abs=0.004)
    assert np.nanmedian(found.chi2) == pytest.approx(1.0, abs=0.05)
    assert np.nanmedian(np.hypot(found.x - x, found.y - y)) < 0.03


def test_a_gaussian_is_the_limit_of_large_exponents() -> None:
    v, u = np.mgrid[:41, :41]
    image = (1e4 * np.exp(-((u - 20.3) ** 2 + (v - 19.8) ** 2) / (2 * 1.7**2))).astype(np.float32)
    found = fit_moffats(image, np.zeros_like(image), [100.0], [20.0], [20.0], 4.0, np.zeros(image.shape, np.int32))
    assert found.fwhm[0] == pytest.approx(1.7 * np.sqrt(8 * np.log(2)), rel=0.003)
    assert (found.x[0], found.y[0]) == pytest.approx((20.3, 19.8), abs=0.01)
    assert noise_area(float(found.fwhm[0]), float(found.beta[0])) == pytest.approx(4 * np.pi * 1.7**2, rel=0.02)


def test_scipy_finds_the_same() -> None:
    image, x, y = field(3.0, 3.0, 0.04, 0.02, 6)
    ours = fit_moffats(
        image, np.full_like(image, SKY), np.full(x.size, SKY), x, y, 3.0, np.zeros(image.shape, np.int32)
    )

    def moffat(
        at: np.ndarray, peak: float, x0: float, y0: float, xx: float, xy: float, yy: float, beta: float
    ) -> np.ndarray:
        dx, dy = at[0] - x0, at[1] - y0
        return np.asarray(peak * (1 + xx * dx**2 + 2 * xy * dx * dy + yy * dy**2) ** -beta)

    for k in range(0, x.size, 40):
        j, i = np.mgrid[: image.shape[0], : image.shape[1]]
        near = np.hypot(i - x[k], j - y[k]) <= 6.0
        at, light = np.array([i[near], j[near]], float), image[near] - SKY
        start = (float(light.max()), x[k], y[k], 0.1, 0.0, 0.1, 3.0)
        for _ in range(3):
            error = np.sqrt(np.maximum(moffat(at, *start), 0) + SKY)
            start = tuple(curve_fit(moffat, at, light, start, error)[0])
        width = 2 * (start[3] * start[5] - start[4] ** 2) ** -0.25 * np.sqrt(2 ** (1 / start[6]) - 1)
        assert ours.fwhm[k] == pytest.approx(width, rel=0.005)
        assert ours.e1[k] == pytest.approx((start[5] - start[3]) / (start[5] + start[3]), abs=0.005)


def test_stars_that_are_not_whole_are_left_out() -> None:
    image, x, y = field(3.0, 3.0, 0.0, 0.0, 7)
    mask = np.zeros(image.shape, np.int32)
    mask[round(float(y[3])) + 2, round(float(x[3]))] = 4
    places = np.append(x[:5], [1.0, np.nan]), np.append(y[:5], [1.0, 9.0])
    found = fit_moffats(image, np.full_like(image, SKY), np.full(7, SKY), *places, 3.0, mask, bad_bits=4)
    assert np.isnan(found.fwhm).tolist() == [False, False, False, True, False, True, True]
    nothing = fit_moffats(image, image, [], [], [], 3.0, mask)
    assert nothing.fwhm.shape == (0,)


def test_independent_noise_has_no_correlation_and_smoothed_noise_its_own() -> None:
    rng = np.random.default_rng(8)
    white = rng.normal(SKY, 5.0, (900, 800)).astype(np.float32)
    boxes = np.empty((4, 0))
    level, variance, mask = np.full_like(white, SKY), np.full_like(white, 25.0), np.zeros(white.shape, np.int32)
    plain = sky_noise(white, level, variance, mask, boxes)
    assert np.abs([*plain.along_x, *plain.along_y]).max() < 0.01
    assert (plain.scatter, plain.share) == pytest.approx((1.0, 1.0), abs=0.01)
    smooth = white.copy()
    smooth[:, 1:] = 0.5 * (white[:, 1:] + white[:, :-1])
    tied = sky_noise(smooth, level, variance / 2, mask, boxes)
    assert tied.along_x == pytest.approx([0.5, 0.0, 0.0, 0.0], abs=0.01)
    assert np.abs(tied.along_y).max() < 0.01
    striped = white + np.where(np.arange(900) % 2, 3, -3).astype(np.float32)[:, None]
    rows = sky_noise(striped, level, variance, mask, boxes)
    # A pattern of rows that alternate: each neighbour above is on the other side.
    assert rows.along_y[:2] == pytest.approx([-9 / 34, 9 / 34], abs=0.03)


def test_sources_and_marked_pixels_are_no_sky_and_bits_are_counted() -> None:
    rng = np.random.default_rng(9)
    image = rng.normal(SKY, 5.0, (400, 500)).astype(np.float32)
    image[100:110, 200:220] += 5000
    image[50, 60] = np.nan
    mask = np.zeros(image.shape, np.int32)
    mask[300:310] = 2
    mask[305, :100] |= 8
    level, variance = np.full_like(image, SKY), np.full_like(image, 25.0)
    boxes = np.array([[200], [219], [100], [109]])
    mask[306, 100] |= 8  # touches the row at a corner
    mask[320, 7] = mask[322, 7] = 8
    found = sky_noise(image, level, variance, mask, boxes, bad_bits=2, margin=2, sets=[1, 2, 8, 10], grouped=8)
    assert not found.plane[98:112, 198:222].any()
    assert not found.plane[300:310].any()
    assert found.plane[50, 60] == 0
    assert found.counts.tolist() == [0, 5000, 103, 5002]
    assert found.groups == ndimage.label(mask & 8, structure=np.ones((3, 3)))[1] == 3
    assert np.abs([*found.along_x, *found.along_y]).max() < 0.02
    nothing = sky_noise(image, level, variance, np.full_like(mask, 2), boxes, bad_bits=2)
    assert nothing.share == 0
    assert np.isnan(nothing.along_x).all()
