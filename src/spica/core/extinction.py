"""Galactic extinction of objects: reddening by a map of dust, and what it takes from each band's light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Column

_FILTERS: Mapping[str, Mapping[str, float]] = {
    "SDSS": {"u": 4.239, "g": 3.303, "r": 2.285, "i": 1.698, "z": 1.263},
    "LSST": {"y": 1.088},
    "DES": {"Y": 1.058},
    "Landolt": {"U": 4.334, "B": 3.626, "V": 2.742, "R": 2.169, "I": 1.505},
    "UKIRT": {"J": 0.709, "H": 0.449, "K": 0.302},
}
COEFFICIENTS: Mapping[str, tuple[float, str]] = {
    band: (value, system) for system, values in _FILTERS.items() for band, value in values.items()
}
"""Band to A / E(B-V) of the SFD map, and whose filter that is: Schlafly & Finkbeiner 2011, ApJ 737, 103, table 6, R_V = 3.1."""


def reddened(
    dust: Mapping[str, Any], places: Catalogue, bands: Sequence[str]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Column]]:
    """Columns `reddening` and `extinction_BAND` of objects at `x`, `y` of a tile, and their declarations.

    Parameters
    ----------
    dust : `reddening` at nodes `step` pixels apart, and which `map` it is of.
    bands : those without a coefficient get no column.
    """
    # Few objects are reddened, and it takes long to load.
    from scipy.ndimage import map_coordinates

    at = np.stack([np.asarray(places[name], np.float64) for name in "yx"]) / float(dust["step"])
    values = np.asarray(map_coordinates(np.asarray(dust["reddening"], np.float64), at, order=1, mode="nearest"))
    columns: dict[str, npt.NDArray[Any]] = {"reddening": values}
    told = f"E(B-V) of the map {dust['map']}"
    declared = {"reddening": Column("reddening", "f4", "mag", "phot.color.excess", told)}
    for band in bands:
        if band in COEFFICIENTS:
            factor, system = COEFFICIENTS[band]
            name = f"extinction_{band}"
            meaning = f"extinction, {factor} E(B-V): {band} of {system}, Schlafly & Finkbeiner 2011, R_V = 3.1"
            columns[name] = factor * values
            declared[name] = Column(name, "f4", "mag", "phys.absorption.gal", meaning)
    return columns, declared
