"""Where a position stands in the sky of a site: altitude and airmass, without any download.

Good to about 0.01 degree, for checks and for headers that lack an airmass; nothing is measured with it. Sidereal time
is IAU 1982 (Aoki et al. 1982) with UTC taken for UT1, precession IAU 1976 (Lieske et al. 1977), no nutation,
aberration or refraction.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from spica.core.camera import Site

_J2000 = 51544.5
_CENTURY = 36525.0


def altitude(site: Site, mjd_utc: float, ra: float, dec: float) -> float:
    """Altitude above the horizon, degrees, of an ICRS position (degrees) at a time."""
    x, y, z = map(float, _precession(mjd_utc) @ _unit(ra, dec))
    hour_angle = math.radians(sidereal_time(mjd_utc) + site.longitude) - math.atan2(y, x)
    latitude = math.radians(site.latitude)
    sine = math.sin(latitude) * z + math.cos(latitude) * math.hypot(x, y) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))


def airmass(altitude_degrees: float) -> float:
    """Airmass at a true altitude above the horizon in degrees (Kasten & Young 1989, Applied Optics 28, 4735)."""
    sine = math.sin(math.radians(altitude_degrees))
    return max(1.0, 1.0 / (sine + 0.50572 * math.pow(altitude_degrees + 6.07995, -1.6364)))


def sidereal_time(mjd_utc: float) -> float:
    """Greenwich mean sidereal time, degrees."""
    days = mjd_utc - _J2000
    t = days / _CENTURY
    return (280.46061837 + 360.98564736629 * days + 3.87933e-4 * t * t) % 360.0


def _unit(ra: float, dec: float) -> npt.NDArray[np.float64]:
    a, d = math.radians(ra), math.radians(dec)
    return np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])


def _precession(mjd: float) -> npt.NDArray[np.float64]:
    """Rotation from J2000 to the mean equator and equinox of date, ``(3, 3)``."""
    t = (mjd - _J2000) / _CENTURY
    zeta = math.radians((2306.2181 * t + 0.30188 * t**2) / 3600)
    z = math.radians((2306.2181 * t + 1.09468 * t**2) / 3600)
    theta = math.radians((2004.3109 * t - 0.42665 * t**2) / 3600)
    return _about_z(-z) @ _about_y(theta) @ _about_z(-zeta)


def _about_z(angle: float) -> npt.NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def _about_y(angle: float) -> npt.NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
