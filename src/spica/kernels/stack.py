"""Stacks: images resampled onto the rows of a tile and combined, a band of rows at a time.

A weighted mean is summed as the images come. For a median, clipped mean, least or largest value the values of a band are
kept until all have come (`spica.kernels.stack_settle`).
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, compiled, inner
from spica.kernels.resample import MARGIN, Kernel, Way, add_all, places, renormalised, weigh

MEAN, MEDIAN, CLIPPED, LEAST, LARGEST = range(5)
METHODS = {"mean": MEAN, "median": MEDIAN, "clipped": CLIPPED, "min": LEAST, "max": LARGEST}
WIDE = 512
"""Pixels of a row that are worked on together: as much as stays in the innermost cache."""
_LEAST_WEIGHT = 0.5
"""Of the kernel's weight so much must fall on pixels with a value."""
_LOST = 1e-3


class Sums(NamedTuple):
    """What is summed for a band: (rows, nx) each.

    ``flux``, ``weight``, ``noise``, ``epoch``, ``time``: sums of weight times value, weight, weight² times variance, weight times
    time, and exposure times, float64; ``number``, ``bits``: of images, and of mask bits, int32.

    While images are added to a mean, ``weight``, ``epoch``, ``time`` and ``number`` hold the steps along each row, which are
    nothing but where an image begins or ends; `close` sums them.
    """

    flux: Float64
    weight: Float64
    noise: Float64
    epoch: Float64
    time: Float64
    number: Int32
    bits: Int32


class Values(NamedTuple):
    """Values of a band that are kept: (depth, rows, nx) float32 and, for their images, int32; depth 0 for a mean."""

    value: Float32
    variance: Float32
    image: Int32


class Work(NamedTuple):
    """Room for the pixels of a cell's row: what `places` tells, weights, what they keep of the noise, sums; bits, use (1 or 0)."""

    place: Float32
    wx: Float32
    wy: Float32
    keep: Float32
    each: Float32
    total: Float32
    noise: Float32
    use: Float32
    first: Int32
    bit: Int32


class Bits(NamedTuple):
    """Mask bits: that a value was interpolated, was clipped; which of a pixel that is not used are passed on."""

    interpolated: int
    clipped: int
    passed: int


@inner
def _look(
    errors: Float32,
    bits: Int32,
    near: tuple[Int32, Int32],
    top: int,
    count: int,
    total: Float32,
    noise: Float32,
    bit: Int32,
) -> tuple[bool, bool]:
    """Variance and mask bits of the nearest pixels; whether all sums are finite, and whether there are any bits."""
    stride, x, y = errors.shape[1], near[0], near[1]
    error, mask = errors.reshape(errors.size), bits.reshape(bits.size)
    for k in range(count):
        at = np.uint64((y[k] - top) * stride + x[k] + MARGIN)
        noise[k] = error[at]
        bit[k] = mask[at]
    bad, told = 0, 0
    for k in range(count):
        bad += 0 if np.isfinite(total[k]) else 1
    for k in range(count):
        told |= bit[k]
    return bad == 0, told != 0


@inner
def _mend(
    rows: Float32,
    first: tuple[Int32, Int32],
    near: tuple[Int32, Int32],
    top: int,
    count: int,
    weights: tuple[Float32, Float32],
    total: Float32,
    bit: Int32,
    use: Float32,
    marks: tuple[int, int],
) -> None:
    """Sums that met pixels without a value: of the others, where the nearest and most of the weight are among them."""
    for k in range(count):
        if np.isfinite(total[k]):
            continue
        value, weight = renormalised(rows, first[0][k], first[1][k], k, weights[0], weights[1])
        if not np.isfinite(rows[near[1][k] - top, near[0][k] + MARGIN]) or not weight > _LEAST_WEIGHT:
            use[k] = 0.0
            total[k] = 0.0
            bit[k] &= marks[1]
            continue
        total[k] = value / weight
        if abs(weight - 1.0) > _LOST:
            bit[k] |= marks[0]


@inner
def _add(
    sums: Sums, y: int, left: int, count: int, value: Float32, error: Float32, use: Float32, clean: bool, facts: Float64
) -> None:
    """Add pixels to the sums of flux and noise, and to the steps of the others; those of no use count nothing."""
    one, two = facts[0], facts[0] * facts[0]
    flux, noise = sums.flux[y, left : left + count], sums.noise[y, left : left + count]
    if clean:
        for k in range(count):
            flux[k] += one * value[k]
        for k in range(count):
            noise[k] += two * error[k]
        _step(sums, y, left, 1, facts)
        _step(sums, y, left + count, -1, facts)
        return
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
def _step(sums: Sums, y: int, x: int, sign: int, facts: Float64) -> None:
    """An image begins (1) or ends (-1) at a pixel."""
    if x < sums.number.shape[1]:
        sums.weight[y, x] += sign * facts[0]
        sums.epoch[y, x] += sign * facts[0] * facts[2]
        sums.time[y, x] += sign * facts[1]
        sums.number[y, x] += sign


