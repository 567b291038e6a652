"""Where detectors are in the end: the sky solution of each, and the circle about all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.kernels.associate import unit_vectors
from spica.kernels.mosaic import Chip, Placed, plane_of
from spica.kernels.pointing import Alignment
from spica.kernels.tangent import tangent_deproject
from spica.kernels.wcs import TangentWcs, tangent_wcs
from spica.kernels.wcs_cards import to_cards
from spica.kernels.wcs_convert import fitted_map, to_tpv
from spica.kernels.wcs_correct import corrected

Float64 = npt.NDArray[np.float64]
_BENT = 4
"""Degree of the polynomial that holds a header which was bent."""


def solution(chip: Chip, one: Placed) -> TangentWcs:
    """The sky solution of a detector that is placed: its first one with shift, turn, scale and parity put right."""
    alignment = _told(one)
    x, y = chip.grid()
    there = alignment.apply(plane_of(*chip.sky(x, y), one.centre))
    if chip.bend is None:
        return corrected(chip.wcs, x, y, *tangent_deproject(there.real, there.imag, alignment.ra, alignment.dec))[0]
    middle = 0.5 * np.array([chip.nx - 1.0, chip.ny - 1.0])
    centre = np.array([alignment.ra, alignment.dec])
    return to_tpv(fitted_map(centre, middle, x, y, (there.real, there.imag), _BENT))


def stand_in(cards: Mapping[str, Any]) -> dict[str, Any]:
    """A solution for a detector that has none, where the whole sky is searched: an arc second per pixel, anywhere."""
    nx, ny = int(cards["NAXIS1"]), int(cards["NAXIS2"])
    wcs = tangent_wcs((0.0, 0.0), ((nx - 1) / 2.0, (ny - 1) / 2.0), np.eye(2) / 3600.0)
    return {**to_cards(wcs), "NAXIS1": nx, "NAXIS2": ny}


def circle(chips: Sequence[Chip], placed: Mapping[int, Placed], whole: Alignment) -> list[float]:
    """Right ascension, declination and radius [degree] of a circle about the exposure that holds all detectors that are placed."""
    corners = [_grid(chip, one) for chip in chips if (one := placed[chip.number]).alignment is not None]
    ra, dec = (np.concatenate(axis) for axis in zip(*corners, strict=True))
    return [whole.ra, whole.dec, float(apart(ra, dec, whole.ra, whole.dec).max())]


def apart(ra: npt.ArrayLike, dec: npt.ArrayLike, ra0: float, dec0: float) -> Float64:
    """Angles from a place [degree]."""
    chord = np.linalg.norm(unit_vectors(ra, dec) - unit_vectors(ra0, dec0), axis=-1)
    return np.asarray(np.degrees(2.0 * np.arcsin(np.minimum(0.5 * chord, 1.0))))


def _grid(chip: Chip, one: Placed) -> tuple[Float64, Float64]:
    """Where pixels all over it are [degree]."""
    alignment = _told(one)
    there = alignment.apply(plane_of(*chip.sky(*chip.grid()), one.centre))
    return tangent_deproject(there.real, there.imag, alignment.ra, alignment.dec)


def _told(one: Placed) -> Alignment:
    if one.alignment is None:
        raise ValueError(one.reason)
    return one.alignment
