"""Stacks: images resampled onto the rows of a tile and combined, a band of rows at a time.

A weighted mean is summed as the images come. For a median, clipped mean, least or largest value the values of a band are
kept until all have come (`spica.kernels.stack_settle`).
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Numbers, compiled, inner
from spica.kernels.resample import Kernel
from spica.kernels.resample_way import MARGIN, Way
from spica.kernels.stack_row import WIDE, Extent, Work, cell_row, mend, resample, room, work_of

MEAN, MEDIAN, CLIPPED, LEAST, LARGEST = range(5)
METHODS = {"mean": MEAN, "median": MEDIAN, "clipped": CLIPPED, "min": LEAST, "max": LARGEST}


class Sums(NamedTuple):
    """What is summed for a band: (rows, nx) each.

    ``flux``, ``noise``: sums of weight times value and weight² times variance, float32; ``weight``, ``epoch``, ``time``: of weight,
    weight times time, and exposure times, float64; ``number``, ``bits``: of images, and of mask bits, int32.

    While images are added to a mean, ``weight``, ``epoch``, ``time`` and ``number`` hold the steps along each row, which are
    nothing but where an image begins or ends; `finish` sums them.
    """

    flux: Float32
    weight: Float64
    noise: Float32
    epoch: Float64
    time: Float64
    number: Int32
    bits: Int32


class Values(NamedTuple):
    """Values of a band that are kept: (depth, rows, nx) float32 and, for their images, int32; depth 0 for a mean."""

    value: Float32
    variance: Float32
    image: Int32


class Bits(NamedTuple):
    """Mask bits: that a value was interpolated, was clipped; which of a pixel that is not used are passed on."""

    interpolated: int
    clipped: int
    passed: int


@inner
def _add(
    sums: Sums, y: int, left: int, count: int, value: Float32, error: Float32, use: Float32, facts: Float64
) -> None:
    """Add pixels of which some are of no use to the sums of flux and noise, and to the steps of the others."""
    one, two = np.float32(facts[0]), np.float32(facts[0] * facts[0])
    flux, noise = sums.flux[y, left : left + count], sums.noise[y, left : left + count]
    before = 0
    for k in range(count):
        now = int(use[k])
        if now:
            flux[k] += one * value[k]
            noise[k] += two * error[k]
        if now != before:
            _step(sums, y, left + k, now - before, facts)
        before = now
    _step(sums, y, left + count, -before, facts)


@inner
def _scale(
    cells: Float64,
    n: int,
    facts: Float64,
    total: Float32,
    noise: Float32,
    straight: bool,
    flux: Float32,
    errors: Float32,
) -> None:
    """Sky and gain of the pixels of `n` cells: in place, or `straight` into the sums of flux and noise."""
    at, scale = np.uint64(0), np.float32(facts[3])
    one, two = np.float32(facts[0]), np.float32(facts[0] * facts[0])
    for i in range(n):
        count, gain, slope = int(cells[i, 0]), np.float32(cells[i, 3]), np.float32(cells[i, 7])
        sky, rise = np.float32(cells[i, 4]), np.float32(cells[i, 8])
        if straight:
            for m in range(count):
                k, far = at + np.uint64(m), np.float32(np.int32(m))
                factor = (gain + slope * far) * scale
                flux[k] += one * ((total[k] - (sky + rise * far)) * factor)
                errors[k] += two * (noise[k] * (factor * factor))
        else:
            for m in range(count):
                k, far = at + np.uint64(m), np.float32(np.int32(m))
                factor = (gain + slope * far) * scale
                total[k] = (total[k] - (sky + rise * far)) * factor
                noise[k] *= factor * factor
        at += np.uint64(count)


@inner
def _step(sums: Sums, y: int, x: int, sign: int, facts: Float64) -> None:
    """An image begins (1) or ends (-1) at a pixel."""
    if x < sums.number.shape[1]:
        sums.weight[y, x] += sign * facts[0]
        sums.epoch[y, x] += sign * facts[0] * facts[2]
        sums.time[y, x] += sign * facts[1]
        sums.number[y, x] += sign


@inner
def _hold(values: Values, y: int, left: int, number: Int32, count: int, work: Work, image: int, clean: bool) -> None:
    """Keep the values of pixels, each in the next place of its pixel."""
    value, variance, whose = values.value, values.variance, values.image
    total, noise, use = work.total[0], work.noise[0], work.use
    k = 0
    while k < count:
        n, end = number[left + k], k + 1
        if not clean and use[k] <= 0.0:
            k = end
            continue
        # As far as they go to the same place.
        while end < count and number[left + end] == n and (clean or use[end] > 0.0):
            end += 1
        at, here = np.uint64(left + k), np.uint64(k)
        for m in range(end - k):
            value[n, y, at + np.uint64(m)] = total[here + np.uint64(m)]
            variance[n, y, at + np.uint64(m)] = noise[here + np.uint64(m)]
            whose[n, y, at + np.uint64(m)] = image
            number[at + np.uint64(m)] = n + 1
        k = end


@inner
def _lay(
    window: tuple[Float32, Float32, Int32],
    top: int,
    place: tuple[int, int],
    size: Extent,
    cells: Float64,
    n: int,
    level: bool,
    table: Float32,
    facts: Float64,
    image: int,
    marks: tuple[int, int],
    work: Work,
    sums: Sums,
    values: Values,
) -> None:
    """Pixels that have been resampled, to their place (row of the band, column of the tile)."""
    y, left, count = place[0], place[1], size.pixels
    total, noise = work.total[0], work.noise[0]
    clean = mend(window[0], top, level, table, marks, work, size, sums.bits[y, left : left + count])
    kept = values.value.size > 0
    flux, errors = sums.flux[y, left : left + count], sums.noise[y, left : left + count]
    _scale(cells, n, facts, total, noise, clean and not kept, flux, errors)
    if kept:
        _hold(values, y, left, sums.number[y], count, work, image, clean)
    elif clean:
        _step(sums, y, left, 1, facts)
        _step(sums, y, left + count, -1, facts)
    else:
        _add(sums, y, left, count, total, noise, work.use, facts)


@compiled
def _deposit(
    window: tuple[Float32, Float32, Int32],
    top: int,
    height: int,
    grid: tuple[int, int, int],
    nodes: Float64,
    level: bool,
    by: tuple[Float32, Float32],
    limits: tuple[float, float],
    y0: int,
    facts: Float64,
    image: int,
    marks: tuple[int, int],
    room: tuple[Float32, Int32],
    cells: Float64,
    sums: Sums,
    values: Values,
) -> None:
    work = work_of(room[0], room[1])
    gx0, gy0, step = grid
    together = WIDE // step
    size = height, window[0].shape[1] - 2 * MARGIN, sums.number.shape[1]
    for y in range(sums.number.shape[0]):
        j = (y0 + y - gy0) // step
        if y0 + y < gy0 or j >= nodes.shape[1] - 1:
            continue
        part = (y0 + y - gy0 - j * step) / step
        n, left, right = 0, 0, 0
        for i in range(nodes.shape[2]):
            begin, stop = 0, 0
            if i < nodes.shape[2] - 1:
                begin, stop = cell_row(nodes, (j, i), part, grid, size, cells[n])
            if n > 0 and (n == together or begin >= stop or gx0 + i * step + begin != right):
                extent = resample(window, top, cells, n, by, limits, level, work)
                _lay(window, top, (y, left), extent, cells, n, level, by[0], facts, image, marks, work, sums, values)
                for c in range(9):
                    cells[0, c] = cells[n, c]
                n = 0
            if begin < stop:
                left = gx0 + i * step + begin if n == 0 else left
                right = gx0 + i * step + stop
                n += 1


class Facts(NamedTuple):
    """What is known of an image: weight, exposure time [s], time [day since a day of all], factor of its flux."""

    weight: float
    time: float
    epoch: float
    scale: float


def empty_sums(rows: int, nx: int) -> Sums:
    """Sums of nothing."""
    flux, noise = (np.zeros((rows, nx), np.float32) for _ in range(2))
    weight, epoch, time = (np.zeros((rows, nx)) for _ in range(3))
    number, bits = (np.zeros((rows, nx), np.int32) for _ in range(2))
    return Sums(flux, weight, noise, epoch, time, number, bits)


def clear(sums: Sums) -> None:
    """Make them sums of nothing again: cheaper than fresh memory."""
    for each in sums:
        each.fill(0)


def empty_values(rows: int, nx: int, depth: int) -> Values:
    """Room for the values of a band."""
    shape = (depth, rows, nx) if depth else (0, 0, 0)
    return Values(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32))


def deposit(
    window: tuple[Float32, Float32, Int32],
    top: int,
    height: int,
    path: Way,
    by: Kernel,
    y0: int,
    facts: Facts,
    image: int,
    bits: Bits,
    sums: Sums,
    values: Values,
) -> None:
    """Resample one image onto a band of the tile, and add it to its sums (or keep its values).

    Parameters
    ----------
    window : rows of the image from `spica.kernels.resample.prepare`, the first of which is row `top` (of `height`).
    path, by : the way to the image's pixels, and the kernel.
    y0 : first row of the band in the tile.
    facts, image : of the image, and its number.
    """
    _deposit(
        window,
        int(top),
        int(height),
        (path.x0, path.y0, path.step),
        path.nodes,
        bool(path.level),
        (by.weights, by.squares),
        (float(by.shift), float(by.snap)),
        int(y0),
        np.array(facts, dtype=np.float64),
        int(image),
        (int(bits.interpolated), int(bits.passed)),
        room(2 * len(by.weights)),
        np.zeros((WIDE // path.step + 1, 9)),
        sums,
        values,
    )


@compiled
def _finish(
    sums: Sums,
    stepped: bool,
    empty: int,
    clipped: int,
    planes: tuple[Float32, Float32, Float32, Float32],
    number: Int32,
    mask: Int32,
) -> tuple[int, int]:
    science, variance, time, epoch = planes
    covered, cut = 0, 0
    for y in range(number.shape[0]):
        weight, days, seconds, images = 0.0, 0.0, 0.0, 0
        for x in range(number.shape[1]):
            if not stepped:
                weight, days, seconds, images = 0.0, 0.0, 0.0, 0
            weight += sums.weight[y, x]
            days += sums.epoch[y, x]
            seconds += sums.time[y, x]
            images += sums.number[y, x]
            number[y, x], mask[y, x] = images, sums.bits[y, x]
            # Where images have ended, the sum of their steps may have been rounded.
            if images == 0:
                science[y, x] = epoch[y, x] = np.nan
                variance[y, x], time[y, x] = np.inf, 0.0
                mask[y, x] |= empty
                continue
            one = 1.0 / weight
            science[y, x], epoch[y, x] = sums.flux[y, x] / weight, days * one
            variance[y, x], time[y, x] = sums.noise[y, x] * one * one, seconds
            covered += 1
            cut += 1 if mask[y, x] & clipped != 0 else 0
    return covered, cut


def finish(sums: Sums, empty: int, bits: Bits, *, stepped: bool) -> tuple[dict[str, Numbers], int, int]:
    """Planes of a band from its sums, and how many of its pixels have a value and how many were clipped.

    Parameters
    ----------
    empty : mask bit of pixels without a value.
    stepped : the sums are those of a mean.
    """
    science, variance, time, epoch = (np.empty(sums.number.shape, np.float32) for _ in range(4))
    number, mask = (np.empty(sums.number.shape, np.int32) for _ in range(2))
    told = _finish(sums, bool(stepped), int(empty), int(bits.clipped), (science, variance, time, epoch), number, mask)
    planes = {"science": science, "variance": variance, "mask": mask, "number": number, "time": time, "epoch": epoch}
    return planes, *told
