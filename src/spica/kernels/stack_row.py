"""A row of a stack: pixels that follow each other, resampled from an image all together.

Where the tile's rows run along the image's (`spica.kernels.resample_way.LEVEL`), each column of the image is summed where the
row passes it, and those sums along the row: twelve products a pixel for Lanczos-3 instead of forty-two. The two ways differ by
what an image has of structure finer than a pixel can hold. Everywhere else each pixel is summed over its neighbours.
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, inner
from spica.kernels.resample import add_around, add_lines, along, keep_of, renormalised, weigh
from spica.kernels.resample_way import MARGIN

WIDE = 2048
"""Pixels of a row that are worked on together: as much as stays in the innermost cache."""
_COLUMNS = 2600
"""Columns of an image that so many pixels of a level row may come from."""
_LEAST_WEIGHT = 0.5
"""Of the kernel's weight so much must fall on pixels with a value."""
_LOST = 1e-3
_BLOCK = 64
_HALF = np.float32(0.5)


class Work(NamedTuple):
    """Room for what is known of the pixels of a row that are worked on together.

    Along each axis, x and y: ``part`` (2, n) fractions, ``weights`` (2 taps, n), ``keep`` (2, n) what those keep of the noise,
    ``runs`` (6, n), see `along`. Those of y belong to the image's columns where the row is level, else to the pixels.
    ``total``, ``noise``, ``bit`` (2, n): of the pixels, and of the columns. ``use`` (n,), 1 or 0, of the pixels.
    """

    part: Float32
    weights: Float32
    keep: Float32
    runs: Int32
    total: Float32
    noise: Float32
    bit: Int32
    use: Float32


@inner
def work_of(floats: Float32, whole: Int32) -> Work:
    """The parts of `room`."""
    total, noise, part, keep = floats[:2], floats[2:4], floats[4:6], floats[6:8]
    return Work(part, floats[9:], keep, whole[2:], total, noise, whole[:2], floats[8])


def room(taps: int) -> tuple[Float32, Int32]:
    """Room for the pixels that are worked on together; the compiler would take long over it."""
    return np.zeros((9 + 2 * taps, _COLUMNS), np.float32), np.zeros((8, _COLUMNS), np.int32)


class Extent(NamedTuple):
    """Number of pixels that are worked on together and of their runs; of places along y and of theirs; leftmost column."""

    pixels: int
    runs: int
    places: int
    downs: int
    first: int


@inner
def _inside(x: float, dx: float, y: float, dy: float, step: int, size: tuple[int, int]) -> tuple[int, int]:
    """First and last (half open) of the pixels of a cell's row of which the nearest pixel lies in the image."""
    begin, stop = 0, step
    ny, nx = size[0] - 0.5, size[1] - 0.5
    far, low = x + dx * (step - 1), y + dy * (step - 1)
    if max(x, far) < -0.5 or min(x, far) >= nx or max(y, low) < -0.5 or min(y, low) >= ny:
        return 0, 0
    while begin < stop and not (-0.5 <= x + dx * begin < nx and -0.5 <= y + dy * begin < ny):
        begin += 1
    while begin < stop and not (-0.5 <= x + dx * (stop - 1) < nx and -0.5 <= y + dy * (stop - 1) < ny):
        stop -= 1
    return begin, stop


@inner
def cell_row(
    nodes: Float64,
    at: tuple[int, int],
    part: float,
    grid: tuple[int, int, int],
    size: tuple[int, int, int],
    out: Float64,
) -> tuple[int, int]:
    """First and last (half open) of the pixels of a cell's row that come from the image; and their line, for `_resample`."""
    (j, i), step = at, grid[2]
    for c in range(4):
        here = nodes[c, j, i] * (1.0 - part) + nodes[c, j + 1, i] * part
        next_one = nodes[c, j, i + 1] * (1.0 - part) + nodes[c, j + 1, i + 1] * part
        out[1 + c], out[5 + c] = here, (next_one - here) / step
    begin, stop = _inside(out[1], out[5], out[2], out[6], step, (size[0], size[1]))
    left = grid[0] + i * step
    begin, stop = max(begin, -left), min(stop, size[2] - left)
    out[0] = max(stop - begin, 0)
    for c in range(4):
        out[1 + c] += out[5 + c] * begin
    return begin, stop


