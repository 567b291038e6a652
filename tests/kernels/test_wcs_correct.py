"""A solution corrected as a whole keeps its distortion, exactly where that can be."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels.wcs import TangentWcs, pixel_to_plane, pixel_to_sky, tangent_wcs
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.kernels.wcs_correct import corrected, exchanged, multiplied

RNG = np.random.default_rng(1)
X, Y = RNG.uniform(0, 2000, (2, 60))
CD = 7e-5 * np.array([[-1.0, 0.1], [0.05, 1.0]])


def wild(form: str) -> TangentWcs:
    """Solutions with every term that the form has."""
    pv = np.zeros((2, 40))
    pv[:, 1] = 1.0
    pv += RNG.normal(0.0, 1e-3, pv.shape)
    sip = RNG.normal(0.0, 1e-9, (2, 4, 4)) * (np.add.outer(np.arange(4), np.arange(4)) >= 2)
    given = {"tan": {}, "tpv": {"pv": pv}, "sip": {"sip_a": sip[0], "sip_b": sip[1]}}[form]
    return tangent_wcs((50.0, -30.0), (900.0, 1100.0), CD, **given)


@pytest.mark.parametrize("form", ["tan", "tpv", "sip"])
def test_a_multiplied_solution_is_the_product(form: str) -> None:
    matrix = np.array([[0.3, -1.1], [0.9, 0.2]])
    wcs = wild(form)
    plane = np.stack(pixel_to_plane(wcs, X, Y))
    assert np.allclose(np.stack(pixel_to_plane(multiplied(matrix, wcs), X, Y)), matrix @ plane, rtol=0, atol=1e-14)


@pytest.mark.parametrize("form", ["tan", "tpv", "sip"])
@pytest.mark.parametrize("centre", [(50.3, -29.8), (231.0, 89.9), (359.99, 0.0)])
def test_a_correction_finds_shift_turn_and_stretch(form: str, centre: tuple[float, float]) -> None:
    wcs = wild(form)
    moved = tangent_wcs(centre, wcs.crpix, wcs.cd, pv=wcs.pv if wcs.pv.size else None, sip_a=wcs.sip_a, sip_b=wcs.sip_b)
    true = multiplied(np.array([[0.0, 1.02], [-0.99, 0.01]]), moved)
    found, left = corrected(wcs, X, Y, *pixel_to_sky(true, X, Y))
    assert left < 1e-9
    got, want = pixel_to_sky(found, X, Y), pixel_to_sky(true, X, Y)
    assert np.abs((got[0] - want[0] + 180) % 360 - 180).max() * np.cos(np.radians(centre[1])) < 1e-9
    assert np.abs(got[1] - want[1]).max() < 1e-9


def test_exchanging_twice_changes_nothing() -> None:
    assert np.array_equal(exchanged()[exchanged()], np.arange(40))


@pytest.mark.parametrize("form", ["tan", "tpv", "sip"])
def test_cards_and_back(form: str) -> None:
    wcs = wild(form)
    again = from_cards(to_cards(wcs))
    for name in ("crval", "crpix", "cd", "pv", "sip_a", "sip_b"):
        assert np.allclose(getattr(again, name), getattr(wcs, name), rtol=1e-15, atol=0)
