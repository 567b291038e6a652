"""Stars' stamps against a model of the point spread function: residuals, and the normal equations of its samples.

Each star has a light, a place and a sky of its own. They are solved for together with the samples: what a change of the model
does to a star's pixels counts only as far as no change of that star's light and place does the same (variable projection,
Golub & Pereyra 2003, Inverse Problems 19, R1).
"""

import math
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int64, compiled, inner
from spica.kernels.psf_model import TAPS, combine_terms, place_with, tap_weights

_FREE = 4
"""Parameters of a star: light, x, y, and what the background is wrong by."""
_STEP = 0.5
"""A star moves by no more than this in one step [pixel]."""


class Stamps(NamedTuple):
    """What is fitted of n stars.

    ``light`` (n, size, size) float32 [electron] above the sky; ``good`` the same, 1 where a pixel counts and 0 where not; ``values``
    (n, terms) of the model's terms; ``noise`` (n,) variance of the sky [electron²]; ``star`` (n, 4) flux [electron], x, y
    [pixel of the stamp], sky [electron] above the background: changed by each step.
    """

    light: Float32
    good: Float32
    values: Float64
    noise: Float64
    star: Float64


class Linear(NamedTuple):
    """The problem about the present model.

    ``planes`` (n, 4, size, size): model, and its derivatives by x and y, of unit light, and ones; ``weight`` (n, size, size) inverse
    variances; ``first`` (n, 2, size) and ``taps`` (n, 2, size, 6): which samples of the corrections make the pixels; ``lower`` (n, 4, 4) Cholesky
    factors of the stars' own parameters; ``chi2`` and ``pixels`` (n,).
    """

    planes: Float32
    weight: Float32
    first: Int64
    taps: Float32
    lower: Float64
    chi2: Float64
    pixels: Float64


@inner
def _factor(planes: Float32, weight: Float32, lower: Float64) -> bool:
    """Cholesky factor of the normal matrix of a star's own parameters; False where the pixels do not tell them."""
    size = weight.size
    w, p0, p1, p2 = weight.reshape(size), planes[0].reshape(size), planes[1].reshape(size), planes[2].reshape(size)
    # All sums in one pass, so that none waits for the one before.
    s00, s10, s11, s20, s21, s22, s30, s31, s32, s33 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(size):
        a, b, c, d = w[i] * p0[i], w[i] * p1[i], w[i] * p2[i], w[i]
        s00 += a * p0[i]
        s10 += b * p0[i]
        s11 += b * p1[i]
        s20 += c * p0[i]
        s21 += c * p1[i]
        s22 += c * p2[i]
        s30 += a
        s31 += b
        s32 += c
        s33 += d
    lower[0, 0], lower[1, 0], lower[1, 1] = s00, s10, s11
    lower[2, 0], lower[2, 1], lower[2, 2] = s20, s21, s22
    lower[3, 0], lower[3, 1], lower[3, 2], lower[3, 3] = s30, s31, s32, s33
    for m in range(_FREE):
        for n in range(m + 1):
            total = lower[m, n]
            for k in range(n):
                total -= lower[m, k] * lower[n, k]
            if m == n:
                if not total > 0.0:
                    return False
                lower[m, m] = math.sqrt(total)
            else:
                lower[m, n] = total / lower[n, n]
    return True


@inner
def _own_part(planes: Float32, weight: Float32, lower: Float64, pixels: Float32, answer: Float64) -> None:
    """Take from `pixels` what a change of the star's parameters explains of them; fill in that change."""
    size = weight.size
    w, values = weight.reshape(size), pixels.reshape(size)
    p0, p1, p2 = planes[0].reshape(size), planes[1].reshape(size), planes[2].reshape(size)
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    for i in range(size):
        value = w[i] * values[i]
        s0 += value * p0[i]
        s1 += value * p1[i]
        s2 += value * p2[i]
        s3 += value
    answer[0], answer[1], answer[2], answer[3] = s0, s1, s2, s3
    for m in range(_FREE):
        for k in range(m):
            answer[m] -= lower[m, k] * answer[k]
        answer[m] /= lower[m, m]
    for m in range(_FREE - 1, -1, -1):
        for k in range(m + 1, _FREE):
            answer[m] -= lower[k, m] * answer[k]
        answer[m] /= lower[m, m]
    a, b, c, d = np.float32(answer[0]), np.float32(answer[1]), np.float32(answer[2]), np.float32(answer[3])
    for i in range(size):
        values[i] -= a * p0[i] + b * p1[i] + c * p2[i] + d