@inner
def _end(runs: Int32, axis: int, r: int, many: int, count: int) -> int:
    """Place after the last of a run."""
    return runs[3 * axis, r + 1] if r + 1 < many else count


@inner
def _sum(
    axis: int,
    table: Float32,
    source: tuple[Float32, Float32, Int32],
    base: int,
    stride: int,
    size: tuple[int, int],
    work: Work,
    total: Float32,
    noise: Float32,
    bit: Int32,
) -> None:
    """Sums along an axis; nearest variances and bits. Neighbours are `stride` apart; whole pixel 0 is at `base`.

    `size`: number of runs and of pixels.
    """
    rows, errors, bits = source
    parts, keep, runs = work.part, work.keep, work.runs
    ahead = (table.shape[0] - 1) * stride
    for r in range(size[0]):
        begin, end = runs[3 * axis, r], _end(runs, axis, r, size[0], size[1])
        start = base + runs[3 * axis + 1, r] * stride + (begin if axis == 1 else 0)
        add_lines(table, rows, start, stride, parts, axis, begin, end, total)
        at, near, step = np.uint64(begin), np.uint64(start + ahead), np.uint64(stride)
        for n in range(end - begin):
            k, here = at + np.uint64(n), near + np.uint64(n)
            one, two, part = errors[here], errors[here + step], parts[axis, k]
            noise[k] = keep[axis, k] * (two if part >= _HALF else one)
        for n in range(end - begin):
            k, here = at + np.uint64(n), near + np.uint64(n)
            lower, upper, part = bits[here], bits[here + step], parts[axis, k]
            bit[k] = upper if part >= _HALF else lower


@inner
def _first(
    work: Work, top: int, level: bool, k: int, found: tuple[int, int], size: Extent
) -> tuple[int, int, int, int, int]:
    """First neighbour (x, y of the rows in hand) of pixel `k`, place of its weights along y, and runs; `found`: of one before."""
    back, w, (r, s) = work.weights.shape[0] // 4 - 1, k, found
    while _end(work.runs, 0, r, size.runs, size.pixels) <= k:
        r += 1
    x = work.runs[1, r] + work.runs[2, r] * (k - work.runs[0, r]) - back
    if level:
        w = x - size.first + back + (1 if work.part[0, k] >= _HALF else 0)
    while _end(work.runs, 1, s, size.downs, size.places) <= w:
        s += 1
    y = work.runs[4, s] + work.runs[5, s] * (w - work.runs[3, s]) - back - top
    return x + MARGIN, y, w, r, s


@inner
def _around(window: tuple[Float32, Float32, Int32], top: int, work: Work, size: Extent) -> None:
    """The same as `_sum` for pixels that come from anywhere, one by one."""
    rows, errors, bits = window
    back, r, s = work.weights.shape[0] // 4 - 1, 0, 0
    for k in range(size.pixels):
        x, y, w, r, s = _first(work, top, False, k, (r, s), size)
        work.total[0, k] = add_around(rows, x, y, k, w, work.weights)
        x += back + (1 if work.part[0, k] >= _HALF else 0)
        y += back + (1 if work.part[1, w] >= _HALF else 0)
        work.noise[0, k] = errors[y, x] * work.keep[0, k] * work.keep[1, w]
        work.bit[0, k] = bits[y, x]


@inner
def _mended(
    rows: Float32,
    top: int,
    level: bool,
    table: Float32,
    begin: int,
    end: int,
    marks: tuple[int, int],
    work: Work,
    size: Extent,
) -> bool:
    back, r, s, whole = work.weights.shape[0] // 4 - 1, 0, 0, True
    if level:
        # Sums along level rows make their weights as they go.
        low, high = _first(work, top, level, begin, (0, 0), size)[2], _first(work, top, level, end - 1, (0, 0), size)[2]
        for axis, one, last in ((0, begin, end - 1), (1, low, high)):
            weigh(table, work.part, axis, one, last + 1, work.weights)
    for k in range(begin, end):
        if np.isfinite(work.total[0, k]):
            continue
        x, y, w, r, s = _first(work, top, level, k, (r, s), size)
        value, weight = renormalised(rows, x, y, k, w, work.weights)
        x += back + (1 if work.part[0, k] >= _HALF else 0)
        y += back + (1 if work.part[1, w] >= _HALF else 0)
        if not np.isfinite(rows[y, x]) or not weight > _LEAST_WEIGHT:
            whole = False
            work.use[k] = 0.0
            work.total[0, k] = 0.0
            work.bit[0, k] &= marks[1]
            continue
        work.total[0, k] = value / weight
        if abs(weight - 1.0) > _LOST:
            work.bit[0, k] |= marks[0]
    return whole


