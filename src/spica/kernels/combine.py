"""Combination of a stack of images along its first axis: mean, median or clipped mean, band by band."""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_pixels, compiled, inner
from spica.kernels.robust import MAD_TO_SIGMA

MEAN, MEDIAN, CLIPPED = 0, 1, 2
METHODS = {"mean": MEAN, "median": MEDIAN, "clipped": CLIPPED}

_TILE = 64
"""Pixels of a row that are combined together: one instruction works on several, and 100 images of them stay in cache."""


class Combined(NamedTuple):
    """A combined band: ``mean`` and ``variance`` of it float32, ``used`` int32, each (rows, nx).

    Where no value was good, all three are 0; where one was, the variance is 0 (unknown).
    """

    mean: Float32
    variance: Float32
    used: Int32


@compiled
def _take(
    image: Float32, errors: Float32, mask: Int32, bad_bits: int, scale: float, out: Float32, noise: Float64, good: Int32
) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            value, error = image[y, x], errors[y, x]
            if mask[y, x] & bad_bits == 0 and np.isfinite(value) and np.isfinite(error):
                out[y, x] = value * scale
                noise[y, x] += error * scale * scale
                good[y, x] += 1
            else:
                out[y, x] = np.nan


def take(
    image: Numbers,
    errors: Numbers,
    mask: Numbers,
    *,
    bad_bits: int,
    scale: float,
    out: Float32,
    noise: Float64,
    good: Int32,
) -> None:
    """Take some rows of one image into a stack that is to be combined, and its variance into a sum.

    Parameters
    ----------
    image, errors : (rows, nx) arrays
        Pixels and their variance, in any unit and its square; where one of them is not finite, the pixel is left out.
    mask : (rows, nx) array
        Mask bits; pixels with any of `bad_bits` are left out.
    scale : float
        The pixels are multiplied by it, the variance by its square.
    out : (rows, nx) float32 array
        Takes the scaled pixels, NaN for those left out.
    noise, good : (rows, nx) float64 and int32 arrays
        The scaled variance is added to the first, 1 to the second where the pixel is not left out.
    """
    _take(as_pixels(image), as_pixels(errors), as_bits(mask), int(bad_bits), float(scale), out, noise, good)


@inner
def _sort(columns: Float32, count: int) -> None:
    """Sort each column of the first `count` rows.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M): which rows are compared
    does not depend on their values, so that all pixels of a tile go through it side by side, without a branch.
    """
    # Each step goes through arrays of its own, of which the compiler sees that they are not the rows compared: only then
    # does it use instructions that work on eight values.
    first, second = np.empty((2, _TILE), dtype=np.float32)
    top = 1
    while 2 * top < count:
        top *= 2
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            for i in range(count - d):
                if i & p == r:
                    for x in range(_TILE):
                        first[x] = columns[i, x]
                    for x in range(_TILE):
                        second[x] = columns[i + d, x]
                    for x in range(_TILE):
                        a, b = first[x], second[x]
                        columns[i, x] = min(b, a)
                    for x in range(_TILE):
                        a, b = first[x], second[x]
                        columns[i + d, x] = max(a, b)
            d, q, r = q - p, q // 2, p
        p //= 2


@inner
def _middle(columns: Float32, x: int, low: int, high: int) -> float:
    """Median of the sorted values low..high of a column."""
    half = (low + high) // 2
    if (high - low) % 2 == 1:
        return float(columns[half, x])
    return 0.5 * (float(columns[half - 1, x]) + float(columns[half, x]))


@inner
def _nearest(columns: Float32, x: int, low: int, high: int, centre: float, count: int) -> float:
    """Largest deviation among the `count` values nearest to `centre`: they lie side by side where values are sorted."""
    first, last = low, high - count
    while first < last:
        middle = (first + last) // 2
        if centre - columns[middle, x] > columns[middle + count, x] - centre:
            first = middle + 1
        else:
            last = middle
    return float(max(centre - columns[first, x], columns[first + count - 1, x] - centre))


