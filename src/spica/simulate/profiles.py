"""Radial profiles as mixtures of Gaussians (Hogg & Lang 2013, PASP 125, 719), fitted here rather than tabulated.

Moffat profiles and Sérsic profiles of index above 0.5 are mixtures of Gaussians with positive weights; on a logarithmic
grid of widths the weights follow from a non-negative least-squares fit of the light in rings. Fits take milliseconds
and are kept for the life of the process.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from scipy.special import gammainc, gammaincinv

from spica.kernels.draw import Mixture

Float64 = npt.NDArray[np.float64]


def moffat_enclosed(radius: Float64, beta: float) -> Float64:
    """Fraction of a Moffat profile's light inside `radius` (in scales α)."""
    return 1.0 - (1.0 + radius**2) ** (1.0 - beta)


def sersic_enclosed(radius: Float64, index: float) -> Float64:
    """Fraction of a Sérsic profile's light inside `radius` (in half-light radii; Graham & Driver 2005, PASA 22, 118)."""
    b = gammaincinv(2.0 * index, 0.5)
    return np.asarray(gammainc(2.0 * index, b * radius ** (1.0 / index)), dtype=np.float64)


@lru_cache(maxsize=32)
def moffat(beta: float) -> Mixture:
    """Mixture of Gaussians of a Moffat profile of exponent `beta` (> 2): variances in squares of the scale α."""
    radius = np.geomspace(0.02, 30.0, 400)
    return _fit(radius, moffat_enclosed(radius, beta), np.geomspace(0.3, 7.5, 8) ** 2)


@lru_cache(maxsize=32)
def sersic(index: float) -> Mixture:
    """Mixture of Gaussians of a Sérsic profile of index 0.8 to 6: variances in half-light radii squared.

    The light beyond 40 half-light radii (5e-4 of a de Vaucouleurs profile) is given to the Gaussians inside.
    """
    radius = np.geomspace(1e-4, 40.0, 600)
    enclosed = sersic_enclosed(radius, index)
    inner, outer = np.interp([5e-3, 0.997], enclosed, radius)
    number = max(6, round((1.1 + 0.6 / index) * np.log2(outer / inner)))
    return _fit(radius, enclosed, np.geomspace(max(inner, 2e-3) * 0.6, outer * 0.6, number) ** 2)


def _fit(radius: Float64, enclosed: Float64, variance: Float64) -> Mixture:
    """Weights of the Gaussians that enclose the same light at every radius; narrowest first, sum 1."""
    curves = 1.0 - np.exp(-0.5 * radius[:, None] ** 2 / variance[None, :])
    total = np.full((1, variance.size), 30.0)
    weights, _ = nnls(np.vstack([curves, total]), np.append(enclosed / enclosed[-1], 30.0))
    kept = weights > 1e-4
    return Mixture(np.ascontiguousarray(weights[kept] / weights[kept].sum()), np.ascontiguousarray(variance[kept]))
