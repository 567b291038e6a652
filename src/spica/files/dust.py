"""Maps of Galactic dust as FITS: E(B-V) of Schlegel, Finkbeiner & Davis 1998 (ApJ 500, 525), one map for each Galactic hemisphere.

The two files are those of the map's makers, ``SFD_dust_4096_ngp.fits`` and ``SFD_dust_4096_sgp.fits`` (or of 1024 pixels), in the folder ``dust`` of
the survey's reference catalogues. They are equal-area about a pole; headers say so by LAM_NSGP and LAM_SCAL, or as a WCS (GLON-ZEA).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.tiles import vectors
from spica.files import checksums

FOLDER = "dust"
NORTH, SOUTH = "SFD_dust_*_ngp.fits", "SFD_dust_*_sgp.fits"
Floats = npt.NDArray[np.float64]
_GALACTIC = np.array(
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [0.4941094279, -0.4448296300, 0.7469822445],
        [-0.8676661490, -0.1980763734, 0.4559837762],
    ]
)
"""Axes of the Galactic system in ICRS (The Hipparcos and Tycho Catalogues, 1997, vol. 1, section 1.5.3)."""


@dataclass(frozen=True)
class DustMap:
    """The map of a folder: its two files, and what tells it from others."""

    north: Path
    south: Path
    checksum: str

    def reddening(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> Floats:
        """E(B-V) [mag] at places (n,) [degree, ICRS], between the four nearest pixels.

        Raises
        ------
        DataFault
            ``file.not-fits`` for a file that is no such map.
        """
        place = vectors(ra, dec) @ _GALACTIC.T
        made = np.full(len(place), np.nan)
        for path, here in ((self.north, place[:, 2] >= 0.0), (self.south, place[:, 2] < 0.0)):
            if here.any():
                made[here] = _read(path, place[here])
        return made


def installed(references: Path) -> DustMap | None:
    """The map beside the reference catalogues; None where there is none, or a half of one."""
    halves = [sorted((references / FOLDER).glob(name)) for name in (NORTH, SOUTH)]
    if not all(halves):
        return None
    # The finer of two: 4096 comes after 1024 by its number, not by its name.
    north, south = (max(found, key=lambda path: path.stat().st_size) for found in halves)
    return DustMap(north, south, f"{checksums.of_file(north)[:20]}{checksums.of_file(south)[:20]}")


def _read(path: Path, place: Floats) -> Floats:
    """The map at unit vectors in the Galactic system."""
    from astropy.io import fits
    from scipy.ndimage import map_coordinates

    try:
        with fits.open(path) as hdus:
            pixels, header = np.asarray(hdus[0].data, np.float64), dict(hdus[0].header)
        x, y = pixels_of(header, place)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataFault("file.not-fits", f"{path} is no map of dust: {error}", path=str(path)) from error
    return np.asarray(map_coordinates(pixels, [y, x], order=1, mode="nearest"), np.float64)


def pixels_of(header: Mapping[str, Any], place: Floats) -> tuple[Floats, Floats]:
    """Pixels (from 0) of unit vectors in the Galactic system, by the cards of the map's makers or by its WCS."""
    if "LAM_NSGP" in header:
        pole, scale = float(header["LAM_NSGP"]), float(header["LAM_SCAL"])
        # From the pole: √(1 - |sin b|) grows evenly with area.
        level = np.hypot(place[:, 0], place[:, 1])
        with np.errstate(invalid="ignore", divide="ignore"):
            away = np.where(level > 0, np.sqrt(np.maximum(1.0 - pole * place[:, 2], 0.0)) / level, 0.0)
        return (
            scale * away * place[:, 0] + float(header["CRPIX1"]) - 1.0,
            -pole * scale * away * place[:, 1] + float(header["CRPIX2"]) - 1.0,
        )
    from astropy.wcs import WCS

    longitude = np.degrees(np.arctan2(place[:, 1], place[:, 0]))
    latitude = np.degrees(np.arctan2(place[:, 2], np.hypot(place[:, 0], place[:, 1])))
    x, y = WCS(header).all_world2pix(longitude, latitude, 0)
    return np.asarray(x, np.float64), np.asarray(y, np.float64)
