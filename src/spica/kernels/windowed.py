"""Positions and widths of sources through a Gaussian window."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.kernels.aperture import is_good, planes_of
from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_coordinates, compiled

FWHM_TO_SIGMA = 1.0 / 2.3548200450309493
_STEPS = 32
_STEP = 1e-4
"""A position that moves by less than this [pixel] is final."""

_CORE = 1.5
"""The brightest pixel of a star lies this near to its centre [pixel]."""

_WINDOW = 4.0
"""Radius of the window in its own standard deviations."""


@dataclass(frozen=True)
class Windowed:
    """Windowed positions of n sources [pixel, 0-based], their covariance [pixel²], and whether the search converged."""

    x: Float64
    y: Float64
    x_variance: Float64
    y_variance: Float64
    xy_covariance: Float64
    converged: npt.NDArray[np.bool_]


@compiled
def _window_sums(
    image: Float32, variance: Float32, mask: Int32, bad_bits: int, x: float, y: float, sigma: float, sums: Float64
) -> None:
    """Σ w I, Σ w I dx, Σ w I dy, Σ w² σ² dx², dy², dx dy, within the window about (x, y)."""
    reach = _WINDOW * sigma
    scale = -0.5 / (sigma * sigma)
    sums[:] = 0.0
    for j in range(int(np.ceil(y - reach)), int(np.floor(y + reach)) + 1):
        for i in range(int(np.ceil(x - reach)), int(np.floor(x + reach)) + 1):
            dx = i - x
            dy = j - y
            square = dx * dx + dy * dy
            if square > reach * reach:
                continue
            u = i
            v = j
            if not is_good(image, mask, bad_bits, u, v):
                # The pixel opposite stands for a bad one, so that a hole does not pull the centre.
                u = int(np.rint(x - dx))
                v = int(np.rint(y - dy))
                if not is_good(image, mask, bad_bits, u, v):
                    continue
            weight = np.exp(scale * square)
            light = weight * image[v, u]
            noise = weight * weight * variance[v, u]
            sums[0] += light
            sums[1] += light * dx
            sums[2] += light * dy
            sums[3] += noise * dx * dx
            sums[4] += noise * dy * dy
            sums[5] += noise * dx * dy


@compiled
def _windowed(
    image: Float32, variance: Float32, mask: Int32, bad_bits: int, start: Float64, sigmas: Float64, out: Float64
) -> None:
    sums = np.zeros(6)
    for k in range(sigmas.size):
        sigma = sigmas[k]
        x = start[0, k]
        y = start[1, k]
        out[:, k] = np.nan
        out[5, k] = 0.0
        if not (sigma > 0.0 and np.isfinite(x + y + sigma)):
            continue
        for _ in range(_STEPS):
            _window_sums(image, variance, mask, bad_bits, x, y, sigma, sums)
            if not sums[0] > 0.0:
                break
            dx = 2.0 * sums[1] / sums[0]
            dy = 2.0 * sums[2] / sums[0]
            x += dx
            y += dy
            if (x - start[0, k]) ** 2 + (y - start[1, k]) ** 2 > (_WINDOW * sigma) ** 2:
                break
            if dx * dx + dy * dy < _STEP * _STEP:
                out[0, k] = x
                out[1, k] = y
                for m in range(3):
                    out[2 + m, k] = 4.0 * sums[3 + m] / (sums[0] * sums[0])
                out[5, k] = 1.0
                break


def windowed_centroid(
    image: Numbers,
    variance: Numbers,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    fwhm: npt.ArrayLike,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
) -> Windowed:
    """Centroids through a Gaussian window that follows the source (SExtractor's XWIN, YWIN).

    Each step moves the centre by 2 Σ w I d / Σ w I until it moves by less than 1e-4 pixel; the variance is
    4 Σ w² σ² d² / (Σ w I)². For stars it is nearly as exact as fitting the profile.

    Parameters
    ----------
    image, variance : (ny, nx) arrays
        Background-subtracted pixels and their variance.
    x, y : (n,) arrays [pixel]
        Start, 0-based.
    fwhm : (n,) array or float [pixel]
        Full width at half maximum of the window: for stars, their own; for the rest, twice the half-light radius.
    mask : (ny, nx) array, optional
        Mask bits; a bad pixel is replaced by the one opposite the centre.
    bad_bits : int
        Bits that make a pixel bad.

    Returns
    -------
    Windowed
        NaN, and not converged, where the light in the window is not positive or the centre runs away.
    """
    start = np.stack([as_coordinates(x), as_coordinates(y)])
    sigma = np.full(start.shape[1:], as_coordinates(fwhm) * FWHM_TO_SIGMA)
    out = np.empty((6, sigma.size))
    _windowed(*planes_of(image, variance, mask), int(bad_bits), start, sigma, out)
    return Windowed(out[0], out[1], out[2], out[3], out[4], out[5] > 0.0)


@compiled
def _core_width(image: Float32, mask: Int32, bad_bits: int, x: float, y: float, reach: float, least: float) -> float:
    """FWHM of the Gaussian whose logarithm fits the pixels brighter than `least` of the peak, weighted by I²."""
    peak = 0.0
    x0, x1 = int(np.ceil(x - reach)), int(np.floor(x + reach)) + 1
    y0, y1 = int(np.ceil(y - reach)), int(np.floor(y + reach)) + 1
    for j in range(y0, y1):
        for i in range(x0, x1):
            if is_good(image, mask, bad_bits, i, j) and (i - x) ** 2 + (j - y) ** 2 <= _CORE * _CORE:
                peak = max(peak, float(image[j, i]))
    s0 = s1 = s2 = t0 = t1 = 0.0
    for j in range(y0, y1):
        for i in range(x0, x1):
            square = (i - x) ** 2 + (j - y) ** 2
            if square > reach * reach or not is_good(image, mask, bad_bits, i, j) or image[j, i] <= least * peak:
                continue
            value = image[j, i] / peak
            weight = value * value
            height = np.log(value)
            s0 += weight
            s1 += weight * square
            s2 += weight * square * square
            t0 += weight * height
            t1 += weight * height * square
    slope = (s0 * t1 - s1 * t0) / (s0 * s2 - s1 * s1)
    if not slope < 0.0:
        return np.nan
    return float(np.sqrt(-0.5 / slope) / FWHM_TO_SIGMA)


@compiled
def _core_widths(
    image: Float32, mask: Int32, bad_bits: int, start: Float64, reach: Float64, least: float, out: Float64
) -> None:
    for k in range(out.size):
        out[k] = np.nan
        if np.isfinite(start[0, k] + start[1, k] + reach[k]):
            out[k] = _core_width(image, mask, bad_bits, start[0, k], start[1, k], reach[k], least)


def core_fwhm(
    image: Numbers,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    reach: npt.ArrayLike,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
    least: float = 0.3,
) -> Float64:
    """Full width at half maximum of the cores of stars.

    A line is fitted to ln I against r² with weights I² over the pixels brighter than a fraction of the peak: a
    Gaussian gives its own width (widened by the pixel), and other profiles nearly theirs.

    Parameters
    ----------
    image : (ny, nx) array
        Background-subtracted pixels.
    x, y : (n,) arrays [pixel]
        Centres, 0-based.
    reach : (n,) array or float [pixel]
        Radius of the pixels considered, about the FWHM: in crowded fields no more.
    mask : (ny, nx) array, optional
        Mask bits.
    bad_bits : int
        Bits that exclude a pixel.
    least : float
        Fraction of the brightest pixel of the centre below which pixels are left out.

    Returns
    -------
    (n,) float64 [pixel]
        NaN where the light does not fall outwards.
    """
    start = np.stack([as_coordinates(x), as_coordinates(y)])
    limits = np.full(start.shape[1:], as_coordinates(reach))
    out = np.empty(limits.size)
    pixels, _, bits = planes_of(image, None, mask)
    _core_widths(pixels, bits, int(bad_bits), start, limits, float(least), out)
    return out
