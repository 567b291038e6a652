"""Crosstalk between amplifiers that are read at the same moments: what each adds to the others, taken off again."""

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Int32, Int64, Numbers, as_pixels, compiled
from spica.kernels.detrend import Box, Readout

LEAST = 1e-7
"""A smaller fraction is nothing: float32 does not see it on the brightest pixel."""


def crosstalk_inverse(matrix: npt.ArrayLike) -> Numbers:
    """What to add to each amplifier, as fractions of what the others were read as.

    An amplifier is read as its own signal plus fractions of the others' signals: read = (1 + C) own. So
    own = read + D read with D = 1/(1 + C) - 1, exactly: the sources' own share of crosstalk is seen to.

    Parameters
    ----------
    matrix : (n, n)
        C: victims along the first axis, sources along the second; its diagonal is 0.

    Returns
    -------
    (n, n) float64
        D; what is below 1e-7 is 0.
    """
    square = np.asarray(matrix, dtype=np.float64)
    inverse = np.linalg.inv(np.eye(len(square)) + square) - np.eye(len(square))
    inverse[np.abs(inverse) < LEAST] = 0.0
    return np.asarray(inverse)


@compiled
def _add_fraction(
    out: Float32, own: Float32, victim: Box, other: Float32, source: Box, levels: Float32, fraction: float, full: float
) -> None:
    ny = min(victim.y1 - victim.y0, source.y1 - source.y0)
    nx = min(victim.x1 - victim.x0, source.x1 - source.x0)
    part, limit = np.float32(fraction), np.float32(full)
    zero, endless = np.float32(0.0), np.float32(np.inf)
    for y in range(ny):
        to = out[victim.y0 + y, victim.x0 : victim.x0 + nx]
        before = own[victim.y0 + y, victim.x0 : victim.x0 + nx]
        of = other[source.y0 + y, source.x0 : source.x0 + nx]
        level = levels[y]
        for x in range(nx):
            signal = of[x] - level
            counts = (before[x] < limit) & (signal > -endless) & (signal < endless)
            to[x] += part * signal if counts else zero


def add_fraction(
    out: Float32,
    own: Numbers,
    victim: Box,
    other: Numbers,
    source: Box,
    *,
    levels: Numbers,
    fraction: float,
    saturation: float,
) -> None:
    """Add a fraction of another amplifier's signal to the pixels that were read at the same moment, in place.

    Those are at the same place of both data sections in raw order. Saturated pixels of the victim stay as they were
    read, a source without a finite value adds nothing, and what one section has more than the other takes no part.

    Parameters
    ----------
    out : (ny, nx) float32 [ADU]
        The victim's raw array, to be corrected.
    own, other : float32 [ADU]
        The raw arrays of victim and source as read.
    victim, source : Box
        Their data sections.
    levels : (source rows,) [ADU]
        Bias level of the source in each row of its data section.
    fraction : float
        As `crosstalk_inverse` gives it.
    saturation : float [ADU]
        Of the victim.
    """
    _add_fraction(
        out, as_pixels(own), victim, as_pixels(other), source, as_pixels(levels), float(fraction), float(saturation)
    )


def mark_touched(mask: Int32, victim: Readout, source: Readout, rows: Int64, of_bit: int, add_bit: int) -> int:
    """Mark, in place, the victim's pixels that were read together with pixels of the source that have `of_bit`.

    Parameters
    ----------
    mask : (ny, nx) int32
        Mask bits of the assembled detector; changed.
    victim, source : Readout
        The amplifiers.
    rows : (n,) int64
        The rows of the detector that have such pixels.
    of_bit, add_bit : int
        Which bit is looked at, which is set.

    Returns
    -------
    int
        How many pixels were marked.
    """
    of, to = source.place, victim.place
    full = rows[(rows >= of.y0) & (rows < of.y1)]
    read = of.y1 - 1 - full if source.flip_y else full - of.y0
    both = read < to.shape[0]
    full, read = full[both], read[both]
    there = mask[full, of.x0 : of.x1][:, :: -1 if source.flip_x else 1]
    lines, columns = np.nonzero(there[:, : to.shape[1]] & of_bit)
    y = to.y1 - 1 - read[lines] if victim.flip_y else to.y0 + read[lines]
    x = to.x1 - 1 - columns if victim.flip_x else to.x0 + columns
    mask[y, x] |= np.int32(add_bit)
    return int(lines.size)
