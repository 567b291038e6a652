"""A sky solution moved, turned, stretched or mirrored as a whole, its distortion kept: the linear correction."""

import numpy as np
import numpy.typing as npt

from spica.kernels.tangent import tangent_deproject, tangent_project
from spica.kernels.wcs import TangentWcs, pixel_to_plane, tangent_wcs

Float64 = npt.NDArray[np.float64]

_ROUNDS = 8


def exchanged() -> npt.NDArray[np.int64]:
    """For each TPV term the number of the term in which the two axes are exchanged."""
    numbers, first = [], 0
    for degree in range(8):
        numbers += [first + degree - k for k in range(degree + 1)]
        first += degree + 1
        if degree % 2 == 1:
            numbers.append(first)
            first += 1
    return np.array(numbers, dtype=np.int64)


def multiplied(matrix: Float64, wcs: TangentWcs) -> TangentWcs:
    """The solution whose tangent plane is `matrix` ``(2, 2)`` times that of `wcs`; exact, TPV polynomials included."""
    if not wcs.pv.size:
        return tangent_wcs(wcs.crval, wcs.crpix, matrix @ wcs.cd, sip_a=wcs.sip_a, sip_b=wcs.sip_b)
    # The second axis has the roles of x and y exchanged.
    swap = exchanged()
    x, y = wcs.pv[0], wcs.pv[1][swap]
    pv = np.stack([matrix[0, 0] * x + matrix[0, 1] * y, (matrix[1, 0] * x + matrix[1, 1] * y)[swap]])
    return tangent_wcs(wcs.crval, wcs.crpix, wcs.cd, pv=pv, sip_a=wcs.sip_a, sip_b=wcs.sip_b)


def corrected(wcs: TangentWcs, x: Float64, y: Float64, ra: Float64, dec: Float64) -> tuple[TangentWcs, float]:
    """The solution with centre and linear part such that pixels come to lie at given positions.

    Parameters
    ----------
    wcs : the solution whose distortion is kept.
    x, y : (n,) pixels, 0-based, three at least and not on one line.
    ra, dec : (n,) where they truly are [degree].

    Returns
    -------
    The solution, and what is left, rms per coordinate [degree].
    """
    xi, eta = pixel_to_plane(wcs, x, y)
    design = np.stack([xi, eta, np.ones_like(xi)], axis=1)
    at = float(ra[0]), float(dec[0])
    for number in range(_ROUNDS):
        true = np.stack(tangent_project(ra, dec, *at), axis=1)
        terms = np.linalg.lstsq(design, true, rcond=None)[0]
        if number < _ROUNDS - 1:
            centre = tangent_deproject(terms[2, 0], terms[2, 1], *at)
            at = float(centre[0]), float(centre[1])
    left = true - design @ terms
    moved = tangent_wcs(at, wcs.crpix, wcs.cd, pv=wcs.pv if wcs.pv.size else None, sip_a=wcs.sip_a, sip_b=wcs.sip_b)
    return multiplied(np.asarray(terms[:2].T, np.float64), moved), float(np.sqrt(np.mean(left**2)))