@inner
def _clip(columns: Float32, x: int, count: int, limits: Float32, floor: float, iterations: int) -> tuple[int, int]:
    """Range of a sorted column that clipping about its median keeps; limits are low and high."""
    low, high = 0, count
    for _ in range(iterations):
        number = high - low
        if number < 3:
            break
        centre = _middle(columns, x, low, high)
        deviation = _nearest(columns, x, low, high, centre, number // 2 + 1)
        if number % 2 == 0:
            deviation = 0.5 * (deviation + _nearest(columns, x, low, high, centre, number // 2))
        sigma = max(MAD_TO_SIGMA * deviation, floor)
        if sigma <= 0.0:
            break
        while columns[low, x] < centre - limits[0] * sigma:
            low += 1
        while columns[high - 1, x] > centre + limits[1] * sigma:
            high -= 1
        if high - low == number:
            break
    return low, high


@inner
def _gather(
    stack: Float32,
    masks: Int32,
    bad_bits: int,
    scales: Float32,
    place: tuple[int, int],
    columns: Float32,
    counts: Int32,
) -> None:
    """Collect the values of a tile, a row per image; those that are not good become infinite, and sort to the end."""
    y, x0 = place
    width = min(_TILE, stack.shape[2] - x0)
    counts[:] = 0
    masked = masks.size > 0
    for n in range(stack.shape[0]):
        row, scale, out = stack[n, y], scales[n], columns[n]
        for i in range(width):
            value = row[x0 + i] * scale
            good = np.isfinite(value)
            if masked:
                good &= masks[n, y, x0 + i] & bad_bits == 0
            out[i] = value if good else np.float32(np.inf)
            counts[i] += good


@inner
def _sums(columns: Float32, lows: Int32, highs: Int32, origins: Float64, sums: Float64) -> None:
    """Sums of the values lows..highs of each column and of their squares, from an origin near to them, in float64."""
    sums[:] = 0.0
    for n in range(columns.shape[0]):
        row = columns[n]
        for x in range(_TILE):
            step = float(row[x]) - origins[x] if lows[x] <= n < highs[x] else 0.0
            sums[0, x] += step
            sums[1, x] += step * step


@compiled
def _combine(
    stack: Float32,
    masks: Int32,
    bad_bits: int,
    scales: Float32,
    method: int,
    limits: Float32,
    floors: Float32,
    iterations: int,
    mean: Float32,
    variance: Float32,
    used: Int32,
) -> None:
    columns = np.full((stack.shape[0], _TILE), np.inf, dtype=np.float32)
    counts, lows, highs = np.zeros((3, _TILE), dtype=np.int32)
    origins, sums = np.zeros(_TILE), np.empty((2, _TILE))
    nx = stack.shape[2]
    for y in range(stack.shape[1]):
        for x0 in range(0, nx, _TILE):
            _gather(stack, masks, bad_bits, scales, (y, x0), columns, counts)
            _sort(columns, stack.shape[0])
            for i in range(min(_TILE, nx - x0)):
                lows[i], highs[i] = 0, counts[i]
                if method == CLIPPED:
                    lows[i], highs[i] = _clip(columns, i, counts[i], limits, floors[y, x0 + i], iterations)
                origins[i] = _middle(columns, i, 0, counts[i]) if counts[i] > 0 else 0.0
            _sums(columns, lows, highs, origins, sums)
            for i in range(min(_TILE, nx - x0)):
                number = highs[i] - lows[i]
                used[y, x0 + i] = number
                step = sums[0, i] / max(number, 1)
                spread = max(sums[1, i] - sums[0, i] * step, 0.0) / max(number - 1, 1) / max(number, 1)
                if method == MEDIAN:
                    # The median of normal values scatters more than their mean, from n = 3 on nearly by pi / 2.
                    step, spread = 0.0, spread * (0.5 * np.pi if number > 2 else 1.0)
                mean[y, x0 + i] = origins[i] + step
                variance[y, x0 + i] = spread


def combine(
    stack: Numbers,
    masks: Numbers | None = None,
    *,
    bad_bits: int = 0,
    scales: Numbers | None = None,
    method: str = "clipped",
    kappa: tuple[float, float] = (4.0, 4.0),
    iterations: int = 3,
    floor: float | Numbers = 0.0,
) -> Combined:
    """Combine a band of images into one; every pixel stands alone, so the result does not depend on the bands.

    Parameters
    ----------
    stack : (n, rows, nx) array
        The same rows of n images, in any unit; values that are not finite are left out.
    masks : (n, rows, nx) array, optional
        Mask bits; values with any of `bad_bits` are left out.
    bad_bits : int
        Bits of `masks` that exclude a value.
    scales : (n,) array, optional
        Factors that bring the images to a common level before they are combined.
    method : {"clipped", "mean", "median"}
        ``clipped`` is the mean of the values within `kappa` robust deviations (1.4826 MAD) of the median; sets of
        fewer than three are not clipped.
    kappa : (float, float)
        Clipping limits below and above the median.
    iterations : int
        Upper limit of clipping passes.
    floor : float or (rows, nx) array
        Smallest deviation that clipping assumes (what is known of the noise), in the unit of the scaled values. That of
        a few values themselves is often far too small by chance. With 0, a pixel of which more than half the values
        are equal is not clipped.

    Returns
    -------
    Combined
        Estimate, its variance from the scatter of the values used (for the median times π/2), and their number. The
        clipped variance is too small by what clipping takes from the tails: for normal values 8 % at n = 15, 4σ.
    """
    if stack.ndim != 3 or stack.shape[0] == 0:
        raise ValueError(f"a stack of shape {stack.shape} is not (n, rows, nx) with n ≥ 1")
    if masks is not None and masks.shape != stack.shape:
        raise ValueError(f"masks of shape {masks.shape} for a stack of shape {stack.shape}")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, not one of {', '.join(METHODS)}")
    factors = np.ones(stack.shape[0]) if scales is None else scales
    if factors.shape != stack.shape[:1]:
        raise ValueError(f"scales of shape {factors.shape} for {stack.shape[0]} images")
    shape = stack.shape[1:]
    out = Combined(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32))
    _combine(
        as_pixels(stack),
        np.empty((0, 0, 0), dtype=np.int32) if masks is None else as_bits(masks),
        int(bad_bits),
        as_pixels(factors),
        METHODS[method],
        np.array(kappa, dtype=np.float32),
        as_pixels(np.array(np.broadcast_to(np.asarray(floor, np.float32), shape))),
        int(iterations),
        *out,
    )
    return out
