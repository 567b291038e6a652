"""Look-ups by place in the layout of HATS: partition, then row groups by their cells, then rows by theirs.

Only the columns and row groups that are needed are read; those used last are kept in memory, up to a limit in bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from spica.core.columns import Column
from spica.core.faults import DataFault
from spica.core.hats import SPATIAL, SPATIAL_COLUMN, Partition

Int64 = npt.NDArray[np.int64]
Values = npt.NDArray[Any]

KEPT = 256 * 1024 * 1024
"""Bytes of values that are kept in memory."""
OPEN = 256
"""Partition files whose footers are kept."""


@dataclass(frozen=True)
class _Footer:
    """A partition file that is open, and the cells that its row groups reach over."""

    file: pq.ParquetFile
    first: Int64
    last: Int64


class Lookup:
    """Partitions that are open for look-ups.

    Parameters
    ----------
    folder : of the catalogue.
    partitions : in the order of the sky.
    columns : name to declaration, without `_healpix_29`.
    damaged : code of the fault of a partition that cannot be read.
    kept : bytes of values to keep in memory between look-ups.
    """

    def __init__(
        self,
        folder: Path,
        partitions: Sequence[Partition],
        columns: Mapping[str, Column],
        *,
        damaged: str,
        kept: int = KEPT,
    ) -> None:
        self.held = 0
        self._folder = folder
        self._partitions = tuple(partitions)
        self._columns = {SPATIAL: SPATIAL_COLUMN, **columns}
        self._fault = damaged
        self._kept = kept
        self._values: OrderedDict[tuple[int, int, str], Values] = OrderedDict()
        self._footers: OrderedDict[int, _Footer] = OrderedDict()
        self._first = np.array([each.first for each in self._partitions], np.int64)
        self._end = np.array([each.end for each in self._partitions], np.int64)

    @property
    def opened(self) -> int:
        """Partition files that are open."""
        return len(self._footers)

    def read(self, first: Int64, end: Int64, names: Sequence[str]) -> dict[str, Values]:
        """Columns of the rows whose cells lie in ranges [first, end) that are rising and apart."""
        parts: dict[str, list[Values]] = {name: [] for name in names}
        for number, group in self._groups(first, end):
            rows = self._rows(number, group, first, end)
            if rows.size:
                for name, values in self._several(number, group, names).items():
                    parts[name].append(values[rows])
        return {name: np.concatenate(each) if each else self._none(name) for name, each in parts.items()}

    def parts(self, first: Int64, end: Int64, names: Sequence[str]) -> Iterator[dict[str, Values]]:
        """The same, a row group at a time: what is read is not kept."""
        for number, group in self._groups(first, end):
            read = self._load(number, group, list(dict.fromkeys((SPATIAL, *names))))
            rows = _within(read[SPATIAL], first, end)
            if rows.size:
                yield {name: read[name][rows] for name in names}

    def every(self, names: Sequence[str]) -> Iterator[dict[str, Values]]:
        """Columns of all rows, a row group at a time."""
        yield from self.parts(np.array([0]), np.array([12 << 58]), names)

    def _groups(self, first: Int64, end: Int64) -> Iterator[tuple[int, int]]:
        """Partitions and row groups that ranges of cells touch."""
        for number in _touched(self._first, self._end - 1, first, end):
            footer = self._footer(int(number))
            for group in _touched(footer.first, footer.last, first, end):
                yield int(number), int(group)

    def _rows(self, number: int, group: int, first: Int64, end: Int64) -> npt.NDArray[np.intp]:
        return _within(self._several(number, group, (SPATIAL,))[SPATIAL], first, end)

    def _footer(self, number: int) -> _Footer:
        if number in self._footers:
            self._footers.move_to_end(number)
            return self._footers[number]
        partition = self._partitions[number]
        try:
            file = pq.ParquetFile(self._folder / partition.path, memory_map=True)
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

    def _several(self, number: int, group: int, names: Sequence[str]) -> dict[str, Values]:
        """Columns of a row group, from memory where they are kept."""
        missing = [name for name in dict.fromkeys(names) if (number, group, name) not in self._values]
        fresh = self._load(number, group, missing) if missing else {}
        found = {}
        for name in names:
            key = (number, group, name)
            if key in self._values:
                self._values.move_to_end(key)
                found[name] = self._values[key]
            else:
                found[name] = self._values[key] = fresh[name]
                self.held += fresh[name].nbytes
        while self.held > self._kept and len(self._values) > 1:
            self.held -= self._values.popitem(last=False)[1].nbytes
        return found

    def _load(self, number: int, group: int, names: list[str]) -> dict[str, Values]:
        try:
            table = self._footer(number).file.read_row_group(group, columns=names, use_threads=False)
            return {name: _to_numpy(table.column(name), self._columns[name]) for name in names}
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise self._damaged(self._partitions[number], error) from error

    def _none(self, name: str) -> Values:
        column = self._columns[name]
        return np.zeros((0, column.size) if column.size > 1 else 0, _kind(column))

    def _damaged(self, partition: Partition, error: Exception | str) -> DataFault:
        path = self._folder / partition.path
        return DataFault(self._fault, f"{path} cannot be read: {error}", path=str(path))


def _kind(column: Column) -> np.dtype[Any]:
    """The type in memory: texts are text, not bytes."""
    kind = np.dtype(column.dtype)
    return np.dtype(f"U{kind.itemsize}") if kind.kind == "S" else kind


def _to_numpy(values: pa.ChunkedArray, column: Column) -> Values:
    if column.size > 1:
        flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in values.chunks])
        return np.asarray(flat).reshape(-1, column.size)
    found = np.asarray(values.to_numpy())
    return found.astype(_kind(column)) if found.dtype.kind == "O" else found


def _within(cells: Int64, first: Int64, end: Int64) -> npt.NDArray[np.intp]:
    """The rows whose cells, which are rising, lie in ranges."""
    return _expanded(np.searchsorted(cells, first), np.searchsorted(cells, end))


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
