"""Kernels that bring a varying point spread function to one that is wanted, the same everywhere.

At each of a grid of places the kernel K minimises |K * P - T|² + λ |∇²K|² over all fractions of a pixel at which a star may lie:
with P̂ and T̂ the transforms of the model and of the target, and sums over the frequencies that look alike on pixels,
K̂ = Σ P̂* T̂ / (Σ |P̂|² + λ |∇̂²|²) (Boucaud et al. 2016, A&A 596, A63, there for well sampled images). Between the places kernels are
a mean and a few patterns with smooth amplitudes (as Alard 2000, A&AS 144, 363, has a basis), so that there is no seam.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Float64
from spica.kernels.psf_model import psf_stamps

FINE = 2
"""Samples per pixel, of model and target, when a kernel is made."""
_BEGIN, _END = 2.5, 3.5
"""Radii, in full widths, between which a target is let fall to zero: models of stars end there."""
_PATTERNS, _NEGLECTED = 12, 1e-3
"""So many patterns at most; what is left of a kernel is less than this part of it."""


class Target(NamedTuple):
    """The profile that is wanted: full width at half maximum [arcsec], exponent of Moffat's profile; 0: a Gaussian."""

    fwhm: float
    beta: float

    def light(self, radius: Float64) -> Float64:
        """Its brightness at a distance [arcsec], 1 in the middle; nothing beyond 3.5 full widths."""
        part = radius / self.fwhm
        if self.beta > 0.0:
            made = (1.0 + 4.0 * (2.0 ** (1.0 / self.beta) - 1.0) * part**2) ** -self.beta
        else:
            made = np.exp(-4.0 * np.log(2.0) * part**2)
        fall = np.clip((part - _BEGIN) / (_END - _BEGIN), 0.0, 1.0)
        return np.asarray(made * 0.5 * (1.0 + np.cos(np.pi * fall)))

    def reach(self, pixel: float) -> int:
        """Pixels from its middle to its end, for pixels of this width [arcsec]."""
        return int(np.ceil(_END * self.fwhm / pixel))


def target_samples(target: Target, metric: Float64, half: int) -> Float64:
    """The target on a square of samples, `FINE` to a pixel, of unit light.

    Parameters
    ----------
    metric : (2, 2)
        Square of a distance on the sky [arcsec²] by steps along x and y [pixel]: round on the sky, whatever pixels are.
    half : pixels from its middle to the edge.
    """
    at = np.arange(-FINE * half, FINE * half + 1) / FINE
    square = (
        metric[0, 0] * at[None, :] ** 2
        + 2.0 * metric[0, 1] * at[None, :] * at[:, None]
        + metric[1, 1] * at[:, None] ** 2
    )
    made = target.light(np.sqrt(square))
    return np.asarray(made / made.sum())


def model_samples(coefficients: Float32, values: Float64, sampling: float, half: int) -> Float64:
    """A model at places, from the values of its terms there (places, terms), as `target_samples`: (places, n, n) of unit light."""
    size, count = 2 * half + 1, len(values)
    made = np.zeros((count, FINE * size, FINE * size))
    for v in range(FINE):
        for u in range(FINE):
            # A star that lies a little before the middle of a pixel: the pixels are that much beyond it.
            x, y = np.full(count, -u / FINE), np.full(count, -v / FINE)
            drawn = psf_stamps(coefficients, values, sampling, x, y, size)[:, 0]
            made[:, v::FINE, u::FINE] = drawn
    made = made[:, : FINE * 2 * half + 1, : FINE * 2 * half + 1]
    return np.asarray(made / made.sum(axis=(1, 2), keepdims=True))


def _folded(spectrum: npt.NDArray[np.complex128], size: int) -> npt.NDArray[np.complex128]:
    """Sum over the frequencies that look alike on pixels."""
    return np.asarray(spectrum.reshape(FINE, size, FINE, size).sum(axis=(0, 2)))


def matching_kernel(model: Float64, target: Float64, smooth: float, half: int) -> Float64:
    """The kernel on pixels that brings a model to a target, both of `FINE` samples per pixel and one size; its sum is 1.

    Parameters
    ----------
    smooth : weight λ of its roughness, 1 being that of the whole light at the highest frequency.
    half : pixels from the middle to the edge of the kernel, ``(2 half + 1, 2 half + 1)``.
    """
    from scipy.fft import fft2, ifft2

    # A transform wraps around: room for the kernel and what it is applied to.
    size = model.shape[0] // FINE + 2 * half + 2
    p, t = (fft2(_centred(each, FINE * size)) for each in (model, target))
    step = 2.0 - 2.0 * np.cos(2.0 * np.pi * np.fft.fftfreq(size))
    rough = ((step[:, None] + step[None, :]) / 8.0) ** 2
    k = _folded(p.conj() * t, size) / (_folded(np.abs(p) ** 2, size) + smooth * rough)
    made = np.roll(ifft2(k).real, (half, half), (0, 1))[: 2 * half + 1, : 2 * half + 1]
    return np.asarray(made / made.sum())


def _centred(samples: Float64, size: int) -> Float64:
    """Samples in a larger square, their middle at its first place."""
    out = np.zeros((size, size))
    n = samples.shape[0]
    out[:n, :n] = samples
    return np.roll(out, (-(n // 2), -(n // 2)), (0, 1))


def applied(kernel: Float64, model: Float64) -> Float64:
    """A model after its kernel, on its own samples, of which those count that lie within."""
    size = model.shape[0] + FINE * (kernel.shape[0] - 1)
    spread = np.zeros((FINE * (kernel.shape[0] - 1) + 1,) * 2)
    spread[::FINE, ::FINE] = kernel
    both = np.fft.irfft2(np.fft.rfft2(model, (size, size)) * np.fft.rfft2(spread, (size, size)), (size, size))
    first = FINE * (kernel.shape[0] // 2)
    return np.asarray(both[first : first + model.shape[0], first : first + model.shape[0]])


class Kernels(NamedTuple):
    """Kernels that vary smoothly over an image.

    ``mean`` (k, k), its sum 1; ``patterns`` (m, k, k), their sums 0; ``amplitudes`` (m, rows, columns) of them at the places ``y``
    (rows,) and ``x`` (columns,) [pixel]; ``squares`` (rows, columns): the sum of a kernel's squares there.
    """

    mean: Float64
    patterns: Float64
    amplitudes: Float64
    squares: Float64
    x: Float64
    y: Float64


def varying(kernels: Float64, x: Float64, y: Float64) -> Kernels:
    """Kernels (rows, columns, k, k) at a grid of places as a mean and patterns with amplitudes."""
    rows, columns, k = kernels.shape[:3]
    flat = kernels.reshape(rows * columns, k * k)
    mean = flat.mean(axis=0)
    # Of the few places rather than of the many pixels; the weakest first.
    strength, left = np.linalg.eigh((flat - mean) @ (flat - mean).T)
    rest = np.cumsum(np.maximum(strength, 0.0)) > _NEGLECTED**2 * np.sum(flat**2)
    left = left[:, rest][:, ::-1][:, :_PATTERNS]
    patterns = left.T @ (flat - mean)
    patterns -= patterns.sum(axis=1, keepdims=True) * mean
    count = len(patterns)
    return Kernels(
        mean.reshape(k, k),
        patterns.reshape(count, k, k),
        np.ascontiguousarray(left.T).reshape(count, rows, columns),
        np.sum(flat**2, axis=1).reshape(rows, columns),
        np.asarray(x, np.float64),
        np.asarray(y, np.float64),
    )
