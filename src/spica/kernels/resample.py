"""Resampling of images onto the pixels of a tile: weights of an interpolation, and the sum over a pixel's neighbours.

The interpolation is separable; each weight is a polynomial of the fraction of a pixel, so that nearest, bilinear and Lanczos
kernels are the same compiled loops, which work on many pixels by one instruction.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_pixels, compiled, inner
from spica.kernels.resample_way import MARGIN

KERNELS = {"nearest": 0, "bilinear": 1, "lanczos2": 2, "lanczos3": 3, "lanczos4": 4}
_TERMS = 4
_SNAP = 1e-6
_USUAL = 3
_HALF, _NONE, _ONE = np.float32(0.5), np.float32(0.0), np.float32(1.0)


class Kernel(NamedTuple):
    """An interpolation kernel.

    ``weights`` (taps / 2, 2, 4) float32: coefficients by powers of t² of the even and the odd part of a neighbour's weight,
    where t is the fraction of a pixel less a half; its mirror image has that of -t. ``squares`` (4,): those of the sum of
    their squares. ``shift`` 0.5 where the first neighbour is the nearest pixel, else 0. A fraction up to ``snap`` is 0.
    """

    weights: Float32
    squares: Float32
    shift: float
    snap: float


def lanczos(order: int, fraction: Float64) -> Float64:
    """Weights of the 2 order neighbours at fractions (n,) of a pixel, (taps, n): Lanczos's, made to keep level and slope.

    The windowed sinc alone moves a source by up to 0.02 pixel and breathes by 1 %; the least that a window times a straight
    line adds to it makes the sum of the weights 1 and their centre the place itself.
    """
    away = fraction - (np.arange(2 * order) - order + 1)[:, None]
    window = np.sinc(away / order)
    weights = np.sinc(away) * window
    lack, slip = 1.0 - weights.sum(axis=0), -np.sum(weights * away, axis=0)
    s0, s1, s2 = (np.sum(window * away**power, axis=0) for power in range(3))
    level = (lack * s2 - slip * s1) / (s0 * s2 - s1 * s1)
    slope = (slip * s0 - lack * s1) / (s0 * s2 - s1 * s1)
    return np.asarray(weights + window * (level + slope * away))


@lru_cache(maxsize=8)
def kernel(name: str) -> Kernel:
    """The kernel of a name of `KERNELS`; weights are right to 3e-6 (their level and slope are kept), and exact on a pixel."""
    order = max(KERNELS[name], 1)
    t = 0.5 * np.cos(np.pi * (np.arange(200) + 0.5) / 200)
    # Two neighbours with all of the weight on the first: the nearest pixel.
    exact = lanczos(order, t + 0.5) if order > 1 else np.stack([0.5 - t, 0.5 + t])
    powers = (t * t)[:, None] ** np.arange(_TERMS)
    first, mirrored = exact[:order], exact[::-1][:order]
    even = np.linalg.lstsq(powers, 0.5 * (first + mirrored).T, rcond=None)[0]
    odd = np.linalg.lstsq(powers * t[:, None], 0.5 * (first - mirrored).T, rcond=None)[0]
    squares = np.linalg.lstsq(powers, np.sum(exact**2, axis=0), rcond=None)[0]
    nearest = KERNELS[name] == 0
    weights = np.stack([even.T, odd.T], axis=1).astype(np.float32)
    return Kernel(weights, squares.astype(np.float32), 0.5 if nearest else 0.0, 1.0 if nearest else _SNAP)


@inner
def _native(word: np.int32) -> np.int32:
    """A 32-bit word the other way round."""
    given = np.uint32(word)
    low = ((given >> np.uint32(8)) & np.uint32(0xFF00)) | (given >> np.uint32(24))
    return np.int32(np.uint32(given << np.uint32(24)) | np.uint32((given << np.uint32(8)) & np.uint32(0xFF0000)) | low)


@inner
def _usable(value: np.int32, noise: np.int32, unfit: np.int32) -> np.int32:
    """The word of a float, that of NaN where it has no use: no number has all bits of the exponent; what has the sign is negative."""
    exponent, none = np.int32(0x7F800000), np.int32(0)
    lost = unfit != none or value & exponent == exponent or noise & exponent == exponent or noise <= none
    return np.int32(0x7FC00000) if lost else value


@inner
def _bits(mask: Int32, y: int, swapped: bool, out: Int32) -> None:
    for x in range(out.size):
        out[x] = mask[y, x] if mask.size > 0 else np.int32(0)
    if swapped:
        for x in range(out.size):
            out[x] = _native(out[x])


@inner
def _reverse(line: Int32) -> None:
    last = np.uint64(line.size - 1)
    for k in range(line.size // 2):
        here = np.uint64(k)
        line[here], line[last - here] = line[last - here], line[here]


@compiled
def _prepare(
    pixels: Int32,
    variance: Int32,
    mask: Int32,
    swapped: bool,
    mirrored: bool,
    bad: int,
    out: Int32,
    errors: Int32,
    bits: Int32,
) -> None:
    width, unfit = pixels.shape[1], np.int32(bad)
    nan, one, none = np.int32(0x7FC00000), np.int32(0x3F800000), np.int32(0)
    for y in range(pixels.shape[0]):
        for edge in (0, width + MARGIN):
            out[y, edge : edge + MARGIN] = nan
            errors[y, edge : edge + MARGIN] = one
            bits[y, edge : edge + MARGIN] = none
        line, error, bit = out[y, MARGIN:], errors[y, MARGIN:], bits[y, MARGIN:]
        _bits(mask, y, swapped, bit[:width])
        # A loop for each: what might be turned or not is not vectorised.
        if swapped:
            for x in range(width):
                value, noise = _native(pixels[y, x]), _native(variance[y, x])
                line[x], error[x] = _usable(value, noise, bit[x] & unfit), noise
        else:
            for x in range(width):
                value, noise = pixels[y, x], variance[y, x]
                line[x], error[x] = _usable(value, noise, bit[x] & unfit), noise
        if mirrored:
            _reverse(line[:width])
            _reverse(error[:width])
            _reverse(bit[:width])


def prepare(
    pixels: Numbers,
    variance: Numbers,
    mask: Numbers | None,
    bad: int,
    out: tuple[Float32, Float32, Int32] | None = None,
    *,
    swapped: bool = False,
    mirrored: bool = False,
) -> tuple[Float32, Float32, Int32]:
    """Rows of an image with its margin at both sides: NaN where a pixel has no use; variance; mask bits. Into `out`, if given.

    ``swapped``: they are given as 32-bit words, int32, with their bytes the other way round. ``mirrored``: the last column comes first.
    """
    if out is None:
        shape = (pixels.shape[0], pixels.shape[1] + 2 * MARGIN)
        out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)
    told = np.empty((0, 0), np.int32) if mask is None else as_bits(mask)
    science, noise = (each if swapped else as_pixels(each).view(np.int32) for each in (pixels, variance))
    line, error, bits = (each.view(np.int32) for each in out)
    _prepare(science, noise, told, bool(swapped), bool(mirrored), int(bad), line, error, bits)
    return out


@inner
def along(
    start: float,
    slope: float,
    axis: int,
    base: int,
    count: int,
    limits: tuple[float, float],
    part: Float32,
    runs: Int32,
    many: int,
) -> int:
    """Fractions of pixels along an axis, put from place `base` on; whatever is so near to a pixel is on it.

    Where one whole pixel follows the other by the same step is a run: ``runs`` (6, n) holds, after those of the axis before, the place of its first, that one's
    whole pixel, and the step. `many` of them are there already; returns how many are then. `limits`: shift and snap of the
    kernel. Whole pixels are counted, so that what is left of them is small enough for float32.
    """
    begin, jump = int(np.floor(start)), int(np.floor(slope + 0.5))
    rest, at = np.float32(slope - jump), np.float32(start - begin)
    lift, snap = np.float32(limits[0] + _SNAP), np.float32(limits[1])
    k = 0
    while k < count:
        whole, end = np.floor(at + rest * np.float32(k) + lift), count
        if np.floor(at + rest * np.float32(count - 1) + lift) != whole:
            low, end = k, count - 1
            while end - low > 1:
                middle = (low + end) // 2
                if np.floor(at + rest * np.float32(middle) + lift) == whole:
                    low = middle
                else:
                    end = middle
        # Unsigned: a place that might be counted from the end keeps loops from being vectorised; a slice costs a lock.
        first, begun = np.uint64(base + k), at + rest * np.float32(k) - whole
        for m in range(end - k):
            left = begun + rest * np.float32(np.int32(m))
            part[axis, first + np.uint64(m)] = left if left > snap else _NONE
        origin = int(whole) + begin + jump * k
        last = max(many - 1, 0)
        same = runs[3 * axis + 1, last] + jump * (base + k - runs[3 * axis, last]) == origin
        if many == 0 or runs[3 * axis + 2, last] != jump or not same:
            runs[3 * axis, many], runs[3 * axis + 1, many], runs[3 * axis + 2, many] = base + k, origin, jump
            many += 1
        k = end
    return many


@inner
def weigh(table: Float32, fraction: Float32, axis: int, begin: int, end: int, out: Float32) -> None:
    """Weights of the neighbours at fractions of a pixel along an axis, of places begin to end."""
    half = table.shape[0]
    first, place = 2 * half * axis, np.uint64(begin)
    for i in range(half):
        e0, e1, e2, e3 = table[i, 0, 0], table[i, 0, 1], table[i, 0, 2], table[i, 0, 3]
        o0, o1, o2, o3 = table[i, 1, 0], table[i, 1, 1], table[i, 1, 2], table[i, 1, 3]
        fixed = _ONE if i == half - 1 else _NONE
        mirrored = first + 2 * half - 1 - i
        for n in range(end - begin):
            k = place + np.uint64(n)
            t = fraction[axis, k] - _HALF
            u = t * t
            even, odd = e0 + u * (e1 + u * (e2 + u * e3)), t * (o0 + u * (o1 + u * (o2 + u * o3)))
            there = fraction[axis, k] == _NONE
            out[first + i, k] = fixed if there else even + odd
            out[mirrored, k] = _NONE if there else even - odd


@inner
def keep_of(squares: Float32, fraction: Float32, axis: int, count: int, keep: Float32) -> None:
    """Sum of the squares of those weights."""
    e0, e1, e2, e3 = squares[0], squares[1], squares[2], squares[3]
    for k in range(count):
        t = fraction[axis, k] - _HALF
        u = t * t
        keep[axis, k] = _ONE if fraction[axis, k] == _NONE else e0 + u * (e1 + u * (e2 + u * e3))


@inner
def add_lines(
    table: Float32,
    flat: Float32,
    start: int,
    stride: int,
    fraction: Float32,
    axis: int,
    begin: int,
    end: int,
    out: Float32,
) -> None:
    """Sum over the neighbours of places begin to end: the first one's are at `start`, `start` + `stride`, and so on.

    Weights are made where they are used. Two neighbours that are each other's mirror image have the even part of their sum and the odd part of
    their difference.
    """
    half = table.shape[0]
    count, first, at, step = end - begin, np.uint64(begin), np.uint64(start), np.uint64(stride)
    if half == _USUAL:
        # Of six all in one go: what is summed stays in registers.
        a0, a1, a2, a3 = table[0, 0, 0], table[0, 0, 1], table[0, 0, 2], table[0, 0, 3]
        b0, b1, b2, b3 = table[1, 0, 0], table[1, 0, 1], table[1, 0, 2], table[1, 0, 3]
        c0, c1, c2, c3 = table[2, 0, 0], table[2, 0, 1], table[2, 0, 2], table[2, 0, 3]
        p0, p1, p2, p3 = table[0, 1, 0], table[0, 1, 1], table[0, 1, 2], table[0, 1, 3]
        q0, q1, q2, q3 = table[1, 1, 0], table[1, 1, 1], table[1, 1, 2], table[1, 1, 3]
        r0, r1, r2, r3 = table[2, 1, 0], table[2, 1, 1], table[2, 1, 2], table[2, 1, 3]
        for n in range(count):
            k, here = first + np.uint64(n), at + np.uint64(n)
            there = here + step + step
            one, two, three = flat[here], flat[here + step], flat[there]
            four, five, six = flat[there + step], flat[there + step + step], flat[there + step + step + step]
            t = fraction[axis, k] - _HALF
            u = t * t
            even = (one + six) * (a0 + u * (a1 + u * (a2 + u * a3))) + (two + five) * (
                b0 + u * (b1 + u * (b2 + u * b3))
            )
            odd = (one - six) * (p0 + u * (p1 + u * (p2 + u * p3))) + (two - five) * (q0 + u * (q1 + u * (q2 + u * q3)))
            even += (three + four) * (c0 + u * (c1 + u * (c2 + u * c3)))
            odd += (three - four) * (r0 + u * (r1 + u * (r2 + u * r3)))
            out[k] = three if fraction[axis, k] == _NONE else even + t * odd
        return
    for n in range(count):
        out[first + np.uint64(n)] = _NONE
    for i in range(half):
        e0, e1, e2, e3 = table[i, 0, 0], table[i, 0, 1], table[i, 0, 2], table[i, 0, 3]
        o0, o1, o2, o3 = table[i, 1, 0], table[i, 1, 1], table[i, 1, 2], table[i, 1, 3]
        low, high, last = at + np.uint64(i) * step, at + np.uint64(2 * half - 1 - i) * step, i == half - 1
        for n in range(count):
            k, m = first + np.uint64(n), np.uint64(n)
            t = fraction[axis, k] - _HALF
            u = t * t
            even, odd = e0 + u * (e1 + u * (e2 + u * e3)), t * (o0 + u * (o1 + u * (o2 + u * o3)))
            total = out[k] + even * (flat[low + m] + flat[high + m]) + odd * (flat[low + m] - flat[high + m])
            out[k] = flat[low + m] if last and fraction[axis, k] == _NONE else total


@inner
def add_around(rows: Float32, x: int, y: int, k: int, c: int, weights: Float32) -> float:
    """Sum over the neighbours of a pixel, the first of which is at x, y: by weights `k` along x and `c` along y."""
    flat, taps, stride = rows.reshape(rows.size), weights.shape[0] // 2, rows.shape[1]
    total = _NONE
    for j in range(taps):
        start = (y + j) * stride + x
        line = flat[start : start + taps]
        part = _NONE
        for i in range(taps):
            part += weights[i, k] * line[i]
        total += weights[taps + j, c] * part
    return float(total)


@inner
def renormalised(rows: Float32, x: int, y: int, k: int, c: int, weights: Float32) -> tuple[float, float]:
    """The same over those that have a value, and the sum of their weights."""
    total = 0.0
    weight = 0.0
    taps = weights.shape[0] // 2
    for j in range(taps):
        for i in range(taps):
            value = rows[y + j, x + i]
            if np.isfinite(value):
                part = float(weights[i, k]) * float(weights[taps + j, c])
                total += part * value
                weight += part
    return total, weight
