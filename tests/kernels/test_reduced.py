"""Reduced normal equations against the same problem solved whole by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from spica.kernels.reduced import Normal, Rows, solve


@pytest.mark.parametrize("kind", [float, complex])
def test_equal_to_the_problem_with_all_unknowns(kind: type) -> None:
    rng = np.random.default_rng(3)
    groups, own, shared, each = 60, 5, 3, 4

    def drawn(*shape: int) -> np.ndarray:
        values = rng.normal(size=shape)
        return values if kind is float else values + 1j * rng.normal(size=shape)

    group = np.repeat(np.arange(groups), each)
    pattern = np.tile(np.arange(own), groups * each // own + 1)[: group.size]
    shared_at, own_at = np.tile(np.arange(shared), (own, 1)), np.arange(own)[:, None]
    rows = Rows(
        *(group, rng.uniform(0.5, 2.0, group.size), drawn(group.size), pattern, shared_at, own_at),
        *(drawn(group.size, shared), drawn(group.size, 1)),
    )
    tie_weight, tie = rng.uniform(0.1, 1.0, groups), drawn(groups)
    total = np.bincount(group, rows.weight) + tie_weight
    summed: np.ndarray = np.zeros(groups, kind)
    np.add.at(summed, group, rows.weight * rows.residual)
    normal = Normal.empty(shared, own, kind)
    normal.add(rows, total, (summed + tie_weight * tie) / total)
    found = solve(normal)

    design: np.ndarray = np.zeros((group.size + groups, shared + own + groups), kind)
    design[: group.size, :shared] = rows.shared
    design[np.arange(group.size), shared + pattern] = rows.own[:, 0]
    design[np.arange(group.size), shared + own + group] = -1.0
    design[group.size + np.arange(groups), shared + own + np.arange(groups)] = -1.0
    heavy = np.sqrt(np.r_[rows.weight, tie_weight])
    values = np.r_[rows.residual, tie]

    def residuals(flat: np.ndarray) -> np.ndarray:
        unknown = flat if kind is float else flat[::2] + 1j * flat[1::2]
        away = heavy * (values + design @ unknown)
        return np.asarray(away) if kind is float else np.r_[away.real, away.imag]

    whole = least_squares(residuals, np.zeros(design.shape[1] * (1 if kind is float else 2)), xtol=1e-14, gtol=1e-14)
    expected = whole.x if kind is float else whole.x[::2] + 1j * whole.x[1::2]
    assert np.allclose(found.shared, expected[:shared], atol=1e-7)
    assert np.allclose(found.own, expected[shared : shared + own], atol=1e-7)
    scaled = design * heavy[:, None]
    covariance = np.linalg.inv(scaled.conj().T @ scaled)
    assert np.allclose(found.inverse, covariance[:shared, :shared])
    one: np.ndarray = np.ones((1, 1), kind)
    variance = found.variance(np.zeros(0, np.int64), np.zeros((1, 0), kind), np.array([2]), one)
    assert np.allclose(variance, covariance[shared + 2, shared + 2].real)
    mixed = found.variance(np.array([1]), one, np.array([2]), one)
    direction = np.zeros(design.shape[1])
    direction[[1, shared + 2]] = 1.0
    assert np.allclose(mixed, (direction @ covariance @ direction).real)
