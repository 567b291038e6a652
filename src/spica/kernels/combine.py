"""Combination of a stack of images along its first axis: mean, median or clipped mean, band by band."""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Int32, Numbers, as_bits, as_pixels, compiled
from spica.kernels.robust import MAD_TO_SIGMA

MEAN, MEDIAN, CLIPPED = 0, 1, 2
METHODS = {"mean": MEAN, "median": MEDIAN, "clipped": CLIPPED}

_TILE = 64
"""Pixels of a row that are gathered together: their values of 100 images stay in the first-level cache."""


class Combined(NamedTuple):
    """A combined band: ``mean`` and ``variance`` of it float32, ``used`` int32, each (rows, nx).

    Where no value was good, all three are 0; where one was, the variance is 0 (unknown).
    """

    mean: Float32
    variance: Float32
    used: Int32


@compiled
def _sort(values: Float32, count: int) -> None:
    """Sort the first `count` values in place (Shell 1959, gaps of Ciura 2001): short, and quick for short lists."""
    for gap in (701, 301, 132, 57, 23, 10, 4, 1):
        for i in range(gap, count):
            value = values[i]
            j = i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value


@compiled
def _middle(values: Float32, low: int, high: int) -> float:
    """Median of the sorted values[low:high]."""
    half = (low + high) // 2
    if (high - low) % 2 == 1:
        return float(values[half])
    return 0.5 * (float(values[half - 1]) + float(values[half]))


@compiled
def _sorted_mad(values: Float32, low: int, high: int, centre: float) -> float:
    """Median absolute deviation of the sorted values[low:high] from `centre`, by dropping the farther end."""
    left = low
    right = high - 1
    # The deviations are smallest in the middle: taking the farther end away (n - 1) // 2 times leaves the median.
    for _ in range((high - low - 1) // 2):
        if centre - values[left] > values[right] - centre:
            left += 1
        else:
            right -= 1
    farther = max(centre - values[left], values[right] - centre)
    if (high - low) % 2 == 1:
        return float(farther)
    if centre - values[left] > values[right] - centre:
        left += 1
    else:
        right -= 1
    return 0.5 * float(farther + max(centre - values[left], values[right] - centre))


@compiled
def _clip(values: Float32, count: int, limits: Float32, iterations: int) -> tuple[int, int]:
    """Range of the sorted values that clipping about their median keeps; limits are low, high and noise floor."""
    low = 0
    high = count
    for _ in range(iterations):
        if high - low < 3:
            break
        centre = _middle(values, low, high)
        sigma = max(MAD_TO_SIGMA * _sorted_mad(values, low, high, centre), limits[2])
        if sigma <= 0.0:
            break
        first = low
        last = high
        while values[low] < centre - limits[0] * sigma:
            low += 1
        while values[high - 1] > centre + limits[1] * sigma:
            high -= 1
        if first == low and last == high:
            break
    return low, high


@compiled
def _moments(values: Float32, low: int, high: int) -> tuple[float, float]:
    """Mean of values[low:high] and the variance of that mean, in float64."""
    count = high - low
    origin = float(values[low])
    total = 0.0
    squares = 0.0
    for i in range(low, high):
        step = float(values[i]) - origin
        total += step
        squares += step * step
    mean = total / count
    if count < 2:
        return origin + mean, 0.0
    return origin + mean, max(squares - total * mean, 0.0) / (count - 1) / count


@compiled
def _estimate(values: Float32, count: int, method: int, limits: Float32, iterations: int) -> tuple[float, float, int]:
    """Estimate, its variance, and the number of values used."""
    if count == 0:
        return 0.0, 0.0, 0
    if method == MEAN:
        mean, variance = _moments(values, 0, count)
        return mean, variance, count
    _sort(values, count)
    if method == MEDIAN:
        mean, variance = _moments(values, 0, count)
        # The median of normal values scatters more than their mean, from n = 3 on nearly by pi / 2 in variance.
        return _middle(values, 0, count), variance * (0.5 * np.pi if count > 2 else 1.0), count
    low, high = _clip(values, count, limits, iterations)
    mean, variance = _moments(values, low, high)
    return mean, variance, high - low


@compiled
def _gather(
    stack: Float32,
    masks: Int32,
    bad_bits: int,
    scales: Float32,
    y: int,
    x0: int,
    x1: int,
    columns: Float32,
    counts: Int32,
) -> None:
    """Collect the good values of pixels x0..x1 of a row, one line of `columns` per pixel."""
    for i in range(x1 - x0):
        counts[i] = 0
    masked = masks.size > 0
    for n in range(stack.shape[0]):
        scale = scales[n]
        for x in range(x0, x1):
            value = stack[n, y, x] * scale
            if np.isfinite(value) and not (masked and masks[n, y, x] & bad_bits != 0):
                i = x - x0
                columns[i, counts[i]] = value
                counts[i] += 1


@compiled
def _combine(
    stack: Float32,
    masks: Int32,
    bad_bits: int,
    scales: Float32,
    method: int,
    limits: Float32,
    iterations: int,
    mean: Float32,
    variance: Float32,
    used: Int32,
) -> None:
    columns = np.empty((_TILE, stack.shape[0]), dtype=np.float32)
    counts = np.empty(_TILE, dtype=np.int32)
    nx = stack.shape[2]
    for y in range(stack.shape[1]):
        for x0 in range(0, nx, _TILE):
            x1 = min(x0 + _TILE, nx)
            _gather(stack, masks, bad_bits, scales, y, x0, x1, columns, counts)
            for x in range(x0, x1):
                value, spread, kept = _estimate(columns[x - x0], counts[x - x0], method, limits, iterations)
                mean[y, x] = value
                variance[y, x] = spread
                used[y, x] = kept


def combine(
    stack: Numbers,
    masks: Numbers | None = None,
    *,
    bad_bits: int = 0,
    scales: Numbers | None = None,
    method: str = "clipped",
    kappa: tuple[float, float] = (4.0, 4.0),
    iterations: int = 3,
    floor: float = 0.0,
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
    floor : float
        Smallest deviation that clipping assumes (read noise, say), in the unit of the scaled values. With 0, a pixel
        of which more than half the values are equal is not clipped.

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
        np.array([*kappa, floor], dtype=np.float32),
        int(iterations),
        *out,
    )
    return out
