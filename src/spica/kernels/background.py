"""Background and its noise from a mesh of cells: clipped mode per cell, median-filtered grid, bicubic spline.

The method is that of SExtractor (Bertin & Arnouts 1996, A&AS 117, 393): pixels of a cell are clipped at ±3σ about
their median until nothing changes; where mean and median then differ by less than 0.3σ the level is the mode,
2.5 median - 1.5 mean, otherwise (a crowded cell) the median.
"""

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_bits, as_pixels, compiled, inner
from spica.kernels.robust import keep_between, mean_and_deviation, median_in_place

_MAX_PASSES = 50
_ENOUGH = 0.5
"""Least fraction of good pixels that makes a cell valid."""


@inner
def _clipped_mode(values: Float32, count: int) -> tuple[float, float]:
    """Level and noise of the first `count` (≥ 1) values, which are reordered."""
    mean, sigma = mean_and_deviation(values, count)
    # A first cut about the bulk keeps one very bright star from slowing the convergence below.
    total = 0.0
    squares = 0.0
    kept = 0
    for i in range(count):
        step = float(values[i]) - mean
        if abs(step) <= 2.0 * sigma:
            total += step
            squares += step * step
            kept += 1
    if kept > 1:
        shift = total / kept
        mean += shift
        sigma = np.sqrt(max(squares - total * shift, 0.0) / (kept - 1))
        count = keep_between(values, count, mean - 5.0 * sigma, mean + 5.0 * sigma)
    median = mean
    for _ in range(_MAX_PASSES):
        median = median_in_place(values, count)
        mean, sigma = mean_and_deviation(values, count)
        kept = keep_between(values, count, median - 3.0 * sigma, median + 3.0 * sigma)
        if kept in (count, 0):
            break
        count = kept
    if sigma > 0.0 and abs(mean - median) < 0.3 * sigma:
        return 2.5 * median - 1.5 * mean, sigma
    return median, sigma


@compiled
def _mesh(image: Float32, mask: Int32, bad_bits: int, by: int, bx: int, level: Float64, rms: Float64) -> None:
    buffer = np.empty(by * bx, dtype=np.float32)
    ny, nx = image.shape
    for j in range(level.shape[0]):
        for i in range(level.shape[1]):
            y1 = min((j + 1) * by, ny)
            x1 = min((i + 1) * bx, nx)
            count = 0
            for y in range(j * by, y1):
                for x in range(i * bx, x1):
                    value = image[y, x]
                    if np.isfinite(value) and (mask.size == 0 or mask[y, x] & bad_bits == 0):
                        buffer[count] = value
                        count += 1
            level[j, i] = np.nan
            rms[j, i] = np.nan
            if count > 0 and count >= _ENOUGH * (y1 - j * by) * (x1 - i * bx):
                level[j, i], rms[j, i] = _clipped_mode(buffer, count)


def _sides(box: int | tuple[int, int]) -> tuple[int, int]:
    by, bx = (box, box) if isinstance(box, int) else box
    if by < 1 or bx < 1:
        raise ValueError(f"a mesh cell of {by} x {bx} pixels is empty")
    return int(by), int(bx)