@inner
def mend(
    rows: Float32,
    top: int,
    level: bool,
    table: Float32,
    marks: tuple[int, int],
    work: Work,
    size: Extent,
    passed: Int32,
) -> bool:
    """Sums that met pixels without a value: of the others, where the nearest and most of the weight are among them.

    Mask bits go to ``passed``. Returns whether all pixels have a value.
    """
    met, whole, total, bit, use = False, True, work.total, work.bit, work.use
    for begin in range(0, size.pixels, _BLOCK):
        end, bad, told, at = min(begin + _BLOCK, size.pixels), 0, 0, np.uint64(begin)
        for n in range(end - begin):
            bad |= 0 if np.isfinite(total[0, at + np.uint64(n)]) else 1
            told |= bit[0, at + np.uint64(n)]
        if bad != 0:
            if not met:
                for k in range(size.pixels):
                    use[k] = 1.0
            met = True
            whole &= _mended(rows, top, level, table, begin, end, marks, work, size)
        if bad != 0 or told != 0:
            for n in range(end - begin):
                passed[at + np.uint64(n)] |= bit[0, at + np.uint64(n)]
    return whole


@inner
def _lines(
    cells: Float64, n: int, level: bool, limits: tuple[float, float], by: tuple[Float32, Float32], work: Work
) -> Extent:
    """Fractions, runs and weights along both axes."""
    back = work.weights.shape[0] // 4 - 1
    count, many, first, wide, downs = 0, 0, 0, 0, 0
    for axis in range(2):
        level_y, place, found = level and axis == 1, 0, 0
        for i in range(n):
            # Where the row is level, y is that of its image's columns.
            start, slope, end = cells[i, 1 + axis], cells[i, 5 + axis], place + int(cells[i, 0])
            if level_y:
                slope /= cells[i, 5]
                end = min(max(int(np.ceil(cells[i + 1, 1])) - first, place), wide) if i + 1 < n else wide
                start += (first + place - cells[i, 1]) * slope
            if end > place:
                found = along(start, slope, axis, place, end - place, limits, work.part, work.runs, found)
            place = end
        if axis == 0:
            count, many, wide, first = place, found, place, work.runs[1, 0] - back
            if level:
                wide = work.runs[1, many - 1] + count - work.runs[0, many - 1] + 2 * back + 1 - first
        else:
            downs = found
        keep_of(by[1], work.part, axis, place, work.keep)
        if not level:
            weigh(by[0], work.part, axis, 0, place, work.weights)
    return Extent(count, many, wide, downs, first)


@inner
def resample(
    window: tuple[Float32, Float32, Int32],
    top: int,
    cells: Float64,
    n: int,
    by: tuple[Float32, Float32],
    limits: tuple[float, float],
    level: bool,
    work: Work,
) -> Extent:
    """Sums, variances and bits of the pixels of `n` cells of a row that follow each other, without gain and sky.

    ``cells`` (n, 9): of each the number of pixels; x, y, gain, sky of the first; and what they change by from one to the next.
    """
    size = _lines(cells, n, level, limits, by, work)
    if not level:
        _around(window, top, work, size)
        return size
    back, stride = work.weights.shape[0] // 4 - 1, window[0].shape[1]
    for axis in (1, 0):
        base, step = (size.first + MARGIN - (top + back) * stride, stride) if axis == 1 else (-back - size.first, 1)
        rows, errors, bits = work.total[1], work.noise[1], work.bit[1]
        if axis == 1:
            rows, errors, bits = (
                window[0].reshape(window[0].size),
                window[1].reshape(window[1].size),
                window[2].reshape(window[2].size),
            )
        shape = (size.downs, size.places) if axis == 1 else (size.runs, size.pixels)
        _sum(
            axis,
            by[0],
            (rows, errors, bits),
            base,
            step,
            shape,
            work,
            work.total[axis],
            work.noise[axis],
            work.bit[axis],
        )
    return size
