"""Refraction of the air: how far the sky is lifted towards the zenith, by wavelength.

The index of refraction is that of Filippenko 1982 (PASP 94, 715), after Edlén 1953 and Barrell 1951; the law of the zenith
distance that of Stone 1996 (PASP 108, 1051), good to 0.1 % down to 70 degrees from the zenith.
"""

import erfa
import numpy as np

from spica.kernels.compiled import Float64

_RADIAN = 180.0 / np.pi * 3.6e6
"""Milliarcseconds."""
STEEPEST = 80.0
"""Zenith distance [degree] beyond which nothing is said."""


def index(wavelength: float, height: float, temperature: float = 7.0, vapour: float = 8.0) -> float:
    """Refractivity (n - 1) of the air.

    Parameters
    ----------
    wavelength : [nm]
    height : of the site [m], which tells the pressure.
    temperature : [Celsius]; `vapour` pressure of water [mm Hg].
    """
    pressure = 760.0 * np.exp(-height / 8150.0)
    wave = (1000.0 / wavelength) ** 2
    dry = 64.328 + 29498.1 / (146.0 - wave) + 255.4 / (41.0 - wave)
    warm = 1.0 + 0.003661 * temperature
    dry *= pressure * (1.0 + (1.049 - 0.0157 * temperature) * 1e-6 * pressure) / (720.883 * warm)
    return float(1e-6 * (dry - vapour * (0.0624 - 0.000680 * wave) / warm))


def lifted(refractivity: float, zenith: Float64, temperature: float = 7.0) -> Float64:
    """Refraction [mas] at zenith distances [radian]."""
    scale = 0.001254 * (273.15 + temperature) / 273.15
    steep = np.tan(zenith)
    first = refractivity * (1.0 - scale)
    return np.asarray(_RADIAN * (first * steep - refractivity * (scale - 0.5 * refractivity) * steep**3))


def zenith_of(mjd: Float64, longitude: float, latitude: float) -> Float64:
    """Unit vectors (n, 3) to the zenith of a site [degree] at times [MJD TAI], in the frame of the date: ICRS to 0.2 degrees."""
    day = np.asarray(mjd, np.float64) - 37.0 / 86400.0
    turn = erfa.gmst06(2400000.5, day, 2400000.5, day + 69.184 / 86400.0) + np.radians(longitude)
    high = np.radians(latitude)
    level = np.cos(high)
    return np.stack([level * np.cos(turn), level * np.sin(turn), np.full_like(turn, np.sin(high))], axis=-1)


def upwards(direction: Float64, zenith: Float64) -> tuple[Float64, Float64]:
    """Zenith distances [radian] of unit vectors (n, 3), and the unit vectors along the sphere towards the zenith (n, 3)."""
    cosine = np.clip(np.einsum("nk,nk->n", direction, zenith), -1.0, 1.0)
    along = zenith - cosine[:, None] * direction
    size = np.linalg.norm(along, axis=1)
    return np.arctan2(size, cosine), along / np.maximum(size, 1e-12)[:, None]
