"""A joint solution as what headers hold: TPV coefficients of one image (`spica.kernels.wcs_convert` makes SIP of them).

The composition of a detector's polynomial with an exposure's terms is again a polynomial of the pixel, so that TPV holds
it exactly as long as its degree is one that it knows; the residual is measured and given all the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spica.kernels.compiled import Float64
from spica.kernels.focal_model import Complex, Mosaic, Terms, place
from spica.kernels.wcs import TangentWcs, pixel_to_plane, tangent_wcs

Shift = Callable[[Complex], Complex]

_MAS = 3.6e6
_NODES = 9


@dataclass(frozen=True)
class Expressed:
    """A sky solution, and how far it is from what it expresses, at most over the image [mas]."""

    wcs: TangentWcs
    residual: float


def as_tpv(mosaic: Mosaic, terms: Terms, image: int, shift: Shift | None = None) -> Expressed:
    """TPV coefficients of an image; the tangent point is the exposure's pointing.

    `shift` gives displacements [mas] at places of the plane that are to be taken off (what the air did): a polynomial of
    degree 7 follows them as well as it can.
    """
    nodes = _NODES if shift is None else 2 * _NODES - 1
    x, y, plane, crpix, cd = _linear(mosaic, terms, image, nodes, shift)
    degree = 7 if shift is not None else min(mosaic.degree * mosaic.field_degree, 7)
    powers = [(total - q, q) for total in range(degree + 1) for q in range(total + 1)]
    near = (x - crpix[0]) * complex(cd[0, 0], cd[1, 0]) + (y - crpix[1]) * complex(cd[0, 1], cd[1, 1])
    pv = np.zeros((2, 40))
    for axis, (along, across, wanted) in enumerate(
        ((near.real, near.imag, plane.real), (near.imag, near.real, plane.imag))
    ):
        pv[axis, [_tpv_number(*power) for power in powers]] = _monomials_fit(along, across, powers, wanted)
    exposure = mosaic.exposure[image]
    wcs = tangent_wcs((mosaic.ra[exposure], mosaic.dec[exposure]), crpix, cd, pv=pv)
    return _checked(wcs, mosaic, terms, image, shift)


def _tpv_number(p: int, q: int) -> int:
    """Number of the term x^p y^q: by degree, x falling, after each odd degree one for the radius."""
    total = p + q
    return total * (total + 1) // 2 + total // 2 + q


def _grid(mosaic: Mosaic, image: int, count: int) -> tuple[Float64, Float64]:
    """Pixels where Chebyshev's polynomials have their extremes: a fit there is good everywhere between."""
    nodes = 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / (count - 1))
    x, y = (values.ravel() for values in np.meshgrid(*(nodes * (length - 1.0) for length in mosaic.size[image])))
    return x, y


def _plane(mosaic: Mosaic, terms: Terms, image: int, x: Float64, y: Float64, shift: Shift | None) -> Complex:
    """Places of pixels in the exposure's plane [degree], displacements taken off."""
    plane = place(mosaic, terms, np.full(x.size, image), x, y).plane
    return plane if shift is None else plane - shift(plane) / _MAS


def _linear(
    mosaic: Mosaic, terms: Terms, image: int, nodes: int, shift: Shift | None
) -> tuple[Float64, Float64, Complex, Float64, Float64]:
    """Nodes, their places, and the best linear map: reference pixel (where the place is 0) and matrix."""
    x, y = _grid(mosaic, image, nodes)
    plane = _plane(mosaic, terms, image, x, y, shift)
    design = np.stack([np.ones_like(x), x - x.mean(), y - y.mean()], axis=1)
    fitted = np.linalg.lstsq(design, plane, rcond=None)[0]
    cd = np.array([[fitted[1].real, fitted[2].real], [fitted[1].imag, fitted[2].imag]])
    away = np.linalg.solve(cd, [fitted[0].real, fitted[0].imag])
    return x, y, plane, np.array([x.mean(), y.mean()]) - away, cd


def _monomials_fit(u: Float64, v: Float64, powers: list[tuple[int, int]], wanted: Float64) -> Float64:
    """Coefficients of monomials; the columns are scaled, for the image may lie far from the origin."""
    design = np.stack([u**p * v**q for p, q in powers], axis=1)
    level = np.linalg.norm(design, axis=0)
    found: Float64 = np.linalg.lstsq(design / level, wanted, rcond=1e-15)[0] / level
    return found


def _checked(wcs: TangentWcs, mosaic: Mosaic, terms: Terms, image: int, shift: Shift | None) -> Expressed:
    x, y = _grid(mosaic, image, _NODES + 2)
    plane = _plane(mosaic, terms, image, x, y, shift)
    xi, eta = pixel_to_plane(wcs, x, y)
    return Expressed(wcs, float(np.max(np.abs(xi + 1j * eta - plane))) * _MAS)
