"""Cleaning: detections that would not have been made without the wings of a brighter neighbour go to that neighbour.

After SExtractor (Bertin & Arnouts 1996, A&AS 117, 393, section 6.1), with profiles through the peak and the isophote.
"""

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Int64, compiled, inner
from spica.kernels.detect import Segments
from spica.kernels.regroup import regroup

_CELL = 32
"""Side of the cells in which neighbours are looked up [pixel]."""

_FAINTEST = 1.0
"""Wings below the noise of the filtered image make no detection."""

# Columns of the table of profiles.
_X, _Y, _PEAK, _HEIGHT, _CXX, _CYY, _CXY, _REACH = range(8)
_COLUMNS = 8


@inner
def _height(values: Float32, rank: int, scratch: Float32) -> float:
    """The rank-th brightest value (from 1), or the faintest of fewer."""
    kept = 0
    for value in values:
        place = kept
        if kept == rank:
            if value <= scratch[kept - 1]:
                continue
            place = kept - 1
        else:
            kept += 1
        while place > 0 and scratch[place - 1] < value:
            scratch[place] = scratch[place - 1]
            place -= 1
        scratch[place] = value
    return float(scratch[kept - 1])


@inner
def _profiles(
    start: Int64, pixels: Int32, values: Float32, nx: int, threshold: float, beta: float, rank: int, table: Float64
) -> None:
    """Place, peak, height and form of each source: P (1 + cxx dx² + cyy dy² + cxy dx dy)^-β."""
    scratch = np.empty(rank, dtype=np.float32)
    for k in range(start.size - 1):
        first, last = start[k], start[k + 1]
        y0 = pixels[first] // np.int32(nx)
        x0 = pixels[first] - y0 * np.int32(nx)
        s = sx = sy = xx = yy = xy = peak = 0.0
        for q in range(first, last):
            row = pixels[q] // np.int32(nx)
            dy = row - y0
            dx = pixels[q] - row * np.int32(nx) - x0
            value = float(values[q])
            peak = max(peak, value)
            s += value
            sx += value * dx
            sy += value * dy
            xx += value * dx * dx
            yy += value * dy * dy
            xy += value * dx * dy
        sx /= s
        sy /= s
        xx = xx / s - sx * sx + 1.0 / 12.0
        yy = yy / s - sy * sy + 1.0 / 12.0
        xy = xy / s - sx * sy
        axes = np.sqrt(max(xx * yy - xy * xy, 1e-3))
        area = last - first
        # The ellipse that has the isophote's area and the moments' form is where the profile has the threshold's height.
        scale = ((peak / threshold) ** (1.0 / beta) - 1.0) * np.pi / area / axes
        table[k, _X] = x0 + sx
        table[k, _Y] = y0 + sy
        table[k, _PEAK] = peak
        table[k, _HEIGHT] = _height(values[first:last], rank, scratch) - threshold
        table[k, _CXX] = scale * yy
        table[k, _CYY] = scale * xx
        table[k, _CXY] = -2.0 * scale * xy
        table[k, _REACH] = 0.0
        if peak > _FAINTEST and scale > 0.0:
            longest = np.sqrt(0.5 * (xx + yy) + np.sqrt(0.25 * (xx - yy) ** 2 + xy * xy))
            table[k, _REACH] = longest * np.sqrt((peak ** (1.0 / beta) - 1.0) / (scale * axes * axes))


