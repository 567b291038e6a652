"""Trails of charge that bled from saturated stars along the columns: found in the shape of what is saturated."""

import numpy as np

from spica.kernels.compiled import Int32, Int64, compiled


@compiled
def _widths(mask: Int32, rows: Int64, bit: int, widths: Int32) -> None:
    """For each pixel that has the bit, in the rows named: how many such pixels lie side by side there; else 0."""
    nx = mask.shape[1]
    for n in range(rows.size):
        line, out = mask[rows[n]], widths[n]
        start = -1
        for x in range(nx + 1):
            on = x < nx and line[x] & bit != 0
            if on and start < 0:
                start = x
            elif not on and start >= 0:
                out[start:x] = x - start
                start = -1


@compiled
def _mark_run(
    mask: Int32, rows: Int64, widths: Int32, x: int, first: int, last: int, least: int, grow: int, bled: int
) -> int:
    """Mark the trail in one run of column x, places first to last - 1 in `rows`; returns how many pixels it has."""
    widest = 0
    top, bottom = first, first
    for n in range(first, last):
        if widths[n, x] > widest:
            widest = widths[n, x]
            top = n
        if widths[n, x] == widest:
            bottom = n
    # A star is round: in this column its core reaches as far as the circle on the widest row does.
    left, right = x, x
    while left > 0 and widths[top, left - 1] == widest:
        left -= 1
    while right + 1 < widths.shape[1] and widths[top, right + 1] == widest:
        right += 1
    off = x - 0.5 * (left + right)
    reach = np.sqrt(max(0.25 * (widest + 1) ** 2 - off * off, 0.25))
    if last - first < 2.0 * reach + least:
        return 0
    centre = 0.5 * (rows[top] + rows[bottom])
    marked = 0
    for y in range(max(0, rows[first] - grow), min(mask.shape[0], rows[last - 1] + 1 + grow)):
        if y < rows[first] or y > rows[last - 1] or abs(y - centre) > reach:
            mask[y, x] |= bled
            marked += 1
    return marked


@compiled
def _mark_bleeding(mask: Int32, rows: Int64, bit: int, bled: int, least: int, grow: int) -> int:
    nx = mask.shape[1]
    widths = np.zeros((rows.size, nx), dtype=np.int32)
    _widths(mask, rows, bit, widths)
    first = np.full(nx, -1, dtype=np.int64)
    marked = 0
    for n in range(rows.size + 1):
        broken = n < rows.size and n > 0 and rows[n] != rows[n - 1] + 1
        for x in range(nx):
            on = n < rows.size and widths[n, x] > 0
            if first[x] >= 0 and (broken or not on):
                marked += _mark_run(mask, rows, widths, x, first[x], n, least, grow, bled)
                first[x] = -1
            if on and first[x] < 0:
                first[x] = n
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
    ny, nx = mask.shape
    ys, xs = [], []
    for y in rows:
        found = np.flatnonzero(mask[y] & of_bit)
        ys.append(np.full(found.size, y))
        xs.append(found)
    if radius <= 0 or not ys:
        return 0
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
