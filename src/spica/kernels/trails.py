"""Straight trails of satellites and aircraft: sums of a binned frame along all lines, profiles of one line, its mask.

Sums along lines are the fast discrete Radon transform (Brady 1998, SIAM J. Comput. 27, 107; Press 2006, PNAS 103, 19249),
as Nir, Zackay & Ofek (2018, AJ 156, 229) use it to find streaks; lines of half and a quarter of the length come from its
last steps but one and two.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.coarse import CoarseSky, coarse_sky, level_at, level_line
from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_coordinates, as_pixels, compiled, inner
from spica.kernels.robust import select_kth

CLIP = 3.0
"""A pixel counts for no more than so many of its own standard deviations: stars are bright, trails are long."""
_LEAST_GOOD = 0.5
"""Of the pixels of a cell or of a piece of a line; less tells nothing."""
_QUANTILE = 0.3
"""Of the pixels along a piece: sources, always brighter, move it less than the median."""
_AROUND = 64
"""Side of the surroundings of a cell in half cells."""


class Line(NamedTuple):
    """A line from (x0, y0) to (x1, y1) [0-based pixel] and the signal-to-noise of the sum along it."""

    snr: float
    x0: float
    y0: float
    x1: float
    y1: float


@compiled
def _bin(
    image: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    level: Float64,
    box: int,
    side: int,
    value: Float32,
) -> None:
    ny, nx = image.shape
    line = np.empty(nx, dtype=np.float32)
    sums = np.empty(nx, dtype=np.float32)
    counts = np.empty(nx, dtype=np.float32)
    zero, one, endless = np.float32(0.0), np.float32(1.0), np.float32(np.inf)
    top = np.float32(CLIP)
    bits = np.int32(bad_bits)
    for j in range(value.shape[0]):
        sums[:] = zero
        counts[:] = zero
        for y in range(j * side, min((j + 1) * side, ny)):
            level_line(level, box, y, line)
            pixels, spread, flags = image[y], variance[y], mask[y]
            for x in range(nx):
                good = (spread[x] > zero) & (flags[x] & bits == 0)
                snr = (pixels[x] - line[x]) / np.sqrt(spread[x] if good else one)
                good = good & (np.abs(snr) < endless)
                snr = min(max(snr, -top), top)
                sums[x] += snr if good else zero
                counts[x] += one if good else zero
        for i in range(value.shape[1]):
            total = number = zero
            for x in range(i * side, min((i + 1) * side, nx)):
                total += sums[x]
                number += counts[x]
            value[j, i] = total / np.sqrt(number) if number >= _LEAST_GOOD * side * side else np.nan


def _flattened(value: Float32, around: CoarseSky, cap: float) -> Float32:
    """Twos by twos of cells, each about the level around it in units of its scatter and capped, summed; NaN cells are 0."""
    known = np.isfinite(around.level) & (around.sigma > 0.0)
    ny, nx = value.shape
    out = np.zeros((ny + ny % 2, nx + nx % 2), dtype=np.float32)
    if np.any(known):
        level, sigma = (np.where(known, grid, np.median(grid[known])) for grid in (around.level, around.sigma))
        level, sigma = (
            np.repeat(np.repeat(grid.astype(np.float32), around.box, axis=0), around.box, axis=1)[:ny, :nx]
            for grid in (level, sigma)
        )
        snr = np.clip((value - level) / sigma, -cap, cap)
        out[:ny, :nx] = np.where(np.isfinite(snr), snr, 0)
    return np.asarray(out.reshape(out.shape[0] // 2, 2, -1, 2).sum(axis=(1, 3)))


def binned(
    image: Numbers, variance: Numbers, mask: Numbers, sky: CoarseSky, *, bad_bits: int, side: int, cap: float
) -> Float32:
    """Significance of the light in cells, in which stars count for little more than noise.

    Each pixel's signal-to-noise is clipped at `CLIP`; so is that of cells of half the side, about the level of their
    surroundings: a star fills some of these, a trail all that it crosses. Four of them make a cell.

    Parameters
    ----------
    image, variance, mask : (ny, nx) arrays; `bad_bits` exclude a pixel.
    sky : its level.
    side : of a cell [pixel], even.
    cap : of half a cell's significance, in units of their scatter.

    Returns
    -------
    (ceil(ny / side), ceil(nx / side)) float32
        In units of the scatter of all about their mean.
    """
    half = side // 2
    value = np.empty((-(-image.shape[0] // half), -(-image.shape[1] // half)), dtype=np.float32)
    planes = as_pixels(image), as_pixels(variance), as_bits(mask)
    _bin(*planes, int(bad_bits), as_coordinates(sky.level), int(sky.box), half, value)
    around = coarse_sky(value, np.zeros(value.shape, np.int32), bad_bits=0, box=_AROUND, step=2)
    out = _flattened(value, around, cap)
    lit = out != 0.0
    out[lit] -= np.mean(out[lit]) if np.any(lit) else 0.0
    return as_pixels(out / max(float(np.std(out[lit])), 1e-6)) if np.any(lit) else out


@inner
def _fold(values: Float32, out: Float32, height: int) -> None:
    """One step of the transform: strips of `height` rows, (strip, shift, place), to strips of twice as many."""
    wide = values.shape[1]
    for strip in range(values.shape[0] // (2 * height)):
        for shift in range(2 * height):
            first = values[2 * strip * height + shift // 2]
            second = values[(2 * strip + 1) * height + shift // 2]
            move = (shift + 1) // 2
            line = out[2 * strip * height + shift]
            ahead = second[move:]
            for x in range(wide - move):
                line[x] = first[x] + ahead[x]
            for x in range(wide - move, wide):
                line[x] = first[x]


@inner
def _best_of(sums: Float32, height: int, shape: tuple[int, int], least: float, best: Float64) -> None:
    """Keep in `best` (snr, strip, shift, place) the line of the greatest signal-to-noise of those long enough."""
    rows, columns = shape
    size = sums.shape[0]
    for strip in range((rows + height - 1) // height):
        tall = min(height, rows - strip * height)
        for shift in range(height):
            along = sums[strip * height + shift]
            slope = shift / (height - 1.0)
            stretch = np.sqrt(1.0 + slope * slope)
            root = np.sqrt(least / stretch)
            for place in range(along.size):
                # No line of cells enough would do.
                if along[place] <= best[0] * root:
                    continue
                # Rows of the strip in which the line is within the frame: from the left edge to the right one.
                x = place - size
                first, last = 0.0, tall - 1.0
                if x < 0:
                    first = -x / slope if slope > 0.0 else np.inf
                if slope > 0.0:
                    last = min(last, (columns - 1 - x) / slope)
                cells = last - first + 1.0
                if cells * stretch >= least:
                    snr = along[place] / np.sqrt(cells)
                    if snr > best[0]:
                        best[0], best[1], best[2], best[3] = snr, strip, shift, place


@compiled
def _radon(value: Float32, least: float, levels: int, best: Float64) -> int:
    """The best line of slopes dx/dy from 0 to 1; returns the height of its strip (0: none is long enough)."""
    rows, columns = value.shape
    size = 1
    while size < rows:
        size *= 2
    planes = np.zeros((2, size, size + columns), dtype=np.float32)
    planes[0, :rows, size:] = value
    height, found, now = 1, 0, 0
    best[0] = -np.inf
    while height < size:
        _fold(planes[now], planes[1 - now], height)
        now = 1 - now
        height *= 2
        if (height << levels) > size:
            before = best[0]
            _best_of(planes[now], height, (rows, columns), least, best)
            if best[0] > before:
                found = height
    return found


def best_line(value: Float32, side: int, *, least: float, levels: int = 3) -> Line | None:
    """The line along which the sum over a binned frame is the most significant.

    Parameters
    ----------
    value : from `binned`: in units of its noise about 0.
    side : of a cell [pixel].
    least : length of a line in cells.
    levels : lines through the whole frame, and through its halves, quarters … along y or x.

    Returns
    -------
    Line or None
        None where no line is long enough.
    """
    best = np.empty(4)
    found: Line | None = None
    for turned in (False, True):
        for flipped in (False, True):
            plane = value.T if turned else value
            plane = np.ascontiguousarray(plane[:, ::-1] if flipped else plane)
            height = _radon(as_pixels(plane), float(least), int(levels), best)
            if height == 0 or (found is not None and best[0] <= found.snr):
                continue
            rows, columns = plane.shape
            size = 1 << (rows - 1).bit_length()
            begin, shift, y = best[3] - size, best[2], best[1] * height
            ends = [(begin, y), (begin + shift, y + height - 1)]
            if flipped:
                ends = [(columns - 1 - u, v) for u, v in ends]
            if turned:
                ends = [(v, u) for u, v in ends]
            (x0, y0), (x1, y1) = ((side * (u + 0.5) - 0.5, side * (v + 0.5) - 0.5) for u, v in ends)
            found = Line(*map(float, (best[0], x0, y0, x1, y1)))
    return found


@compiled
def _profiles(
    image: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    level: Float64,
    box: int,
    path: Float64,
    steps: int,
    out: Float32,
) -> None:
    """Quantiles of the signal-to-noise along pieces of `steps` pixels; `path`: x, y and the direction of each step."""
    ny, nx = image.shape
    half = out.shape[1] // 2
    buffer = np.empty(steps, dtype=np.float32)
    under = np.empty(steps)
    for piece in range(out.shape[0]):
        for k in range(steps):
            # The sky is even enough across the line.
            y = int(path[1, piece * steps + k] + 0.5)
            under[k] = level_at(level, box, y, int(path[0, piece * steps + k] + 0.5))
        for offset in range(-half, half + 1):
            count = 0
            for k in range(piece * steps, (piece + 1) * steps):
                # The normal is the direction turned by a right angle.
                x = int(np.floor(path[0, k] - offset * path[3, k] + 0.5))
                y = int(np.floor(path[1, k] + offset * path[2, k] + 0.5))
                if x < 0 or x >= nx or y < 0 or y >= ny:
                    continue
                if mask[y, x] & bad_bits != 0 or not variance[y, x] > 0.0:
                    continue
                snr = (image[y, x] - under[k - piece * steps]) / np.sqrt(variance[y, x])
                if np.isfinite(snr):
                    buffer[count] = snr
                    count += 1
            enough = count >= _LEAST_GOOD * steps
            out[piece, half + offset] = select_kth(buffer, count, int(_QUANTILE * count)) if enough else np.nan


def profiles(
    image: Numbers,
    variance: Numbers,
    mask: Numbers,
    sky: CoarseSky,
    path: npt.NDArray[np.float64],
    *,
    bad_bits: int,
    half: int,
    piece: int,
) -> Float32:
    """Cross-sections of a line, piece by piece: a low quantile along each piece, so that stars hardly show.

    Parameters
    ----------
    image, variance, mask : (ny, nx) arrays; `bad_bits` exclude a pixel.
    sky : its level.
    path : (4, n) array
        x, y [pixel] and direction (cosine, sine) of steps of one pixel along the line.
    half : reach to either side [pixel].
    piece : steps of a piece.

    Returns
    -------
    (n // piece, 2 half + 1) float32
        Signal-to-noise of a pixel; NaN where fewer than half of the pixels are good.
    """
    out = np.empty((path.shape[1] // piece, 2 * half + 1), dtype=np.float32)
    planes = as_pixels(image), as_pixels(variance), as_bits(mask)
    level = as_coordinates(sky.level)
    _profiles(*planes, int(bad_bits), level, int(sky.box), as_coordinates(path), int(piece), out)
    return out


def mark(mask: Int32, path: npt.NDArray[np.float64], low: float, high: float, *, bit: int) -> int:
    """Set a bit along a line, from `low` to `high` [pixel] across it, in place; returns how many pixels were new."""
    ny, nx = mask.shape
    x, y, c, s = np.repeat(path[:4], 2, axis=1)
    # Half a pixel apart both ways, so that no pixel is left out.
    half = np.tile([0.0, 0.5], path.shape[1])
    offsets = np.append(np.arange(low, high, 0.5), high)[:, None]
    columns = np.floor(x + half * c - offsets * s + 0.5).astype(np.int64)
    rows = np.floor(y + half * s + offsets * c + 0.5).astype(np.int64)
    inside = (columns >= 0) & (columns < nx) & (rows >= 0) & (rows < ny)
    places = np.unique(rows[inside] * nx + columns[inside])
    flat = mask.reshape(-1)
    places = places[flat[places] & bit == 0]
    flat[places] |= bit
    return int(places.size)
