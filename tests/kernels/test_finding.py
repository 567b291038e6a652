"""Laws of finding: what must not matter does not, what is found is the truth, and chance is never taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from spica.kernels.asterisms import Limits, offset_votes, pair_votes
from spica.kernels.bending import transferred
from spica.kernels.finding import Climb, Judge, Rung, accepted, climb, ladder
from spica.kernels.pointing import Alignment, Complex, Reference, fitted, log_tail, mutual
from spica.kernels.tangent import tangent_deproject

ERROR = 0.6 / 3600.0
JUDGE = Judge(ERROR, 6.0, 5)
NEAR = ladder(0.05, 0.2)[:5]
CENTRE = (150.0, 20.0)


def sky(seed: int, count: int = 60) -> tuple[Complex, Reference]:
    """Stars of a field of 0.15 × 0.15 degrees, brightest first, and reference stars over a wider one, in the same order."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(-0.3, 0.3, 16 * count) + 1j * rng.uniform(-0.3, 0.3, 16 * count)
    inside = (np.abs(z.real) < 0.075) & (np.abs(z.imag) < 0.075)
    ra, dec = tangent_deproject(z.real, z.imag, *CENTRE)
    noise = rng.normal(0.0, 0.1 / 3600.0, (2, z.size))
    return (z + noise[0] + 1j * noise[1])[inside], Reference(ra, dec)


def find(stars: Complex, reference: Reference, centre: tuple[float, float] = CENTRE) -> Climb:
    return climb(stars, reference, centre, NEAR, JUDGE)


def away(end: Climb, turn: complex, shift: complex, *, mirrored: bool = False) -> float:
    """Largest distance [arcsec] of found from true places at the field's corners, where z was moved to (z - shift) / turn."""
    assert end.found is not None, end.attempts
    corners = np.array([1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j]) * 0.07
    nominal = np.asarray((corners - shift) / turn, np.complex128)
    got = end.found.alignment.apply(np.conj(nominal) if mirrored else nominal)
    ra, dec = tangent_deproject(got.real, got.imag, end.found.alignment.ra, end.found.alignment.dec)
    true = tangent_deproject(corners.real, corners.imag, *CENTRE)
    return float(3600.0 * np.hypot((ra - true[0]) * np.cos(np.radians(20.0)), dec - true[1]).max())


def test_an_offset_is_found() -> None:
    stars, reference = sky(1)
    shift = complex(0.03, -0.02)
    end = find(stars - shift, reference)
    assert away(end, 1.0, shift) < 0.15
    assert end.rung == "header"


