"""A published catalogue that is open: its rows by region and selection, at once or part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.faults import SetupFault
from spica.core.select import evaluate
from spica.core.where import names, parse
from spica.files.hats.lookup import KEPT, Lookup
from spica.files.hats.regions import Region
from spica.files.published.store import PublishedInfo, read_info

Values = npt.NDArray[Any]


class PublishedCatalogue:
    """A published catalogue.

    Parameters
    ----------
    folder : of the catalogue.
    kept : bytes of values to keep in memory between look-ups.

    Raises
    ------
    SetupFault
        ``published.unknown``.
    DataFault
        ``published.damaged``.
    """

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self.folder = folder
        self.info: PublishedInfo = read_info(folder)
        self._declared = {each.name: each for each in self.info.columns}
        self._lookup = Lookup(folder, self.info.partitions, self._declared, damaged="published.damaged", kept=kept)

    def find(self, region: Region, columns: Sequence[str] = (), where: str = "") -> Catalogue:
        """The rows in a region, in the order of the sky.

        Parameters
        ----------
        region : `spica.files.hats.regions.Cone` or `Polygon`.
        columns : names; all where empty.
        where : selection of rows, as in ``mag_psf_r < 20``.

        Raises
        ------
        SetupFault
            ``order.invalid`` for a column that is not there, ``where.invalid``.
        DataFault
            ``published.damaged`` where a partition cannot be read.
        """
        wanted, read = self._names(columns, where)
        return self._chosen(self._lookup.read(*region.ranges(), read), region, wanted, where)

    def parts(self, region: Region | None, columns: Sequence[str] = (), where: str = "") -> Iterator[Catalogue]:
        """The same, at most a row group at a time and nothing kept; of the whole catalogue without a region."""
        wanted, read = self._names(columns, where)
        rows = self._lookup.every(read) if region is None else self._lookup.parts(*region.ranges(), read)
        for each in rows:
            part = self._chosen(each, region, wanted, where)
            if len(part):
                yield part

    def _names(self, columns: Sequence[str], where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Columns that are asked for, and those that have to be read."""
        tree = parse(where)
        tested = tuple(names(tree)) if tree is not None else ()
        wanted = tuple(dict.fromkeys(columns)) or self.info.names
        for name in (*wanted, *tested):
            if name not in self._declared:
                code = "order.invalid" if name in wanted else "where.invalid"
                message = f"{self.info.name} has no column {name!r}; it has {', '.join(self.info.names)}"
                raise SetupFault(code, message, column=name)
        return wanted, tuple(dict.fromkeys((*wanted, *tested, "ra", "dec")))

    def _chosen(self, found: dict[str, Values], region: Region | None, wanted: Sequence[str], where: str) -> Catalogue:
        size = len(found["ra"])
        chosen = np.ones(size, bool) if region is None else region.contains(found["ra"], found["dec"])
        if (tree := parse(where)) is not None:
            chosen &= evaluate(tree, found, size)
        header = {"catalogue": self.info.name, "catalogue_checksum": self.info.checksum}
        made = {name: found[name][chosen] for name in wanted}
        return Catalogue(made, header, {name: self._declared[name] for name in wanted})