@inner
def _back(pixels: Float32, weight: Float32, first: Int64, taps: Float32, work: Float32, samples: Float32) -> None:
    """The transpose of interpolation: add what each pixel says, times its weight, to the samples that make it."""
    size = pixels.shape[0]
    samples[:, :] = np.float32(0.0)
    work[:, :] = np.float32(0.0)
    for j in range(size):
        line = work[j]
        for i in range(size):
            value, f = pixels[j, i] * weight[j, i], first[0, i]
            line[f] += taps[0, i, 0] * value
            line[f + 1] += taps[0, i, 1] * value
            line[f + 2] += taps[0, i, 2] * value
            line[f + 3] += taps[0, i, 3] * value
            line[f + 4] += taps[0, i, 4] * value
            line[f + 5] += taps[0, i, 5] * value
        for a in range(TAPS):
            w = taps[1, j, a]
            target = samples[first[1, j] + a]
            for k in range(line.size):
                target[k] += w * line[k]


@inner
def _spread(samples: Float32, values: Float64, factor: float, out: Float64) -> None:
    """Add a star's part of a gradient to all terms."""
    flat = samples.reshape(samples.size)
    for k in range(values.size):
        w = values[k] * factor
        target = out[k].reshape(samples.size)
        for i in range(flat.size):
            target[i] += w * flat[i]


@inner
def _weigh(
    light: Float32,
    good: Float32,
    noise: float,
    star: Float64,
    error: tuple[float, float, float],
    planes: Float32,
    weight: Float32,
    off: Float32,
) -> None:
    """Inverse variances of a star's pixels by its model, and what they are off."""
    flux, above = np.float32(star[0]), np.float32(star[3])
    floor, sky, photon = np.float32(error[1] ** 2), np.float32(noise), np.float32(error[0])
    for j in range(light.shape[0]):
        for i in range(light.shape[1]):
            expected = flux * planes[0, j, i]
            bright = max(expected, np.float32(0.0))
            weight[j, i] = good[j, i] / (sky + bright * (photon + floor * bright))
            off[j, i] = light[j, i] - expected - above


@inner
def _void(weight: Float32, lower: Float64) -> None:
    """A star without an answer: without weights nothing is asked of the factor but to be one."""
    for j in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            weight[j, i] = np.float32(0.0)
    for m in range(_FREE):
        for n in range(_FREE):
            lower[m, n] = 1.0 if m == n else 0.0


@inner
def _tell(
    weight: Float32, off: Float32, change: Float64, flux: float, star: Float64, clip2: float
) -> tuple[float, float, int]:
    """Leave out the pixels that are far off, and move the star; χ², number of pixels, and how many were left out.

    `flux` is the light that the star had when its model was drawn.
    """
    chi2, count, left = 0.0, 0, 0
    limit = np.float32(clip2)
    for j in range(off.shape[0]):
        for i in range(off.shape[1]):
            square = weight[j, i] * off[j, i] * off[j, i]
            if clip2 > 0.0 and square > limit:
                weight[j, i] = np.float32(0.0)
                left += 1
            elif weight[j, i] > 0.0:
                chi2 += square
                count += 1
    star[0] += change[0]
    for axis in range(2):
        star[1 + axis] += min(max(change[1 + axis] / flux, -_STEP), _STEP)
    star[3] += change[3]
    return chi2, float(count), left


