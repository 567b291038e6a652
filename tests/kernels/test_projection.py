"""Projections of tiles: against astropy's, there and back, at the pole and at right ascension 0."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.kernels.projection import CODES, OTHERS, Projection, projection

PLACES = [(150.0, 2.2), (0.02, -31.0), (10.0, 89.9), (200.0, -90.0), (300.0, 90.0), (359.9999, 0.0)]


def _projection(code: str, ra: float, dec: float, scale: float = 0.2 / 3600) -> Projection:
    turn = np.radians(25.0)
    cd = scale * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return Projection(code, np.array([ra, dec]), np.array([1500.3, 1200.0]), cd)


def _astropy(ours: Projection) -> WCS:
    return WCS(fits.Header(ours.cards()))


# About the pole itself wcslib has no single answer for a cylinder.
@pytest.mark.parametrize(
    ("code", "ra", "dec"),
    [(code, *place) for code in CODES for place in PLACES if code not in OTHERS or abs(place[1]) < 90],
)
def test_as_astropy_says(code: str, ra: float, dec: float) -> None:
    for scale in (0.2 / 3600, 0.02):
        ours = _projection(code, ra, dec, scale)
        x, y = np.random.default_rng(3).uniform(0, 3000, (2, 400))
        theirs = _astropy(ours)
        got = np.array(ours.pixel_to_sky(x, y))
        expected = np.array(theirs.wcs_pix2world(x, y, 0))
        known = np.isfinite(got).all(axis=0)
        assert known.mean() > 0.9
        turn = (got[0] - expected[0] + 180) % 360 - 180
        assert np.abs(turn * np.cos(np.radians(got[1])))[known].max() < 1e-9
        assert np.abs(got[1] - expected[1])[known].max() < 1e-9
        assert (got[0][known] >= 0).all()
        assert (got[0][known] < 360).all()
        back = np.array(ours.sky_to_pixel(*got))
        assert np.abs(back - np.array([x, y]))[:, known].max() < 1e-6
        pixels = np.array(theirs.wcs_world2pix(*got[:, known], 0))
        assert np.abs(back[:, known] - pixels).max() < 1e-6


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("scale", [0.2 / 3600, 0.01])
def test_area_is_that_of_the_pixels_corners(code: str, scale: float) -> None:
    ours = _projection(code, 30.0, -40.0, scale)
    x, y = np.random.default_rng(4).uniform(0, 3000, (2, 50))
    step = 0.05
    vectors = []
    for dx, dy in ((-step, 0), (step, 0), (0, -step), (0, step)):
        ra, dec = np.radians(ours.pixel_to_sky(x + dx, y + dy))
        vectors.append(np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)]))
    cross = np.cross(vectors[1] - vectors[0], vectors[3] - vectors[2], axis=0)
    expected = np.degrees(np.degrees(np.linalg.norm(cross, axis=0))) / (2 * step) ** 2
    assert np.allclose(ours.pixel_area(x, y), expected, rtol=2e-5)


@pytest.mark.parametrize("code", CODES)
def test_cards_come_back(code: str) -> None:
    for dec in (-20.0, 35.0, 0.0):
        ours = _projection(code, 12.0, dec)
        again = projection(ours.cards())
        assert again.code == code
        for name in ("crval", "crpix", "cd"):
            assert np.allclose(getattr(again, name), getattr(ours, name), rtol=0, atol=1e-12)


def test_what_has_no_image_is_nan() -> None:
    for code in ("TAN", "SIN"):
        assert np.isnan(_projection(code, 10.0, 20.0).sky_to_pixel(190.0, -20.0)).all()
    assert np.isnan(_projection("SIN", 10.0, 20.0, 0.1).pixel_to_sky(3000.0, 1200.0)).all()
    assert np.isnan(_projection("CAR", 10.0, 0.0, 0.2).pixel_to_sky(3000.0, 3000.0)).any()
    assert np.isnan(_projection("ARC", 10.0, 20.0, 1.0).pixel_area(3000.0, 1200.0)).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"CTYPE1": "RA---TNX", "CTYPE2": "DEC--TNX"}, "TNX"),
        ({"A_ORDER": 2}, "A_ORDER"),
        ({"PV2_1": 0.3}, "PV2_1"),
        ({"CRVAL1": "north"}, "CRVAL1"),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, "no projection"),
        ({"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "LONPOLE": 90.0}, "pole"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        projection(_projection("TAN", 10.0, 20.0).cards() | change)


def test_a_header_without_pole_is_read_as_the_standard_says() -> None:
    cards = {key: value for key, value in _projection("CAR", 10.0, 20.0).cards().items() if "POLE" not in key}
    assert np.allclose(projection(cards).pixel_to_sky(5.0, 7.0), _projection("CAR", 10.0, 20.0).pixel_to_sky(5.0, 7.0))
