"""Look-ups in a reference catalogue by place: partition, then row groups by their cells, then the exact cut.

Only the columns and row groups that are needed are read; those used last are kept in memory, up to a limit in bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.core.reference import SPATIAL, Partition, ReferenceInfo, declaration
from spica.core.select import evaluate
from spica.core.where import names, parse
from spica.files.reference import store
from spica.files.reference.motion import moved
from spica.files.reference.regions import Region

Int64 = npt.NDArray[np.int64]
Values = npt.NDArray[Any]

KEPT = 256 * 1024 * 1024
"""Bytes of values that a catalogue keeps in memory."""
OPEN = 64
"""Partition files whose footers are kept."""
_MAS = 1 / 3.6e6


@dataclass(frozen=True)
class _Footer:
    """A partition file that is open, and the cells that its row groups reach over."""

    file: pq.ParquetFile
    first: Int64
    last: Int64


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
        self._kept = kept
        self._values: OrderedDict[tuple[int, int, str], Values] = OrderedDict()
        self._footers: OrderedDict[int, _Footer] = OrderedDict()
        self._first = np.array([each.first for each in self.info.partitions], np.int64)
        self._end = np.array([each.end for each in self.info.partitions], np.int64)
        self.held = 0

    def find(self, region: Region, columns: Sequence[str] = (), where: str = "", mjd: float | None = None) -> Catalogue:
        """The rows in a region, in the order of the sky.

        Parameters
        ----------
        region : `spica.files.reference.regions.Cone` or `Polygon`.
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
        for number in range(len(self.info.partitions)):
            file = self._footer(number).file
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=list(self.info.columns), use_threads=False)
                for name in self.info.columns:
                    values = np.asarray(table.column(name).to_numpy())
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
        parts: dict[str, list[Values]] = {name: [] for name in columns}
        for number, group in self._groups(first, end):
            cells = self._column(number, group, SPATIAL)
            starts = np.searchsorted(cells, first)
            ends = np.searchsorted(cells, end)
            rows = _expanded(starts, ends)
            if rows.size:
                for name in columns:
                    parts[name].append(self._column(number, group, name)[rows])
        made = {
            name: np.concatenate(each) if each else np.zeros(0, declaration(name).dtype) for name, each in parts.items()
        }
        header = {"reference": self.info.name, "reference_checksum": self.info.checksum}
        return Catalogue(made, header, {name: declaration(name) for name in columns})

    def _groups(self, first: Int64, end: Int64) -> Iterator[tuple[int, int]]:
        """Partitions and row groups that ranges of cells touch."""
        for number in _touched(self._first, self._end - 1, first, end):
            footer = self._footer(int(number))
            for group in _touched(footer.first, footer.last, first, end):
                yield int(number), int(group)

    def _footer(self, number: int) -> _Footer:
        if number in self._footers:
            self._footers.move_to_end(number)
            return self._footers[number]
        partition = self.info.partitions[number]
        try:
            file = pq.ParquetFile(self.folder / partition.path)
            groups = [file.metadata.row_group(k).column(0).statistics for k in range(file.num_row_groups)]
            made = _Footer(
                file,
                np.array([each.min for each in groups], np.int64),
                np.array([each.max for each in groups], np.int64),
            )
        except (OSError, pa.ArrowException, AttributeError) as error:
            raise self._damaged(partition, error) from error
        if file.metadata.num_rows != partition.rows:
            raise self._damaged(partition, f"it has {file.metadata.num_rows} rows, not {partition.rows}")
        self._footers[number] = made
        if len(self._footers) > OPEN:
            self._footers.popitem(last=False)[1].file.close()
        return made

    def _column(self, number: int, group: int, name: str) -> Values:
        key = (number, group, name)
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        try:
            table = self._footer(number).file.read_row_group(group, columns=[name], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(self.info.partitions[number], error) from error
        values = np.asarray(table.column(0).to_numpy())
        self._values[key] = values
        self.held += values.nbytes
        while self.held > self._kept and len(self._values) > 1:
            self.held -= self._values.popitem(last=False)[1].nbytes
        return values

    def _damaged(self, partition: Partition, error: Exception | str) -> DataFault:
        path = self.folder / partition.path
        return DataFault("refcat.damaged", f"{path} cannot be read: {error}", path=str(path))


def open_reference(parent: Path, name: str, kept: int = KEPT) -> ReferenceCatalogue:
    """The catalogue called `name` of a folder of catalogues; SetupFault ``refcat.unknown``, DataFault ``refcat.damaged``."""
    return ReferenceCatalogue(store.folder_of(parent, name), kept)


def _touched(low: Int64, high: Int64, first: Int64, end: Int64) -> Int64:
    """Which of the spans [low, high], rising and apart, meet one of the ranges [first, end)."""
    begin = np.searchsorted(end, low, side="right")
    stop = np.searchsorted(first, high, side="right")
    return np.flatnonzero(stop > begin)


def _expanded(starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """All numbers of the spans [start, end), one after another."""
    sizes = ends - starts
    keep = sizes > 0
    starts, sizes = starts[keep], sizes[keep]
    if starts.size == 0:
        return np.zeros(0, np.intp)
    offsets = np.repeat(starts - np.concatenate(([0], np.cumsum(sizes)[:-1])), sizes)
    return offsets + np.arange(int(sizes.sum()))