@inner
def _cells(table: Float64, nx: int, ny: int) -> tuple[Int64, Int64]:
    """Sources sorted by cell: where each cell begins, and the sources in that order."""
    wide = nx // _CELL + 1
    begin = np.zeros(wide * (ny // _CELL + 1) + 1, dtype=np.int64)
    cell = np.empty(table.shape[0], dtype=np.int64)
    for k in range(cell.size):
        cell[k] = int(table[k, _Y]) // _CELL * wide + int(table[k, _X]) // _CELL
        begin[cell[k] + 1] += 1
    for c in range(begin.size - 1):
        begin[c + 1] += begin[c]
    place = begin[:-1].copy()
    members = np.empty(cell.size, dtype=np.int64)
    for k in range(cell.size):
        members[place[cell[k]]] = k
        place[cell[k]] += 1
    return begin, members


@inner
def _swallow(
    table: Float64, k: int, beta: float, nx: int, ny: int, begin: Int64, members: Int64, swallowed: Int32
) -> None:
    """Mark the fainter sources that the wings of source k made."""
    x, y, reach = table[k, _X], table[k, _Y], table[k, _REACH]
    wide = nx // _CELL + 1
    for row in range(max(int(y - reach), 0) // _CELL, min(int(y + reach), ny - 1) // _CELL + 1):
        for column in range(max(int(x - reach), 0) // _CELL, min(int(x + reach), nx - 1) // _CELL + 1):
            for place in range(begin[row * wide + column], begin[row * wide + column + 1]):
                other = members[place]
                if swallowed[other] >= 0 or table[other, _PEAK] >= table[k, _PEAK]:
                    continue
                dx = table[other, _X] - x
                dy = table[other, _Y] - y
                square = table[k, _CXX] * dx * dx + table[k, _CYY] * dy * dy + table[k, _CXY] * dx * dy
                wing = table[k, _PEAK] * (1.0 + square) ** -beta
                if wing > max(table[other, _HEIGHT], _FAINTEST):
                    swallowed[other] = k


@compiled
def _clean(
    start: Int64,
    pixels: Int32,
    values: Float32,
    ny: int,
    nx: int,
    threshold: float,
    beta: float,
    rank: int,
    order: Int64,
    owner: Int32,
) -> int:
    """Fill the owner of each pixel, numbered without the swallowed ones; returns how many sources are left.

    In `order`, brightest first: what is swallowed swallows nothing.
    """
    number = start.size - 1
    table = np.empty((number, _COLUMNS))
    _profiles(start, pixels, values, nx, threshold, beta, rank, table)
    begin, members = _cells(table, nx, ny)
    swallowed = np.full(number, -1, dtype=np.int32)
    for k in order:
        if swallowed[k] < 0 and table[k, _REACH] > 0.0:
            _swallow(table, k, beta, nx, ny, begin, members, swallowed)
    fresh = np.empty(number, dtype=np.int32)
    count = 0
    for k in range(number):
        if swallowed[k] < 0:
            fresh[k] = count
            count += 1
    for k in range(number):
        mine = fresh[k if swallowed[k] < 0 else swallowed[k]]
        for q in range(start[k], start[k + 1]):
            owner[q] = mine
    return count


def clean(segments: Segments, threshold: float, *, beta: float = 2.0, min_area: int = 3) -> Segments:
    """Give detections that the wings of brighter ones made to those.

    A source's wing is P (1 + α r²)^-β through its peak and its isophote. A fainter one is not a detection of its own
    where the wing, taken away, leaves fewer than `min_area` pixels above the threshold.

    Parameters
    ----------
    segments : Segments
        From `spica.kernels.deblend.deblend`.
    threshold : float
        What they were found with.
    beta : float
        Exponent of the wings: the lower, the more they reach and swallow.
    min_area : int
        Least number of pixels.

    Returns
    -------
    Segments
        Those that stay, with the pixels of the ones they swallowed.
    """
    if segments.count == 0:
        return segments
    owner = np.empty(segments.pixels.size, dtype=np.int32)
    limits = float(threshold), float(beta), max(int(min_area), 1)
    order = np.argsort(-np.maximum.reduceat(segments.values, segments.start[:-1]), kind="stable")
    lists = segments.start, segments.pixels, segments.values
    count = _clean(*lists, segments.ny, segments.nx, *limits, order, owner)
    if count == segments.count:
        return segments
    blended = np.zeros(count, dtype=np.bool_)
    np.maximum.at(blended, owner[segments.start[:-1]], segments.blended)
    return regroup(segments, owner, blended)
