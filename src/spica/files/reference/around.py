"""The reference stars of a unit: those in the cones around its detectors, at its time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.reference import declaration
from spica.core.where import names, parse
from spica.files.hats.regions import Cone
from spica.files.reference.catalogue import ReferenceCatalogue

MAGNITUDES = "mag_*"
"""Stands for all magnitudes of a catalogue and their errors."""


@lru_cache(maxsize=4)
def _opened(folder: str, checksum: str) -> ReferenceCatalogue:
    found = ReferenceCatalogue(Path(folder))
    if found.info.checksum != checksum:
        message = f"the reference catalogue {folder} is another one than when the work was planned"
        raise DataFault("refcat.changed", message, path=folder, planned=checksum, there=found.info.checksum)
    return found


def stars_around(
    folder: str, checksum: str, cones: Sequence[Cone], columns: Sequence[str], where: str, mjd: float
) -> Catalogue:
    """The rows in any of the cones, each once, cone by cone in the order of the sky.

    Parameters
    ----------
    folder, checksum : the catalogue, and what it was when the work was planned.
    cones : where.
    columns : names; ``mag_*`` stands for all magnitudes; all columns where empty. Of declared columns those that the
        catalogue lacks are NaN.
    where : selection of rows.
    mjd : time [MJD TAI] that positions and errors are of.

    Raises
    ------
    DataFault
        ``refcat.changed``, ``refcat.damaged``.
    SetupFault
        ``where.invalid``.
    """
    catalogue = _opened(folder, checksum)
    there = catalogue.info.columns
    wanted = _expanded(columns, there)
    # Two more than asked for: which cone a row is of is told by its place. No names at all ask for every column.
    read = tuple(name for name in dict.fromkeys((*wanted, "ra", "dec")) if name in there) if wanted else ()
    tested = names(tree) if (tree := parse(where)) is not None else ()
    unknown = tuple(name for name in tested if name not in there)
    if unknown:
        message = f"{catalogue.info.name} has no column {unknown[0]!r}, which decides what rows are taken"
        raise DataFault("refcat.lacking", message, column=unknown[0], catalogue=catalogue.info.name)
    parts = []
    for number, cone in enumerate(cones):
        found = catalogue.find(cone, read, where, mjd)
        known = np.zeros(len(found), dtype=bool)
        for earlier in cones[:number]:
            known |= earlier.contains(found["ra"], found["dec"])
        parts.append(found.select(~known))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0].columns}
    size = len(whole["ra"])
    made = {
        name: whole[name] if name in whole else np.full(size, np.nan, declaration(name).dtype)
        for name in wanted or tuple(whole)
    }
    return Catalogue(made, parts[0].header, {name: declaration(name) for name in made})


def _expanded(columns: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    magnitudes = tuple(name for name in there if name.startswith("mag_"))
    found = [magnitudes if name == MAGNITUDES else (name,) for name in columns]
    return tuple(dict.fromkeys(name for each in found for name in each))
