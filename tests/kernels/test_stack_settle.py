"""Values of a band combined: beside a loop over pixels, with weights, clipping and whatever number of values."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels.stack import METHODS, Bits, Facts, Sums, Values, empty_sums, empty_values
from spica.kernels.stack_settle import settle

BITS = Bits(1, 2, 4)
LIMITS = (0.1, 3.0)
NY, NX, DEPTH = 3, 150, 7


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    at = int(np.searchsorted(below, 0.5 - 1e-4))
    middle = values[order[at]]
    return float(0.5 * (middle + values[order[at + 1]]) if abs(below[at] - 0.5) <= 1e-4 else middle)


def _one(method: str, v: np.ndarray, e: np.ndarray, facts: np.ndarray) -> tuple[float, float, int]:
    """Value, variance and number of a pixel."""
    w, used = facts[:, 0], np.ones(len(v), bool)
    if method == "min":
        used = np.arange(len(v)) == np.argmin(v)
    elif method == "max":
        used = np.arange(len(v)) == len(v) - 1 - np.argmax(v[::-1])
    elif method == "clipped" and len(v) > 2:
        centre = float(np.median(v))
        spread = e.sum() * 0.5 * np.pi / len(v) ** 2
        used = np.abs(v - centre) <= LIMITS[0] * abs(centre) + LIMITS[1] * np.sqrt(e + spread)
    total = w[used].sum()
    noise = float((w[used] ** 2 * e[used]).sum() / total**2)
    if method != "median":
        return float((w * v)[used].sum() / total), noise, int(used.sum())
    n = len(v)
    return _median(v, w), noise * (0.5 * np.pi * n / (n + 0.5 * np.pi - 1) if n > 2 else 1.0), n


def _given(seed: int, uneven: float) -> tuple[Sums, Values, list[Facts]]:
    rng = np.random.default_rng(seed)
    sums, values = empty_sums(NY, NX), empty_values(NY, NX, DEPTH)
    values.value[:] = np.round(rng.normal(5.0, 3.0, values.value.shape), 1)
    values.value[0, :, ::9] = 80.0
    values.variance[:] = rng.uniform(1.0, 9.0, values.value.shape)
    values.image[:] = np.argsort(rng.random(values.value.shape), axis=0)
    sums.number[:] = rng.integers(0, DEPTH + 1, (NY, NX))
    # What lies beyond the number of a pixel is anything.
    values.value[np.arange(DEPTH)[:, None, None] >= sums.number] = np.nan
    values.image[np.arange(DEPTH)[:, None, None] >= sums.number] = 10**6
    facts = [Facts(0.3 * (1.0 + uneven * float(rng.random())), 10.0 + n, 0.1 * n, 1.0) for n in range(DEPTH)]
    return sums, values, facts


@pytest.mark.parametrize("uneven", [0.0, 1e-7, 3.0])
@pytest.mark.parametrize("method", ["median", "clipped", "min", "max"])
def test_as_a_loop_over_pixels(method: str, uneven: float) -> None:
    sums, values, facts = _given(3, uneven)
    count = sums.number.copy()
    settle(METHODS[method], LIMITS, BITS, facts, sums, values)
    table = np.array(facts)
    for y, x in np.ndindex(NY, NX):
        n = count[y, x]
        if n == 0:
            assert sums.number[y, x] == 0
            continue
        v, e, image = (each[:n, y, x] for each in (values.value, values.variance, values.image))
        science, variance, number = _one(method, v.astype(float), e.astype(float), table[image])
        assert np.isclose(sums.flux[y, x] / sums.weight[y, x], science, rtol=1e-5, atol=1e-6), (y, x)
        assert np.isclose(sums.noise[y, x] / sums.weight[y, x] ** 2, variance, rtol=1e-5)
        assert sums.number[y, x] == (n if method == "median" else number)
        assert bool(sums.bits[y, x] & BITS.clipped) == (method == "clipped" and number < n)
    if method == "clipped":
        assert np.any(sums.bits)
