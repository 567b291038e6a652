"""Small synthetic stars and angles on the sky for the tests of measurements."""

import numpy as np
import numpy.typing as npt
from astropy.coordinates import angular_separation

from spica.kernels.compiled import Float64

SIGMA = 1.0 / 2.3548200450309493


def gaussian_star(shape: tuple[int, int], x: float, y: float, flux: float, fwhm: float) -> Float64:
    """A round Gaussian sampled at pixel centres, 0-based position, of total flux `flux`."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    sigma = fwhm * SIGMA
    square = (columns - x) ** 2 + (rows - y) ** 2
    return np.asarray(flux / (2 * np.pi * sigma**2) * np.exp(-0.5 * square / sigma**2))


def separation(ra1: npt.ArrayLike, dec1: npt.ArrayLike, ra2: npt.ArrayLike, dec2: npt.ArrayLike) -> Float64:
    """Angle [degree] between positions [degree], as astropy has it."""
    return np.asarray(np.degrees(angular_separation(*(np.radians(value) for value in (ra1, dec1, ra2, dec2)))))
