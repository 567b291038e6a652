"""What a model of the point spread function looks like: widths and shapes at places, and a picture."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Float64
from spica.kernels.psf_model import psf_stamps
from spica.kernels.stars import fit_moffats

_SOFT = 0.01
"""Brightness, as a part of the peak, at which the picture's scale turns from linear to logarithmic."""
_RESIDUAL = 0.02
"""Residuals of this part of the peak are as dark or bright as they get."""
_MAGNIFIED = 3
_GAP = 2
"""Pixels of the picture per detector pixel, and between stamps."""


class Shapes(NamedTuple):
    """At n places: ``fwhm`` [pixel], ``e1``, ``e2`` distortions (a² - b²) / (a² + b²) by cos and sin of twice the angle, ``beta``."""

    fwhm: Float64
    e1: Float64
    e2: Float64
    beta: Float64

    @property
    def ellipticity(self) -> Float64:
        """1 - b / a."""
        distortion = np.minimum(np.hypot(self.e1, self.e2), 0.999)
        shear = distortion / (1.0 + np.sqrt(1.0 - distortion**2))
        return np.asarray(2.0 * shear / (1.0 + shear))


def shapes_at(coefficients: Float32, values: Float64, sampling: float, fwhm: float) -> Shapes:
    """Moffat profiles fitted to a model at places: what its stars look like on the pixels.

    Parameters
    ----------
    coefficients : (terms, n, n)
        Of the model.
    values : (places, terms)
        Of the terms at the places.
    sampling : float
        Pixels per sample.
    fwhm : float
        About the full width [pixel].
    """
    half = max(int(np.ceil(2.2 * fwhm)), 4)
    size = 2 * half + 1
    # In the middle of a pixel each, side by side in one image, bright over an even sky.
    places = np.zeros(len(values))
    drawn = 1e6 * psf_stamps(coefficients, values, sampling, places, places, size)[:, 0]
    image = np.ascontiguousarray(drawn.transpose(1, 0, 2).reshape(size, -1))
    at = half + size * np.arange(len(values), dtype=np.float64)
    level = np.zeros_like(image)
    sky, middle = np.full(at.size, 1e3), np.full(at.size, float(half))
    found = fit_moffats(image, level, sky, at, middle, np.full(at.size, fwhm), level.astype(np.int32))
    return Shapes(found.fwhm, found.e1, found.e2, found.beta)


def places_over(shape: tuple[int, int], across: int, along: int) -> tuple[Float64, Float64]:
    """The middles (x, y) of `across` by `along` equal parts of an image (ny, nx), row by row from below."""
    ny, nx = shape
    x, y = np.meshgrid((np.arange(across) + 0.5) * nx / across - 0.5, (np.arange(along) + 0.5) * ny / along - 0.5)
    return x.ravel(), y.ravel()


def gallery(nine: Float32, shape: tuple[int, int], residuals: Float32, x: Float64, y: Float64) -> npt.NDArray[np.uint8]:
    """Nine models over the detector, on the left, and the stars' mean residuals around there, on the right.

    Parameters
    ----------
    nine : (9, size, size)
        The model at `places_over` (shape, 3, 3).
    shape : (ny, nx)
        Of the detector.
    residuals : (n, size, size)
        What is left of each star, as a part of its light; NaN where nothing is known.
    x, y : (n,) arrays
        Places of the stars.

    Returns
    -------
    (rows, columns) uint8
        The first row below, as images have it. Models from black to white with the logarithm of their light, residuals grey
        where there is none.
    """
    drawn, size = nine.astype(np.float64), nine.shape[1]
    peak = drawn.max(axis=(1, 2), keepdims=True)
    bright = np.arcsinh(np.maximum(drawn / peak, 0.0) / _SOFT) / np.arcsinh(1.0 / _SOFT)
    left = np.zeros((9, size, size))
    part = np.clip((np.stack([x / shape[1], y / shape[0]]) * 3).astype(int), 0, 2)
    for k in range(9):
        here = (part[0] == k % 3) & (part[1] == k // 3)
        if here.any():
            known = np.isfinite(residuals[here])
            total = np.where(known, residuals[here], 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
            left[k] = total / peak[k]
    grey = np.clip(0.5 + 0.5 * left / _RESIDUAL, 0.0, 1.0)
    both = np.concatenate([_tiled(bright), _tiled(grey)], axis=1)
    return np.asarray(np.rint(255 * np.repeat(np.repeat(both, _MAGNIFIED, 0), _MAGNIFIED, 1)), np.uint8)


def _tiled(stamps: Float64) -> Float64:
    """Nine stamps in three rows, with white lines between."""
    framed = np.pad(stamps, ((0, 0), (0, _GAP), (0, _GAP)), constant_values=1.0)
    return np.concatenate([np.concatenate(list(framed[3 * row : 3 * row + 3]), axis=1) for row in range(3)], axis=0)
