"""Pairs on the sky, by astropy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord


class Pairs(NamedTuple):
    """Rows of the first and second list that are each other's nearest, and their distances [arcsec]."""

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray


def match(ra: np.ndarray, dec: np.ndarray, other_ra: np.ndarray, other_dec: np.ndarray, radius: float) -> Pairs:
    """Each other's nearest neighbours within a radius [arcsec]; positions in degrees."""
    if len(ra) == 0:
        return Pairs(np.empty(0, int), np.empty(0, int), np.empty(0))
    here, there = SkyCoord(ra * units.deg, dec * units.deg), SkyCoord(other_ra * units.deg, other_dec * units.deg)
    nearest, distance, _ = here.match_to_catalog_sky(there)
    back, _, _ = there.match_to_catalog_sky(here)
    mutual = (back[nearest] == np.arange(len(ra))) & (distance.arcsec < radius)
    return Pairs(np.flatnonzero(mutual), nearest[mutual], distance.arcsec[mutual])
