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
    degree = 0
    while (degree + 1) * (degree + 2) // 2 < len(terms):
        degree += 1
    basis = pixel_basis(x, y, np.asarray(size, np.float64), degree)
    return np.asarray(basis[:, 1 : len(terms)] @ np.asarray(terms, np.float64)[1:])
