"""Gnomonic world coordinates with polynomial distortion: pixels to sky and back.

Chain from pixel to sky: offset from the reference pixel, SIP polynomial, CD matrix, TPV polynomial, gnomonic
deprojection (Calabretta & Greisen 2002, A&A 395, 1077; Shupe et al. 2005, ASPC 347, 491; the TPV registration of
NOAO).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float64, Int64, as_plain, compiled, inner
from spica.kernels.tangent import deproject_one, pairs, project_one

PV_TERMS = 40
"""Coefficients per axis of the TPV polynomial, PVi_0 … PVi_39."""

TOLERANCE = 1e-7
"""The inversion stops when its step is below this [pixel]; its error is then below 1e-6 pixel."""

_STEPS = 30


def _tpv_powers() -> Int64:
    """Powers of x, y and r of every TPV term: by degree, x falling; after each odd degree that of r (x only for 1)."""
    powers = []
    for degree in range(8):
        powers += [(degree - k, k, 0) for k in range(degree + 1)]
        if degree % 2 == 1:
            powers.append((0, 0, degree))
    return np.array(powers, dtype=np.int64)


_TPV = _tpv_powers()


@dataclass(frozen=True)
class TangentWcs:
    """Parameters of a gnomonic projection, all float64.

    Attributes
    ----------
    crval : (2,) array [degree]
        Right ascension and declination of the tangent point.
    crpix : (2,) array [pixel]
        Reference pixel x, y, 0-based (one less than in the header).
    cd : (2, 2) array [degree/pixel]
        Rows: ξ, η; columns: x, y.
    pv : (2, 40) or (0, 0) array
        TPV coefficients in degrees, or none.
    sip_a, sip_b : (n, n) or (0, 0) arrays
        SIP coefficients A_p_q at [p, q], or none.
    """

    crval: Float64
    crpix: Float64
    cd: Float64
    pv: Float64
    sip_a: Float64
    sip_b: Float64


class _Arrays(NamedTuple):
    crval: Float64
    crpix: Float64
    cd: Float64
    pv: Float64
    sip_a: Float64
    sip_b: Float64


def tangent_wcs(
    crval: npt.ArrayLike,
    crpix: npt.ArrayLike,
    cd: npt.ArrayLike,
    *,
    pv: npt.ArrayLike | None = None,
    sip_a: npt.ArrayLike | None = None,
    sip_b: npt.ArrayLike | None = None,
) -> TangentWcs:
    """Check parameters and put them together; see `TangentWcs` for their shapes and units.

    A `pv` of fewer than 40 columns is filled with zeros. PVi_1 is 1 in a header that does not give it: the caller
    has to say so.
    """
    shapes = {"crval": (2,), "crpix": (2,), "cd": (2, 2)}
    given = {"crval": crval, "crpix": crpix, "cd": cd}
    arrays = {name: np.array(value, dtype=np.float64) for name, value in given.items()}
    for name, array in arrays.items():
        if array.shape != shapes[name] or not np.isfinite(array).all():
            raise ValueError(f"{name} of shape {array.shape} is not finite and {shapes[name]}: {array.tolist()}")
    if np.linalg.det(arrays["cd"]) == 0.0:
        raise ValueError(f"the CD matrix {arrays['cd'].tolist()} is singular")
    terms = np.zeros((0, 0))
    if pv is not None:
        some = np.array(pv, dtype=np.float64)
        if some.ndim != 2 or some.shape[0] != 2 or some.shape[1] > PV_TERMS:
            raise ValueError(f"pv of shape {some.shape} is not (2, up to {PV_TERMS})")
        terms = np.zeros((2, PV_TERMS))
        terms[:, : some.shape[1]] = some
    a, b = (np.zeros((0, 0)) if sip is None else np.array(sip, dtype=np.float64) for sip in (sip_a, sip_b))
    if a.shape != b.shape or a.shape[0] != a.shape[1]:
        raise ValueError(f"SIP polynomials of shapes {a.shape} and {b.shape} are not square and alike")
    return TangentWcs(arrays["crval"], arrays["crpix"], arrays["cd"], terms, a, b)


@inner
def _powers(value: float, out: Float64) -> None:
    out[0] = 1.0
    for k in range(1, out.size):
        out[k] = out[k - 1] * value


@inner
def _sip(a: Float64, px: Float64, py: Float64) -> tuple[float, float, float]:
    """Polynomial and its derivatives along both axes, from the powers of u and v."""
    value = 0.0
    along_u = 0.0
    along_v = 0.0
    for p in range(a.shape[0]):
        for q in range(a.shape[0] - p):
            c = a[p, q]
            if c != 0.0:
                value += c * px[p] * py[q]
                if p > 0:
                    along_u += c * p * px[p - 1] * py[q]
                if q > 0:
                    along_v += c * q * px[p] * py[q - 1]
    return value, along_u, along_v


@inner
def _tpv(pv: Float64, px: Float64, py: Float64, pr: Float64) -> tuple[float, float, float]:
    """Polynomial and its derivatives along its own two axes, from the powers of both and of the radius."""
    value = 0.0
    along_x = 0.0
    along_y = 0.0
    for k in range(pv.size):
        c = pv[k]
        if c == 0.0:
            continue
        p, q, s = _TPV[k]
        if s > 0:
            value += c * pr[s]
            if pr[1] > 0.0:
                along_x += c * s * pr[s - 1] * px[1] / pr[1]
                along_y += c * s * pr[s - 1] * py[1] / pr[1]
            continue
        value += c * px[p] * py[q]
        if p > 0:
            along_x += c * p * px[p - 1] * py[q]
        if q > 0:
            along_y += c * q * px[p] * py[q - 1]
    return value, along_x, along_y


@inner
def _to_plane(x: float, y: float, w: _Arrays, powers: Float64, out: Float64) -> None:
    """Write ξ, η [degree] of a pixel and ∂ξ/∂x, ∂ξ/∂y, ∂η/∂x, ∂η/∂y."""
    u = x - w.crpix[0]
    v = y - w.crpix[1]
    uu = vv = 1.0
    uv = vu = 0.0
    f = u
    g = v
    if w.sip_a.size > 0:
        _powers(u, powers[0])
        _powers(v, powers[1])
        value, along_u, along_v = _sip(w.sip_a, powers[0], powers[1])
        f += value
        uu += along_u
        uv = along_v
        value, along_u, along_v = _sip(w.sip_b, powers[0], powers[1])
        g += value
        vu = along_u
        vv += along_v
    for k in range(2):
        out[k] = w.cd[k, 0] * f + w.cd[k, 1] * g
        out[2 + 2 * k] = w.cd[k, 0] * uu + w.cd[k, 1] * vu
        out[3 + 2 * k] = w.cd[k, 0] * uv + w.cd[k, 1] * vv
    if w.pv.size > 0:
        a, b, c, d = out[2], out[3], out[4], out[5]
        _powers(out[0], powers[0])
        _powers(out[1], powers[1])
        _powers(np.sqrt(out[0] * out[0] + out[1] * out[1]), powers[2])
        out[0], xx, xy = _tpv(w.pv[0], powers[0], powers[1], powers[2])
        # The second axis has the roles of x and y exchanged.
        out[1], yy, yx = _tpv(w.pv[1], powers[1], powers[0], powers[2])
        out[2] = xx * a + xy * c
        out[3] = xx * b + xy * d
        out[4] = yx * a + yy * c
        out[5] = yx * b + yy * d


@inner
def _scratch(w: _Arrays) -> Float64:
    return np.empty((3, max(8, w.sip_a.shape[0])))


@compiled
def _pixels_to_plane(x: Float64, y: Float64, w: _Arrays, xi: Float64, eta: Float64) -> None:
    powers = _scratch(w)
    out = np.empty(6)
    for k in range(x.size):
        _to_plane(x[k], y[k], w, powers, out)
        xi[k] = out[0]
        eta[k] = out[1]


@compiled
def _pixels_to_sky(x: Float64, y: Float64, w: _Arrays, ra: Float64, dec: Float64) -> None:
    powers = _scratch(w)
    out = np.empty(6)
    for k in range(x.size):
        _to_plane(x[k], y[k], w, powers, out)
        ra[k], dec[k] = deproject_one(out[0], out[1], w.crval[0], w.crval[1])


@inner
def _invert(xi: float, eta: float, w: _Arrays, powers: Float64, out: Float64) -> tuple[float, float]:
    """Pixel of a point of the tangent plane, by Newton's method from the linear solution."""
    a, b, c, d = w.cd[0, 0], w.cd[0, 1], w.cd[1, 0], w.cd[1, 1]
    determinant = a * d - b * c
    x = w.crpix[0] + (d * xi - b * eta) / determinant
    y = w.crpix[1] + (a * eta - c * xi) / determinant
    if w.sip_a.size == 0 and w.pv.size == 0:
        return x, y
    for _ in range(_STEPS):
        _to_plane(x, y, w, powers, out)
        determinant = out[2] * out[5] - out[3] * out[4]
        dx = (out[5] * (xi - out[0]) - out[3] * (eta - out[1])) / determinant
        dy = (out[2] * (eta - out[1]) - out[4] * (xi - out[0])) / determinant
        x += dx
        y += dy
        if abs(dx) + abs(dy) < TOLERANCE:
            return x, y
    return np.nan, np.nan


