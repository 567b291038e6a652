"""Matching of lists."""

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord

from spica.kernels.match import match_plane, match_sky


def field(seed: int, number: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(359.9, 360.1, number) % 360, rng.uniform(-60.1, -59.9, number)


def test_a_shuffled_scattered_list_is_put_back() -> None:
    ra, dec = field(41)
    rng = np.random.default_rng(42)
    order = rng.permutation(ra.size)
    noisy = ((ra + rng.normal(0, 2e-6, ra.size)) % 360, dec + rng.normal(0, 1e-6, ra.size))
    found = match_sky(ra, dec, noisy[0][order], noisy[1][order], 0.1)
    np.testing.assert_array_equal(found.first, np.arange(ra.size))
    np.testing.assert_array_equal(order[found.second], np.arange(ra.size))
    assert 0 < found.distance.max() < 0.05


def test_pairs_and_distances_are_those_of_astropy() -> None:
    ra1, dec1 = field(43)
    ra2, dec2 = field(44, 300)
    one, two = (SkyCoord(*pair, unit=units.deg) for pair in ((ra1, dec1), (ra2, dec2)))
    there, distance, _ = one.match_to_catalog_sky(two)
    back, _, _ = two.match_to_catalog_sky(one)
    expected = np.flatnonzero((back[there] == np.arange(ra1.size)) & (distance.arcsec < 15))
    found = match_sky(ra1, dec1, ra2, dec2, 15.0)
    np.testing.assert_array_equal(found.first, expected)
    np.testing.assert_array_equal(found.second, there[expected])
    np.testing.assert_allclose(found.distance, distance.arcsec[expected], rtol=1e-6)


def test_exchanging_the_lists_exchanges_the_pairs() -> None:
    one, two = field(45), field(46)
    there, back = match_sky(*one, *two, 20.0), match_sky(*two, *one, 20.0)
    assert there.first.size > 100
    pairs = set(zip(there.first.tolist(), there.second.tolist(), strict=True))
    assert pairs == set(zip(back.second.tolist(), back.first.tolist(), strict=True))


def test_ties_go_to_the_lowest_index_and_undefined_places_match_nothing() -> None:
    found = match_plane([np.nan, 5.0, 5.0], [0.0, 5.0, 5.0], [5.0, np.nan, 5.0], [5.0, 1.0, 5.0], 1.0)
    assert (found.first.tolist(), found.second.tolist()) == ([1], [0])


def test_the_radius_is_the_limit() -> None:
    assert match_plane([0.0], [0.0], [3.0], [4.0], 5.0).distance.tolist() == [5.0]
    assert match_plane([0.0], [0.0], [3.0], [4.0], 4.999).first.size == 0
    assert match_sky([], [], [1.0], [1.0], 5.0).first.size == 0
    assert match_sky([10.0], [0.0], [10.0 + 2 / 3600], [0.0], 2.001).distance[0] == pytest.approx(2.0)
