"""The values of a band of a stack that were kept, combined: median, clipped mean, least or largest.

Clipping is that of Gruen, Seitz & Bernstein 2014 (PASP 126, 158): a value goes that departs from the median by more than a
fraction of the flux and some sigma, so that a star of another seeing is left whole.
"""

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, compiled, inner
from spica.kernels.stack import CLIPPED, LARGEST, LEAST, MEDIAN, Bits, Facts, Sums, Values


@inner
def _arrange(value: Float32, order: Int32, count: int) -> None:
    """Order of the first `count` values by size (insertion: they are few)."""
    for n in range(count):
        k = n
        while k > 0 and value[order[k - 1]] > value[n]:
            order[k] = order[k - 1]
            k -= 1
        order[k] = n


@inner
def _weighted_median(value: Float32, order: Int32, weight: Float64, image: Int32, count: int) -> float:
    total = 0.0
    for n in range(count):
        total += weight[image[n]]
    below = 0.0
    for n in range(count):
        k = order[n]
        below += weight[image[k]]
        if abs(below - 0.5 * total) <= 1e-9 * total and n + 1 < count:
            return 0.5 * (float(value[k]) + float(value[order[n + 1]]))
        if below > 0.5 * total:
            return float(value[k])
    return float(value[order[count - 1]])


@inner
def _median(value: Float32, order: Int32, count: int) -> float:
    half = count // 2
    if count % 2 == 1:
        return float(value[order[half]])
    return 0.5 * (float(value[order[half - 1]]) + float(value[order[half]]))


@inner
def _centre(
    method: int, variance: Float32, value: Float32, order: Int32, weight: Float64, image: Int32, count: int
) -> tuple[float, float]:
    """The median that counts, and the variance of it."""
    if method == MEDIAN:
        return _weighted_median(value, order, weight, image, count), 0.0
    if method != CLIPPED:
        return 0.0, 0.0
    spread = 0.0
    for n in range(count):
        spread += variance[n]
    return _median(value, order, count), spread * 0.5 * np.pi / count / count


@inner
def _range(method: int, count: int) -> tuple[int, int]:
    """Which of the ordered values count (half open)."""
    if method == LEAST:
        return 0, 1
    return (count - 1, count) if method == LARGEST else (0, count)


@compiled
def _settle(method: int, limits: tuple[float, float], clipped: int, facts: Float64, sums: Sums, values: Values) -> None:
    depth = values.value.shape[0]
    order, image = np.empty(depth, np.int32), np.empty(depth, np.int32)
    value, variance = np.empty(depth, np.float32), np.empty(depth, np.float32)
    weights = facts[:, 0].copy()
    for y in range(sums.number.shape[0]):
        for x in range(sums.number.shape[1]):
            count = sums.number[y, x]
            if count == 0:
                continue
            for n in range(count):
                value[n], variance[n], image[n] = values.value[n, y, x], values.variance[n, y, x], values.image[n, y, x]
            _arrange(value, order, count)
            centre, spread = _centre(method, variance, value, order, weights, image, count)
            low, high = _range(method, count)
            flux, total, noise, epoch, time, number = 0.0, 0.0, 0.0, 0.0, 0.0, 0
            for n in range(low, high):
                k = order[n]
                if method == CLIPPED and count > 2:
                    limit = limits[0] * abs(centre) + limits[1] * np.sqrt(float(variance[k]) + spread)
                    if abs(float(value[k]) - centre) > limit:
                        sums.bits[y, x] |= clipped
                        continue
                weight = weights[image[k]]
                flux += weight * value[k]
                total += weight
                noise += weight * weight * variance[k]
                epoch += weight * facts[image[k], 2]
                time += facts[image[k], 1]
                number += 1
            if method == MEDIAN:
                flux = centre * total
                # The median of n normal values scatters by pi/2 / (n + pi/2 - 1) of theirs instead of 1/n.
                if count > 2:
                    noise *= 0.5 * np.pi * count / (count + 0.5 * np.pi - 1.0)
            sums.flux[y, x], sums.weight[y, x], sums.noise[y, x] = flux, total, noise
            sums.epoch[y, x], sums.time[y, x], sums.number[y, x] = epoch, time, number


def settle(
    method: int, limits: tuple[float, float], bits: Bits, facts: list[Facts], sums: Sums, values: Values
) -> None:
    """Combine the values kept into the sums.

    Parameters
    ----------
    limits : fraction of the median and number of sigma beyond which a value is clipped (of three or more).
    facts : of all images.
    """
    table = np.array(facts, dtype=np.float64).reshape(-1, 4)
    _settle(int(method), (float(limits[0]), float(limits[1])), int(bits.clipped), table, sums, values)
