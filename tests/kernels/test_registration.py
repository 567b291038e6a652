"""Star lists without any sky are laid over each other, or it is said that they cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels.pointing import Complex
from spica.kernels.registration import registered

NOISE = 0.1


def lists(seed: int, turn: complex, offset: complex, *, mirrored: bool, false: int = 40) -> tuple[Complex, Complex]:
    """Stars of one sky on two frames of 2000 x 1000 pixels, each with some of its own, brightest first."""
    rng = np.random.default_rng(seed)
    sky = rng.uniform(-1500.0, 3500.0, 1500) + 1j * rng.uniform(-1500.0, 2500.0, 1500)

    def seen(places: Complex) -> Complex:
        there = (places.real > 0) & (places.real < 2000) & (places.imag > 0) & (places.imag < 1000)
        there &= rng.random(places.size) > 0.1
        noise = rng.normal(0.0, NOISE, (2, places.size))
        real = (places + noise[0] + 1j * noise[1])[there]
        wrong = rng.uniform(0, 2000, false) + 1j * rng.uniform(0, 1000, false)
        at = np.sort(rng.integers(0, real.size, false))
        return np.insert(real, at, wrong)

    return seen(sky), seen(turn * (np.conj(sky) if mirrored else sky) + offset)


@pytest.mark.parametrize(
    ("turn", "offset", "mirrored"),
    [
        (1.0 + 0j, 130.0 - 60.0j, False),
        (1.02 * np.exp(2.2j), 1900.0 + 100.0j, False),
        (np.exp(-0.4j), 100.0 + 900.0j, True),
    ],
)
def test_shift_turn_scale_and_parity_come_back(turn: complex, offset: complex, mirrored: bool) -> None:  # noqa: FBT001
    one, other = lists(1, turn, offset, mirrored=mirrored)
    found = registered(one, other, error=0.3)
    assert found is not None
    assert found.mirrored is mirrored
    assert abs(found.turn - turn) < 2e-4
    corners = np.array([0.0, 2000.0, 1000.0j, 2000.0 + 1000.0j])
    wanted = turn * (np.conj(corners) if mirrored else corners) + offset
    assert np.abs(found.apply(corners) - wanted).max() < 0.2
    # Noise of both lists, per coordinate.
    assert found.rms == pytest.approx(np.sqrt(2.0) * NOISE, rel=0.25)
    assert np.abs(found.apply(one[found.one]) - other[found.other]).max() < 1.0


def test_lists_of_different_skies_are_refused() -> None:
    one, _ = lists(2, 1.0, 0.0, mirrored=False)
    other, _ = lists(3, 1.0, 0.0, mirrored=False)
    assert registered(one, other, error=0.3) is None


def test_few_stars_and_those_without_a_place() -> None:
    one, other = lists(4, 1.0, 10.0 + 5.0j, mirrored=False)
    assert registered(one[:4], other) is None
    assert registered(one, np.zeros(0, complex)) is None
    spoilt = np.insert(one, [0, 7], np.nan)
    found = registered(spoilt, other, error=0.3)
    assert found is not None
    assert np.isfinite(spoilt[found.one]).all()
    assert abs(found.offset - (10.0 + 5.0j)) < 0.2


def test_there_and_back_is_no_step() -> None:
    one, other = lists(5, np.exp(1.1j), 900.0 - 400.0j, mirrored=False)
    there, back = registered(one, other, error=0.3), registered(other, one, error=0.3)
    assert there is not None
    assert back is not None
    places = np.array([100.0 + 100.0j, 1500.0 + 800.0j])
    assert np.abs(back.apply(there.apply(places)) - places).max() < 0.05
