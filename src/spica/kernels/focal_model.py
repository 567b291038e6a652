"""From pixels to the sky in two steps: a distortion that exposures share, and terms of each exposure.

Places in planes are complex numbers, east or x first: so a rotation with a change of scale is a product, and the equations
have half the size. A detector's pixel has the place X in the focal plane [degree], a polynomial of the pixel; an exposure
takes it to ζ = ξ + iη in the plane that touches the sky at its pointing: a polynomial in X and its conjugate, of degree 1
as a rule (shift, rotation, scale, shear).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spica.kernels.associate import unit_vectors
from spica.kernels.compiled import Float64, Int64

Complex = npt.NDArray[np.complex128]

_CHUNK = 1 << 15


@dataclass(frozen=True)
class Mosaic:
    """Which images there are; none of this is fitted.

    Attributes
    ----------
    exposure, sensor : (m,) int64
        Of each image: which exposure it is part of, and which distortion it has (a detector in an astrometric context).
    size : (m, 2) float64 [pixel]
        Width and height.
    context : (sensors,) int64
        The astrometric context of each sensor: one camera, run, filter. All images of an exposure have the same.
    ra, dec : (exposures,) float64 [degree]
        Where each exposure's plane touches the sky.
    degree, field_degree : int
        Of the polynomials of the detectors, and of the exposures.
    radius : float [degree]
        Size of the focal plane, which scales the terms of the exposures.
    """

    exposure: Int64
    sensor: Int64
    size: Float64
    context: Int64
    ra: Float64
    dec: Float64
    degree: int
    field_degree: int
    radius: float

    @property
    def terms(self) -> int:
        """Coefficients of a detector."""
        return (self.degree + 1) * (self.degree + 2) // 2

    @cached_property
    def shared_at(self) -> Int64:
        """Places (m, terms) of each image's detector's coefficients among all of them."""
        return np.asarray(self.sensor[:, None] * self.terms + np.arange(self.terms), np.int64)

    @cached_property
    def own_at(self) -> Int64:
        """Places (m, field terms) of each image's exposure's coefficients among all of them."""
        return np.asarray(self.exposure[:, None] * self.field_terms + np.arange(self.field_terms), np.int64)

    @property
    def field_terms(self) -> int:
        """Coefficients of an exposure."""
        return (self.field_degree + 1) * (self.field_degree + 2) // 2


@dataclass(frozen=True)
class Terms:
    """What is fitted: coefficients (sensors, terms) and (exposures, field terms), complex [degree]."""

    detectors: Complex
    exposures: Complex


def pixel_basis(x: Float64, y: Float64, size: Float64, degree: int) -> Float64:
    """Legendre products (n, terms) of pixels scaled to -1 … 1 over their images of `size` (n, 2) or (2,)."""
    u, v = (2.0 * value / (size[..., axis] - 1.0) - 1.0 for axis, value in enumerate((x, y)))
    one, two = (np.polynomial.legendre.legvander(value, degree) for value in (u, v))
    return np.stack([one[:, p] * two[:, total - p] for total in range(degree + 1) for p in range(total + 1)], axis=1)


def field_basis(place: Complex, degree: int) -> tuple[Complex, list[tuple[int, int]]]:
    """Products X^a · conj(X)^b (n, field terms) of scaled places, and their powers (a, b)."""
    powers = [(total - b, b) for total in range(degree + 1) for b in range(total + 1)]
    along = [place**a for a in range(degree + 1)]
    return np.stack([along[a] * along[b].conj() for a, b in powers], axis=1), powers


@dataclass(frozen=True)
class Placed:
    """Places of pixels.

    Attributes
    ----------
    focal, plane : (n,) complex [degree]
        X, and ζ about the exposure's pointing.
    basis : (n, terms) float64
    field : (n, field terms) complex
    slope : (n,) complex
        dζ/dX, without the little that goes with the conjugate.
    """

    focal: Complex
    plane: Complex
    basis: Float64
    field: Complex
    slope: Complex


def place(mosaic: Mosaic, terms: Terms, image: Int64, x: Float64, y: Float64) -> Placed:
    """Places of pixels of images."""
    basis = pixel_basis(x, y, mosaic.size[image], mosaic.degree)
    focal = np.einsum("nk,nk->n", basis, terms.detectors[mosaic.sensor[image]])
    scaled = focal / mosaic.radius
    field, powers = field_basis(scaled, mosaic.field_degree)
    own = terms.exposures[mosaic.exposure[image]]
    plane = np.einsum("nl,nl->n", field, own)
    slope = np.zeros(focal.size, np.complex128)
    for number, (a, b) in enumerate(powers):
        if a > 0:
            slope += own[:, number] * a * scaled ** (a - 1) * scaled.conj() ** b / mosaic.radius
    return Placed(focal, plane, basis, field, slope)


def axes(ra: Float64, dec: Float64) -> tuple[Float64, Float64, Float64]:
    """Unit vectors (n, 3) towards positions [degree], and east and north of them."""
    out = unit_vectors(ra, dec)
    turn, high = np.radians(ra), np.radians(dec)
    east = np.stack([-np.sin(turn), np.cos(turn), np.zeros_like(turn)], axis=-1)
    north = np.stack([-np.sin(high) * np.cos(turn), -np.sin(high) * np.sin(turn), np.cos(high)], axis=-1)
    return out, east, north


def frames(direction: Float64) -> tuple[Float64, Float64]:
    """East and north (n, 3) at unit vectors (n, 3)."""
    level = np.hypot(direction[:, 0], direction[:, 1])
    pole = level < 1e-12
    safe = np.where(pole, 1.0, level)
    east = np.stack([-direction[:, 1] / safe, direction[:, 0] / safe, np.zeros_like(level)], axis=1)
    east[pole] = (0.0, 1.0, 0.0)
    return east, np.cross(direction, east)


def to_sky(mosaic: Mosaic, exposure: Int64, plane: Complex) -> tuple[Float64, Float64]:
    """Unit vectors (n, 3) of places in the planes of exposures, and how far from the sphere's centre the places lie."""
    out, east, north = axes(mosaic.ra, mosaic.dec)
    reached = out[exposure] + np.radians(plane.real)[:, None] * east[exposure]
    reached += np.radians(plane.imag)[:, None] * north[exposure]
    depth = np.sqrt(np.einsum("nk,nk->n", reached, reached))
    return reached / depth[:, None], depth


def directions(mosaic: Mosaic, terms: Terms, image: Int64, x: Float64, y: Float64) -> Float64:
    """Unit vectors (n, 3) of pixels of images; only so many at once that memory is that of the result."""
    out = np.empty((image.size, 3))
    for begin in range(0, image.size, _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        plane = place(mosaic, terms, image[rows], x[rows], y[rows]).plane
        out[rows] = to_sky(mosaic, mosaic.exposure[image[rows]], plane)[0]
    return out


def to_plane(direction: Float64, ra: float, dec: float) -> Complex:
    """Places ζ [degree] of unit vectors (n, 3) in the plane that touches the sky at a position; NaN beyond 90 degrees."""
    out, east, north = axes(np.array([ra]), np.array([dec]))
    depth = direction @ out[0]
    depth = np.where(depth > 0.0, depth, np.nan)
    return np.asarray(np.degrees(direction @ east[0] / depth) + 1j * np.degrees(direction @ north[0] / depth))
