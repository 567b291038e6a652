"""What the sky between the sources says: bits of the mask counted, and whether neighbouring pixels' noise is independent."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import (
    Float32,
    Float64,
    Int32,
    Int64,
    Numbers,
    as_bits,
    as_pixels,
    as_plain,
    compiled,
    inner,
)

_BLOCK, _EVERY = 16, 4
"""Blocks of so many rows, of each so many one, speak for all: 10⁶ pixels tell a correlation to 0.001. Whole blocks, so
that patterns of rows that alternate are not taken for a level."""


class SkyNoise(NamedTuple):
    """The sky of one detector.

    ``plane`` (ny, nx) float32: deviation from the level in units of its noise; 0 where the pixel is no sky. ``counts``:
    pixels with any bit of each set; ``groups``: of the grouped bits, how many connected sets of pixels. ``share``:
    fraction of pixels that are sky. ``along_x``, ``along_y``: the autocorrelation at lags 1 … n; NaN where there is no
    sky. ``scatter``: standard deviation of the plane.
    """

    plane: Float32
    counts: Int64
    groups: int
    share: float
    along_x: Float64
    along_y: Float64
    scatter: float


@inner
def _plane(
    image: Float32,
    level: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    limit: float,
    plane: Float32,
    sets: Int32,
    counts: Int64,
) -> None:
    zero = np.float32(0.0)
    far = np.float32(limit)
    for j in range(image.shape[0]):
        row, sky, spread, said, out = image[j], level[j], variance[j], mask[j], plane[j]
        marked = 0
        for i in range(row.size):
            marked |= said[i]
            z = (row[i] - sky[i]) / np.sqrt(spread[i])
            # What is no number is not below the limit either.
            out[i] = z if (said[i] & bad_bits == 0) & (np.abs(z) < far) else zero
        if marked:
            for i in range(row.size):
                if said[i]:
                    for k in range(sets.size):
                        counts[k] += said[i] & sets[k] != 0


@inner
def _gather(mask: Int32, bits: int, pixels: Int64) -> None:
    """Fill `pixels`, which has room for exactly those with some of the bits, with their flat indices in rising order."""
    count = 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x] & bits:
                pixels[count] = np.int64(y) * mask.shape[1] + x
                count += 1


@inner
def _groups(mask: Int32, bits: int, count: int) -> int:
    """Number of sets of pixels with some of the bits (`count` of them) that touch one another, at corners too."""
    ny, nx = mask.shape
    pixels = np.empty(count, dtype=np.int64)
    _gather(mask, bits, pixels)
    seen = np.zeros(count, dtype=np.int64)
    queue = np.empty(count, dtype=np.int64)
    groups = 0
    for start in range(count):
        if seen[start]:
            continue
        groups += 1
        seen[start] = 1
        queue[0] = start
        first, last = 0, 1
        while first < last:
            y, x = pixels[queue[first]] // nx, pixels[queue[first]] % nx
            first += 1
            for v in range(max(y - 1, 0), min(y + 2, ny)):
                for u in range(max(x - 1, 0), min(x + 2, nx)):
                    if mask[v, u] & bits:
                        near = np.searchsorted(pixels, np.int64(v) * nx + u)
                        if not seen[near]:
                            seen[near] = 1
                            queue[last] = near
                            last += 1
    return groups


@inner
def _hide(plane: Float32, boxes: Int64, margin: int) -> None:
    """Set the plane to 0 within each box (x0, x1, y0, y1; ends included) and a margin around it."""
    ny, nx = plane.shape
    for k in range(boxes.shape[1]):
        x0 = max(boxes[0, k] - margin, 0)
        x1 = min(boxes[1, k] + margin + 1, nx)
        for j in range(max(boxes[2, k] - margin, 0), min(boxes[3, k] + margin + 1, ny)):
            plane[j, x0:x1] = np.float32(0.0)


@inner
def _lagged(one: Float32, other: Float32) -> tuple[float, float]:
    """Sum of the products of two lines, and how many of them are of sky."""
    total = 0.0
    count = 0
    for i in range(one.size):
        product = one[i] * other[i]
        total += product
        count += product != 0.0
    return total, float(count)


@compiled
def _survey(
    planes: tuple[Float32, Float32, Float32],
    mask: Int32,
    bad_bits: int,
    limit: float,
    boxes: Int64,
    margin: int,
    plane: Float32,
    sets: Int32,
    counts: Int64,
    sums: Float64,
) -> int:
    """`sums`: for the lags 0 … n along x (first index 0) and y (1), sum of products and number of pairs; then mean.

    The last of `sets` is that of the grouped bits; returns how many groups there are.
    """
    image, level, variance = planes
    _plane(image, level, variance, mask, bad_bits, limit, plane, sets, counts)
    _hide(plane, boxes, margin)
    ny, nx = plane.shape
    for j in range(ny):
        if j // _BLOCK % _EVERY:
            continue
        row = plane[j]
        for lag in range(sums.shape[1]):
            if lag < nx:
                found = _lagged(row[: nx - lag], row[lag:])
                sums[0, lag, 0] += found[0]
                sums[0, lag, 1] += found[1]
            if j + lag < ny:
                found = _lagged(row, plane[j + lag])
                sums[1, lag, 0] += found[0]
                sums[1, lag, 1] += found[1]
        for i in range(nx):
            sums[2, 0, 0] += row[i]
    marked = counts[counts.size - 1]
    return _groups(mask, sets[sets.size - 1], marked) if marked else 0


def sky_noise(
    image: Numbers,
    level: Numbers,
    variance: Numbers,
    mask: Numbers,
    boxes: Numbers,
    *,
    bad_bits: int = 0,
    sets: Sequence[int] = (),
    grouped: int = 0,
    lags: int = 4,
    margin: int = 3,
    limit: float = 4.0,
) -> SkyNoise:
    """Count pixels by bits of the mask, and correlate the noise of the sky with itself along rows and columns.

    Parameters
    ----------
    image, level, variance : (ny, nx) arrays
        Pixels; the sky's level and its variance.
    mask : (ny, nx) array
        Mask bits.
    boxes : (4, n) array [pixel]
        x_min, x_max, y_min, y_max of the sources, ends included: they and `margin` pixels around them are no sky.
    bad_bits : int
        Bits of pixels that are no sky.
    sets : ints
        Sets of bits: the pixels that have any of them are counted.
    grouped : int
        Bits of pixels of which those that touch one another are one.
    lags : int
        Largest lag.
    limit : float [sigma]
        Pixels further from the level are no sky.

    Returns
    -------
    SkyNoise
        Independent pixels give 0 ± 1/√(pixels looked at); what smooths (interpolation, resampling, unresolved
        sources) gives more, a pattern of the read-out alternates.
    """
    if not image.shape == level.shape == variance.shape == mask.shape:
        raise ValueError(f"planes differ in shape: {[image.shape, level.shape, variance.shape, mask.shape]}")
    plane = np.empty(image.shape, dtype=np.float32)
    wanted = np.array([*sets, grouped], dtype=np.int32)
    counts = np.zeros(wanted.size, dtype=np.int64)
    sums = np.zeros((3, lags + 1, 2))
    planes = (as_pixels(image), as_pixels(level), as_pixels(variance))
    groups = _survey(
        planes,
        as_bits(mask),
        int(bad_bits),
        float(limit),
        as_plain(boxes, np.int64),
        int(margin),
        plane,
        wanted,
        counts,
        sums,
    )
    counts = counts[:-1]
    count = sums[0, 0, 1]
    if count == 0:
        nothing = np.full(lags, np.nan)
        return SkyNoise(plane, counts, groups, 0.0, nothing, nothing, float("nan"))
    rows = np.flatnonzero(np.arange(image.shape[0]) // _BLOCK % _EVERY == 0)
    mean = sums[2, 0, 0] / count
    spread = sums[0, 0, 0] / count - mean**2
    pairs = sums[:2, 1:, 1]
    products = np.divide(sums[:2, 1:, 0], pairs, out=np.full((2, lags), np.nan), where=pairs > 0)
    along = (products - mean**2) / spread if spread > 0 else np.full((2, lags), np.nan)
    return SkyNoise(
        plane,
        counts,
        groups,
        float(count / rows.size / image.shape[1]),
        along[0],
        along[1],
        float(np.sqrt(max(spread, 0.0))),
    )
