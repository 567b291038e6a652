"""One point spread function over a whole focal plane: from the models of its detectors, for those that have none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_prior import powers, terms_of

_NODES = 4
"""Places along each axis at which a detector's model is taken."""
_DETECTORS_PER_TERM = 0.5
"""Least number of detectors for each term: each tells values and, with several places, slopes."""


@dataclass(frozen=True)
class Chip:
    """A detector: pixels along x and y, the place of its middle [mm], and the matrix from its pixels to the focal plane [mm/pixel]."""

    size: tuple[int, int]
    middle: tuple[float, float]
    matrix: Float64

    def places(self, x: Float64, y: Float64) -> Float64:
        """Places in the focal plane (2, n) [mm]."""
        off = np.stack([x - 0.5 * (self.size[0] - 1), y - 0.5 * (self.size[1] - 1)])
        return np.asarray(np.asarray(self.middle)[:, None] + self.matrix @ off)

    def turned(self, images: Float32, *, back: bool = False) -> Float32:
        """Images (m, n, n) of the detector's as the focal plane has them, or `back`: by the next of the eight ways in which a square fits itself."""
        whole = np.rint(self.matrix / np.sqrt(abs(np.linalg.det(self.matrix)))).astype(int)
        inverse = whole if back else whole.T
        half = images.shape[1] // 2
        v, u = np.mgrid[-half : half + 1, -half : half + 1]
        i, j = (inverse[row, 0] * u + inverse[row, 1] * v for row in (0, 1))
        return np.ascontiguousarray(images[:, half + j, half + i])


class Samples(NamedTuple):
    """A detector's model at places: ``x``, ``y`` (m,) [pixel], ``images`` (m, n, n) samples, `sampling` pixels apart."""

    chip: Chip
    x: Float64
    y: Float64
    images: Float32
    sampling: float


class Plane(NamedTuple):
    """Coefficients (terms, n, n) of powers of (U - middle) / scale, with the samples as the focal plane has them."""

    coefficients: Float64
    degree: int
    middle: Float64
    scale: float
    sampling: float


def nodes_of(chip: Chip) -> tuple[Float64, Float64]:
    """Places on a detector (x, y) at which its model is taken: those of Chebyshev."""
    at = 0.5 * (1.0 + np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES))
    x, y = np.meshgrid(at * (chip.size[0] - 1), at * (chip.size[1] - 1))
    return x.ravel(), y.ravel()


def fit_plane(seen: Sequence[Samples], degree: int) -> Plane:
    """A polynomial over the focal plane, sample by sample, through the models of the detectors.

    The degree is less where there are few detectors. Of samplings the finest is taken, and the smallest square.
    """
    sampling = min(each.sampling for each in seen)
    side = min(int((each.images.shape[1] // 2) * each.sampling / sampling) for each in seen)
    n = 2 * side + 1
    images = np.concatenate([each.chip.turned(_resampled(each, sampling, n)) for each in seen])
    places = np.concatenate([each.chip.places(each.x, each.y) for each in seen], axis=1)
    while degree > 0 and len(seen) < _DETECTORS_PER_TERM * terms_of(degree):
        degree -= 1
    middle = 0.5 * (places.min(axis=1) + places.max(axis=1))
    scale = max(0.5 * float(np.ptp(places, axis=1).max()), 1e-6)
    design = powers(degree, *((places - middle[:, None]) / scale))
    answer = np.linalg.lstsq(design, images.reshape(len(images), -1), rcond=None)[0]
    return Plane(answer.reshape(-1, n, n), degree, middle, scale, sampling)


def _resampled(seen: Samples, sampling: float, n: int) -> Float32:
    """Samples so far apart as asked, (m, n, n)."""
    zero = np.zeros(len(seen.images))
    return psf_stamps(seen.images, np.eye(len(seen.images)), seen.sampling / sampling, zero, zero, n)[:, 0]


def on_chip(plane: Plane, chip: Chip) -> Float32:
    """Coefficients (terms, n, n) of powers of u and v of a detector: (x - middle) over half of its size."""
    x, y = nodes_of(chip)
    u, v = (2.0 * (axis - 0.5 * (size - 1)) / size for axis, size in zip((x, y), chip.size, strict=True))
    there = powers(plane.degree, *((chip.places(x, y) - plane.middle[:, None]) / plane.scale))
    images = (there @ plane.coefficients.reshape(len(plane.coefficients), -1)).reshape(
        -1, *plane.coefficients.shape[1:]
    )
    turned = chip.turned(images.astype(np.float32), back=True).astype(np.float64)
    turned /= turned.sum(axis=(1, 2), keepdims=True) * plane.sampling**2
    answer = np.linalg.lstsq(powers(plane.degree, u, v), turned.reshape(len(turned), -1), rcond=None)[0]
    return np.asarray(answer.reshape(-1, *turned.shape[1:]), np.float32)


def light_error(made: Float32, true: Float32) -> Float64:
    """By what part the light of bright stars (m,) comes out wrong when they are fitted with other samples than theirs."""
    a, b = (each.reshape(len(each), -1).astype(np.float64) for each in (made, true))
    return np.asarray((a * b).sum(axis=1) / (a * a).sum(axis=1) - 1.0)
