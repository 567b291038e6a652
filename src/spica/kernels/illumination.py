"""What a flat field got wrong of stars' light, as a polynomial over a detector in magnitudes.

A flat field sees light that stars do not have (reflections, another angle); stars that are seen in several places of the focal
plane tell by how much (Manfroid 1995, A&AS 113, 587; Padmanabhan et al. 2008, ApJ 674, 1217).
"""

import numpy as np

from spica.kernels.compiled import Float64
from spica.kernels.focal_model import pixel_basis

MOST_TERMS = 15
"""Of a polynomial of degree 4."""


def departure(x: Float64, y: Float64, size: tuple[float, float], terms: Float64) -> Float64:
    """What is to be added to a detector's zero point at places on it.

    Parameters
    ----------
    x, y : (n,) [pixel]
    size : width and height [pixel].
    terms : (k,) [mag], k at most `MOST_TERMS`
        Of the Legendre products of `spica.kernels.focal_model.pixel_basis`, by degree; the constant's does not count.

    Returns
    -------
    (n,) [mag]
    """
    degree = _degree(len(terms))
    basis = pixel_basis(x, y, np.asarray(size, np.float64), degree)
    return np.asarray(basis[:, 1 : len(terms)] @ np.asarray(terms, np.float64)[1:])


def error(terms_err: Float64) -> float:
    """Standard error of the departure, rms over the detector [mag], from those (k,) of its terms.

    Correlations of the terms are not in it: Legendre products are orthogonal where stars are everywhere.
    """
    degree = _degree(len(terms_err))
    powers = [(p, total - p) for total in range(degree + 1) for p in range(total + 1)]
    mean_square = np.array([1.0 / ((2 * p + 1) * (2 * q + 1)) for p, q in powers])
    return float(np.sqrt(np.sum(np.asarray(terms_err, np.float64)[1:] ** 2 * mean_square[1 : len(terms_err)])))


def _degree(terms: int) -> int:
    degree = 0
    while (degree + 1) * (degree + 2) // 2 < terms:
        degree += 1
    return degree
