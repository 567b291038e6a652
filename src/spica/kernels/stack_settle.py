"""The values of a band of a stack that were kept, combined: median, clipped mean, least or largest.

Clipping is that of Gruen, Seitz & Bernstein 2014 (PASP 126, 158): a value goes that departs from the median by more than a
fraction of the flux and some sigma, so that a star of another seeing is left whole.
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, compiled, inner
from spica.kernels.stack import CLIPPED, LEAST, MEDIAN, Bits, Facts, Sums, Values

_BLOCK = 64
"""Pixels of a row that are settled side by side."""
_ALIKE = np.float32(1e-4)
"""Part of all weight up to which halves are alike."""
_NONE, _HALF, _ONE, _TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)
_HALF_PI = np.float32(0.5 * np.pi)


class _Block(NamedTuple):
    """Pixels side by side: values, variances, weights, weight of the lesser values, use (1 or 0), (depth, n); and their medians."""

    value: Float32
    variance: Float32
    weight: Float32
    below: Float32
    use: Float32
    centre: Float32
    spread: Float32


@inner
def _load(
    values: Values, weighted: bool, weights: Float32, at: tuple[int, int], most: int, number: Int32, block: _Block
) -> None:
    y, first = at[0], np.uint64(at[1])
    value, variance, weight, below, image, given, errors = (
        block.value,
        block.variance,
        block.weight,
        block.below,
        values.image,
        values.value,
        values.variance,
    )
    for n in range(most):
        for k in range(_BLOCK):
            x = first + np.uint64(k)
            there = number[x] > n
            value[n, k] = given[n, y, x] if there else _NONE
            variance[n, k] = errors[n, y, x] if there else _NONE
            weight[n, k] = _ONE if there else _NONE
            below[n, k] = _NONE
        if weighted:
            for k in range(_BLOCK):
                x = first + np.uint64(k)
                if number[x] > n:
                    weight[n, k] = weights[image[n, y, x]]


@inner
def _rank(most: int, block: _Block) -> None:
    """Weight of all lesser values; of equal ones the first is the least."""
    value, weight, below = block.value, block.weight, block.below
    for j in range(1, most):
        for i in range(j):
            for k in range(_BLOCK):
                first = value[i, k] <= value[j, k]
                below[j, k] += weight[i, k] if first else _NONE
                below[i, k] += _NONE if first else weight[j, k]


@inner
def _median(most: int, block: _Block) -> None:
    """The weighted median, or the mean of the two where half of the weight lies below the one and above the other."""
    weight, below, centre, total, parts = block.weight, block.below, block.centre, block.spread, block.use
    value = block.value
    for k in range(_BLOCK):
        total[k], centre[k], parts[0, k] = _NONE, _NONE, _NONE
    for n in range(most):
        for k in range(_BLOCK):
            total[k] += weight[n, k]
    for n in range(most):
        for k in range(_BLOCK):
            half, near = _HALF * total[k], _ALIKE * total[k]
            low, high = below[n, k] - half, below[n, k] + weight[n, k] - half
            part = _ONE if low < -near and high > near else _NONE
            part += _HALF if abs(low) <= near else _NONE
            part += _HALF if abs(high) <= near else _NONE
            part = part if weight[n, k] > _NONE else _NONE
            centre[k] += part * value[n, k]
            parts[0, k] += part
    for k in range(_BLOCK):
        centre[k] /= parts[0, k] if parts[0, k] > _NONE else _ONE


@inner
def _choose(method: int, limits: tuple[float, float], most: int, number: Int32, first: int, block: _Block) -> None:
    """Which of the values count."""
    at, fraction, sigma = np.uint64(first), np.float32(limits[0]), np.float32(limits[1])
    spread = block.spread
    value, variance, weight, below, centre, use = (
        block.value,
        block.variance,
        block.weight,
        block.below,
        block.centre,
        block.use,
    )
    if method == CLIPPED:
        for k in range(_BLOCK):
            spread[k] = _NONE
        for n in range(most):
            for k in range(_BLOCK):
                spread[k] += variance[n, k]
        for k in range(_BLOCK):
            count = np.float32(number[at + np.uint64(k)])
            # Variance of the median; too few values are not clipped.
            spread[k] = spread[k] * _HALF_PI / (count * count) if count > _TWO else np.float32(np.inf)
    for n in range(most):
        for k in range(_BLOCK):
            there = weight[n, k] > _NONE
            if method == CLIPPED:
                away = abs(value[n, k] - centre[k])
                limit = fraction * abs(centre[k]) + sigma * np.sqrt(variance[n, k] + spread[k])
                there = there and away <= limit
            elif method != MEDIAN:
                last = np.float32(number[at + np.uint64(k)]) - _ONE
                there = there and below[n, k] == (_NONE if method == LEAST else last)
            use[n, k] = _ONE if there else _NONE


@inner
def _sum(
    method: int,
    facts: Float64,
    image: Int32,
    at: tuple[int, int],
    most: int,
    number: Int32,
    sums: Float64,
    block: _Block,
) -> None:
    """Sums of flux, weight, noise, epoch, time and number (6, n) over the values that count, in `sums`; and room for their facts."""
    y, first = at[0], np.uint64(at[1])
    value, variance, used, centre = block.value, block.variance, block.use, block.centre
    for row in range(6):
        for k in range(_BLOCK):
            sums[row, k] = 0.0
    for n in range(most):
        for k in range(_BLOCK):
            x = first + np.uint64(k)
            whose = image[n, y, x] if number[x] > n else 0
            sums[6, k], sums[7, k], sums[8, k] = facts[whose, 0], facts[whose, 2], facts[whose, 1]
        for k in range(_BLOCK):
            use = float(used[n, k])
            weight = sums[6, k] * use
            sums[0, k] += weight * value[n, k]
            sums[1, k] += weight
            sums[2, k] += weight * sums[6, k] * variance[n, k]
            sums[3, k] += weight * sums[7, k]
            sums[4, k] += use * sums[8, k]
            sums[5, k] += use
    if method == MEDIAN:
        for k in range(_BLOCK):
            sums[0, k] = sums[1, k] * centre[k]
            # The median of n normal values scatters by pi/2 / (n + pi/2 - 1) of theirs instead of 1/n.
            if sums[5, k] > 2.0:
                sums[2, k] *= 0.5 * np.pi * sums[5, k] / (sums[5, k] + 0.5 * np.pi - 1.0)


@compiled
def _settle(
    method: int,
    limits: tuple[float, float],
    clipped: int,
    facts: Float64,
    weights: Float32,
    room: Float32,
    made: Float64,
    number: Int32,
    sums: Sums,
    values: Values,
) -> None:
    depth, nx = (room.shape[0] - 2) // 5, sums.number.shape[1]
    block = _Block(
        room[:depth],
        room[depth : 2 * depth],
        room[2 * depth : 3 * depth],
        room[3 * depth : 4 * depth],
        room[4 * depth : 5 * depth],
        room[5 * depth],
        room[5 * depth + 1],
    )
    for y in range(sums.number.shape[0]):
        for x in range(nx):
            number[x] = sums.number[y, x]
        for first in range(0, nx, _BLOCK):
            most = 0
            for k in range(_BLOCK):
                most = max(most, number[first + k])
            _load(values, method == MEDIAN, weights, (y, first), most, number, block)
            if method != CLIPPED or most > 2:
                _rank(most, block)
                _median(most, block)
            _choose(method, limits, most, number, first, block)
            _sum(method, facts, values.image, (y, first), most, number, made, block)
            for k in range(min(_BLOCK, nx - first)):
                x = first + k
                sums.flux[y, x], sums.weight[y, x], sums.noise[y, x] = made[0, k], made[1, k], made[2, k]
                sums.epoch[y, x], sums.time[y, x], sums.number[y, x] = made[3, k], made[4, k], int(made[5, k])
                if method == CLIPPED and sums.number[y, x] < number[x]:
                    sums.bits[y, x] |= clipped


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
    depth, nx = len(values.value), sums.number.shape[1]
    # Room is made here: the compiler takes long over each kind of it.
    _settle(
        int(method),
        (float(limits[0]), float(limits[1])),
        int(bits.clipped),
        table,
        (table[:, 0] / table[0, 0]).astype(np.float32),
        np.zeros((5 * depth + 2, _BLOCK), np.float32),
        np.zeros((9, _BLOCK)),
        np.zeros(nx + _BLOCK, np.int32),
        sums,
        values,
    )
