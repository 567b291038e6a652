"""Circles about bright stars: which stars, how large, and which objects lie in them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from spica.core.bright import Law, within
from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.core.tiles import Tile
from spica.tasks.bright_stars import BrightStarsSettings, bright_stars
from spica.tasks.objects import ObjectsSettings, objects

TILE = Tile("t", 100, 100, {}, ((359.9, 0.1, 0.1, 359.9), (-0.1, -0.1, 0.1, 0.1)))


def stars(**magnitudes: list[float]) -> Catalogue:
    """A bright one in the tile, one beyond its edge the circle of which reaches in, one that does not, a faint and an unknown one."""
    columns = {"ra": np.array([0.0, 0.2, 0.6, 0.01, 0.02]), "dec": np.zeros(5)}
    return Catalogue(columns | {f"mag_{band}": np.array(values) for band, values in magnitudes.items()})


def test_radii_are_those_of_the_published_law() -> None:
    np.testing.assert_allclose(3600 * Law().radii([10.0, 16.0]), [59.51, 13.12], atol=0.01)
    assert Law().radii(-10.0) == 0.5
    assert 3600 * Law(terms=((60.0, 0.1, 10.0),)).radii(20.0) == pytest.approx(6.0)
    for terms in ((), ((-1.0, 0.1, 10.0),), ((1.0, np.nan, 10.0),)):
        with pytest.raises(SetupFault, match="no law of radii"):
            Law(terms=terms)


def test_circles_reach_into_the_tile_and_the_brightest_come_first() -> None:
    made = bright_stars(BrightStarsSettings(), TILE, stars(G=[12.0, 5.0, 9.0, 16.5, np.nan]))
    table = made["bright_stars"]
    np.testing.assert_array_equal(table["mag"], [5.0, 12.0])
    np.testing.assert_allclose(table["radius"], 3600 * Law().radii([5.0, 12.0]), rtol=1e-6)
    assert table.header["STARBAND"] == "G"
    assert made["bright_star_figures"]["bright_stars"].value == 2


def test_the_band_is_the_one_named_else_g_else_what_most_stars_have() -> None:
    given = stars(r=[12.0, 5.0, 9.0, 16.5, 13.0], g=[12.0, np.nan, 9.0, 16.5, 13.0])
    assert bright_stars(BrightStarsSettings(), TILE, given)["bright_stars"].header["STARBAND"] == "r"
    assert bright_stars(BrightStarsSettings(band="g"), TILE, given)["bright_stars"].header["STARBAND"] == "g"
    with pytest.raises(DataFault, match="no magnitudes in 'z'; it has r, g") as caught:
        bright_stars(BrightStarsSettings(band="z"), TILE, given)
    assert caught.value.code == "data.bad-value"


def test_objects_in_circles_are_told_and_none_where_nobody_knows_of_stars() -> None:
    rng = np.random.default_rng(3)
    place = rng.uniform(-0.1, 0.1, (2, 300))
    detected = Catalogue({"ra": place[0] % 360.0, "dec": place[1], "snr_peak": np.ones(300)})
    given = stars(G=[9.0, 5.0, 9.0, 16.5, np.nan])
    circles = bright_stars(BrightStarsSettings(), TILE, given)["bright_stars"]
    table = objects(ObjectsSettings(), TILE, detected, (), None, circles, None)["objects"]
    sky = SkyCoord(table["ra"], table["dec"], unit="deg")
    expected = np.zeros(len(table), bool)
    for row in range(len(circles)):
        star = SkyCoord(circles["ra"][row], circles["dec"][row], unit="deg")
        expected |= sky.separation(star).arcsec <= circles["radius"][row]
    np.testing.assert_array_equal(table["bright_star"] == 1, expected)
    assert 3 < np.count_nonzero(expected) < 299
    nobody = bright_stars(BrightStarsSettings(), TILE, None)["bright_stars"]
    for unknown in (nobody, None):
        assert np.all(
            objects(ObjectsSettings(), TILE, detected, (), None, unknown, None)["objects"]["bright_star"] == -1
        )
    assert not within([np.nan], [np.nan], (np.array([0.0]), np.array([0.0]), np.array([1.0])))[0]