@pytest.mark.parametrize("angle", [0.5, 40.0, 180.0, 271.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_and_parity_do_not_matter(angle: float, mirrored: bool) -> None:  # noqa: FBT001
    stars, reference = sky(2)
    turn = 1.005 * np.exp(1j * np.radians(angle))
    there = stars / turn
    end = find(np.conj(there) if mirrored else there, reference)
    assert away(end, turn, 0.0, mirrored=mirrored) < 0.15
    assert end.found is not None
    assert end.found.alignment.mirrored is mirrored
    assert end.found.alignment.scale == pytest.approx(1.005, abs=3e-4)


def test_spurious_stars_and_the_order_of_equals_do_not_matter() -> None:
    stars, reference = sky(3)
    rng = np.random.default_rng(4)
    false = rng.uniform(-0.075, 0.075, 500) + 1j * rng.uniform(-0.075, 0.075, 500)
    mixed = np.concatenate([stars, false])[rng.permutation(stars.size + 500)]
    clean, dirty = find(stars, reference), find(mixed, reference)
    assert away(clean, 1.0, 0.0) < 0.15
    assert away(dirty, 1.0, 0.0) < 0.2
    again = find(mixed[rng.permutation(mixed.size)], reference)
    assert away(again, 1.0, 0.0) < 0.2


def test_chance_is_refused() -> None:
    stars, _ = sky(5)
    for seed in range(20, 23):
        end = find(stars, sky(seed)[1])
        assert end.found is None
        assert min(one.log_false for one in end.attempts) > -3.0


def test_few_reference_stars_within_reach_are_no_ground() -> None:
    stars, reference = sky(6)
    end = find(stars, reference, (10.0, -60.0))
    assert end.found is None
    assert [one.reference for one in end.attempts] == [0] * len(NEAR)


def test_votes_of_single_stars_and_of_pairs_agree() -> None:
    stars, reference = sky(7)
    places = reference.plane(reference.near(*CENTRE, 0.2, 400), *CENTRE)
    shift = complex(0.02, 0.03)
    limits = Limits(0.05, 0.02, (0.99, 1.01))
    single = offset_votes(stars - shift, places, limits, 3.0 * ERROR, 3)[0]
    pair = pair_votes(stars - shift, places, limits, ERROR, 3)[0]
    assert abs(single.offset - shift) < 4.0 * ERROR
    assert abs(pair.offset - shift) < 1.0 * ERROR
    assert abs(pair.turn - 1.0) < 0.005
    # As many stars as match, and as many pairs as they make, long ones.
    assert single.votes >= 0.9 * stars.size
    assert pair.votes >= 0.3 * stars.size * (stars.size - 1) / 2


def test_votes_of_nothing() -> None:
    none, one = np.zeros(0, np.complex128), np.zeros(1, np.complex128)
    limits = Limits(0.1, 0.1, (0.9, 1.1))
    assert offset_votes(none, one, limits, 0.01, 3) == []
    assert pair_votes(one, one, limits, 0.01, 3) == []


def test_odds_are_poissons() -> None:
    for matches, mean in ((5, 0.1), (12, 2.0), (60, 30.0)):
        exact = np.log10(poisson.sf(matches - 1, mean))
        assert exact <= log_tail(matches, mean) < exact + 0.35
    assert log_tail(3, 4.0) == 0.0
    assert log_tail(400, 1.0) < -300


def test_matches_are_mutual_and_single() -> None:
    ones = np.array([0.0, 0.1, 1.0, 5.0], np.complex128)
    others = np.array([0.08, 1.05, 1.2], np.complex128)
    one, other, distance = mutual(ones, others, 0.3)
    assert sorted(zip(one.tolist(), other.tolist(), strict=True)) == [(1, 0), (2, 1)]
    assert distance.max() == pytest.approx(0.05)


def test_fits_recover_what_was_done() -> None:
    rng = np.random.default_rng(8)
    z = rng.normal(size=20) + 1j * rng.normal(size=20)
    along, across, shift = 1.1 + 0.2j, 0.03 - 0.01j, 2.0 - 1.0j
    got = fitted(z, along * z + across * np.conj(z) + shift, mirrored=False, stretched=True)
    assert np.allclose(got, (along, across, shift))
    got = fitted(z, along * np.conj(z) + shift, mirrored=True, stretched=False)
    assert np.allclose(got, (0.0, along, shift))


def test_an_alignment_in_another_plane_is_the_same() -> None:
    one = Alignment(31.0, 62.0, 1.01 * np.exp(0.3j), 0j)
    z = np.array([0.1 + 0.2j, -0.3 + 0.1j, 0.2 - 0.3j, 0.0])
    old, new = (30.0, 61.0), (30.3, 61.2)
    nominal = tangent_deproject(z.real, z.imag, *old)
    there = one.apply(z)
    true = tangent_deproject(there.real, there.imag, one.ra, one.dec)
    other = transferred(one, old, new, z)
    x, y = Reference(*nominal).plane(np.arange(4), *new).view(np.float64).reshape(-1, 2).T
    moved = other.apply(x + 1j * y)
    again = tangent_deproject(moved.real, moved.imag, other.ra, other.dec)
    # Two tangent planes of one sky differ by second order: 0.3 degrees by 0.2 degrees by their distance.
    assert np.abs(3600.0 * (again[1] - true[1])).max() < 0.5


def test_a_caricature_of_a_sky_is_no_alignment() -> None:
    stars, reference = sky(9)
    end = find(stars, reference)
    assert end.found is not None
    flat = end.found._replace(alignment=Alignment(*CENTRE, 0.9 + 0j, 0.1 + 0j))
    assert accepted(end.found, JUDGE)
    assert not accepted(flat, JUDGE)


def test_rungs_have_names_of_their_own() -> None:
    rungs = ladder(0.05, 2.0)
    assert len({rung.name for rung in rungs}) == len(rungs)
    assert all(isinstance(rung, Rung) for rung in rungs)
    assert [rung.name for rung in rungs[:2]] == ["header", "deep"]
