"""The rows of a stack, band by band; each row of an input is read once, and let go when no band will need it any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.mask import Mask
from spica.core.streams import Band, StoredRows
from spica.core.task import Measured
from spica.kernels.resample import Kernel, kernel, prepare
from spica.kernels.resample_way import MARGIN, Way, heading, mirrored, reach, spans, turned
from spica.kernels.stack import METHODS, Bits, Sums, Values, clear, deposit, empty_sums, empty_values, finish
from spica.kernels.stack_settle import settle
from spica.tasks.stack.inputs import Canvas, Input
from spica.tasks.stack.settings import StackSettings

Pixels = npt.NDArray[np.generic]
Rows3 = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]
BITS = Bits(int(Mask.INTERPOLATED), int(Mask.CLIPPED), int(Mask.SATURATED | Mask.BLEED))
_SUMS = 80
"""Bytes per pixel of the sums of a band and of what is made of them."""
_MOST_ROWS = 64
_KEPT = 2
"""Part of the memory for rows that the next band needs too, of all inputs; others are read again."""


class _Desk:
    """Room for the rows of one input after the other; and bytes to spare for rows that inputs keep."""

    def __init__(self, spare: int) -> None:
        self.spare = spare
        self._size = 0
        self._room: list[npt.NDArray[Any]] = []

    def rows(self, count: int, width: int) -> Rows3:
        """Room for so many rows, margin included; what was there before is gone."""
        if count * width > self._size:
            self._size = count * width
            self._room = [np.empty(self._size, kind) for kind in (np.float32, np.float32, *[np.int32] * 4)]
        science, variance, mask = (each[: count * width].reshape(count, width) for each in self._room[:3])
        return science, variance, mask

    def read(self, each: Input, stored: StoredRows | None, y0: int, y1: int) -> tuple[Pixels, Pixels, Pixels | None]:
        """Rows of the planes of an input, as they are stored if it can give them; None for the mask where it has none."""
        room = dict(zip(("science", "variance", "mask"), self._room[3:], strict=True))

        def take(plane: str) -> Pixels:
            return each.rows.read(y0, y1, plane) if stored is None else stored.stored(y0, y1, plane, room[plane])

        science, variance = take("science"), take("variance")
        try:
            return science, variance, take("mask")
        except KeyError:
            return science, variance, None


@dataclass
class _Window:
    """One input: the rows that each band needs of it (half open, margin included), and those that were read and are needed again."""

    input: Input
    path: Way
    mirrored: bool
    spans: list[tuple[int, int]]
    begin: int = 0
    end: int = 0
    kept: Rows3 | None = None
    stored: StoredRows | None = None

    def __post_init__(self) -> None:
        rows = self.input.rows
        self.stored = rows if isinstance(rows, StoredRows) else None

    def lay_out(self, desk: _Desk, begin: int, end: int) -> Rows3:
        """Rows begin to end: what was kept, the others are read."""
        rows = desk.rows(end - begin, self.input.rows.shape[1] + 2 * MARGIN)
        low, high = max(begin, self.begin), min(end, self.end)
        if self.kept is None or low >= high:
            self._read(desk, rows, begin, begin, end)
            return rows
        for each, old in zip(rows, self.kept, strict=True):
            each[low - begin : high - begin] = old[low - self.begin : high - self.begin]
        self._read(desk, rows, begin, begin, low)
        self._read(desk, rows, begin, high, end)
        return rows

    def keep(self, desk: _Desk, rows: Rows3, begin: int, needed: tuple[int, int]) -> None:
        """Keep of the rows in hand, the first of which is `begin`, those that the next band needs, where there is room."""
        self.let_go(desk)
        self.begin, self.end = max(begin, needed[0]), min(begin + len(rows[0]), needed[1])
        part = slice(self.begin - begin, max(self.end, self.begin) - begin)
        science, variance, mask = rows[0][part], rows[1][part], rows[2][part]
        size = science.nbytes + variance.nbytes + mask.nbytes
        if size <= desk.spare:
            desk.spare -= size
            self.kept = science.copy(), variance.copy(), mask.copy()

    def let_go(self, desk: _Desk) -> None:
        """Keep nothing."""
        desk.spare += sum(each.nbytes for each in self.kept or ())
        self.kept = None

    def _read(self, desk: _Desk, out: Rows3, top: int, begin: int, end: int) -> None:
        ny = self.input.rows.shape[0]
        low, high = min(max(begin, 0), ny), max(min(end, ny), 0)
        for each, fill in zip(out, (np.nan, 1.0, 0), strict=True):
            each[begin - top : max(low, begin) - top] = fill
            each[min(max(high, begin), end) - top : end - top] = fill
        if low >= high:
            return
        try:
            science, variance, mask = desk.read(self.input, self.stored, low, high)
        except (DataFault, OSError, KeyError) as error:
            unit = self.input.unit
            raise DataFault("stack.input", f"{unit} cannot be read: {error}", unit=unit, row=low) from error
        part = slice(low - top, high - top)
        bad, place = int(Mask.unusable()), (out[0][part], out[1][part], out[2][part])
        prepare(science, variance, mask, bad, place, swapped=self.stored is not None, mirrored=self.mirrored)


@dataclass(eq=False)
class Quality(dict[str, Measured]):
    """Metrics of a stack; those of its pixels are there when its last band has been given."""

    covered: int = 0
    pixels: int = 0
    clipped: int = 0
    times: list[float] = field(default_factory=list)
    noises: list[float] = field(default_factory=list)

    def add(self, planes: Mapping[str, npt.NDArray[Any]], covered: int, clipped: int) -> None:
        """Take note of a band: its planes, and how many of its pixels have a value and were clipped."""
        self.pixels += planes["number"].size
        self.covered += covered
        self.clipped += clipped
        sample = (slice(None, None, 8), slice(None, None, 8))
        good = planes["number"][sample] > 0
        self.times += planes["time"][sample][good].tolist()
        self.noises += np.sqrt(planes["variance"][sample][good]).tolist()

    def finish(self, magzero: float) -> None:
        """Figures of all bands."""
        self["stack_coverage"] = Measured(self.covered / max(self.pixels, 1))
        self["stack_clipped"] = Measured(self.clipped / max(self.covered, 1))
        if self.noises:
            noise = float(np.median(self.noises))
            self["stack_time"] = Measured(float(np.median(self.times)), "s")
            self["stack_noise"] = Measured(noise)
            self["stack_depth_pixel"] = Measured(magzero - 2.5 * float(np.log10(5.0 * noise)), "mag")


def height(settings: StackSettings, nx: int, deep: int) -> int:
    """Rows of a band of `nx` columns that fit into the memory."""
    kept = 0 if settings.method == "mean" else 12 * deep
    return int(np.clip(settings.memory * 2**20 // (nx * (_SUMS + kept)), 4, _MOST_ROWS))


def bands(settings: StackSettings, canvas: Canvas, inputs: list[Input], deep: int, quality: Quality) -> Iterator[Band]:
    """The bands of the stack, in order.

    Where the rows of most inputs run along the tile's columns it is made column by column: each row of theirs is then read once.
    The planes of the whole tile are in memory in that case.
    """
    if 2 * sum(abs(across) > abs(along) for along, across in (heading(each.path) for each in inputs)) <= len(inputs):
        yield from _made(settings, canvas.shape, inputs, deep, quality)
        return
    ny, nx = canvas.shape
    whole: dict[str, npt.NDArray[Any]] = {}
    for band in _made(settings, (nx, ny), [replace(each, path=turned(each.path)) for each in inputs], deep, quality):
        for name, plane in band.planes.items():
            whole.setdefault(name, np.empty((ny, nx), plane.dtype))[:, band.y0 : band.y0 + len(plane)] = plane.T
    for y0 in range(0, ny, _MOST_ROWS):
        yield Band(y0, {name: plane[y0 : y0 + _MOST_ROWS] for name, plane in whole.items()})


def _made(
    settings: StackSettings, shape: tuple[int, int], inputs: list[Input], deep: int, quality: Quality
) -> Iterator[Band]:
    """The bands of a tile (ny, nx), to which the ways of the inputs belong."""
    by, (ny, nx) = kernel(settings.kernel), shape
    rows = height(settings, nx, deep)
    kept = METHODS[settings.method] != METHODS["mean"]
    waiting = sorted(range(len(inputs)), key=lambda n: inputs[n].path.height[0])
    active: dict[int, _Window] = {}
    desk = _Desk(settings.memory * 2**20 // _KEPT)
    for y0 in range(0, ny, rows):
        y1 = min(y0 + rows, ny)
        if y0 == 0 or y1 - y0 < rows:
            sums = empty_sums(y1 - y0, nx)
            values = empty_values(y1 - y0, nx, deep if kept else 0)
        while waiting and inputs[waiting[0]].path.height[0] < y1:
            n = waiting.pop(0)
            active[n] = _window(inputs[n], rows, ny, 2 * len(by.weights))
        for n in sorted(active):
            if active[n].path.height[1] <= y0:
                active.pop(n).let_go(desk)
            else:
                _lay(active[n], desk, n, by, y0 // rows, y0, sums, values)
        if kept:
            limits = (settings.fraction, settings.kappa)
            settle(METHODS[settings.method], limits, BITS, [each.facts for each in inputs], sums, values)
        planes, covered, clipped = finish(sums, int(Mask.NO_DATA), BITS, stepped=not kept)
        clear(sums)
        quality.add(planes, covered, clipped)
        yield Band(y0, planes)
    quality.finish(settings.magzero)


def _window(each: Input, rows: int, ny: int, taps: int) -> _Window:
    """An input as a tile's bands of so many rows see it: its columns run as the tile's do."""
    opposite = heading(each.path)[0] < 0.0
    path = mirrored(each.path, each.rows.shape[1]) if opposite else each.path
    return _Window(each, path, opposite, spans(path, reach(path), rows, ny, each.rows.shape[0], taps))


def _lay(window: _Window, desk: _Desk, number: int, by: Kernel, band: int, y0: int, sums: Sums, values: Values) -> None:
    """Resample the rows of an input onto a band, the first row of which is `y0`."""
    each = window.input
    begin, end = window.spans[band]
    if begin < end:
        rows = window.lay_out(desk, begin, end)
        deposit(rows, begin, each.rows.shape[0], window.path, by, y0, each.facts, number, BITS, sums, values)
        window.keep(desk, rows, begin, window.spans[band + 1] if band + 1 < len(window.spans) else (0, 0))
