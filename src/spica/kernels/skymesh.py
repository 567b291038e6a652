"""Level and noise of the sky on a mesh, with the light of sources kept out.

The image is averaged in blocks of 4 x 4 pixels, in which faint stars stand out better than in single pixels and all
that follows is sixteen times less work. A cell of the mesh starts from the median of its blocks. Then, three times,
blocks that stand out of the cell's level are taken for sources and masked with the blocks about them, the more of them
the brighter they are, and the level is the mean of what is left. Blocks that lie as far below are left out too, so that
noise alone does not shift the mean. Cells that stand out of their surroundings in every direction lie in a large object
and are given up.
"""

from dataclasses import dataclass

import numpy as np

from spica.kernels.background import fill_holes, median_filter_into
from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_bits, as_pixels, compiled, inner
from spica.kernels.lifted import give_up_lifted, middle_of
from spica.kernels.robust import median_in_place

BLOCK = 4
"""Side of a block [pixel]."""
_ROUNDS = 3
_CLIP = 2.5
"""A block this far from the level, in the blocks' noise, is no sky."""
_TRUNCATED = 0.9113
"""Variance of a normal distribution cut at ± `_CLIP`."""
_GROWTH = 3
"""Blocks on each side of a source that are masked with it, fewer in the diagonals; fewer in fields too crowded."""
_BRIGHT = 15.0
"""A source of this height over `_CLIP`'s noise has one block more masked about it, and one more for each factor 4."""
_STEP = 4.0
_FARTHEST = 12


@dataclass(frozen=True)
class SkyMesh:
    """The sky in each cell of a mesh that divides the image evenly, ``(gy, gx)`` float64.

    ``level`` and ``rms`` (standard deviation of single pixels) are in the unit of the image, NaN where a cell has not
    enough sky. ``correlation`` is the noise of blocks over what it would be if pixels were independent: 1 for white
    noise. ``growth`` says how many blocks about sources were masked: fewer than 3 in a crowded field.
    """

    level: Float64
    rms: Float64
    correlation: Float64
    growth: int


@inner
def _bin_row(image: Float32, mask: Int32, bad_bits: int, j: int, work: Float32, out: Float32) -> None:
    """Mean, squared deviations and number of the good pixels of one row of blocks: `out` is (4, blocks).

    The mean is written twice: the first is that from which the tilt of the sky will be taken.
    """
    ny, nx = image.shape
    zero = np.float32(0.0)
    one = np.float32(1.0)
    endless = np.float32(np.inf)
    y0 = j * BLOCK
    y1 = min(y0 + BLOCK, ny)
    work[:] = zero
    total, number, centre, squares = work[0], work[1], work[2], work[3]
    for y in range(y0, y1):
        row = image[y]
        bits = mask[min(y, mask.shape[0] - 1)]
        for x in range(nx):
            value = row[x]
            good = (value > -endless) & (value < endless) & (bits[x] & bad_bits == 0)
            total[x] += value if good else zero
            number[x] += one if good else zero
    for i in range(out.shape[1]):
        x0 = i * BLOCK
        light = zero
        count = zero
        for k in range(BLOCK):
            light += total[x0 + k]
            count += number[x0 + k]
        whole = (y1 - y0) * (min(x0 + BLOCK, nx) - x0)
        # A block of which half is bad says nothing.
        out[2, i] = count if 2 * count >= whole else zero
        out[0, i] = light / max(count, one)
        out[3, i] = out[0, i]
        for k in range(BLOCK):
            centre[x0 + k] = out[0, i]
    for y in range(y0, y1):
        row = image[y]
        bits = mask[min(y, mask.shape[0] - 1)]
        for x in range(nx):
            value = row[x]
            good = (value > -endless) & (value < endless) & (bits[x] & bad_bits == 0)
            step = value - centre[x] if good else zero
            squares[x] += step * step
    for i in range(out.shape[1]):
        x0 = i * BLOCK
        out[1, i] = (squares[x0] + squares[x0 + 1]) + (squares[x0 + 2] + squares[x0 + 3])


@inner
def _start(blocks: Float32, rows: Int64, columns: Int64, least: float, level: Float64, scatter: Float64) -> None:
    """Median of the blocks of each cell, and their scatter below it; NaN where too few are good."""
    buffer = np.empty(blocks.shape[0] * blocks.shape[2], dtype=np.float32)
    for v in range(rows.size - 1):
        for u in range(columns.size - 1):
            count = 0
            for j in range(rows[v], rows[v + 1]):
                for i in range(columns[u], columns[u + 1]):
                    if blocks[j, 2, i] > 0.0:
                        buffer[count] = blocks[j, 3, i]
                        count += 1
            level[v, u] = np.nan
            scatter[v, u] = np.nan
            if count >= max(least * (rows[v + 1] - rows[v]) * (columns[u + 1] - columns[u]), 1):
                level[v, u] = median_in_place(buffer, count)
                below = 0.0
                for k in range(count):
                    below += min(buffer[k] - level[v, u], 0.0) ** 2
                scatter[v, u] = np.sqrt(2.0 * below / count)


