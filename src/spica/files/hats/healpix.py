"""HEALPix cells (nested) of positions and of regions: the ground of the order in which rows lie."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

DEEPEST = 29
_FINE = 20
"""Regions are covered by cells no finer than this, 0.2 arcseconds wide."""
_PER_RADIUS = 4.0
"""Cells per radius of a region: finer ones touch fewer rows in vain and take longer to list."""
_CAP = 80.0
"""Declination beyond which a box is covered as a cap [degree]."""
CELL = math.sqrt(math.pi / 3)
"""Width of a cell of order 0 [radian]: the root of its area."""


def cells(ra: npt.ArrayLike, dec: npt.ArrayLike, order: int = DEEPEST) -> Int64:
    """The nested cell of each position [degree], ``(n,)`` int64."""
    lon, lat = _angles(ra, dec)
    return np.asarray(nested.lonlat_to_healpix(lon, lat, order, num_threads=1)).astype(np.int64)


def centres(pixels: Int64, order: int) -> tuple[Float64, Float64]:
    """Centres of cells, right ascension and declination [degree]."""
    lon, lat = nested.healpix_to_lonlat(pixels, order, num_threads=1)
    return np.asarray(lon.deg), np.asarray(lat.deg)


def edge(pixel: int, order: int, each: int = 8) -> tuple[Float64, Float64]:
    """Places around a cell [degree]: its corners, and more along each side, which is no great circle."""
    lon, lat = nested.vertices(np.array([pixel]), order, step=each, num_threads=1)
    return np.asarray(lon.deg).ravel(), np.asarray(lat.deg).ravel()


def area(order: int) -> float:
    """Area of a cell [square degree]."""
    return 4.0 * math.pi * math.degrees(1.0) ** 2 / (12.0 * 4.0**order)


def width(order: int) -> float:
    """Width of a cell, the root of its area [degree]."""
    return math.sqrt(area(order))


def order_of(size: float) -> int:
    """The coarsest order whose cells are no wider than a size [degree]."""
    return min(max(math.ceil(math.log2(math.degrees(CELL) / size)), 0), DEEPEST)


def cone_ranges(ra: float, dec: float, radius: float, order: int | None = None) -> tuple[Int64, Int64]:
    """Ranges [first, end) of cells of order 29 that together hold a cone [degree], rising and apart.

    They are those of the cells of an `order` that it touches; without one, of an order that suits its size.
    """
    lon, lat = _angles(ra, dec)
    found = nested.cone_search(lon, lat, radius * units.deg, depth=_depth(radius) if order is None else order)
    return _ranges(found[0], found[1])


def polygon_ranges(ra: Float64, dec: Float64, radius: float, order: int | None = None) -> tuple[Int64, Int64]:
    """The same for a polygon of great circles whose vertices [degree] lie within `radius` of its middle."""
    lon, lat = _angles(ra, dec)
    found = nested.polygon_search(lon, lat, depth=_depth(radius) if order is None else order)
    return _ranges(found[0], found[1])


def box_ranges(ra: tuple[float, float], dec: tuple[float, float], order: int | None = None) -> tuple[Int64, Int64]:
    """The same for a box between two right ascensions, from west to east over 0 too, and two declinations [degree]."""
    width = (ra[1] - ra[0]) % 360.0 or 360.0
    found: list[tuple[Int64, Int64]] = []
    south, north = dec
    # Zones lack cells about the poles (cdshealpix 0.9): caps stand for them.
    if south < -_CAP:
        found.append(cone_ranges(0.0, -90.0, min(north, -_CAP) + 90.0, order))
        south = -_CAP
    if north > _CAP:
        found.append(cone_ranges(0.0, 90.0, 90.0 - max(dec[0], _CAP), order))
        north = _CAP
    if south < north:
        nearest = min(max(0.0, south), north)
        narrow = min(width * math.cos(math.radians(nearest)), north - south) / 2
        depth = _depth(narrow) if order is None else order
        # Halves, for a zone all around the sky has no two edges.
        for low in (ra[0], ra[0] + width / 2):
            west, lower = _angles(low % 360.0, south)
            east, upper = _angles((low + width / 2) % 360.0, north)
            zone = nested.zone_search(west, lower, east, upper, depth=depth)
            found.append(_ranges(zone[0], zone[1]))
    return merged(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _angles(ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Any, Any]:
    return Longitude(ra, unit=units.deg), Latitude(dec, unit=units.deg)


def _depth(radius: float) -> int:
    wanted = math.log2(_PER_RADIUS * CELL / max(math.radians(radius), 1e-9))
    return int(min(max(math.ceil(wanted), 0), _FINE))


def _ranges(pixels: npt.NDArray[np.uint64], depths: npt.NDArray[np.uint8]) -> tuple[Int64, Int64]:
    shift = 2 * (DEEPEST - depths.astype(np.int64))
    return merged(pixels.astype(np.int64) << shift, (pixels.astype(np.int64) + 1) << shift)


def merged(first: Int64, end: Int64) -> tuple[Int64, Int64]:
    """Ranges [first, end) in any order as ranges that are rising and apart."""
    order = np.argsort(first, kind="stable")
    first, end = first[order], np.maximum.accumulate(end[order])
    if first.size == 0:
        return first, end
    fresh = np.concatenate(([True], first[1:] > end[:-1]))
    last = np.concatenate((fresh[1:], [True]))
    return first[fresh], end[last]
