"""Sky solutions of other forms, as places in the tangent plane: zenithal projections, ZPN, IRAF's TNX and ZPX.

References: Calabretta & Greisen 2002 (A&A 395, 1077), section 5.1; the TNX and ZPX conventions of the FITS registry (IRAF's
surface fits in the WATi_nnn cards).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.kernels.wcs_cards import linear_part
from spica.kernels.wcs_convert import PolynomialMap, composed, linear

Float64 = npt.NDArray[np.float64]

ZENITHAL = ("TAN", "STG", "ARC", "SIN", "ZEA", "ZPN", "TNX", "ZPX")
_ROUNDS = 60


@dataclass(frozen=True, eq=False)
class ZenithalWcs:
    """A zenithal solution.

    Attributes
    ----------
    code : the projection.
    crval : (2,) [degree]; crpix : (2,) 0-based; cd : (2, 2) [degree/pixel], rows towards east and north.
    radial : coefficients of the ZPN polynomial: R [radian] = Σ radial[m] θ^m, θ the distance from the pole [radian].
    bend : (2, n, n) polynomials that are added to both coordinates (TNX, ZPX), or (0, 0, 0).
    """

    code: str
    crval: Float64
    crpix: Float64
    cd: Float64
    radial: Float64
    bend: Float64

    def plane(self, x: Float64, y: Float64) -> tuple[Float64, Float64]:
        """Tangent-plane coordinates ξ, η [degree] of pixels; NaN 90 degrees or more from the pole."""
        u, v = x - self.crpix[0], y - self.crpix[1]
        xi, eta = (row[0] * u + row[1] * v for row in self.cd)
        if self.bend.size:
            add = [np.polynomial.polynomial.polyval2d(xi, eta, terms) for terms in self.bend]
            xi, eta = xi + add[0], eta + add[1]
        if self.code in {"TAN", "TNX"}:
            return xi, eta
        radius = np.radians(np.hypot(xi, eta))
        distance = self._distance(radius)
        with np.errstate(divide="ignore", invalid="ignore"):
            stretch = np.where(radius > 1e-12, np.tan(distance) / radius, 1.0 / self._slope())
        stretch = np.where(distance < np.pi / 2, stretch, np.nan)
        return xi * stretch, eta * stretch

    def _slope(self) -> float:
        """Derivative of R by the distance at the pole."""
        return float(self.radial[1]) if self.code in {"ZPN", "ZPX"} else 1.0

    def _distance(self, radius: Float64) -> Float64:
        """Distance from the pole [radian] of a radius in the plane [radian]."""
        if self.code == "STG":
            return np.asarray(2.0 * np.arctan(0.5 * radius))
        if self.code == "ARC":
            return radius
        with np.errstate(invalid="ignore"):
            if self.code == "SIN":
                return np.asarray(np.arcsin(radius))
            if self.code == "ZEA":
                return np.asarray(2.0 * np.arcsin(0.5 * radius))
        series = np.polynomial.Polynomial(self.radial)
        slope = np.polynomial.Polynomial(np.polynomial.polynomial.polyder(self.radial))
        distance = radius / self.radial[1]
        for _ in range(_ROUNDS):
            step = (series(distance) - radius) / slope(distance)
            distance = distance - step
            if np.abs(step).max(initial=0.0) < 1e-15:
                break
        return np.asarray(np.where(np.abs(series(distance) - radius) < 1e-10, distance, np.nan))

    def polynomial(self) -> PolynomialMap | None:
        """The map as a polynomial, exactly, where it is one (TNX)."""
        if self.code != "TNX":
            return None
        size = max(self.bend.shape[1], 2)
        rows = [linear(row) for row in self.cd]
        terms = np.zeros((2, size, size))
        for k in (0, 1):
            if self.bend.size:
                terms[k] = composed(self.bend[k], rows[0], rows[1], size)
            terms[k, :2, :2] += rows[k]
        return PolynomialMap(self.crval, self.crpix, terms)


def zenithal(cards: Mapping[str, object]) -> ZenithalWcs:
    """A zenithal solution from header cards.

    Raises
    ------
    ValueError
        For another projection, or values that make no sense.
    """
    code, crval, crpix, cd, order = linear_part(cards, ZENITHAL)
    radial = np.array([0.0, 1.0])
    bend = np.zeros((0, 0, 0))
    if code == "SIN" and any(cards.get(f"PV{order[1] + 1}_{k}") for k in (1, 2)):
        raise ValueError("a slant orthographic projection is not understood")
    if code in {"TNX", "ZPX"}:
        words = [_attributes(cards, axis + 1) for axis in order]
        bends = [_surface(each.get(name, "")) for each, name in zip(words, ("lngcor", "latcor"), strict=True)]
        size = max(each.shape[0] for each in bends)
        bend = np.stack([np.pad(each, (0, size - each.shape[0])) for each in bends])
        bend = bend if bend.any() else np.zeros((0, 0, 0))
        if code == "ZPX":
            radial = np.array([float(words[1].get(f"projp{m}", float(m == 1))) for m in range(10)])
    if code == "ZPN":
        axis = order[1] + 1
        radial = np.array([_number(cards.get(f"PV{axis}_{m}", cards.get(f"PROJP{m}", 0.0))) for m in range(21)])
        if radial[1] == 0.0:
            raise ValueError(f"ZPN without its linear term: PV{axis}_1 is not there, or 0")
    return ZenithalWcs(code, crval, crpix, cd, radial, bend)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - one error for any bad header
    return float(value)


def _attributes(cards: Mapping[str, object], axis: int) -> dict[str, str]:
    """Words of an axis in IRAF's WAT cards: ``name = value`` or ``name = "several values"``."""
    numbers = sorted(int(key[5:]) for key in cards if key.startswith(f"WAT{axis}_") and key[5:].isdigit())
    # Each card holds 68 characters; blanks at the end of one are lost on the way.
    text = "".join(str(cards[f"WAT{axis}_{number:03d}"]).ljust(68) for number in numbers)
    found: dict[str, str] = {}
    while "=" in text:
        head, _, rest = text.partition("=")
        rest = rest.lstrip()
        if rest.startswith('"'):
            value, _, text = rest[1:].partition('"')
        else:
            value, _, text = rest.partition(" ")
        found[head.split()[-1] if head.split() else ""] = value
    return found


