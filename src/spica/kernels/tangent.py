"""Tangent planes of the sphere (Calabretta & Greisen 2002, A&A 395, 1077)."""

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float64, as_plain, compiled, inner


@inner
def deproject_one(xi: float, eta: float, ra0: float, dec0: float) -> tuple[float, float]:
    """Sky position [degree] of a point of the tangent plane [degree]."""
    x = np.radians(xi)
    y = np.radians(eta)
    sine = np.sin(np.radians(dec0))
    cosine = np.cos(np.radians(dec0))
    depth = cosine - y * sine
    ra = (ra0 + np.degrees(np.arctan2(x, depth))) % 360.0
    return ra, np.degrees(np.arctan2(sine + y * cosine, np.sqrt(x * x + depth * depth)))


@inner
def project_one(ra: float, dec: float, ra0: float, dec0: float) -> tuple[float, float]:
    """Point of the tangent plane [degree] of a sky position [degree]; NaN beyond 90 degrees."""
    turn = np.radians(ra - ra0)
    high = np.radians(dec)
    sine = np.sin(np.radians(dec0))
    cosine = np.cos(np.radians(dec0))
    depth = sine * np.sin(high) + cosine * np.cos(high) * np.cos(turn)
    if not depth > 0.0:
        return np.nan, np.nan
    half = np.sin(0.5 * turn)
    # sin(dec - dec0) + … keeps the digits that sin cos - cos sin would lose near the tangent point.
    up = np.sin(np.radians(dec - dec0)) + 2.0 * sine * np.cos(high) * half * half
    return np.degrees(np.cos(high) * np.sin(turn) / depth), np.degrees(up / depth)


@compiled
def _project_all(ra: Float64, dec: Float64, ra0: float, dec0: float, xi: Float64, eta: Float64) -> None:
    for k in range(ra.size):
        xi[k], eta[k] = project_one(ra[k], dec[k], ra0, dec0)


@compiled
def _deproject_all(xi: Float64, eta: Float64, ra0: float, dec0: float, ra: Float64, dec: Float64) -> None:
    for k in range(xi.size):
        ra[k], dec[k] = deproject_one(xi[k], eta[k], ra0, dec0)


def pairs(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[tuple[int, ...], Float64, Float64, Float64, Float64]:
    """Common shape of two coordinates, both as flat float64, and two empty arrays for the result."""
    one, two = np.broadcast_arrays(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    flat = [as_plain(value.reshape(-1), np.float64) for value in (one, two)]
    return one.shape, flat[0], flat[1], np.empty(one.size), np.empty(one.size)


def tangent_project(ra: npt.ArrayLike, dec: npt.ArrayLike, ra0: float, dec0: float) -> tuple[Float64, Float64]:
    """Gnomonic coordinates ξ, η [degree] about (ra0, dec0) of positions [degree]; NaN beyond 90 degrees."""
    shape, ras, decs, xi, eta = pairs(ra, dec)
    _project_all(ras, decs, float(ra0), float(dec0), xi, eta)
    return xi.reshape(shape), eta.reshape(shape)


def tangent_deproject(xi: npt.ArrayLike, eta: npt.ArrayLike, ra0: float, dec0: float) -> tuple[Float64, Float64]:
    """Positions [degree] of gnomonic coordinates ξ, η [degree] about (ra0, dec0)."""
    shape, xis, etas, ra, dec = pairs(xi, eta)
    _deproject_all(xis, etas, float(ra0), float(dec0), ra, dec)
    return ra.reshape(shape), dec.reshape(shape)