@inner
def _mark_row(blocks: Float32, level: Float32, scatter: Float32, growth: int, reach: Int32) -> None:
    """How far each block of a row spoils others, plus one; 0: not even itself."""
    clip = np.float32(_CLIP)
    bright = np.float32(_BRIGHT)
    for i in range(reach.size):
        excess = blocks[0, i] - level[i]
        limit = clip * scatter[i]
        above = (excess > limit) & (blocks[2, i] > 0.0)
        below = (excess < -limit) & (blocks[2, i] > 0.0)
        reach[i] = 1 + growth if above else (1 if below else 0)
    if growth == 0:
        return
    for i in range(reach.size):
        height = bright * scatter[i]
        if blocks[0, i] - level[i] > height and reach[i] > 0:
            while blocks[0, i] - level[i] > height and reach[i] < _FARTHEST:
                reach[i] += 1
                height *= np.float32(_STEP)


@inner
def _carry_row(reach: Int32, other: Int32) -> None:
    for i in range(reach.size):
        reach[i] = max(reach[i], other[i] - 1)


@inner
def _tilt(before: float, here: float, after: float) -> float:
    """Slope per cell: the smaller of those on both sides, 0 where they differ in sign; so a step has none."""
    below = here - before
    above = after - here
    if below * above <= 0.0:
        return 0.0
    return below if abs(below) < abs(above) else above


@inner
def _tilts(grid: Float64, v: int, u: int) -> tuple[float, float]:
    """Slopes of a cell along rows and columns, per cell; those of its inner neighbour at the edge."""
    gy, gx = grid.shape
    j = min(max(v, 1), gy - 2)
    i = min(max(u, 1), gx - 2)
    along_y = _tilt(grid[j - 1, u], grid[j, u], grid[j + 1, u]) if gy > 2 else 0.0
    along_x = _tilt(grid[v, i - 1], grid[v, i], grid[v, i + 1]) if gx > 2 else 0.0
    return along_y, along_x


@inner
def _flatten(blocks: Float32, rows: Int64, columns: Int64, level: Float64) -> None:
    """Take the tilt of the sky within its cell from each block."""
    for v in range(rows.size - 1):
        high = rows[v + 1] - rows[v]
        for u in range(columns.size - 1):
            wide = columns[u + 1] - columns[u]
            along_y, along_x = _tilts(level, v, u)
            for j in range(rows[v], rows[v + 1]):
                base = along_y * (j - rows[v] - 0.5 * (high - 1)) / high
                for i in range(columns[u], columns[u + 1]):
                    tilt = base + along_x * (i - columns[u] - 0.5 * (wide - 1)) / wide
                    blocks[j, 0, i] = blocks[j, 3, i] - np.float32(tilt)


@inner
def _mark(
    blocks: Float32, rows: Int64, columns: Int64, level: Float64, scatter: Float64, growth: int, reach: Int32
) -> None:
    """Mark the blocks that are no sky, and those about them: where `reach` stays 0 the sky is left."""
    ny, nx = reach.shape
    middle = np.empty(nx, dtype=np.float32)
    noise = np.empty(nx, dtype=np.float32)
    for v in range(rows.size - 1):
        for u in range(columns.size - 1):
            for i in range(columns[u], columns[u + 1]):
                middle[i] = level[v, u]
                noise[i] = scatter[v, u]
        for j in range(rows[v], rows[v + 1]):
            _mark_row(blocks[j], middle, noise, growth, reach[j])
            # The reach falls by one per block: along the row here, along the columns below.
            for i in range(1, nx):
                reach[j, i] = max(reach[j, i], reach[j, i - 1] - 1)
            for i in range(nx - 2, -1, -1):
                reach[j, i] = max(reach[j, i], reach[j, i + 1] - 1)
    for j in range(1, ny):
        _carry_row(reach[j], reach[j - 1])
    for j in range(ny - 2, -1, -1):
        _carry_row(reach[j], reach[j + 1])


