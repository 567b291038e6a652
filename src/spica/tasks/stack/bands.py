"""The rows of a stack, band by band; each row of an input is read once, and let go when no band will need it any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.mask import Mask
from spica.core.streams import Band
from spica.core.task import Measured
from spica.kernels.resample import Kernel, kernel, prepare, span
from spica.kernels.stack import METHODS, Bits, Sums, Values, close, deposit, empty_sums, empty_values
from spica.kernels.stack_settle import settle
from spica.tasks.stack.inputs import Canvas, Input
from spica.tasks.stack.settings import StackSettings

Pixels = npt.NDArray[np.generic]
Rows3 = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]
BITS = Bits(int(Mask.INTERPOLATED), int(Mask.CLIPPED), int(Mask.SATURATED | Mask.BLEED))
_SUMS = 80
"""Bytes per pixel of the sums of a band and of what is made of them."""
_MOST_ROWS = 64


@dataclass
class _Window:
    """The rows of one input that are in hand, with its margin; `end` 0: none yet."""

    input: Input
    begin: int = 0
    end: int = 0
    rows: Rows3 | None = None

    def move(self, begin: int, end: int) -> Rows3:
        """Rows begin to end: what is in hand is kept, the others are read."""
        if self.rows is None or begin >= self.end or end <= self.begin:
            self.rows = self._read(begin, end)
        else:
            low, high = max(begin, self.begin), min(end, self.end)
            parts = [tuple(each[low - self.begin : high - self.begin] for each in self.rows)]
            if begin < low:
                parts.insert(0, self._read(begin, low))
            if end > high:
                parts.append(self._read(high, end))
            first, second, third = (np.concatenate(each) for each in zip(*parts, strict=True))
            self.rows = first, second, third
        self.begin, self.end = begin, end
        return self.rows

    def _read(self, begin: int, end: int) -> Rows3:
        rows, ny = self.input.rows, self.input.rows.shape[0]
        low, high = min(max(begin, 0), ny), max(min(end, ny), 0)
        try:
            planes = [rows.read(low, max(high, low), name) for name in ("science", "variance")]
            try:
                mask: Pixels | None = rows.read(low, max(high, low), "mask")
            except KeyError:
                mask = None
        except (DataFault, OSError, KeyError) as error:
            unit = self.input.unit
            raise DataFault("stack.input", f"{unit} cannot be read: {error}", unit=unit, row=low) from error
        made = prepare(planes[0], planes[1], mask, int(Mask.unusable()))
        edge = ((max(low - begin, 0), max(end - high, 0)), (0, 0))
        if not np.any(edge):
            return made
        fills = (np.nan, 1.0, 0)
        out = [np.pad(each, edge, constant_values=fill) for each, fill in zip(made, fills, strict=True)]
        return out[0], out[1], out[2]


@dataclass(eq=False)
class Quality(dict[str, Measured]):
    """Metrics of a stack; those of its pixels are there when its last band has been given."""

    covered: int = 0
    pixels: int = 0
    clipped: int = 0
    times: list[float] = field(default_factory=list)
    noises: list[float] = field(default_factory=list)

    def add(self, sums: Sums, variance: npt.NDArray[np.float32]) -> None:
        """Take note of a band."""
        good = sums.number > 0
        self.pixels += good.size
        self.covered += int(good.sum())
        self.clipped += int(np.count_nonzero(sums.bits & BITS.clipped))
        sample = (slice(None, None, 8), slice(None, None, 8))
        self.times += sums.time[sample][good[sample]].tolist()
        self.noises += np.sqrt(variance[sample][good[sample]]).tolist()

    def finish(self, magzero: float) -> None:
        """Figures of all bands."""
        self["stack_coverage"] = Measured(self.covered / max(self.pixels, 1))
        self["stack_clipped"] = Measured(self.clipped / max(self.covered, 1))
        if self.noises:
            noise = float(np.median(self.noises))
            self["stack_time"] = Measured(float(np.median(self.times)), "s")
            self["stack_noise"] = Measured(noise)
            self["stack_depth_pixel"] = Measured(magzero - 2.5 * float(np.log10(5.0 * noise)), "mag")


def height(settings: StackSettings, canvas: Canvas, deep: int) -> int:
    """Rows of a band that fit into the memory."""
    kept = 0 if settings.method == "mean" else 12 * deep
    return int(np.clip(settings.memory * 2**20 // (canvas.shape[1] * (_SUMS + kept)), 4, _MOST_ROWS))


def bands(settings: StackSettings, canvas: Canvas, inputs: list[Input], deep: int, quality: Quality) -> Iterator[Band]:
    """The bands of the stack, in order."""
    by, ny = kernel(settings.kernel), canvas.shape[0]
    rows = height(settings, canvas, deep)
    kept = METHODS[settings.method] != METHODS["mean"]
    waiting = sorted(range(len(inputs)), key=lambda n: inputs[n].path.height[0])
    active: dict[int, _Window] = {}
    for y0 in range(0, ny, rows):
        y1 = min(y0 + rows, ny)
        sums = empty_sums(y1 - y0, canvas.shape[1])
        if y0 == 0 or y1 - y0 < rows:
            values = empty_values(y1 - y0, canvas.shape[1], deep if kept else 0)
        while waiting and inputs[waiting[0]].path.height[0] < y1:
            n = waiting.pop(0)
            active[n] = _Window(inputs[n])
        for n in sorted(active):
            if active[n].input.path.height[1] <= y0:
                del active[n]
            else:
                _lay(active[n], n, by, (y0, y1), sums, values)
        if kept:
            limits = (settings.fraction, settings.kappa)
            settle(METHODS[settings.method], limits, BITS, [each.facts for each in inputs], sums, values)
        else:
            close(sums)
        yield _band(y0, sums, quality)
    quality.finish(settings.magzero)


def _lay(window: _Window, number: int, by: Kernel, place: tuple[int, int], sums: Sums, values: Values) -> None:
    each = window.input
    begin, end = span(each.path, *place, each.rows.shape)
    if begin < end:
        rows = window.move(begin, end)
        deposit(rows, begin, each.rows.shape[0], each.path, by, place[0], each.facts, number, BITS, sums, values)


def _band(y0: int, sums: Sums, quality: Quality) -> Band:
    with np.errstate(divide="ignore", invalid="ignore"):
        science = (sums.flux / sums.weight).astype(np.float32)
        variance = (sums.noise / sums.weight**2).astype(np.float32)
        epoch = (sums.epoch / sums.weight).astype(np.float32)
    time = sums.time.astype(np.float32)
    empty = sums.number == 0
    # Where images have ended, the sum of their steps may have been rounded.
    science[empty] = epoch[empty] = np.nan
    time[empty] = 0.0
    variance[empty] = np.inf
    mask = sums.bits | np.where(empty, int(Mask.NO_DATA), 0).astype(np.int32)
    quality.add(sums, variance)
    planes = {"science": science, "variance": variance, "mask": mask}
    return Band(y0, planes | {"number": sums.number, "time": time, "epoch": epoch})
