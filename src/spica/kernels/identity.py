"""Identifiers of objects by their place on the sky, the same for the same object from release to release."""

import numpy as np

from spica.kernels.compiled import Bools, Float64, Int64

ORDER = 24
"""Of the HEALPix cell, 0.0126″ wide."""
_MORE = 4
"""Bits for objects in one cell."""
_FULL = 1 << _MORE


def cells(ra: Float64, dec: Float64) -> Int64:
    """HEALPix cells (nested) of places [degree, ICRS]."""
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested

    if ra.size == 0:
        return np.zeros(0, np.int64)
    lon, lat = Longitude(ra, unit=units.deg), Latitude(dec, unit=units.deg)
    return np.asarray(nested.lonlat_to_healpix(lon, lat, ORDER, num_threads=1)).astype(np.int64)


def same_places(first: tuple[Float64, Float64], second: tuple[Float64, Float64], radius: float) -> tuple[Int64, Int64]:
    """Rows of two lists of places [degree] that are each other's nearest, within a radius [arcsec]."""
    from scipy.spatial import cKDTree

    if first[0].size == 0 or second[0].size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    here, there = _vectors(*first), _vectors(*second)
    chord = 2.0 * np.sin(0.5 * np.radians(radius / 3600.0))
    apart, nearest = cKDTree(there).query(here, distance_upper_bound=chord)
    _, back = cKDTree(here).query(there)
    rows = np.flatnonzero(np.isfinite(apart))
    mutual = rows[back[nearest[rows]] == rows]
    return mutual.astype(np.int64), nearest[mutual].astype(np.int64)


def _vectors(ra: Float64, dec: Float64) -> Float64:
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def identifiers(
    place: tuple[Float64, Float64], snr: Float64, before: tuple[Int64, Float64, Float64], radius: float
) -> tuple[Int64, Bools]:
    """An identifier for each object: that of the release before where it is the same, else by its cell.

    Of several in one cell the brightest has the lowest number; numbers that the release before has are not given again.

    Parameters
    ----------
    place : right ascension and declination [degree].
    snr : by which objects in one cell are ordered.
    before : identifiers and places of the release before.
    radius : objects that are each other's nearest within it are the same [arcsec].

    Returns
    -------
    identifiers : 60 bits at most.
    kept : whether it is that of the release before.
    """
    made = np.full(place[0].size, -1, np.int64)
    mine, theirs = same_places(place, (before[1], before[2]), radius)
    made[mine] = before[0][theirs]
    taken = set(before[0].tolist())
    first = cells(*place) << _MORE
    for row in np.argsort(-snr, kind="stable"):
        if made[row] >= 0:
            continue
        free = (n for n in range(int(first[row]), int(first[row]) + _FULL) if n not in taken)
        made[row] = next(free, -1)
        if made[row] < 0:
            raise ValueError(f"more than {_FULL} objects at {place[0][row]:.7f} {place[1][row]:+.7f}")
        taken.add(int(made[row]))
    kept = np.zeros(made.size, np.bool_)
    kept[mine] = True
    return made, kept
