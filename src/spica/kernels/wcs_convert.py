"""One sky solution in the form of another: TAN, SIP and TPV by polynomial algebra, anything by a fit with its residual.

The pivot is a polynomial map: tangent-plane coordinates ξ, η as polynomials of the offset from the reference pixel. SIP
(Shupe et al. 2005, ASPC 347, 491), TPV without terms of the radius, and IRAF's TNX are such maps exactly; what is no
gnomonic polynomial (ZPN, other zenithal projections) is fitted by one.
"""

from dataclasses import dataclass, replace
from math import comb

import numpy as np
import numpy.typing as npt

from spica.kernels.wcs import PV_TERMS, TangentWcs, pixel_to_plane, tangent_wcs

Float64 = npt.NDArray[np.float64]

HIGHEST = 7
"""Degree of the TPV polynomial."""
_ROUNDS = 30


@dataclass(frozen=True, eq=False)
class PolynomialMap:
    """Pixels to a tangent plane: ξ, η [degree] = Σ terms[k, p, q] u^p v^q, (u, v) = pixel - crpix.

    Attributes
    ----------
    crval : (2,) tangent point [degree].
    crpix : (2,) reference pixel, 0-based.
    terms : (2, n, n) coefficients, 0 where p + q is n or more.
    """

    crval: Float64
    crpix: Float64
    terms: Float64

    @property
    def degree(self) -> int:
        """The highest power that occurs."""
        p, q = np.nonzero(self.terms.any(axis=0))
        return int((p + q).max()) if p.size else 0

    def plane(self, x: Float64, y: Float64) -> tuple[Float64, Float64]:
        """Tangent-plane coordinates [degree] of pixels."""
        u, v = x - self.crpix[0], y - self.crpix[1]
        xi, eta = (np.polynomial.polynomial.polyval2d(u, v, terms) for terms in self.terms)
        return np.asarray(xi), np.asarray(eta)


def tpv_powers() -> list[tuple[int, int, int]]:
    """Powers of x, y and r of every TPV term of the first axis."""
    powers: list[tuple[int, int, int]] = []
    for degree in range(HIGHEST + 1):
        powers += [(degree - k, k, 0) for k in range(degree + 1)]
        if degree % 2 == 1:
            powers.append((0, 0, degree))
    return powers


_POWERS = tpv_powers()


def product(one: Float64, other: Float64) -> Float64:
    """Product of two polynomials of two variables, cut at the size of the first."""
    size = one.shape[0]
    result = np.zeros_like(one)
    for p, q in np.argwhere(one):
        a, b = min(other.shape[0], size - p), min(other.shape[1], size - q)
        result[p : p + a, q : q + b] += one[p, q] * other[:a, :b]
    return result


def composed(outer: Float64, first: Float64, second: Float64, size: int) -> Float64:
    """The polynomial outer(first(u, v), second(u, v)), as coefficients ``(size, size)``."""
    powers = []
    for inner in (first, second):
        padded = np.zeros((size, size))
        padded[: inner.shape[0], : inner.shape[1]] = inner
        row = [np.zeros((size, size))]
        row[0][0, 0] = 1.0
        for _ in range(outer.shape[0] - 1):
            row.append(product(row[-1], padded))
        powers.append(row)
    result = np.zeros((size, size))
    for p, q in np.argwhere(outer):
        result += outer[p, q] * product(powers[0][p], powers[1][q])
    return result


def linear(matrix_row: Float64) -> Float64:
    """The polynomial a u + b v."""
    return np.array([[0.0, matrix_row[1]], [matrix_row[0], 0.0]])


def polynomial_of(wcs: TangentWcs) -> PolynomialMap | None:
    """The solution as a polynomial map, exactly; None where TPV terms of the radius make it none."""
    if wcs.pv.size and any(wcs.pv[:, k].any() for k, (_, _, r) in enumerate(_POWERS) if r):
        return None
    order = max(wcs.sip_a.shape[0] - 1, 1)
    high = HIGHEST if wcs.pv.size else 1
    if wcs.pv.size:
        used = [p + q for k, (p, q, _) in enumerate(_POWERS) if wcs.pv[:, k].any()]
        high = max(used, default=1)
    size = order * max(high, 1) + 1
    pixel = []
    for own, sip in ((np.array([1.0, 0.0]), wcs.sip_a), (np.array([0.0, 1.0]), wcs.sip_b)):
        offset = np.zeros((size, size))
        offset[:2, :2] = linear(own)
        offset[: sip.shape[0], : sip.shape[1]] += sip
        pixel.append(offset)
    plane = [row[0] * pixel[0] + row[1] * pixel[1] for row in wcs.cd]
    if wcs.pv.size:
        plane = [
            composed(_as_polynomial(wcs.pv[0], high), plane[0], plane[1], size),
            composed(_as_polynomial(wcs.pv[1], high), plane[1], plane[0], size),
        ]
    return PolynomialMap(wcs.crval, wcs.crpix, np.stack(plane))


def _as_polynomial(pv: Float64, degree: int) -> Float64:
    terms = np.zeros((degree + 1, degree + 1))
    for k, (p, q, r) in enumerate(_POWERS):
        if not r and p + q <= degree:
            terms[p, q] = pv[k]
    return terms