@compiled
def _over_stars(
    stamps: Stamps,
    cube: Float32,
    sampling: tuple[float, float],
    error: tuple[float, float, float],
    used: Float64,
    side: Float64,
    found: Linear,
    out: Float64,
    which: Int64,
    normal: bool,
) -> None:
    """`linearise`, or `apply_normal` where that is asked for, of the stars `which`: one function, so that its parts are compiled once."""
    light, good, values, noise, star = stamps
    n, size, coarse = cube.shape[1], light.shape[1], out.shape[2]
    model, samples = np.empty((n, n), np.float32), np.empty((coarse, coarse), np.float32)
    work, rows = np.empty((size, n), np.float32), np.empty((size, coarse), np.float32)
    pixels, change = np.empty((1, size, size), np.float32), np.empty(_FREE)
    begin, fine = np.empty((2, size), np.int64), np.empty((2, size, TAPS), np.float32)
    slope = np.empty((2, size, TAPS), np.float32)
    off = pixels[0]
    for k in which:
        planes, weight, lower = found.planes[k], found.weight[k], found.lower[k]
        first, taps, target, flux = found.first[k], found.taps[k], pixels, star[k, 0]
        combine_terms(cube, values[k], model)
        if not normal:
            for axis in range(2):
                tap_weights(coarse, sampling[1], star[k, 1 + axis], first[axis], taps[axis], slope[axis])
                tap_weights(n, sampling[0], star[k, 1 + axis], begin[axis], fine[axis], slope[axis])
            first, taps, target = begin, fine, planes[:3]
        place_with(model, first, taps, slope, work, target)
        if not normal:
            _weigh(light[k], good[k], noise[k], star[k], error, planes, weight, off)
            found.chi2[k], found.pixels[k] = np.inf, 0.0
        for _ in range(1 if normal else 2):
            if not normal and not (flux > 0.0 and _factor(planes, weight, lower)):
                _void(weight, lower)
                found.chi2[k], found.pixels[k] = np.inf, 0.0
                break
            _own_part(planes, weight, lower, off, change)
            if normal:
                break
            found.chi2[k], found.pixels[k], left = _tell(weight, off, change, flux, star[k], error[2] * error[2])
            if left == 0:
                break
        _back(off, weight, found.first[k], found.taps[k], rows, samples)
        factor = used[k] * flux * (flux if normal else 1.0)
        for half in range(out.shape[0]):
            _spread(samples, values[k], factor if half == 0 else factor * side[k], out[half])


def linearise(
    stamps: Stamps,
    coefficients: Float32,
    sampling: tuple[float, float],
    error: tuple[float, float, float],
    used: Float64,
    side: Float64,
    found: Linear,
    gradient: Float64,
) -> None:
    """Fit light and place of each star with the model as it is, one step; weigh the residuals; sum the gradient.

    Parameters
    ----------
    stamps : Stamps
        Of the stars; ``star`` is moved by one Gauss-Newton step.
    coefficients : (terms, n, n) float32
        The model.
    sampling : two float
        Pixels per sample of the model, and of its corrections.
    error : three float
        Photons per electron's variance (1 / gathered), error of the model as a part of it, and pulls from which a
        pixel is left out (0: none is).
    used : (n,) float64
        Weights of the stars in the gradient: 0 for those that do not count.
    side : (n,) float64
        1 and -1 for two halves of the stars.
    found : Linear
        Filled in.
    gradient : (2, terms, m, m) float64
        Receives minus half of the derivative of χ² by the samples of corrections, and the same with the stars' sides for
        signs: of that only noise is left.
    """
    gradient[...] = 0.0
    everybody = np.arange(side.size)
    _over_stars(stamps, coefficients, sampling, error, used, side, found, gradient, everybody, False)


def apply_normal(stamps: Stamps, found: Linear, used: Float64, direction: Float32, out: Float64) -> None:
    """The normal matrix of the samples, the stars' own parameters solved for, times a direction (terms, n, n).

    ``used`` (n,) are the stars' weights: 0 for those that do not count.
    """
    out[...] = 0.0
    which = np.flatnonzero(used)
    _over_stars(stamps, direction, (1.0, 1.0), (0.0, 0.0, 0.0), used, used, found, out[None], which, True)
