"""Rows of any number put in the order of the sky with bounded memory: sorted runs on disk, then merged cell by cell."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Column
from spica.core.hats import SPATIAL, Partition
from spica.files.hats import healpix

Int64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]

COUNTED = 10
"""Order of the cells that rows are counted in: no partition is smaller (0.06 degree)."""
_BLOCK = 7
"""Counts are kept in blocks of as many orders: only the part of the sky that has rows takes memory."""
_SHELVES = 256
"""Files that identifiers are sorted into, so that each can be searched by itself."""
_SEQUENCE = "_sequence"


class Counts:
    """How many rows each cell of an order holds.

    Parameters
    ----------
    order : of the cells, at least 7.
    most : blocks of 65 kB that may be held; counting ends, and `full` is true, where there would be more.
    """

    def __init__(self, order: int = COUNTED, most: int | None = None) -> None:
        self.order = order
        self.full = False
        self._most = most
        self._blocks: dict[int, npt.NDArray[np.int32]] = {}

    def add(self, cells: Int64) -> None:
        """Count rows by their cells of order 29, which are rising."""
        if self.full:
            return
        first, pixels = _runs(cells >> 2 * (healpix.DEEPEST - self.order))
        counts = np.diff(first, append=cells.size)
        bounds, homes = _runs(pixels >> 2 * _BLOCK)
        if self._most is not None and len(self._blocks.keys() | set(homes.tolist())) > self._most:
            self._blocks.clear()
            self.full = True
            return
        for home, part in zip(homes, np.split(np.arange(pixels.size), bounds[1:]), strict=True):
            if int(home) not in self._blocks:
                self._blocks[int(home)] = np.zeros(4**_BLOCK, np.int32)
            self._blocks[int(home)][pixels[part] & (4**_BLOCK - 1)] += counts[part]

    def cells(self, order: int) -> tuple[Int64, Int64]:
        """Cells of an order, not finer than that of the counts, that hold rows, rising, and their counts."""
        home_order = self.order - _BLOCK
        depth = max(order, home_order)
        pixels, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for home in sorted(self._blocks):
            inside = self._gathered(home, depth)
            there = np.flatnonzero(inside)
            pixels.append((home << 2 * (depth - home_order)) + there)
            counts.append(inside[there])
        found = np.concatenate(pixels), np.concatenate(counts)
        for _ in range(depth - order):
            found = _degraded(*found)
        return found

    def middle(self, order: int) -> float:
        """The median of the counts of the cells that hold rows."""
        if order < self.order - _BLOCK:
            return float(np.median(self.cells(order)[1]))
        parts = [self._gathered(home, order) for home in self._blocks]
        return float(np.median(np.concatenate([part[part > 0].astype(np.int32) for part in parts])))

    def inside(self, order: int, pixel: int) -> int:
        """Rows in a cell."""
        down = order - (self.order - _BLOCK)
        if down <= 0:
            homes = range(pixel << -2 * down, (pixel + 1) << -2 * down)
            return sum(int(self._blocks[home].sum(dtype=np.int64)) for home in homes if home in self._blocks)
        block = self._blocks.get(pixel >> 2 * down)
        if block is None:
            return 0
        size = 4 ** (self.order - order)
        first = (pixel & (4**down - 1)) * size
        return int(block[first : first + size].sum(dtype=np.int64))

    def _gathered(self, home: int, order: int) -> Int64:
        return np.asarray(self._blocks[home].reshape(-1, 4 ** (self.order - order)).sum(axis=1, dtype=np.int64))


def partitions(counts: Counts, largest: int) -> list[Partition]:
    """The coarsest cells that hold at most `largest` rows each, in the order of the sky.

    A cell of the order of the counts is never divided, however many rows it holds.
    """
    found: list[Partition] = []

    def divide(order: int, pixel: int) -> None:
        rows = counts.inside(order, pixel)
        if rows == 0:
            return
        if rows <= largest or order == counts.order:
            found.append(Partition(order, pixel, rows))
            return
        for child in range(4 * pixel, 4 * pixel + 4):
            divide(order + 1, child)

    for base in range(12):
        divide(0, base)
    return found


def _runs(values: Int64) -> tuple[Int64, Int64]:
    """Where each value of rising ones is met first, and the values, each once."""
    first = np.flatnonzero(np.diff(values, prepend=-1))
    return first, values[first]


def _degraded(pixels: Int64, counts: Int64) -> tuple[Int64, Int64]:
    """Counts as those of the next coarser order."""
    first, coarse = _runs(pixels >> 2)
    return coarse, np.add.reduceat(counts, first)


def _missing(dtype: np.dtype[Any]) -> float | int | bytes:
    if dtype.kind == "f":
        return np.nan
    return b"" if dtype.kind == "S" else -1


class Spill:
    """Rows put aside in sorted runs, to be taken back partition by partition.

    Parameters
    ----------
    folder : for files that pass.
    columns : of all rows; `ra` and `dec` [degree] are among them.
    identifier : name of the column that tells rows of one place apart, and so orders them.
    by_identifier : whether rows with the same identifier are one (the first is kept).
    """

    def __init__(self, folder: Path, columns: Sequence[Column], *, identifier: str, by_identifier: bool) -> None:
        self._folder = folder
        self._columns = tuple(columns)
        self._identifier = identifier
        kinds = [(each.name, np.dtype(each.dtype), (each.size,) if each.size > 1 else ()) for each in columns]
        self._dtype = np.dtype([(SPATIAL, np.int64), (_SEQUENCE, np.int64), *kinds])
        self._by_identifier = by_identifier
        self._runs: list[tuple[Path, npt.NDArray[np.int64]]] = []
        self._cursors: list[int] = []
        self._twice: npt.NDArray[np.bool_] | None = None
        self.rows = 0
        self.counts = Counts()

    def add(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put rows aside; columns that they lack are NaN, whole numbers -1, texts empty."""
        size = columns["ra"].size
        if size == 0:
            return
        cells = healpix.cells(columns["ra"], columns["dec"])
        order = np.argsort(cells, kind="stable")
        cells = cells[order]
        self.counts.add(cells)
        rows = np.empty(size, self._dtype)
        rows[SPATIAL] = cells
        rows[_SEQUENCE] = self.rows + order
        for each in self._columns:
            rows[each.name] = columns[each.name][order] if each.name in columns else _missing(rows[each.name].dtype)
        path = self._folder / f"run-{len(self._runs):06d}"
        # Not tofile, which does not say why a disk took less than it was given.
        path.write_bytes(rows.view(np.uint8).data)
        path.with_suffix(".cells").write_bytes(cells.view(np.uint8).data)
        self._runs.append((path, np.memmap(path.with_suffix(".cells"), np.int64, "r")))
        self._cursors.append(0)
        if self._by_identifier:
            self._shelve(columns[self._identifier])
        self.rows += size

    def _shelve(self, identifiers: Int64) -> None:
        pairs = np.stack((identifiers, self.rows + np.arange(identifiers.size)), axis=1)
        # Multiplying by an odd number spreads identifiers that are multiples of a power of two.
        shelf = ((identifiers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56)).astype(np.int64)
        order = np.argsort(shelf, kind="stable")
        bounds = np.searchsorted(shelf[order], np.arange(_SHELVES + 1))
        for number in range(_SHELVES):
            part = pairs[order[bounds[number] : bounds[number + 1]]]
            if part.size:
                with (self._folder / f"shelf-{number:03d}").open("ab") as stream:
                    stream.write(part.tobytes())

    def find_twice(self) -> int:
        """Find rows whose identifier an earlier row has; answers how many. They are not taken back."""
        if not self._by_identifier or self.rows == 0:
            return 0
        with (self._folder / "twice").open("wb") as stream:
            # Blocks are taken now: where the disk had none later, the process would be killed.
            os.posix_fallocate(stream.fileno(), 0, self.rows)
        twice = np.memmap(self._folder / "twice", np.bool_, "r+", shape=(self.rows,))
        for path in sorted(self._folder.glob("shelf-*")):
            pairs = np.fromfile(path, np.int64).reshape(-1, 2)
            order = np.lexsort((pairs[:, 1], pairs[:, 0]))
            pairs = pairs[order]
            again = pairs[1:, 0] == pairs[:-1, 0]
            twice[pairs[1:, 1][again]] = True
            path.unlink()
        self._twice = twice
        return int(np.count_nonzero(twice))

    def take(self, partition: Partition) -> Rows:
        """The rows of a partition by cell and identifier; partitions are taken in the order of the sky."""
        parts = []
        for number, (path, cells) in enumerate(self._runs):
            first = self._cursors[number]
            end = int(np.searchsorted(cells, partition.end))
            if end > first:
                size = self._dtype.itemsize
                parts.append(np.fromfile(path, self._dtype, count=end - first, offset=first * size))
                self._cursors[number] = end
        rows = np.concatenate(parts)
        del parts
        cells = np.ascontiguousarray(rows[SPATIAL])
        order = np.argsort(cells, kind="stable")
        if np.any(np.diff(cells[order]) == 0):
            order = np.lexsort((rows[_SEQUENCE], rows[self._identifier], cells))
        if self._twice is not None:
            order = order[~self._twice[rows[_SEQUENCE]][order]]
        return np.asarray(rows[order])