@compiled
def _sky_to_pixels(ra: Float64, dec: Float64, w: _Arrays, x: Float64, y: Float64) -> None:
    powers = _scratch(w)
    out = np.empty(6)
    for k in range(ra.size):
        xi, eta = project_one(ra[k], dec[k], w.crval[0], w.crval[1])
        x[k], y[k] = _invert(xi, eta, w, powers, out)


def _arrays(wcs: TangentWcs) -> _Arrays:
    parts = (wcs.crval, wcs.crpix, wcs.cd, wcs.pv, wcs.sip_a, wcs.sip_b)
    return _Arrays(*(as_plain(part, np.float64) for part in parts))


def pixel_to_sky(wcs: TangentWcs, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Right ascension in [0, 360) and declination [degree] of pixels (0-based), in the shape of the input."""
    shape, xs, ys, ra, dec = pairs(x, y)
    _pixels_to_sky(xs, ys, _arrays(wcs), ra, dec)
    return ra.reshape(shape), dec.reshape(shape)


def sky_to_pixel(wcs: TangentWcs, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Pixels (0-based) of sky positions [degree], in the shape of the input.

    The distortion is inverted by Newton's method to within 1e-6 pixel. NaN where the position lies 90 degrees or more
    from the tangent point or the inversion does not converge; far outside of the image, where a polynomial folds
    over, another pixel that maps to the same position may be found.
    """
    shape, ras, decs, x, y = pairs(ra, dec)
    _sky_to_pixels(ras, decs, _arrays(wcs), x, y)
    return x.reshape(shape), y.reshape(shape)


def pixel_to_plane(wcs: TangentWcs, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Tangent-plane coordinates ξ (east), η (north) [degree] of pixels (0-based), distortion included."""
    shape, xs, ys, xi, eta = pairs(x, y)
    _pixels_to_plane(xs, ys, _arrays(wcs), xi, eta)
    return xi.reshape(shape), eta.reshape(shape)


def outline(wcs: TangentWcs, size: tuple[int, int]) -> dict[str, list[float]]:
    """Vertices about all pixels of an image; the middles of the sides too, for distortion bends them."""
    right, top = size[0] - 0.5, size[1] - 0.5
    middle, high = 0.5 * (size[0] - 1.0), 0.5 * (size[1] - 1.0)
    x = np.array([-0.5, middle, right, right, right, middle, -0.5, -0.5])
    y = np.array([-0.5, -0.5, -0.5, high, top, top, top, high])
    ra, dec = pixel_to_sky(wcs, x, y)
    return {"ra": np.asarray(ra, np.float64).tolist(), "dec": np.asarray(dec, np.float64).tolist()}
