"""Tiles of sky: the images that stacks are made on, and which of several that overlap owns a place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.records import Scalar

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Tile:
    """An image of the sky that is to be made.

    Attributes
    ----------
    name : unique among the tiles of a release; part of the unit's name, so without ``/``.
    nx, ny : size [pixel].
    cards : header cards of its sky solution (FITS, 1-based).
    outline : right ascensions and declinations [degree, ICRS] of vertices around its pixels.
    owner : conditions that together say which places are its own and no other tile's. Each is a mapping with a `kind`:
        ``box`` (`ra`, `dec`: from, to [degree]; the ranges of right ascension may cross 0; the lower edge belongs to it,
        the upper one only at the pole), ``cell`` (`order`, `pixel`: HEALPix, nested), ``nearest`` (`here`: the middle
        [degree], `others`: middles of other tiles and whether they go first where two are as near). None: all places.
    only : names of the exposures that it is made of, where it is not all that overlap with it.
    """

    name: str
    nx: int
    ny: int
    cards: Mapping[str, Scalar]
    outline: tuple[tuple[float, ...], tuple[float, ...]]
    owner: tuple[Mapping[str, Any], ...] = ()
    only: tuple[str, ...] = field(default=())

    def owns(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> Bools:
        """Whether places (n,) [degree] are this tile's own: each place is that of one tile of a release."""
        east, north = np.asarray(ra, np.float64) % 360.0, np.asarray(dec, np.float64)
        own = np.ones(np.broadcast_shapes(east.shape, north.shape), np.bool_)
        for condition in self.owner:
            own &= _HOLDS[condition["kind"]](condition, east, north)
        return own

    def plain(self) -> dict[str, Any]:
        """JSON-able description: what decides the stack's bytes, and the key of its job."""
        return {
            "name": self.name,
            "size": [self.nx, self.ny],
            "cards": dict(self.cards),
            "owner": [dict(each) for each in self.owner],
            "only": list(self.only),
        }


def _in_box(box: Mapping[str, Any], ra: Floats, dec: Floats) -> Bools:
    (low, high), (south, north) = box["ra"], box["dec"]
    width = (high - low) % 360.0 or 360.0
    across = (ra - low) % 360.0 < width
    return np.asarray(across & (dec >= south) & ((dec < north) | (north >= 90.0)), np.bool_)


def _in_cell(cell: Mapping[str, Any], ra: Floats, dec: Floats) -> Bools:
    # Few tilings are of cells, and both take long to load.
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested

    lon, lat = Longitude(np.atleast_1d(ra), unit=units.deg), Latitude(np.atleast_1d(dec), unit=units.deg)
    found = np.asarray(nested.lonlat_to_healpix(lon, lat, cell["order"], num_threads=1))
    return np.asarray(found == np.uint64(cell["pixel"]), np.bool_).reshape(np.shape(ra))


def _is_nearest(near: Mapping[str, Any], ra: Floats, dec: Floats) -> Bools:
    place = vectors(ra, dec)
    here = place @ vectors(*near["here"])
    own = np.ones(here.shape, np.bool_)
    for other_ra, other_dec, first in near["others"]:
        there = place @ vectors(other_ra, other_dec)
        own &= here > there if first else here >= there
    return own


def vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Floats:
    """Unit vectors (…, 3) of places [degree]."""
    lon, lat = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)


_HOLDS = {"box": _in_box, "cell": _in_cell, "nearest": _is_nearest}