def to_tpv(one: PolynomialMap) -> TangentWcs:
    """The map as TPV, exactly.

    Raises
    ------
    ValueError
        Its degree is above 7.
    """
    if one.degree > HIGHEST:
        raise ValueError(f"a polynomial of degree {one.degree} is no TPV, whose degree is {HIGHEST} at most")
    cd = np.stack([one.terms[:, 1, 0], one.terms[:, 0, 1]], axis=1)
    inverse = np.linalg.inv(cd)
    size = one.degree + 1
    terms = one.terms[:, :size, :size]
    # (u, v) = CD⁻¹ (x, y); the second axis has the roles of x and y exchanged.
    along = composed(terms[0], linear(inverse[0]), linear(inverse[1]), size)
    across = composed(terms[1], linear(inverse[0]), linear(inverse[1]), size).T
    pv = np.zeros((2, PV_TERMS))
    for axis, poly in enumerate((along, across)):
        for k, (p, q, r) in enumerate(_POWERS):
            if not r and p < size and q < size:
                pv[axis, k] = poly[p, q]
    return tangent_wcs(one.crval, one.crpix, cd, pv=pv)


def laid(wcs: TangentWcs, turn: complex, offset: complex, *, mirrored: bool = False) -> TangentWcs:
    """The solution of an image whose pixels z = x + iy lie at turn z + offset (turn z̄ + offset) of one that `wcs` is of.

    Raises
    ------
    ValueError
        A SIP solution of a degree above 7.
    """
    if wcs.sip_a.size and (polynomial := polynomial_of(wcs)) is not None:
        wcs = to_tpv(polynomial)
    sign = -1.0 if mirrored else 1.0
    matrix = np.array([[turn.real, -sign * turn.imag], [turn.imag, sign * turn.real]])
    crpix = np.linalg.solve(matrix, wcs.crpix - np.array([offset.real, offset.imag]))
    return replace(wcs, crpix=crpix, cd=wcs.cd @ matrix)


def to_sip(one: PolynomialMap) -> TangentWcs:
    """The map as TAN-SIP, exactly: the reference pixel moves to where the map is 0, so that no term is below degree 2."""
    moved = shifted(one, _root(one))
    cd = np.stack([moved.terms[:, 1, 0], moved.terms[:, 0, 1]], axis=1)
    size = moved.degree + 1
    if size <= 2:
        return tangent_wcs(moved.crval, moved.crpix, cd)
    sip = np.einsum("ij,jpq->ipq", np.linalg.inv(cd), moved.terms[:, :size, :size])
    sip[:, 0, 0] = sip[:, 1, 0] = sip[:, 0, 1] = 0.0
    return tangent_wcs(moved.crval, moved.crpix, cd, sip_a=sip[0], sip_b=sip[1])


def _root(one: PolynomialMap) -> Float64:
    """The offset (u, v) at which ξ and η are 0, by Newton's method."""
    at = np.zeros(2)
    for _ in range(_ROUNDS):
        near = shifted(one, at).terms
        step = np.linalg.solve(np.stack([near[:, 1, 0], near[:, 0, 1]], axis=1), near[:, 0, 0])
        at = at - step
        if np.abs(step).max() < 1e-11 * max(1.0, float(np.abs(at).max())):
            return at
    raise ValueError("the polynomial has no point that is the tangent point")


def shifted(one: PolynomialMap, by: Float64) -> PolynomialMap:
    """The same map with its reference pixel moved (a Taylor series, exact)."""
    size = one.terms.shape[1]
    u, v = (
        np.array([[comb(p, k) * b ** (p - k) if k <= p else 0.0 for k in range(size)] for p in range(size)]) for b in by
    )
    terms = np.einsum("apq,pk,ql->akl", one.terms, u, v)
    return PolynomialMap(one.crval, one.crpix + by, terms)


def fitted_map(
    crval: Float64, crpix: Float64, x: Float64, y: Float64, plane: tuple[Float64, Float64], degree: int
) -> PolynomialMap:
    """The polynomial map of a degree nearest to given tangent-plane coordinates [degree] of pixels."""
    u, v = x - crpix[0], y - crpix[1]
    unit = max(float(np.abs(u).max()), float(np.abs(v).max()), 1.0)
    powers = [(p, q) for p in range(degree + 1) for q in range(degree + 1 - p)]
    design = np.stack([(u / unit) ** p * (v / unit) ** q for p, q in powers], axis=1)
    found = np.linalg.lstsq(design, np.stack(plane, axis=1), rcond=None)[0]
    terms = np.zeros((2, degree + 1, degree + 1))
    for (p, q), pair in zip(powers, found, strict=True):
        terms[:, p, q] = pair / unit ** (p + q)
    return PolynomialMap(np.asarray(crval, np.float64), np.asarray(crpix, np.float64), terms)


def residual(wcs: TangentWcs, x: Float64, y: Float64, plane: tuple[Float64, Float64]) -> float:
    """Largest distance in the tangent plane [degree] of a solution from given coordinates of pixels."""
    xi, eta = pixel_to_plane(wcs, x, y)
    return float(np.hypot(xi - plane[0], eta - plane[1]).max())
