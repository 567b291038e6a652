"""Pixels of a set by brightness: how many peaks there are, and their order by levels."""

import numpy as np

from spica.kernels.compiled import Float32, Int32, inner


@inner
def count_peaks(values: Float32, spots: Int32, index: Int32, offsets: Int32) -> int:
    """How many local maxima a set has, counted up to 2."""
    found = 0
    for q in range(values.size):
        value = values[q]
        highest = True
        for offset in offsets:
            m = index[spots[q] + offset] - 1
            # Of equal neighbours the first one is the maximum.
            if m >= 0 and (values[m] > value or (values[m] == value and m < q)):
                highest = False
                break
        if highest:
            found += 1
            if found > 1:
                break
    return found


@inner
def sort_by_level(values: Float32, level: Int32, order: Int32, steps: Float32) -> None:
    """Order pixels by level, brightest first, rows first within a level; `steps` gets the threshold of each level.

    The bits of a positive number, read as an integer, rise nearly as its logarithm: levels are equal steps of them.
    """
    bits = values.view(np.int32)
    low = np.int64(bits[0])
    high = low
    for value in bits:
        low = min(low, np.int64(value))
        high = max(high, np.int64(value))
    levels = steps.size
    span = high - low + 1
    counts = np.zeros(levels + 1, dtype=np.int64)
    for q in range(bits.size):
        step = (high - bits[q]) * levels // span
        level[q] = step
        counts[step + 1] += 1
    for step in range(levels):
        counts[step + 1] += counts[step]
    for q in range(bits.size):
        step = level[q]
        order[counts[step]] = q
        counts[step] += 1
    edges = steps.view(np.int32)
    for step in range(levels):
        edges[step] = high - ((step + 1) * span - 1) // levels
