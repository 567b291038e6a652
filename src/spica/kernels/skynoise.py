"""What the sky between the sources says: bits of the mask counted, and whether neighbouring pixels' noise is independent."""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_bits, as_pixels, as_plain, compiled

BITS = 16
"""Mask bits that are counted, from the lowest."""
_BLOCK, _EVERY = 16, 4
"""Blocks of so many rows, of each so many one, speak for all: 10⁶ pixels tell a correlation to 0.001. Whole blocks, so
that patterns of rows that alternate are not taken for a level."""


class SkyNoise(NamedTuple):
    """The sky of one detector.

    ``plane`` (ny, nx) float32: deviation from the level in units of its noise; 0 where the pixel is no sky. ``bits``
    (16,): pixels with each bit of the mask. ``share``: fraction of pixels that are sky. ``along_x``, ``along_y``: the
    autocorrelation at lags 1 … n; NaN where there is no sky. ``scatter``: standard deviation of the plane.
    """

    plane: Float32
    bits: Int64
    share: float
    along_x: Float64
    along_y: Float64
    scatter: float


@compiled
def _plane(
    image: Float32,
    level: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    limit: float,
    plane: Float32,
    bits: Int64,
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
                    for bit in range(BITS):
                        bits[bit] += (said[i] >> bit) & 1


@compiled
def _hide(plane: Float32, boxes: Int64, margin: int) -> None:
    """Set the plane to 0 within each box (x0, x1, y0, y1; ends included) and a margin around it."""
    ny, nx = plane.shape
    for k in range(boxes.shape[1]):
        x0 = max(boxes[0, k] - margin, 0)
        x1 = min(boxes[1, k] + margin + 1, nx)
        for j in range(max(boxes[2, k] - margin, 0), min(boxes[3, k] + margin + 1, ny)):
            plane[j, x0:x1] = np.float32(0.0)


@compiled
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
    bits: Int64,
    sums: Float64,
) -> None:
    """`sums`: for the lags 0 … n along x (first index 0) and y (1), sum of products and number of pairs; then mean."""
    image, level, variance = planes
    _plane(image, level, variance, mask, bad_bits, limit, plane, bits)
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


def sky_noise(
    image: Numbers,
    level: Numbers,
    variance: Numbers,
    mask: Numbers,
    boxes: Numbers,
    *,
    bad_bits: int = 0,
    lags: int = 4,
    margin: int = 3,
    limit: float = 4.0,
) -> SkyNoise:
    """Count the bits of the mask, and correlate the noise of the sky with itself along rows and columns.

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
    bits = np.zeros(BITS, dtype=np.int64)
    sums = np.zeros((3, lags + 1, 2))
    planes = (as_pixels(image), as_pixels(level), as_pixels(variance))
    _survey(
        planes, as_bits(mask), int(bad_bits), float(limit), as_plain(boxes, np.int64), int(margin), plane, bits, sums
    )
    count = sums[0, 0, 1]
    if count == 0:
        nothing = np.full(lags, np.nan)
        return SkyNoise(plane, bits, 0.0, nothing, nothing, float("nan"))
    rows = np.flatnonzero(np.arange(image.shape[0]) // _BLOCK % _EVERY == 0)
    mean = sums[2, 0, 0] / count
    spread = sums[0, 0, 0] / count - mean**2
    pairs = sums[:2, 1:, 1]
    products = np.divide(sums[:2, 1:, 0], pairs, out=np.full((2, lags), np.nan), where=pairs > 0)
    along = (products - mean**2) / spread if spread > 0 else np.full((2, lags), np.nan)
    return SkyNoise(
        plane, bits, float(count / rows.size / image.shape[1]), along[0], along[1], float(np.sqrt(max(spread, 0.0)))
    )
