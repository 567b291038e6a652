"""Marks that are no sources: straight tracks (cosmic rays, satellite trails) and bleeding of full wells."""

import math

import numpy as np

from spica.kernels.compiled import Float32, Int32, compiled, inner
from spica.kernels.detrend import Box


@compiled
def add_track(
    image: Float32, start: tuple[float, float], end: tuple[float, float], charge: float, sigma: float
) -> None:
    """Add a straight track with a Gaussian cross-section, in place.

    Parameters
    ----------
    image : (ny, nx) float32
        Expected electrons; changed.
    start, end : (x, y)
        Ends [pixel]; the track has square ends.
    charge : float
        Electrons per pixel of length.
    sigma : float
        Standard deviation across the track [pixel]; at least 0.3.
    """
    ny, nx = image.shape
    (x0, y0), (x1, y1) = start, end
    length = math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2)
    if length <= 0.0:
        return
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    wide = 4.0 * sigma + 0.5
    peak = charge / (sigma * math.sqrt(2.0 * math.pi))
    scale = -0.5 / (sigma * sigma)
    j0 = max(0, math.ceil(min(y0, y1) - wide))
    j1 = min(ny - 1, math.floor(max(y0, y1) + wide)) + 1
    for j in range(j0, j1):
        low, high = min(x0, x1) - wide, max(x0, x1) + wide
        if abs(uy) > 1e-9:
            # The row cuts the band |distance from the axis| < wide between these two places.
            middle = x0 + (j - y0) * ux / uy
            low, high = max(low, middle - wide / abs(uy)), min(high, middle + wide / abs(uy))
        for i in range(max(0, math.ceil(low)), min(nx - 1, math.floor(high)) + 1):
            along = (i - x0) * ux + (j - y0) * uy
            across = (j - y0) * ux - (i - x0) * uy
            # The pixel's share of the track's ends.
            inside = min(max(along + 0.5, 0.0), 1.0) - min(max(along - length + 0.5, 0.0), 1.0)
            if inside > 0.0 and abs(across) < wide:
                image[j, i] += np.float32(inside * peak * math.exp(scale * across * across))


@inner
def _bleed_column(column: Float32, full_well: float, mask: Int32, saturated: int, bled: int) -> int:
    """Let the charge of one column flow; returns how many pixels are full."""
    ny = column.size
    limit = np.float32(full_well)
    excess = np.zeros(ny)
    full = 0
    for y in range(ny):
        over = float(column[y]) - full_well
        if over > 0.0:
            excess[y] = over
            column[y] = limit
            mask[y] |= saturated
            full += 1
    for direction in (1, -1):
        carried = 0.0
        for step in range(ny):
            y = step if direction == 1 else ny - 1 - step
            room = full_well - float(column[y])
            if carried > 0.0 and room > 0.0:
                moved = min(carried, room)
                carried -= moved
                column[y] += np.float32(moved)
                mask[y] |= bled
                if moved >= room:
                    column[y] = limit
                    mask[y] |= saturated
                    full += 1
            carried += 0.5 * excess[y]
    return full


@compiled
def bleed(electrons: Float32, place: Box, full_well: float, mask: Int32, saturated: int, bled: int) -> int:
    """Let charge above the full well flow along the columns of one amplifier, half up and half down, in place.

    Charge that reaches the section's edge is lost. Pixels that were too full, or became full, get the bit `saturated`,
    pixels that took charge from others `bled`.

    Parameters
    ----------
    electrons : (ny, nx) float32
        Expected electrons of the detector; changed.
    place : Box
        The amplifier's section of the detector.
    full_well : float
        Electrons that a pixel holds.
    mask : (ny, nx) int32
        Bits are added.
    saturated, bled : int
        The bits.

    Returns
    -------
    int
        How many pixels are full.
    """
    full = 0
    limit = np.float32(full_well)
    hot = np.zeros(electrons.shape[1], dtype=np.bool_)
    for y in range(place.y0, place.y1):
        line = electrons[y]
        for x in range(place.x0, place.x1):
            hot[x] |= line[x] > limit
    for x in range(place.x0, place.x1):
        if hot[x]:
            column, bits = electrons[place.y0 : place.y1, x], mask[place.y0 : place.y1, x]
            full += _bleed_column(column, full_well, bits, saturated, bled)
    return full


@compiled
def runs(mask: Int32) -> Int32:
    """Runs of equal, non-zero values along the rows of a mask.

    Parameters
    ----------
    mask : (ny, nx) int32
        Mask bits.

    Returns
    -------
    (n, 4) int32
        Row, first column, column after the last, value; in order of rows and columns.
    """
    ny, nx = mask.shape
    found = 0
    out = np.empty((0, 4), dtype=np.int32)
    for sweep in range(2):
        # The first sweep counts, the second writes.
        if sweep == 1:
            out = np.empty((found, 4), dtype=np.int32)
            found = 0
        for y in range(ny):
            line = mask[y]
            x = 0
            while x < nx:
                value = line[x]
                if value == 0:
                    x += 1
                    continue
                first = x
                while x < nx and line[x] == value:
                    x += 1
                if sweep == 1:
                    out[found, 0], out[found, 1], out[found, 2], out[found, 3] = y, first, x, value
                found += 1
    return out
