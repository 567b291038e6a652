"""Robust statistics of plain arrays, and streaming mean and variance of pixel stacks."""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_pixels, compiled, inner

MAD_TO_SIGMA = 1.482602218505602
"""Median absolute deviation of a normal distribution times this is its standard deviation."""


class Robust(NamedTuple):
    """Statistics of one set of pixels.

    ``median`` and ``sigma`` (1.4826 MAD) are of all good pixels; ``mean``, ``deviation`` (sample standard deviation)
    and ``used`` of those that the clipping kept. All are NaN when no pixel is good. ``good`` counts the pixels
    before clipping.
    """

    median: float
    sigma: float
    mean: float
    deviation: float
    used: int
    good: int


@inner
def select_kth(values: Float32, count: int, k: int) -> float:
    """Return the k-th smallest (from 0) of the first `count` values, reordering them in place.

    Afterwards nothing left of k is larger and nothing right of it smaller. Values must not be NaN.
    Hoare (1961), "Algorithm 65: Find", Comm. ACM 4, 321; the pivot is the value at k itself, so that selecting again
    after small changes costs one scan.
    """
    low = 0
    high = count - 1
    while low < high:
        pivot = values[k]
        i = low
        j = high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                kept = values[i]
                values[i] = values[j]
                values[j] = kept
                i += 1
                j -= 1
        if j < k:
            low = i
        if k < i:
            high = j
    return float(values[k])


@inner
def median_in_place(values: Float32, count: int) -> float:
    """Return the median of the first `count` (≥ 1) values, reordering them in place."""
    k = count // 2
    upper = select_kth(values, count, k)
    if count % 2 == 1:
        return upper
    lower = values[0]
    for i in range(1, k):
        lower = max(lower, values[i])
    return 0.5 * (float(lower) + upper)


@inner
def mean_and_deviation(values: Float32, count: int) -> tuple[float, float]:
    """Return mean and sample standard deviation of the first `count` (≥ 1) values, in float64."""
    origin = float(values[0])
    total = 0.0
    squares = 0.0
    for i in range(count):
        step = float(values[i]) - origin
        total += step
        squares += step * step
    mean = total / count
    spread = squares - total * mean
    if count < 2 or spread <= 0.0:
        return origin + mean, 0.0
    return origin + mean, np.sqrt(spread / (count - 1))


@inner
def keep_between(values: Float32, count: int, low: float, high: float) -> int:
    """Move the values within [low, high] to the front, in their order; return how many they are."""
    kept = 0
    for i in range(count):
        value = values[i]
        values[kept] = value
        if value >= low and value <= high:
            kept += 1
    return kept


@compiled
def gather_good(image: Float32, mask: Int32, bad_bits: int, out: Float32) -> int:
    """Copy the finite pixels that have none of `bad_bits` into `out`; return how many they are."""
    count = 0
    for i in range(image.size):
        value = image[i]
        if np.isfinite(value) and (mask.size == 0 or mask[i] & bad_bits == 0):
            out[count] = value
            count += 1
    return count


@compiled
def clipped_statistics(
    values: Float32, count: int, kappa: float, iterations: int
) -> tuple[float, float, float, float, int]:
    """Median, sigma from MAD, and clipped mean, deviation, number of the first `count` values (reordered)."""
    median = median_in_place(values, count)
    deviations = np.empty(count, dtype=np.float32)
    for i in range(count):
        deviations[i] = abs(float(values[i]) - median)
    sigma = MAD_TO_SIGMA * median_in_place(deviations, count)
    used = count
    mean, deviation = mean_and_deviation(values, used)
    centre = median
    width = sigma if sigma > 0.0 else deviation
    for _ in range(iterations):
        kept = keep_between(values, used, centre - kappa * width, centre + kappa * width)
        if kept in (used, 0):
            break
        used = kept
        mean, deviation = mean_and_deviation(values, used)
        centre = mean
        width = deviation
    return median, sigma, mean, deviation, used


def robust_statistics(
    values: Numbers, mask: Numbers | None = None, *, bad_bits: int = 0, kappa: float = 3.0, iterations: int = 5
) -> Robust:
    """Median, MAD and clipped mean of the good pixels of an array.

    Parameters
    ----------
    values : array of any shape
        Pixels in any unit; those that are not finite are left out.
    mask : array of the same shape, optional
        Mask bits; pixels with any of `bad_bits` are left out.
    bad_bits : int
        Bits of `mask` that exclude a pixel.
    kappa : float
        Clipping limit in standard deviations (the first time: in 1.4826 MAD about the median).
    iterations : int
        Upper limit of clipping passes.

    Returns
    -------
    Robust
        Statistics in the unit of `values`.
    """
    flat = as_pixels(values).ravel()
    bits = np.empty(0, dtype=np.int32) if mask is None else as_bits(mask).ravel()
    if mask is not None and bits.size != flat.size:
        raise ValueError(f"mask has {bits.size} pixels, values have {flat.size}")
    buffer = np.empty(flat.size, dtype=np.float32)
    good = gather_good(flat, bits, int(bad_bits), buffer)
    if good == 0:
        return Robust(np.nan, np.nan, np.nan, np.nan, 0, 0)
    median, sigma, mean, deviation, used = clipped_statistics(buffer, good, float(kappa), int(iterations))
    return Robust(median, sigma, mean, deviation, used, good)


def half_sample_mode(values: Float64) -> float:
    """Mode by halving: the densest half of the densest half … (Bickel & Frühwirth 2006), at least one value needed."""
    ordered = np.sort(values)
    while ordered.size > 3:
        half = (ordered.size + 1) // 2
        widths = ordered[half - 1 :] - ordered[: ordered.size - half + 1]
        first = int(np.argmin(widths))
        ordered = ordered[first : first + half]
    return float(np.mean(ordered))