def _surface(text: str) -> Float64:
    """IRAF's surface fit as plain coefficients: type, orders, cross terms, ranges, then the coefficients.

    Types 1, 2, 3 are Chebyshev, Legendre and plain polynomials; cross terms 0, 1, 2 none, all, half of them.
    """
    if not text.strip():
        return np.zeros((1, 1))
    values = [float(word) for word in text.replace("D", "E").split()]
    kind, nx, ny, cross = (round(value) for value in values[:4])
    (x0, x1), (y0, y1) = values[4:6], values[6:8]
    given = iter(values[8:])
    table = np.zeros((nx, ny))
    width = nx
    try:
        for q in range(ny):
            for p in range(nx if q == 0 else width):
                table[p, q] = next(given)
            if cross == 0:
                width = 1
            elif cross == 2 and q + 1 + nx + 1 > max(nx, ny) + 1:
                width -= 1
    except StopIteration:
        raise ValueError(f"a surface of {nx} by {ny} terms has only {len(values) - 8} coefficients") from None
    if kind not in {1, 2, 3} or x1 == x0 or y1 == y0:
        raise ValueError(f"a surface of type {kind} over ({x0}, {x1}), ({y0}, {y1}) is none of IRAF's")
    rows, columns = (_basis(kind, n) for n in (nx, ny))
    plain = rows.T @ table @ columns
    if kind == 3:
        return _squared(plain)
    size = nx + ny - 1
    x = np.array([[-(x1 + x0) / (x1 - x0), 0.0], [2.0 / (x1 - x0), 0.0]])
    y = np.array([[-(y1 + y0) / (y1 - y0), 2.0 / (y1 - y0)], [0.0, 0.0]])
    return composed(_squared(plain), x, y, size)


def _squared(table: Float64) -> Float64:
    size = sum(table.shape) - 1
    return np.pad(table, ((0, size - table.shape[0]), (0, size - table.shape[1])))


def _basis(kind: int, count: int) -> Float64:
    """Plain coefficients of the first functions of a kind, one a row."""
    rows = np.zeros((count, count))
    for k in range(count):
        unit = np.zeros(k + 1)
        unit[k] = 1.0
        convert = {1: np.polynomial.chebyshev.cheb2poly, 2: np.polynomial.legendre.leg2poly}.get(kind)
        plain = convert(unit) if convert else unit
        rows[k, : plain.size] = plain
    return rows
