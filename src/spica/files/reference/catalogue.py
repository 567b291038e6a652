"""A reference catalogue that is open for look-ups by place, selection and time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.faults import SetupFault
from spica.core.reference import ReferenceInfo, declaration
from spica.core.select import evaluate
from spica.core.where import names, parse
from spica.files.hats.lookup import KEPT, Lookup
from spica.files.hats.regions import Bounded
from spica.files.reference import store
from spica.files.reference.motion import moved

Int64 = npt.NDArray[np.int64]
Values = npt.NDArray[Any]

_MAS = 1 / 3.6e6


class ReferenceCatalogue:
    """A reference catalogue that is open for look-ups.

    Parameters
    ----------
    folder : of the catalogue.
    kept : bytes of values to keep in memory between look-ups.

    Raises
    ------
    DataFault
        ``refcat.damaged``.
    """

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self.folder = folder
        self.info: ReferenceInfo = store.read_info(folder)
        columns = {name: declaration(name) for name in self.info.columns}
        self.lookup = Lookup(folder, self.info.partitions, columns, damaged="refcat.damaged", kept=kept)

    def find(
        self, region: Bounded, columns: Sequence[str] = (), where: str = "", mjd: float | None = None
    ) -> Catalogue:
        """The rows in a region, in the order of the sky.

        Parameters
        ----------
        region : `spica.files.hats.regions.Cone` or `Polygon`.
        columns : names; all where empty.
        where : selection of rows, as in ``mag_G < 18 and flags = 0``.
        mjd : time (MJD TAI) that positions, motions and errors are brought to, each from its own epoch, before they are
            judged by the region; columns `ra`, `dec` … are then of that time (`spica.files.reference.motion`).

        Raises
        ------
        SetupFault
            ``order.invalid`` for a column that is not there, ``where.invalid``.
        DataFault
            ``refcat.damaged`` where a partition cannot be read.
        """
        tree = parse(where)
        tested = tuple(names(tree)) if tree is not None else ()
        wanted = tuple(columns) or self.info.columns
        for name in (*wanted, *tested):
            if name not in self.info.columns:
                code = "order.invalid" if name in wanted else "where.invalid"
                message = f"{self.info.name} has no column {name!r}; it has {', '.join(self.info.columns)}"
                raise SetupFault(code, message, column=name)
        astrometry = () if mjd is None else tuple(n for n in self.info.columns if not n.startswith("mag_"))
        read = tuple(dict.fromkeys((*wanted, *tested, "ra", "dec", *astrometry)))
        wide = region if mjd is None else region.grown(self._reach(mjd))
        found = self._read(*wide.ranges(), read)
        if mjd is not None:
            found = moved(found, mjd)
            wanted = tuple(columns) or tuple(found.columns)
            for name in wanted:
                if name not in found.columns:
                    message = f"{name!r} is of the catalogue's own epoch: it is not told at another time"
                    raise SetupFault("order.invalid", message, column=name)
        inside = region.contains(found["ra"], found["dec"])
        if tree is not None:
            inside &= evaluate(tree, found.columns, len(found))
        return found.select(inside, wanted)

    def ranges(self) -> list[tuple[str, float | None, float | None, int]]:
        """Of each column the least and the greatest value (None where all are missing) and how many rows have none."""
        found: dict[str, tuple[float, float, int]] = dict.fromkeys(self.info.columns, (np.inf, -np.inf, 0))
        for table in self.lookup.every(self.info.columns):
            for name, values in table.items():
                known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
                low, high, missing = found[name]
                if known.size:
                    low, high = min(low, float(known.min())), max(high, float(known.max()))
                found[name] = low, high, missing + values.size - known.size
        return [
            (name, *((None, None) if low > high else (low, high)), missing)
            for name, (low, high, missing) in found.items()
        ]

    def _reach(self, mjd: float) -> float:
        """How far the fastest star, and the parallax, can carry a position to a time [degree]."""
        year = 2000.0 + (mjd - 51544.5) / 365.25
        span = max(abs(year - each) for each in self.info.epochs)
        return (self.info.largest_motion * span + 1000.0) * _MAS

    def _read(self, first: Int64, end: Int64, columns: tuple[str, ...]) -> Catalogue:
        """Rows whose cells lie in ranges that are rising and apart."""
        made = self.lookup.read(first, end, columns)
        header = {"reference": self.info.name, "reference_checksum": self.info.checksum}
        return Catalogue(made, header, {name: declaration(name) for name in columns})


def open_reference(parent: Path, name: str, kept: int = KEPT) -> ReferenceCatalogue:
    """The catalogue called `name` of a folder of catalogues; SetupFault ``refcat.unknown``, DataFault ``refcat.damaged``."""
    return ReferenceCatalogue(store.folder_of(parent, name), kept)
