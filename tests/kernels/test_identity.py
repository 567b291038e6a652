"""Identifiers: unique, by place, and the same where the object is the same."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels.identity import cells, identifiers, same_places

NONE = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def places(number: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    # Across RA = 0.
    return (rng.uniform(-0.05, 0.05, number)) % 360.0, rng.uniform(10.0, 10.1, number)


def test_the_same_objects_keep_their_identifiers_and_new_ones_get_new_ones() -> None:
    ra, dec = places()
    rng = np.random.default_rng(4)
    first, kept = identifiers((ra, dec), np.ones(ra.size), NONE, 0.4)
    assert np.unique(first).size == ra.size
    assert not kept.any()
    assert first.min() >= 0
    moved = (ra + rng.normal(0, 1e-5, ra.size)) % 360.0, dec + rng.normal(0, 1e-5, ra.size)
    order = rng.permutation(ra.size)[:400]
    fresh = np.array([0.2, 0.3]), np.array([10.3, 10.2])
    again = np.concatenate([moved[0][order], fresh[0]]), np.concatenate([moved[1][order], fresh[1]])
    second, kept = identifiers(again, np.ones(402), (first, ra, dec), 0.4)
    np.testing.assert_array_equal(second[:400], first[order])
    assert kept[:400].all()
    assert not kept[400:].any()
    assert not set(second[400:].tolist()) & set(first.tolist())


def test_the_order_of_rows_does_not_matter() -> None:
    ra, dec = places(50)
    snr = np.arange(50.0)
    first, _ = identifiers((ra, dec), snr, NONE, 0.4)
    turned, _ = identifiers((ra[::-1], dec[::-1]), snr[::-1], NONE, 0.4)
    np.testing.assert_array_equal(first, turned[::-1])


def test_objects_of_one_cell_are_told_apart_up_to_a_limit() -> None:
    ra, dec = np.full(3, 150.0), np.full(3, 2.0)
    made, _ = identifiers((ra, dec), np.array([1.0, 3.0, 2.0]), NONE, 0.4)
    cell = int(cells(ra[:1], dec[:1])[0]) << 4
    assert made.tolist() == [cell + 2, cell, cell + 1]
    with pytest.raises(ValueError, match="more than 16"):
        identifiers((np.full(17, 150.0), np.full(17, 2.0)), np.ones(17), NONE, 0.4)


def test_pairs_are_mutual_and_within_the_radius() -> None:
    here = np.array([10.0, 10.0001, 50.0]), np.array([0.0, 0.0, 0.0])
    there = np.array([10.00008, 50.001]), np.array([0.0, 0.0])
    mine, theirs = same_places(here, there, 1.0)
    assert mine.tolist() == [1]
    assert theirs.tolist() == [0]
    assert same_places(here, (np.zeros(0), np.zeros(0)), 1.0)[0].size == 0
    assert cells(np.zeros(0), np.zeros(0)).size == 0
