"""Resampling of images onto the pixels of a tile: where each pixel comes from, and the sum over its neighbours.

The way from output to input pixels is exact on a coarse grid and linear between its nodes; the grid is made finer until that
is good to `TOLERANCE`. The interpolation is separable; each weight is a polynomial of the fraction of a pixel, so that
nearest, bilinear and Lanczos kernels are the same compiled loop, which works on many pixels by one instruction.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_pixels, compiled, inner
from spica.kernels.projection import Projection
from spica.kernels.wcs import TangentWcs, pixel_to_sky, sky_to_pixel

TOLERANCE = 1e-3
"""Largest error of the way to the input pixels [pixel]."""
CHUNK = 64
"""Widest cell of the grid, and the pixels that are resampled together."""
MARGIN = 8
"""Pixels without a value around an image, so that sums over neighbours need no bounds."""
KERNELS = {"nearest": 0, "bilinear": 1, "lanczos2": 2, "lanczos3": 3, "lanczos4": 4}
_TERMS = 8
_SNAP = 1e-6
_USUAL = 6
_SIDE_BY_SIDE = 6
"""Runs of so many pixels are summed as one."""


class Kernel(NamedTuple):
    """An interpolation kernel.

    ``weights`` (taps, 8) float32: coefficients of each neighbour's weight by powers of the fraction of a pixel; ``squares`` (8,)
    those of the sum of their squares; ``shift`` 0.5 where the first neighbour is the nearest pixel, else 0.
    """

    weights: Float32
    squares: Float32
    shift: float


class Way(NamedTuple):
    """The way from pixels of a tile to those of an image.

    ``nodes`` (4, gy, gx) float64: x, y of the image, the factor of the flux and the level of the sky, at tile pixels
    ``(x0 + step i, y0 + step j)``.
    """

    x0: int
    y0: int
    step: int
    nodes: Float64

    @property
    def height(self) -> tuple[int, int]:
        """First and last (half open) row of the tile that the image may reach."""
        return self.y0, self.y0 + self.step * (self.nodes.shape[1] - 1)


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
    """The kernel of a name of `KERNELS`; weights are right to 1e-6, and exact on a pixel."""
    order = KERNELS[name]
    if order < 2:
        weights = np.zeros((2, _TERMS))
        weights[0, 0] = 1.0
        squares = np.zeros(_TERMS)
        squares[0] = 1.0
        if order:
            weights[:, 1] = -1.0, 1.0
            squares[1:3] = -2.0, 2.0
        return Kernel(weights.astype(np.float32), squares.astype(np.float32), 0.0 if order else 0.5)
    nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(200) + 0.5) / 200)
    exact = lanczos(order, nodes)
    start = np.zeros(2 * order)
    start[order - 1] = 1.0
    weights = np.array([_fitted(nodes, row, first) for row, first in zip(exact, start, strict=True)])
    squares = _fitted(nodes, np.sum(exact**2, axis=0), 1.0)
    return Kernel(weights.astype(np.float32), squares.astype(np.float32), 0.0)


def _fitted(x: Float64, y: Float64, first: float) -> Float64:
    """Coefficients of the polynomial through `first` at 0 that fits best."""
    terms = np.linalg.lstsq(x[:, None] ** np.arange(1, _TERMS), y - first, rcond=None)[0]
    return np.array([first, *terms])


def noise_correlation(name: str) -> float:
    """Noise of a large aperture beside that of as many uncorrelated pixels, after interpolation at all fractions."""
    fraction = (np.arange(1000) + 0.5) / 1000
    powers = fraction[:, None] ** np.arange(_TERMS)
    # Each axis keeps that much of the variance of a pixel; that of a large aperture stays.
    return float(1.0 / np.mean(powers @ kernel(name).squares.astype(np.float64)))


def _exact(projection: Projection, wcs: TangentWcs, x: Float64, y: Float64) -> tuple[Float64, Float64]:
    return sky_to_pixel(wcs, *projection.pixel_to_sky(x, y))


def way(projection: Projection, tile: tuple[int, int], wcs: TangentWcs, shape: tuple[int, int]) -> Way | None:
    """The way from the pixels of a tile (ny, nx) to those of an image (ny, nx); None where it lies outside.

    The factor of the flux is that of the areas: an output pixel's in input pixels. The sky is 0.

    Raises
    ------
    ValueError
        Where no grid is fine enough: the two are of quite other scales.
    """
    box = _footprint(projection, tile, wcs, shape)
    if box is None:
        return None
    step = CHUNK
    while step >= 4:
        # A ring of nodes beyond: for the slopes at the edge.
        x = np.arange(box[0] // step - 1, -(-box[1] // step) + 2) * step
        y = np.arange(box[2] // step - 1, -(-box[3] // step) + 2) * step
        xs, ys = np.meshgrid(x.astype(np.float64), y.astype(np.float64))
        there = np.stack(_exact(projection, wcs, xs, ys))
        half = 0.5 * step
        exact = np.stack(_exact(projection, wcs, xs[:-1, :-1] + half, ys[:-1, :-1] + half))
        between = 0.25 * (there[:, 1:, 1:] + there[:, :-1, 1:] + there[:, 1:, :-1] + there[:, :-1, :-1])
        inside = (exact[0] > -half) & (exact[0] < shape[1] + half) & (exact[1] > -half) & (exact[1] < shape[0] + half)
        if not inside.any() or np.abs(between - exact)[:, inside].max() < TOLERANCE:
            slopes = [np.gradient(each, float(step), edge_order=2) for each in there]
            area = np.abs(slopes[0][1] * slopes[1][0] - slopes[0][0] * slopes[1][1])
            lost = ~np.isfinite(there).all(axis=0) | ~np.isfinite(area)
            nodes = np.stack([*there, area, np.zeros(area.shape)])
            # A cell with a corner that is nowhere gives nothing.
            nodes[:, lost] = np.array([-1e9, -1e9, 0.0, 0.0])[:, None]
            return Way(int(x[0]), int(y[0]), step, nodes)
        step //= 2
    raise ValueError("no grid of 4 pixels or more leads to the image's pixels within 0.001 pixel")


def _footprint(
    projection: Projection, tile: tuple[int, int], wcs: TangentWcs, shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """x0, x1, y0, y1 (half open) of the tile's pixels that an image may reach."""
    along = [np.linspace(-0.5, size - 0.5, max(size // 64, 2)) for size in (shape[1], shape[0])]
    edges = [(along[0], np.full(along[0].size, y)) for y in (-0.5, shape[0] - 0.5)]
    edges += [(np.full(along[1].size, x), along[1]) for x in (-0.5, shape[1] - 0.5)]
    x, y = (np.concatenate(each) for each in zip(*edges, strict=True))
    xs, ys = projection.sky_to_pixel(*pixel_to_sky(wcs, x, y))
    good = np.isfinite(xs) & np.isfinite(ys)
    if not good.any():
        return None
    box = [each for values in (xs[good], ys[good]) for each in (values.min() - 2, values.max() + 3)]
    x0, x1 = max(int(max(box[0], -1e6)), 0), min(int(min(box[1], 1e6)), tile[1])
    y0, y1 = max(int(max(box[2], -1e6)), 0), min(int(min(box[3], 1e6)), tile[0])
    return (x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None


def span(path: Way, y0: int, y1: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Rows of the image (half open, with neighbours, margin included) that rows y0 to y1 of the tile come from."""
    first = max((y0 - path.y0) // path.step, 0)
    last = min(-(-(y1 - path.y0) // path.step), path.nodes.shape[1] - 1)
    if first >= last:
        return 0, 0
    # Linear between the nodes: the extremes of the rows lie at the nodes' columns.
    at = np.clip((np.array([y0, y1 - 1]) - path.y0) / path.step, first, last)
    low = np.minimum(at.astype(int), path.nodes.shape[1] - 2)
    x, y = path.nodes[0], path.nodes[1]
    part = (at - low)[:, None]
    ys = np.concatenate([y[low] * (1 - part) + y[low + 1] * part, y[first : last + 1][1:-1]])
    xs = np.concatenate([x[low] * (1 - part) + x[low + 1] * part, x[first : last + 1][1:-1]])
    near = (ys > -1e8) & (xs > -1e8)
    if not near.any():
        return 0, 0
    begin = int(np.floor(max(ys[near].min(), -1e6))) - MARGIN + 1
    end = int(np.floor(min(ys[near].max(), 1e6))) + MARGIN
    begin, end = max(begin, -MARGIN), min(end, shape[0] + MARGIN)
    return (begin, end) if begin < shape[0] and end > 0 and begin < end else (0, 0)


@compiled
def _prepare(
    pixels: Float32, variance: Float32, mask: Int32, bad: int, out: Float32, errors: Float32, bits: Int32
) -> None:
    width = pixels.shape[1]
    masked = mask.size > 0
    for y in range(pixels.shape[0]):
        for edge in (0, width + MARGIN):
            out[y, edge : edge + MARGIN] = np.nan
            errors[y, edge : edge + MARGIN] = 1.0
            bits[y, edge : edge + MARGIN] = 0
        for x in range(width):
            value, error = pixels[y, x], variance[y, x]
            bit = mask[y, x] if masked else 0
            lost = bit & bad != 0 or not np.isfinite(value) or not np.isfinite(error) or error <= 0.0
            out[y, x + MARGIN] = np.float32(np.nan) if lost else value
            errors[y, x + MARGIN] = error
            bits[y, x + MARGIN] = bit


def prepare(pixels: Numbers, variance: Numbers, mask: Numbers | None, bad: int) -> tuple[Float32, Float32, Int32]:
    """Rows of an image with its margin at both sides: NaN where a pixel has no use; variance; mask bits."""
    shape = (pixels.shape[0], pixels.shape[1] + 2 * MARGIN)
    out, errors, bits = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)
    told = np.empty((0, 0), np.int32) if mask is None else as_bits(mask)
    _prepare(as_pixels(pixels), as_pixels(variance), told, int(bad), out, errors, bits)
    return out, errors, bits


@inner
def _inside(x: float, dx: float, y: float, dy: float, step: int, size: tuple[int, int]) -> tuple[int, int]:
    """First and last (half open) of the pixels of a cell's row of which the nearest pixel lies in the image."""
    begin, stop = 0, step
    ny, nx = size[0] - 0.5, size[1] - 0.5
    while begin < stop and not (-0.5 <= x + dx * begin < nx and -0.5 <= y + dy * begin < ny):
        begin += 1
    while begin < stop and not (-0.5 <= x + dx * (stop - 1) < nx and -0.5 <= y + dy * (stop - 1) < ny):
        stop -= 1
    return begin, stop


@inner
def _along(
    start: float,
    slope: float,
    run: tuple[int, int, int],
    shift: float,
    move: int,
    part: Float32,
    first: Int32,
    near: Int32,
) -> None:
    """Fractions, first neighbours (moved) and nearest pixels along one axis; whatever is so near to a pixel is on it.

    `run`: the place of a cell's first pixel, and the first and last (half open) pixel of the cell that are wanted. Whole
    pixels are counted, so that what is left of them is small enough for float32.
    """
    base, begin, stop = run
    count, start = stop - begin, start + slope * begin
    parts, firsts = part[base + begin : base + stop], first[base + begin : base + stop]
    nears = near[base + begin : base + stop]
    begin, jump = int(np.floor(start)), int(np.floor(slope + 0.5))
    rest, lift, snap = np.float32(slope - jump), np.float32(shift + _SNAP), np.float32(_SNAP)
    at, half, none = np.float32(start - begin), np.float32(0.5), np.float32(0.0)
    for k in range(count):
        place = at + rest * np.float32(np.int32(k))
        whole = np.floor(place + lift)
        left = place - whole
        parts[k] = left if left > snap else none
        pixel = np.int32(whole) + (begin + jump * k)
        firsts[k] = pixel + move
        nears[k] = pixel + (1 if left >= half else 0)


@inner
def places(
    nodes: Float64,
    cell: tuple[int, int],
    part: float,
    step: int,
    base: int,
    shift: float,
    size: tuple[int, int],
    taps: int,
    out: Float32,
    first: Int32,
) -> tuple[int, int]:
    """Fractions, gains, sky (rows of `out`) and first neighbours, nearest pixels (rows of `first`) along a row of a cell.

    They are put from place `base` on. Returns the first and last (half open) that lie in the image.
    """
    j, i = cell
    rest, one = 1.0 - part, 1.0 / step
    x, y = nodes[0, j, i] * rest + nodes[0, j + 1, i] * part, nodes[1, j, i] * rest + nodes[1, j + 1, i] * part
    dx = (nodes[0, j, i + 1] * rest + nodes[0, j + 1, i + 1] * part - x) * one
    dy = (nodes[1, j, i + 1] * rest + nodes[1, j + 1, i + 1] * part - y) * one
    begin, stop = _inside(x, dx, y, dy, step, size)
    half = taps // 2 - 1
    run = base, begin, stop
    _along(x, dx, run, shift, MARGIN - half, out[0], first[0], first[2])
    _along(y, dy, run, shift, -half, out[1], first[1], first[3])
    x, y = nodes[2, j, i] * rest + nodes[2, j + 1, i] * part, nodes[3, j, i] * rest + nodes[3, j + 1, i] * part
    dx = (nodes[2, j, i + 1] * rest + nodes[2, j + 1, i + 1] * part - x) * one
    dy = (nodes[3, j, i + 1] * rest + nodes[3, j + 1, i + 1] * part - y) * one
    gain, sky = out[2, base + begin : base + stop], out[3, base + begin : base + stop]
    start, slope = np.float32(x + dx * begin), np.float32(dx)
    level, rise = np.float32(y + dy * begin), np.float32(dy)
    for k in range(stop - begin):
        gain[k] = start + slope * np.float32(np.int32(k))
        sky[k] = level + rise * np.float32(np.int32(k))
    return base + begin, base + stop


@inner
def weigh(table: Float32, fraction: Float32, count: int, out: Float32) -> None:
    """Evaluate each row of a table of coefficients at the fractions."""
    for i in range(table.shape[0]):
        c0, c1, c2, c3 = table[i, 0], table[i, 1], table[i, 2], table[i, 3]
        c4, c5, c6, c7 = table[i, 4], table[i, 5], table[i, 6], table[i, 7]
        row = out[i]
        for k in range(count):
            f = fraction[k]
            row[k] = c0 + f * (c1 + f * (c2 + f * (c3 + f * (c4 + f * (c5 + f * (c6 + f * c7))))))


@inner
def add_all(
    rows: Float32, ix: Int32, iy: Int32, count: int, wx: Float32, wy: Float32, each: Float32, total: Float32
) -> None:
    """Sum over the neighbours of `count` pixels, whose first ones are at ix, iy: quick where they lie side by side."""
    begin = 0
    while begin < count:
        end = begin + 1
        while end < count and ix[end] - ix[begin] == end - begin and iy[end] == iy[begin]:
            end += 1
        if end - begin < _SIDE_BY_SIDE and end < count:
            end = min(begin + 4 * _SIDE_BY_SIDE, count)
            _add_anywhere(rows, ix, iy, begin, end, wx, wy, total)
        elif wx.shape[0] == _USUAL:
            _add_six(rows, ix[begin], iy[begin], begin, end, wx, wy, total)
        else:
            _add_run(rows, ix[begin], iy[begin], begin, end, wx, wy, each, total)
        begin = end


@inner
def _add_six(rows: Float32, x: int, y: int, begin: int, end: int, wx: Float32, wy: Float32, total: Float32) -> None:
    """`_add_run` for six neighbours: what is summed stays in registers."""
    count, out = end - begin, total[begin:end]
    w0, w1, w2 = wx[0, begin:end], wx[1, begin:end], wx[2, begin:end]
    w3, w4, w5 = wx[3, begin:end], wx[4, begin:end], wx[5, begin:end]
    out[:] = 0.0
    for j in range(_USUAL):
        line, down = rows[y + j, x : x + count + _USUAL], wy[j, begin:end]
        for k in range(count):
            one, two = w0[k] * line[k] + w1[k] * line[k + 1], w2[k] * line[k + 2] + w3[k] * line[k + 3]
            out[k] += down[k] * (one + two + (w4[k] * line[k + 4] + w5[k] * line[k + 5]))


@inner
def _add_run(
    rows: Float32, x: int, y: int, begin: int, end: int, wx: Float32, wy: Float32, each: Float32, total: Float32
) -> None:
    taps, count = wx.shape[0], end - begin
    out, sums = total[begin:end], each[:count]
    out[:] = 0.0
    for j in range(taps):
        sums[:] = 0.0
        for i in range(0, taps, 2):
            one, two = wx[i, begin:end], wx[i + 1, begin:end]
            start, after = rows[y + j, x + i : x + i + count], rows[y + j, x + i + 1 : x + i + 1 + count]
            for k in range(count):
                sums[k] += one[k] * start[k] + two[k] * after[k]
        down = wy[j, begin:end]
        for k in range(count):
            out[k] += down[k] * sums[k]


@inner
def _add_anywhere(
    rows: Float32, ix: Int32, iy: Int32, begin: int, end: int, wx: Float32, wy: Float32, total: Float32
) -> None:
    flat, taps, stride = rows.reshape(rows.size), wx.shape[0], rows.shape[1]
    for k in range(begin, end):
        total[k] = 0.0
        for j in range(taps):
            start = (iy[k] + j) * stride + ix[k]
            line = flat[start : start + taps]
            part = np.float32(0.0)
            # The same sums in the same order as side by side.
            for i in range(0, taps, 2):
                part += wx[i, k] * line[i] + wx[i + 1, k] * line[i + 1]
            total[k] += wy[j, k] * part


@inner
def renormalised(rows: Float32, x: int, y: int, k: int, wx: Float32, wy: Float32) -> tuple[float, float]:
    """Sum over the neighbours that have a value, and the sum of their weights."""
    total = 0.0
    weight = 0.0
    for j in range(wy.shape[0]):
        for i in range(wx.shape[0]):
            value = rows[y + j, x + i]
            if np.isfinite(value):
                part = float(wx[i, k]) * float(wy[j, k])
                total += part * value
                weight += part
    return total, weight