@inner
def _remainder(
    blocks: Float32,
    reach: Int32,
    rows: Int64,
    columns: Int64,
    least: float,
    level: Float64,
    scatter: Float64,
    rms: Float64,
) -> None:
    """Mean of the blocks that are left in each cell, their scatter below it, and the noise of their pixels."""
    for v in range(rows.size - 1):
        for u in range(columns.size - 1):
            origin = level[v, u]
            count = 0
            total = 0.0
            pixels = 0.0
            squares = 0.0
            for j in range(rows[v], rows[v + 1]):
                for i in range(columns[u], columns[u + 1]):
                    if reach[j, i] == 0 and blocks[j, 2, i] > 0.0:
                        count += 1
                        total += blocks[j, 0, i] - origin
                        pixels += blocks[j, 2, i]
                        squares += blocks[j, 1, i]
            level[v, u] = np.nan
            scatter[v, u] = np.nan
            rms[v, u] = np.nan
            if count < max(least * (rows[v + 1] - rows[v]) * (columns[u + 1] - columns[u]), 1):
                continue
            mean = origin + total / count
            below = 0.0
            for j in range(rows[v], rows[v + 1]):
                for i in range(columns[u], columns[u + 1]):
                    if reach[j, i] == 0 and blocks[j, 2, i] > 0.0:
                        below += min(blocks[j, 0, i] - mean, 0.0) ** 2
            spread = 2.0 * below / (count * _TRUNCATED)
            level[v, u] = mean
            scatter[v, u] = np.sqrt(spread)
            # Pixels vary within their blocks and with them.
            rms[v, u] = np.sqrt(squares / pixels + spread)


@inner
def _smooth(grid: Float64, out: Float64) -> None:
    """Fill the holes and pass a median of 3 x 3 cells."""
    filled = np.empty_like(grid)
    fill_holes(grid, filled)
    median_filter_into(filled, 1, out)


@inner
def _valid(grid: Float64) -> int:
    """Number of finite values."""
    count = 0
    for v in range(grid.shape[0]):
        for u in range(grid.shape[1]):
            count += np.isfinite(grid[v, u])
    return count


@compiled
def _sky_mesh(
    image: Float32, mask: Int32, bad_bits: int, rows: Int64, columns: Int64, halo: int, least: float, out: Float64
) -> int:
    """Write level, rms and correlation of each cell; return the growth used, -1 where no cell has good pixels."""
    blocks = np.empty((rows[-1], 4, columns[-1]), dtype=np.float32)
    work = np.empty((4, columns[-1] * BLOCK), dtype=np.float32)
    for j in range(rows[-1]):
        _bin_row(image, mask, bad_bits, j, work, blocks[j])
    level, rms, scatter = out[0], out[1], out[2]
    reach = np.empty((rows[-1], columns[-1]), dtype=np.int32)
    smooth = np.empty((2, level.shape[0], level.shape[1]))
    for growth in range(_GROWTH, -1, -1):
        _start(blocks, rows, columns, least, level, scatter)
        usable = _valid(level)
        if usable == 0:
            return -1
        for _ in range(_ROUNDS):
            give_up_lifted(level, BLOCK * middle_of(scatter), halo)
            _smooth(level, smooth[0])
            _smooth(scatter, smooth[1])
            _flatten(blocks, rows, columns, smooth[0])
            _mark(blocks, rows, columns, smooth[0], smooth[1], growth, reach)
            level[:] = smooth[0]
            _remainder(blocks, reach, rows, columns, least, level, scatter, rms)
            if _valid(level) == 0:
                break
        if 2 * _valid(level) >= usable:
            break
    give_up_lifted(level, middle_of(rms), halo)
    for v in range(level.shape[0]):
        for u in range(level.shape[1]):
            if np.isnan(level[v, u]):
                rms[v, u] = np.nan
            scatter[v, u] *= BLOCK / rms[v, u]
    return growth


def _edges(size: int, box: float) -> Int64:
    """Edges, in blocks, of the cells that divide `size` pixels evenly."""
    number = max(round(size / box), 1)
    return np.rint(np.arange(number + 1) * (-(-size // BLOCK)) / number).astype(np.int64)


def sky_mesh(
    image: Numbers,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
    box: int = 64,
    halo: int = 6,
    least: float = 0.1,
) -> SkyMesh:
    """Measure the sky in the cells of a mesh.

    Parameters
    ----------
    image : (ny, nx) array
        Pixels in any unit; those that are not finite are left out.
    mask : (ny, nx) array, optional
        Mask bits; pixels with any of `bad_bits` are left out.
    bad_bits : int
        Bits of `mask` that exclude a pixel.
    box : int [pixel]
        About the side of a cell, at least 8: the image is divided evenly.
    halo : int [cell]
        Objects up to about this size are told from the sky by comparison with the cells around; 0: not done.
    least : float
        Fraction of a cell that has to be sky.

    Returns
    -------
    SkyMesh
        NaN in cells without enough sky; all of them if no cell has enough good pixels.
    """
    if mask is not None and mask.shape != image.shape:
        raise ValueError(f"mask of shape {mask.shape} for an image of shape {image.shape}")
    if box < 2 * BLOCK:
        raise ValueError(f"a cell of {box} pixels, of less than two blocks of {BLOCK}")
    bits = np.zeros((1, image.shape[1]), dtype=np.int32) if mask is None else as_bits(mask)
    rows, columns = (_edges(size, box) for size in image.shape)
    out = np.full((3, rows.size - 1, columns.size - 1), np.nan)
    growth = _sky_mesh(as_pixels(image), bits, int(bad_bits), rows, columns, int(halo), float(least), out)
    return SkyMesh(out[0], out[1], out[2], growth)
