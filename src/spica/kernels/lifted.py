"""Cells of a sky mesh that a large object lifts: told from the sky by what the cells on both sides of them foretell.

A gradient or a step between amplifiers is foretold by the cells along at least one direction; a galaxy or the halo of a
bright star stands out in all of them.
"""

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, inner
from spica.kernels.robust import MAD_TO_SIGMA, median_in_place

_LIFTED = 4.0
"""A cell this far above its surroundings, in the scatter of such differences, lies in a large object."""
_TOUCHED = 2.0
"""The same for a cell beside one that does."""
_LEAST_LIFT = 0.1
"""No cell is given up for less than this, in the noise of a pixel."""


@inner
def _surroundings(level: Float64, halo: int, out: Float64) -> None:
    """Highest of the levels that the cells on both sides foretell, along rows, columns and diagonals; NaN if none."""
    gy, gx = level.shape
    pairs = np.empty(halo + 1, dtype=np.float32)
    for v in range(gy):
        for u in range(gx):
            out[v, u] = np.nan
            for dv, du in ((0, 1), (1, 0), (1, 1), (1, -1)):
                count = 0
                for d in range((halo + 1) // 2, halo + 1):
                    j, i, k, m = v + d * dv, u + d * du, v - d * dv, u - d * du
                    if min(j, i, k, m) < 0 or max(j, k) >= gy or max(i, m) >= gx:
                        continue
                    middle = 0.5 * (level[j, i] + level[k, m])
                    if np.isfinite(middle):
                        pairs[count] = middle
                        count += 1
                if count >= 2:
                    middle = median_in_place(pairs, count)
                    out[v, u] = middle if np.isnan(out[v, u]) else max(out[v, u], middle)


@inner
def _finite(grid: Float64, out: Float32) -> int:
    """Copy the finite values into `out`; return how many they are."""
    count = 0
    for v in range(grid.shape[0]):
        for u in range(grid.shape[1]):
            if np.isfinite(grid[v, u]):
                out[count] = grid[v, u]
                count += 1
    return count


@inner
def middle_of(grid: Float64) -> float:
    """Median of the finite values; NaN of none."""
    buffer = np.empty(grid.size, dtype=np.float32)
    count = _finite(grid, buffer)
    return median_in_place(buffer, count) if count > 0 else np.nan


@inner
def _is_beside(marks: Int32, v: int, u: int) -> bool:
    for j in range(max(v - 1, 0), min(v + 2, marks.shape[0])):
        for i in range(max(u - 1, 0), min(u + 2, marks.shape[1])):
            if marks[j, i] > 0:
                return True
    return False


@inner
def _mark_lifted(lift: Float64, rms: float, marks: Int32) -> None:
    """Mark the cells that stand out, those that do so clearly first, then what touches them."""
    buffer = np.empty(lift.size, dtype=np.float32)
    count = _finite(lift, buffer)
    if count == 0:
        return
    middle = median_in_place(buffer, count)
    for k in range(count):
        buffer[k] = abs(buffer[k] - middle)
    noise = MAD_TO_SIGMA * median_in_place(buffer, count)
    before = np.zeros(lift.shape, dtype=np.int32)
    for _ in range(3):
        for v in range(lift.shape[0]):
            for u in range(lift.shape[1]):
                limit = (_TOUCHED if _is_beside(before, v, u) else _LIFTED) * noise
                if lift[v, u] - middle > max(limit, _LEAST_LIFT * rms):
                    marks[v, u] = 1
        before[:] = marks


@inner
def give_up_lifted(level: Float64, rms: float, halo: int) -> None:
    """Make the cells NaN that lie in objects larger than a cell."""
    if halo < 2:
        return
    lift = np.empty(level.shape)
    _surroundings(level, halo, lift)
    for v in range(level.shape[0]):
        for u in range(level.shape[1]):
            lift[v, u] = level[v, u] - lift[v, u]
    marks = np.zeros(level.shape, dtype=np.int32)
    _mark_lifted(lift, rms, marks)
    for v in range(level.shape[0]):
        for u in range(level.shape[1]):
            if marks[v, u] > 0:
                level[v, u] = np.nan
