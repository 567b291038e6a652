"""Trails of charge that bled from saturated stars along the columns: found in the shape of what is saturated."""

import numpy as np

from spica.kernels.compiled import Int32, Int64, compiled, inner


@inner
def _hot_columns(mask: Int32, rows: Int64, bit: int) -> Int64:
    """Columns that have the bit in any of the rows, in order."""
    nx = mask.shape[1]
    found = np.zeros(nx, dtype=np.int32)
    for n in range(rows.size):
        line = mask[rows[n]]
        for x in range(nx):
            found[x] |= line[x]
    return np.flatnonzero(found & bit)


@inner
def _widths(mask: Int32, rows: Int64, columns: Int64, bit: int, widths: Int32) -> None:
    """For each pixel that has the bit, in these rows and columns: how many such pixels lie side by side there; else 0."""
    for n in range(rows.size):
        line, out = mask[rows[n]], widths[n]
        start = -1
        for k in range(columns.size + 1):
            on = k < columns.size and line[columns[k]] & bit != 0
            joined = start >= 0 and on and columns[k] == columns[k - 1] + 1
            if start >= 0 and not joined:
                out[start:k] = k - start
                start = -1
            if on and start < 0:
                start = k


@inner
def _mark_run(
    mask: Int32,
    rows: Int64,
    columns: Int64,
    widths: Int32,
    k: int,
    first: int,
    last: int,
    least: int,
    grow: int,
    bled: int,
) -> int:
    """Mark the trail in one run of a column, places first to last - 1 in `rows`; returns how many pixels it has."""
    widest = 0
    top, bottom = first, first
    for n in range(first, last):
        if widths[n, k] > widest:
            widest = widths[n, k]
            top = n
        if widths[n, k] == widest:
            bottom = n
    # A star is round: in this column its core reaches as far as the circle on the widest row does.
    left, right = k, k
    while left > 0 and widths[top, left - 1] == widest and columns[left - 1] == columns[left] - 1:
        left -= 1
    while right + 1 < columns.size and widths[top, right + 1] == widest and columns[right + 1] == columns[right] + 1:
        right += 1
    off = k - 0.5 * (left + right)
    reach = np.sqrt(max(0.25 * (widest + 1) ** 2 - off * off, 0.25))
    if last - first < 2.0 * reach + least:
        return 0
    centre = 0.5 * (rows[top] + rows[bottom])
    marked = 0
    for y in range(max(0, rows[first] - grow), min(mask.shape[0], rows[last - 1] + 1 + grow)):
        if y < rows[first] or y > rows[last - 1] or abs(y - centre) > reach:
            mask[y, columns[k]] |= bled
            marked += 1
    return marked


@compiled
def _mark_bleeding(mask: Int32, rows: Int64, bit: int, bled: int, least: int, grow: int) -> int:
    columns = _hot_columns(mask, rows, bit)
    widths = np.zeros((rows.size, columns.size), dtype=np.int32)
    _widths(mask, rows, columns, bit, widths)
    first = np.full(columns.size, -1, dtype=np.int64)
    marked = 0
    for n in range(rows.size + 1):
        broken = n < rows.size and n > 0 and rows[n] != rows[n - 1] + 1
        for k in range(columns.size):
            on = n < rows.size and widths[n, k] > 0
            if first[k] >= 0 and (broken or not on):
                marked += _mark_run(mask, rows, columns, widths, k, first[k], n, least, grow, bled)
                first[k] = -1
            if on and first[k] < 0:
                first[k] = n
    return marked


def mark_bleeding(
    mask: Int32, rows: Int64, saturated_bit: int, bleed_bit: int, *, least: int = 2, grow: int = 2
) -> int:
    """Mark, in place, saturated runs along columns where they are longer than the star's core, and a little beyond.

    A saturated star is as long as it is wide; what is longer along the column is charge that bled. The pixels right
    beyond the ends took the rest of it without being full.

    Parameters
    ----------
    mask : (ny, nx) int32
        Mask bits of the assembled detector; changed.
    rows : (n,) int64
        The rows that have saturated pixels, in order.
    saturated_bit, bleed_bit : int
        Which bit is looked at, which is set.
    least : int
        By so many pixels the run must be longer than the star's core is there.
    grow : int
        Pixels beyond each end of the run that are marked too.

    Returns
    -------
    int
        How many pixels were marked.
    """
    if rows.size == 0:
        return 0
    return int(_mark_bleeding(mask, rows, int(saturated_bit), int(bleed_bit), int(least), int(grow)))


def grow_marks(mask: Int32, rows: Int64, of_bit: int, add_bit: int, radius: int) -> int:
    """Mark, in place, what lies within `radius` pixels of a pixel that has `of_bit` (in the rows named).

    Returns
    -------
    int
        How many pixels have the new bit that had none of both.
    """
    if radius <= 0 or rows.size == 0:
        return 0
    ny, nx = mask.shape
    ys, xs = [], []
    for y in rows:
        found = np.flatnonzero(mask[y] & of_bit)
        ys.append(np.full(found.size, y))
        xs.append(found)
    y, x = np.concatenate(ys), np.concatenate(xs)
    marked = 0
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                v, u = y + dy, x + dx
                inside = (v >= 0) & (v < ny) & (u >= 0) & (u < nx)
                v, u = v[inside], u[inside]
                fresh = mask[v, u] & (of_bit | add_bit) == 0
                v, u = v[fresh], u[fresh]
                mask[v, u] |= np.int32(add_bit)
                marked += len(set(zip(v.tolist(), u.tolist(), strict=True)))
    return marked