@inner
def _hold(values: Values, y: int, left: int, number: Int32, count: int, work: Work, image: int) -> None:
    """Keep the values of pixels, each in the next place of its pixel."""
    value, variance, whose = values.value, values.variance, values.image
    total, noise, use = work.total, work.noise, work.use
    for k in range(count):
        if use[k] > 0.0:
            at = left + k
            n = number[at]
            value[n, y, at], variance[n, y, at], whose[n, y, at] = total[k], noise[k], image
            number[at] = n + 1


@inner
def _cells(
    window: tuple[Float32, Float32, Int32],
    top: int,
    run: tuple[int, int, int, int],
    by: tuple[Float32, Float32],
    facts: Float64,
    image: int,
    marks: tuple[int, int],
    work: Work,
    sums: Sums,
    values: Values,
) -> None:
    """Resample a row of some cells: `run` is its row in the band, its first pixel, and which of them have a place."""
    y, left, begin, stop = run
    count = stop - begin
    place, first, wx, wy = work.place, work.first, work.wx, work.wy
    fx, fy = place[0, begin:stop], place[1, begin:stop]
    total, noise, bit, use = work.total, work.noise, work.bit, work.use
    weigh(by[0], fx, count, wx)
    weigh(by[0], fy, count, wy)
    weigh(by[1], fx, count, work.keep[0:1])
    weigh(by[1], fy, count, work.keep[1:2])
    ix, iy = first[0, begin:stop], first[1, begin:stop]
    near = first[2, begin:stop], first[3, begin:stop]
    for k in range(count):
        iy[k] -= top
    add_all(window[0], ix, iy, count, wx, wy, work.each, total)
    use[:] = 1.0
    clean, told = _look(window[1], window[2], near, top, count, total, noise, bit)
    if not clean:
        told = True
        _mend(window[0], (ix, iy), near, top, count, (wx, wy), total, bit, use, marks)
    gain, sky, scale = place[2, begin:stop], place[3, begin:stop], np.float32(facts[3])
    across, along = work.keep[0], work.keep[1]
    for k in range(count):
        factor = gain[k] * scale
        total[k] = (total[k] - sky[k]) * factor
        noise[k] *= across[k] * along[k] * factor * factor
    left += begin
    if values.value.size > 0:
        _hold(values, y, left, sums.number[y], count, work, image)
    else:
        _add(sums, y, left, count, total, noise, use, clean, facts)
    if told:
        passed = sums.bits[y, left : left + count]
        for k in range(count):
            passed[k] |= bit[k]


@compiled
def _deposit(
    window: tuple[Float32, Float32, Int32],
    top: int,
    height: int,
    grid: tuple[int, int, int],
    nodes: Float64,
    by: tuple[Float32, Float32],
    shift: float,
    y0: int,
    facts: Float64,
    image: int,
    marks: tuple[int, int],
    sums: Sums,
    values: Values,
) -> None:
    taps = by[0].shape[0]
    floats = np.zeros((4 + 2 * taps + 6, WIDE), np.float32)
    whole = np.zeros((5, WIDE), np.int32)
    rest = floats[4 + 2 * taps :]
    work = Work(
        floats[:4],
        floats[4 : 4 + taps],
        floats[4 + taps : 4 + 2 * taps],
        rest[:2],
        rest[2],
        rest[3],
        rest[4],
        rest[5],
        whole[:4],
        whole[4],
    )
    gx0, gy0, step = grid
    many = WIDE // step
    size = height, window[0].shape[1] - 2 * MARGIN
    for y in range(sums.number.shape[0]):
        j = (y0 + y - gy0) // step
        if y0 + y < gy0 or j >= nodes.shape[1] - 1:
            continue
        part = (y0 + y - gy0 - j * step) / step
        for group in range(0, nodes.shape[2] - 1, many):
            left = gx0 + group * step
            begin, stop = WIDE, 0
            for i in range(group, min(group + many, nodes.shape[2] - 1)):
                base = (i - group) * step
                low, high = places(nodes, (j, i), part, step, base, shift, size, taps, work.place, work.first)
                if low < high:
                    begin, stop = min(begin, low), high
            begin, stop = max(begin, -left), min(stop, sums.number.shape[1] - left)
            if begin < stop:
                _cells(window, top, (y, left, begin, stop), by, facts, image, marks, work, sums, values)


class Facts(NamedTuple):
    """What is known of an image: weight, exposure time [s], time [day since a day of all], factor of its flux."""

    weight: float
    time: float
    epoch: float
    scale: float


def empty_sums(rows: int, nx: int) -> Sums:
    """Sums of nothing."""
    flux, weight, noise, epoch, time = (np.zeros((rows, nx)) for _ in range(5))
    number, bits = (np.zeros((rows, nx), np.int32) for _ in range(2))
    return Sums(flux, weight, noise, epoch, time, number, bits)


def close(sums: Sums) -> None:
    """Sum the steps along the rows, after the last image of a mean."""
    for each in (sums.weight, sums.epoch, sums.time, sums.number):
        np.cumsum(each, axis=1, out=each)


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
        (by.weights, by.squares[None]),
        float(by.shift),
        int(y0),
        np.array(facts, dtype=np.float64),
        int(image),
        (int(bits.interpolated), int(bits.passed)),
        sums,
        values,
    )