def mesh_statistics(
    image: Numbers, mask: Numbers | None = None, *, bad_bits: int = 0, box: int | tuple[int, int] = 64
) -> tuple[Float64, Float64]:
    """Level and noise of the background in each cell of a mesh.

    Parameters
    ----------
    image : (ny, nx) array
        Pixels in any unit; those that are not finite are left out.
    mask : (ny, nx) array, optional
        Mask bits; pixels with any of `bad_bits` are left out.
    bad_bits : int
        Bits of `mask` that exclude a pixel.
    box : int or (int, int)
        Rows and columns of a cell [pixel]; cells at the upper and right edge may be smaller.

    Returns
    -------
    level, rms : (gy, gx) float64
        In the unit of the image; NaN where fewer than half the pixels of a cell are good.
    """
    if mask is not None and mask.shape != image.shape:
        raise ValueError(f"mask of shape {mask.shape} for an image of shape {image.shape}")
    by, bx = _sides(box)
    grid = (-(-image.shape[0] // by), -(-image.shape[1] // bx))
    level = np.empty(grid)
    rms = np.empty(grid)
    bits = np.empty((0, 0), dtype=np.int32) if mask is None else as_bits(mask)
    _mesh(as_pixels(image), bits, int(bad_bits), by, bx, level, rms)
    return level, rms


@compiled
def fill_holes(grid: Float64, out: Float64) -> None:
    """Copy the grid with each NaN replaced by a membrane spanned between the valid cells.

    A hole takes the mean of its four neighbours (fewer at the edge), holes among them too, so that a gradient goes on
    across it; it starts from the nearest valid cells. All NaN stays so.
    """
    holes = np.empty((grid.size, 2), dtype=np.int64)
    count = 0
    for j in range(grid.shape[0]):
        for i in range(grid.shape[1]):
            out[j, i] = grid[j, i]
            if not np.isfinite(grid[j, i]):
                holes[count, 0] = j
                holes[count, 1] = i
                count += 1
    if count == grid.size:
        return
    for k in range(count):
        out[holes[k, 0], holes[k, 1]] = _nearest(grid, holes[k, 0], holes[k, 1])
    if count > 1:
        # As many steps as a value needs to cross the widest hole and come back.
        _relax(out, holes[:count], 4 * min(count, max(grid.shape[0], grid.shape[1])))


@inner
def _relax(grid: Float64, holes: Int64, steps: int) -> None:
    """Replace every hole by the mean of its neighbours, all at once, again and again."""
    gy, gx = grid.shape
    new = np.empty(holes.shape[0])
    for _ in range(steps):
        for k in range(new.size):
            j, i = holes[k, 0], holes[k, 1]
            total = 0.0
            weight = 0
            for v, u in ((j - 1, i), (j + 1, i), (j, i - 1), (j, i + 1)):
                if v >= 0 and v < gy and u >= 0 and u < gx:
                    total += grid[v, u]
                    weight += 1
            new[k] = total / weight
        for k in range(new.size):
            grid[holes[k, 0], holes[k, 1]] = new[k]


@inner
def _nearest(grid: Float64, j: int, i: int) -> float:
    """Mean of the valid cells nearest to a hole."""
    nearest = grid.size * grid.size
    total = 0.0
    count = 0
    for v in range(grid.shape[0]):
        for u in range(grid.shape[1]):
            distance = (v - j) ** 2 + (u - i) ** 2
            if np.isfinite(grid[v, u]) and distance <= nearest:
                if distance < nearest:
                    total = 0.0
                    count = 0
                nearest = distance
                total += grid[v, u]
                count += 1
    return total / count


@compiled
def median_filter_into(grid: Float64, half: int, out: Float64) -> None:
    """Median of the window of ±half cells, less at the edges: centred on its cell, so that a tilt stays a tilt."""
    # Single precision (1e-7 of the level) is far below the noise of a cell.
    buffer = np.empty((2 * half + 1) ** 2, dtype=np.float32)
    for j in range(grid.shape[0]):
        for i in range(grid.shape[1]):
            count = 0
            high = min(half, j, grid.shape[0] - 1 - j)
            wide = min(half, i, grid.shape[1] - 1 - i)
            for v in range(j - high, j + high + 1):
                for u in range(i - wide, i + wide + 1):
                    buffer[count] = grid[v, u]
                    count += 1
            out[j, i] = median_in_place(buffer, count)


def filter_grid(grid: Numbers, size: int = 3) -> Float64:
    """Fill the holes of a mesh grid and pass a median filter over it.

    Parameters
    ----------
    grid : (gy, gx) array
        Level or rms per cell; NaN cells are spanned from the valid ones around.
    size : int
        Side of the filter's window, odd [cell]; 1 only fills.

    Returns
    -------
    (gy, gx) float64
        The grid, finite everywhere.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the window of the median filter is {size} cells wide, not odd")
    values = np.array(grid, dtype=np.float64)
    if not np.isfinite(values).any():
        raise ValueError(f"none of the {values.size} cells of the mesh has enough good pixels")
    filled = np.empty_like(values)
    fill_holes(values, filled)
    if size == 1:
        return filled
    out = np.empty_like(values)
    median_filter_into(filled, size // 2, out)
    return out


@inner
def _spline_curvature(values: Float64, curvature: Float64, scratch: Float64) -> None:
    """Second derivatives of the natural cubic spline through values at unit steps (tridiagonal elimination)."""
    n = values.size
    curvature[0] = 0.0
    curvature[n - 1] = 0.0
    scratch[0] = 0.0
    for i in range(1, n - 1):
        pivot = 4.0 - scratch[i - 1]
        scratch[i] = 1.0 / pivot
        curvature[i] = (6.0 * (values[i - 1] - 2.0 * values[i] + values[i + 1]) - curvature[i - 1]) / pivot
    for i in range(n - 2, 0, -1):
        curvature[i] -= scratch[i] * curvature[i + 1]


@inner
def _segment(position: float, n: int) -> int:
    """Index of the spline segment of a position; the outermost segments reach to the edges of the image."""
    return max(min(int(np.floor(position)), n - 2), 0)


@inner
def _spline_line(nodes: Float64, curvature: Float64, box: float, least: np.float32, line: Float32) -> None:
    """Evaluate the spline of one row of nodes at every pixel."""
    n = nodes.size
    x = 0
    for i in range(n - 1):
        # Cell i is centred on pixel (i + 1/2) box - 1/2.
        end = line.size if i == n - 2 else min(int(np.floor((i + 1.5) * box)), line.size)
        c0 = nodes[i]
        c1 = nodes[i + 1] - nodes[i] - (2.0 * curvature[i] + curvature[i + 1]) / 6.0
        c2 = 0.5 * curvature[i]
        c3 = (curvature[i + 1] - curvature[i]) / 6.0
        start = 0.5 / box - 0.5 - i
        step = 1.0 / box
        for k in range(x, end):
            t = start + k * step
            line[k] = max(np.float32(c0 + t * (c1 + t * (c2 + t * c3))), least)
        x = end


@compiled
def _expand(grid: Float64, by: float, bx: float, least: float, out: Float32) -> None:
    gy, gx = grid.shape
    bottom = np.float32(least)
    bend = np.zeros((gx, gy))
    scratch = np.empty(max(gx, gy))
    if gy > 1:
        for i in range(gx):
            _spline_curvature(grid[:, i].copy(), bend[i], scratch)
    nodes = np.empty(gx)
    curvature = np.zeros(gx)
    for y in range(out.shape[0]):
        position = (y + 0.5) / by - 0.5
        j = _segment(position, gy)
        t = position - j
        s = 1.0 - t
        for i in range(gx):
            if gy == 1:
                nodes[i] = grid[0, i]
            else:
                bow = (s * s * s - s) * bend[i, j] + (t * t * t - t) * bend[i, j + 1]
                nodes[i] = s * grid[j, i] + t * grid[j + 1, i] + bow / 6.0
        if gx == 1:
            out[y, :] = max(np.float32(nodes[0]), bottom)
        else:
            _spline_curvature(nodes, curvature, scratch)
            _spline_line(nodes, curvature, bx, bottom, out[y])


def expand_grid(
    grid: Numbers, shape: tuple[int, int], box: int | tuple[int, int] | None = None, *, least: float = -np.inf
) -> Float32:
    """Evaluate a mesh grid at every pixel by a natural bicubic spline through the cells' centres.

    Parameters
    ----------
    grid : (gy, gx) array
        Finite values per cell, from `filter_grid`.
    shape : (int, int)
        Rows and columns of the image.
    box : int or (int, int), optional
        The cells that `mesh_statistics` used [pixel]; without it the cells divide the image evenly, as those of
        `spica.kernels.skymesh.sky_mesh` do.
    least : float
        Values below are raised to it: beside a step a spline swings below all of its nodes.

    Returns
    -------
    (ny, nx) float32
        In the unit of the grid.
    """
    if box is None:
        by, bx = shape[0] / grid.shape[0], shape[1] / grid.shape[1]
    else:
        by, bx = _sides(box)
        if grid.shape != (-(-shape[0] // by), -(-shape[1] // bx)):
            raise ValueError(f"a grid of {grid.shape} cells of {(by, bx)} pixels does not cover an image of {shape}")
    out = np.empty(shape, dtype=np.float32)
    _expand(np.array(grid, dtype=np.float64), float(by), float(bx), float(least), out)
    return out
