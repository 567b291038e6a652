"""Moffat profiles fitted to stars: the width and the shape of the point spread function as the pixels show it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.cholesky import factorise, substitute
from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_coordinates, as_pixels, compiled, inner

_PARAMETERS = 7
"""Peak, x, y; xx, xy, yy of the quadratic form that is 1 at half of the peak; 1/β.

So the width is nearly independent of the exponent, and a Gaussian (1/β = 0) is a smooth limit.
"""
_STEPS = 30
_CLOSE = 1e-5
"""A step that lowers χ² by less than this part ends the search."""
_LEAST, _LARGEST = 0.002, 0.75
"""Of 1/β. Beyond: a Gaussian for all that the pixels can tell, or wings that hold endless light."""


class Moffats(NamedTuple):
    """Profiles of n stars, every array (n,), NaN where the fit failed.

    ``peak`` [unit of the image], ``x``, ``y`` [pixel, 0-based], ``fwhm`` [pixel] geometric mean of the two axes', ``e1``,
    ``e2`` distortion (a² - b²) / (a² + b²) times cos, sin of twice the angle from +x towards +y, ``beta`` exponent,
    ``chi2`` per degree of freedom.
    """

    peak: Float64
    x: Float64
    y: Float64
    fwhm: Float64
    e1: Float64
    e2: Float64
    beta: Float64
    chi2: Float64


@inner
def _gather(
    image: Float32, level: Float32, mask: Int32, bad_bits: int, x: float, y: float, reach: float, stamp: Float64
) -> int:
    """Place relative to (x, y) and light above the sky of the good pixels in a circle; their number, -1 if some are bad."""
    ny, nx = image.shape
    count = 0
    for j in range(int(np.ceil(y - reach)), int(np.floor(y + reach)) + 1):
        for i in range(int(np.ceil(x - reach)), int(np.floor(x + reach)) + 1):
            if (i - x) ** 2 + (j - y) ** 2 > reach * reach:
                continue
            if i < 0 or j < 0 or i >= nx or j >= ny or mask[j, i] & bad_bits or not np.isfinite(image[j, i]):
                return -1
            stamp[0, count] = i - x
            stamp[1, count] = j - y
            stamp[2, count] = image[j, i] - level[j, i]
            count += 1
    return count


@inner
def _normal(stamp: Float64, count: int, noise: float, p: Float64, matrix: Float64, gradient: Float64) -> float:
    """χ² of a model, and the normal equations about it; infinite where the parameters are no profile.

    Weights are those of the model's own photons and the sky's noise: weights from the data would pull the peak down.
    """
    matrix[:, :] = 0.0
    gradient[:] = 0.0
    if not (p[0] > 0.0 and p[3] > 0.0 and p[3] * p[5] > p[4] * p[4]):
        return np.inf
    slope = np.empty(_PARAMETERS)
    chi2 = 0.0
    beta = 1.0 / p[6]
    half = 2.0 ** p[6] - 1.0
    grow = np.log(2.0) * (half + 1.0)
    for k in range(count):
        dx = stamp[0, k] - p[1]
        dy = stamp[1, k] - p[2]
        form = p[3] * dx * dx + 2.0 * p[4] * dx * dy + p[5] * dy * dy
        u = 1.0 + half * form
        lnu = np.log(u)
        shape = np.exp(-beta * lnu)
        model = p[0] * shape
        fall = -beta * half * model / u
        slope[0] = shape
        slope[1] = -2.0 * fall * (p[3] * dx + p[4] * dy)
        slope[2] = -2.0 * fall * (p[4] * dx + p[5] * dy)
        slope[3] = fall * dx * dx
        slope[4] = 2.0 * fall * dx * dy
        slope[5] = fall * dy * dy
        slope[6] = beta * model * (beta * lnu - grow * form / u)
        weight = 1.0 / (noise + model)
        off = stamp[2, k] - model
        chi2 += weight * off * off
        for m in range(_PARAMETERS):
            gradient[m] += weight * off * slope[m]
            for n in range(m + 1):
                matrix[m, n] += weight * slope[m] * slope[n]
    return chi2


@inner
def _fit(stamp: Float64, count: int, noise: float, p: Float64) -> float:
    """Fit by Levenberg's and Marquardt's steps, in place; χ², infinite where it did not converge."""
    matrix = np.empty((_PARAMETERS, _PARAMETERS))
    fresh = np.empty((_PARAMETERS, _PARAMETERS))
    lower = np.zeros((_PARAMETERS, _PARAMETERS))
    gradient = np.empty(_PARAMETERS)
    fresh_gradient = np.empty(_PARAMETERS)
    step = np.empty(_PARAMETERS)
    trial = np.empty(_PARAMETERS)
    damping = 1e-3
    chi2 = _normal(stamp, count, noise, p, matrix, gradient)
    for _ in range(_STEPS):
        # An exponent that would leave its bounds stays there, and the others go on without it.
        held = (p[6] >= _LARGEST and gradient[6] > 0.0) or (p[6] <= _LEAST and gradient[6] < 0.0)
        if not factorise(matrix, damping, _PARAMETERS - held, lower):
            return np.inf
        step[_PARAMETERS - 1] = 0.0
        substitute(lower, _PARAMETERS - held, gradient, step)
        for k in range(_PARAMETERS):
            trial[k] = p[k] + step[k]
        trial[6] = min(max(trial[6], _LEAST), _LARGEST)
        new = _normal(stamp, count, noise, trial, fresh, fresh_gradient)
        if new < chi2:
            gained = chi2 - new
            # An array laid into another by slices brings the words of an error with it, which take seconds to compile.
            for k in range(_PARAMETERS):
                p[k] = trial[k]
            matrix, fresh = fresh, matrix
            gradient, fresh_gradient = fresh_gradient, gradient
            chi2 = new
            damping *= 0.2
            if gained < _CLOSE * chi2:
                return chi2
        else:
            damping *= 8.0
            if damping > 1e8:
                # No step in any direction lowers χ²: this is the bottom.
                return chi2
    return np.inf


@compiled
def _fit_all(
    image: Float32,
    level: Float32,
    mask: Int32,
    bad_bits: int,
    start: Float64,
    noise: Float64,
    reach: float,
    out: Float64,
) -> None:
    side = 2 * int(np.ceil(reach)) + 1
    stamp = np.empty((3, side * side))
    p = np.empty(_PARAMETERS)
    for k in range(start.shape[1]):
        out[:, k] = np.nan
        x = start[0, k]
        y = start[1, k]
        if not np.isfinite(x + y + noise[k]):
            continue
        count = _gather(image, level, mask, bad_bits, x, y, reach, stamp)
        if count <= 2 * _PARAMETERS:
            continue
        width = start[2, k]
        p[0] = np.max(stamp[2, :count])
        p[1] = 0.0
        p[2] = 0.0
        p[6] = 1.0 / 3.0
        p[3] = 4.0 / (width * width)
        p[4] = 0.0
        p[5] = p[3]
        chi2 = _fit(stamp, count, noise[k], p)
        if np.isfinite(chi2) and p[1] * p[1] + p[2] * p[2] < 0.25 * width * width + 1.0:
            out[0, k] = p[0]
            out[1, k] = x + p[1]
            out[2, k] = y + p[2]
            out[3, k] = 2.0 * (p[3] * p[5] - p[4] * p[4]) ** -0.25
            out[4, k] = (p[5] - p[3]) / (p[3] + p[5])
            out[5, k] = -2.0 * p[4] / (p[3] + p[5])
            out[6, k] = 1.0 / p[6]
            out[7, k] = chi2 / (count - _PARAMETERS)


def fit_moffats(
    image: Numbers,
    level: Numbers,
    variance: npt.ArrayLike,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    fwhm: npt.ArrayLike,
    mask: Numbers,
    *,
    bad_bits: int = 0,
    reach: float = 2.0,
) -> Moffats:
    """Fit an elliptical Moffat profile (Moffat 1969, A&A 3, 455) to each star, its exponent free.

    The profile is the one that the pixel values follow at pixel centres, the pixel's own response included.

    Parameters
    ----------
    image, level : (ny, nx) arrays [electron]
        Pixels, and the sky's level under them.
    variance : (n,) array [electron²]
        Of a sky pixel at each star; the star's own photons are added.
    x, y : (n,) arrays [pixel]
        Centres to begin with, 0-based.
    fwhm : (n,) array or float [pixel]
        Width to begin with.
    mask : (ny, nx) array
        Mask bits.
    bad_bits : int
        Bits of pixels that a star must not have within its reach: it is left out.
    reach : float
        Radius of the pixels that are fitted, in units of the median of `fwhm`.

    Returns
    -------
    Moffats
        NaN for stars with bad pixels, at the edge, or without a profile.
    """
    start = np.stack([as_coordinates(x), as_coordinates(y), np.broadcast_to(as_coordinates(fwhm), np.shape(x))])
    noise = as_coordinates(variance)
    if image.shape != level.shape or image.shape != mask.shape:
        raise ValueError(f"image, level and mask differ in shape: {[image.shape, level.shape, mask.shape]}")
    if noise.shape != start.shape[1:]:
        raise ValueError(f"{noise.size} variances for {start.shape[1]} stars")
    out = np.empty((8, start.shape[1]))
    if start.shape[1]:
        radius = max(reach * float(np.median(start[2])), 2.5)
        _fit_all(as_pixels(image), as_pixels(level), as_bits(mask), int(bad_bits), start, noise, radius, out)
    return Moffats(*out)


def noise_area(fwhm: float, beta: float) -> float:
    """Noise-equivalent area 1 / ∫p² of a Moffat profile p of unit light [pixel²]: an optimal filter sums that much sky.

    For a Gaussian 4 π σ² (King 1983, PASP 95, 163); here π α² (2β - 1) / (β - 1)².
    """
    alpha = 0.5 * fwhm / float(np.sqrt(2.0 ** (1.0 / beta) - 1.0))
    return float(np.pi * alpha**2 * (2.0 * beta - 1.0) / (beta - 1.0) ** 2)
