"""Correlated noise: its covariance between pixels, measured, and what it does to sums over many pixels.

Resampling makes the noise of neighbouring pixels alike: the variance of a sum over them is not the sum of their variances.
With C(δ) the covariance of pixels that are δ apart and w the weights of a sum, its variance is Σ_δ C(δ) A(δ) where
A(δ) = Σ_p w(p) w(p + δ) is the autocorrelation of the weights (e.g. Casertano et al. 2000, AJ 120, 2747, appendix A).
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Bools, Float32, Float64
from spica.kernels.resample import KERNELS, lanczos

REACH = 7
"""Pixels farther apart than this have nothing in common: Lanczos-4 reaches over 8 pixels."""
_SUB = 4
"""A pixel at a circle's edge is divided into this many parts along each axis."""


def autocorrelation(plane: Float64, reach: int = REACH) -> Float64:
    """Σ_p plane(p) plane(p + δ) for |δ| of at most `reach` along each axis, ``(2 reach + 1, 2 reach + 1)``."""
    shape = [max(size, reach + 1) + reach for size in plane.shape]
    power = np.fft.irfft2(np.abs(np.fft.rfft2(plane, shape)) ** 2, shape)
    return np.asarray(np.roll(power, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1])


def covariance(patches: Iterable[tuple[Float32, Bools]], reach: int = REACH) -> tuple[Float64, float]:
    """Covariance of noise by the distance of pixels.

    Parameters
    ----------
    patches : parts of an image of zero mean and whether each pixel is to be counted, ``(ny, nx)`` each.
    reach : largest distance along each axis [pixel].

    Returns
    -------
    covariance : ``(2 reach + 1, 2 reach + 1)``, in the square of the image's unit; the middle one is the variance.
        NaN where no two pixels are so far apart.
    pixels : how many were counted.
    """
    total, number = np.zeros((2, 2 * reach + 1, 2 * reach + 1))
    for values, good in patches:
        total += autocorrelation(np.where(good, values, 0.0), reach)
        number += autocorrelation(good.astype(np.float64), reach)
    number = np.rint(number)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0), float(number[reach, reach])


def of_resampling(name: str, ratio: float = 1.0) -> Float64:
    """Covariance that a kernel of `spica.kernels.resample` gives to white noise, in the mean of all fractions of a pixel, its middle 1.

    Parameters
    ----------
    name : of the kernel.
    ratio : width of the pixels that bring the noise, in those made of them: wide ones are in the noise of many.

    Returns
    -------
    ``(2 reach + 1, 2 reach + 1)`` with a reach of `REACH`, and more where the ratio is above 1.
    """
    fraction = (np.arange(1000) + 0.5) / 1000
    here = _weights(name, fraction)
    size, reach = here.shape[1], int(np.ceil(REACH * max(ratio, 1.0)))
    line = np.zeros(2 * reach + 1)
    for apart in range(reach + 1):
        place = fraction + apart / ratio
        whole = np.floor(place)
        there = _weights(name, place - whole)
        # The same pixels, as the other sum counts them.
        index = np.arange(size) - whole.astype(int)[:, None]
        shared = np.take_along_axis(there, np.clip(index, 0, size - 1), 1) * ((index >= 0) & (index < size))
        line[reach + apart] = line[reach - apart] = np.mean(np.sum(here * shared, axis=1))
    return np.asarray(np.outer(line, line) / line[reach] ** 2)


def kernel_width(noise: float) -> float:
    """Full width at half maximum [pixel] of the Gaussian of unit sum that leaves so much of a pixel's noise: its squares' sum is noise²."""
    return float(np.sqrt(2.0 * np.log(2.0) / np.pi)) / noise


def of_smoothing(covariance: Float64, noise: float, ratio: float = 1.0) -> Float64:
    """What a covariance becomes where the pixels that bring the noise were convolved before, by about a Gaussian of unit sum.

    Parameters
    ----------
    covariance : in units of the variance of uncorrelated pixels.
    noise : of a pixel after the convolution over before, below 1.
    ratio : width of those pixels in those of the covariance.

    Returns
    -------
    In units of the variance that pixels would have, were they uncorrelated after the convolution; with a reach as much larger as it
    asks for.
    """
    more = smoothing_reach(noise, ratio)
    # Two pixels that share a kernel's reach are alike as a Gaussian √2 times as wide says.
    step = np.arange(-more, more + 1.0)
    line = np.exp(-2.0 * np.log(2.0) * (step / (kernel_width(noise) * ratio)) ** 2)
    line /= line.sum()
    wide = np.pad(covariance, more)
    for axis in (0, 1):
        wide = np.apply_along_axis(np.convolve, axis, wide, line, "same")
    return np.asarray(wide / noise**2)


def smoothing_reach(noise: float, ratio: float = 1.0) -> int:
    """By how much farther pixels have something in common after such a convolution."""
    return int(np.ceil(2.25 * kernel_width(noise) * ratio))


def _weights(name: str, fraction: Float64) -> Float64:
    """Weights of the pixels about places at these fractions of one, ``(n, taps)``."""
    order = KERNELS[name]
    if order > 1:
        return np.asarray(lanczos(order, fraction).T, np.float64)
    return np.stack([1.0 - fraction, fraction], axis=1) if order else np.ones((fraction.size, 1))


def excess(covariance: Float64, weights: npt.ArrayLike) -> float:
    """How many times larger the noise of a weighted sum is than that of uncorrelated pixels of unit variance.

    Parameters
    ----------
    covariance : of `covariance`, in units of the variance that pixels are said to have.
    weights : ``(ny, nx)``, those of the sum.
    """
    pattern = np.asarray(weights, np.float64)
    own = autocorrelation(pattern, covariance.shape[0] // 2)
    return float(np.sqrt(max(np.sum(covariance * own), 0.0) / np.sum(pattern**2)))


def circle(radius: float) -> Float64:
    """Part of each pixel that lies within a circle about the middle of the middle pixel."""
    reach = int(np.ceil(radius + 0.5))
    step = (np.arange(_SUB * (2 * reach + 1)) + 0.5) / _SUB - (reach + 0.5)
    inside = step[:, None] ** 2 + step[None, :] ** 2 <= radius**2
    side = 2 * reach + 1
    return np.asarray(inside.reshape(side, _SUB, side, _SUB).mean(axis=(1, 3)))


def bell(fwhm: float) -> tuple[Float64, Float64]:
    """A Gaussian, and that times the distance along x: weights of the light and of the place of a point source."""
    reach = int(np.ceil(2.0 * fwhm))
    step = np.arange(-reach, reach + 1.0)
    profile = np.exp(-4.0 * np.log(2.0) * (step[:, None] ** 2 + step[None, :] ** 2) / fwhm**2)
    return profile, profile * step


def excess_within(covariance: Float64, radii: npt.ArrayLike) -> Float64:
    """`excess` of sums within circles of these radii [pixel], of any shape; it is interpolated between a few dozen."""
    asked = np.asarray(radii, np.float64)
    known = asked[np.isfinite(asked) & (asked > 0)]
    if known.size == 0:
        return np.full(asked.shape, np.nan)
    low, high = max(float(known.min()), 0.5), max(float(known.max()), 0.5)
    grid = np.unique(
        np.concatenate([np.geomspace(low, min(high, 60.0), 24) if high > low else [low], [min(high, 60.0)]])
    )
    values = np.array([excess(covariance, circle(radius)) for radius in grid])
    return np.asarray(np.interp(asked, grid, values, left=values[0], right=values[-1]))
