"""Grids of the sky: every place has one owner, whose image holds it with the margin; the poles and 0 h too."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy.coordinates import SkyCoord, get_body
from astropy.time import Time

from spica.core.faults import SetupFault
from spica.core.release import FieldTable, TilesTable
from spica.core.tiles import vectors
from spica.engine.tiling.grids import Place, ring_of, sky_name, tiles_near, tract, tracts_of
from spica.engine.tiling.moon import moon_apart
from spica.files.hats.moc import Moc
from spica.files.hats.moc_files import to_ascii
from spica.kernels.projection import projection

SPOTS = [(0.0, 0.0), (359.95, -45.0), (120.0, 89.9), (77.0, -89.0), (30.0, 60.0)]


def square(name: str, ra: float, dec: float, side: float = 0.002) -> Place:
    half = side / 2.0
    wide = half / math.cos(math.radians(dec))
    return Place(name, (ra - wide, ra + wide, ra + wide, ra - wide), (dec - half, dec - half, dec + half, dec + half))


def scattered(ra: float, dec: float, count: int = 60, wide: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    place = vectors(ra, dec) + wide * np.random.default_rng(5).normal(size=(count, 3))
    place /= np.linalg.norm(place, axis=1)[:, None]
    return np.degrees(np.arctan2(place[:, 1], place[:, 0])) % 360.0, np.degrees(np.arcsin(place[:, 2]))


@pytest.mark.parametrize("spot", SPOTS)
@pytest.mark.parametrize(
    "table",
    [
        TilesTable(grid="rings", size=1.5, scale=2.0),
        TilesTable(grid="rings", size=3.0, patches=3, scale=2.0),
        TilesTable(grid="rings", size=1.5, scale=2.0, projection="ZEA"),
        TilesTable(grid="healpix", order=5, scale=2.0),
    ],
    ids=["rings", "patches", "equal area", "cells"],
)
def test_every_place_has_one_owner_whose_image_holds_it(table: TilesTable, spot: tuple[float, float]) -> None:
    ra, dec = scattered(*spot)
    tiles = tiles_near(table, [square(str(n), *each) for n, each in enumerate(zip(ra, dec, strict=True))])
    owned = np.array([tile.owns(ra, dec) for tile in tiles])
    assert owned.sum(0).tolist() == [1] * ra.size
    for tile, own in zip(tiles, owned, strict=True):
        x, y = projection(tile.cards).sky_to_pixel(ra[own], dec[own])
        edge = np.minimum.reduce([x, y, tile.nx - 1 - x, tile.ny - 1 - y])
        # Patches meet in pixels, their owners on the sphere: a pixel of the margin may go.
        assert edge.min(initial=np.inf) >= table.overlap / table.scale - 1.0


def test_the_rings_hold_the_sky_and_no_more() -> None:
    size = 2.0
    rings = ring_of(size, 90.0) + 1
    area = 0.0
    for ring in range(rings):
        parts = tracts_of(size, ring)
        one = tract(size, ring, 0)
        south, north = (math.sin(math.radians(edge)) for edge in one.dec)
        area += 2.0 * math.pi * (north - south)
        assert ring_of(size, sum(one.dec) / 2.0) == ring
        assert 0 < parts * size <= 360.0 + size
    assert area == pytest.approx(4.0 * math.pi, rel=1e-12)


def test_fields_have_names_of_their_place_and_the_nearer_owns() -> None:
    assert sky_name("W_u", 33.541666, -4.2) == "W_u_021410-041200"
    assert sky_name("W", 359.9999, 0.0) == "W_000000+000000"
    table = TilesTable(
        grid="fields",
        size=1.0,
        scale=5.0,
        field=(FieldTable(ra=359.8, dec=0.0), FieldTable(ra=0.6, dec=0.0, name="east")),
    )
    tiles = {tile.name: tile for tile in tiles_near(table, [])}
    assert set(tiles) == {"S_235912+000000", "east"}
    ra, dec = np.array([359.5, 0.1, 0.3, 1.0]), np.zeros(4)
    assert tiles["S_235912+000000"].owns(ra, dec).tolist() == [True, True, False, False]
    assert tiles["east"].owns(ra, dec).tolist() == [False, False, True, True]
    # As near to both: the first one's.
    assert [tile.owns(0.2, 0.0).item() for tile in tiles.values()].count(True) == 1


def test_exposures_that_hang_together_share_a_tile() -> None:
    table = TilesTable(grid="overlap", scale=1.0, overlap=0.0)
    places = [
        square("a", 10.0, 5.0, 0.1),
        square("b", 10.08, 5.0, 0.1),
        square("c", 10.16, 5.0, 0.1),
        square("d", 20.0, 5.0, 0.1),
    ]
    tiles = {tile.name: tile for tile in tiles_near(table, places)}
    assert {name: tile.only for name, tile in tiles.items()} == {"a": ("a", "b", "c"), "d": ("d",)}
    each = tiles_near(TilesTable(grid="exposure", scale=1.0), places)
    assert [tile.name for tile in each] == ["a", "b", "c", "d"]
    assert tiles["d"].nx == pytest.approx(360, abs=3)


def test_a_map_of_coverage_leaves_out_tiles_that_it_does_not_touch() -> None:
    places = [square("a", 0.0, 5.0, 3.0)]
    for table in (TilesTable(grid="healpix", order=5, scale=5.0), TilesTable(size=1.0, scale=5.0)):
        whole = tiles_near(table, places)
        moc = Moc.of_cone(359.5, 5.2, 0.3, 11)
        found = tiles_near(table.model_copy(update={"moc": to_ascii(moc)}), places)
        assert 0 < len(found) < len(whole)
        there = {tile.name for tile in found}
        angle = np.linspace(0.0, 2.0 * np.pi, 200)
        ra, dec = (359.5 + 0.3 * np.cos(angle)) % 360.0, 5.2 + 0.3 * np.sin(angle)
        for tile in whole:
            if tile.owns(ra, dec).any():
                assert tile.name in there
            corners = np.array(tile.outline)
            near = np.hypot((corners[0] - 359.5 + 180.0) % 360.0 - 180.0, corners[1] - 5.2).min()
            if near > 2.5:
                assert tile.name not in there
    assert tiles_near(TilesTable(grid="healpix", order=5, scale=5.0, moc="5/0"), places) == []


def test_a_tile_that_is_too_large_is_refused_by_name() -> None:
    for table in (
        TilesTable(grid="box", ra=(0.0, 170.0), dec=(-80.0, 80.0)),
        TilesTable(grid="box", ra=(0.0, 20.0), dec=(0.0, 20.0), scale=0.1),
    ):
        with pytest.raises(SetupFault) as caught:
            tiles_near(table, [])
        assert caught.value.code == "release.invalid"
        assert "choose a smaller size" in str(caught.value)


def test_the_moon_is_where_astropy_has_it() -> None:
    for mjd in (51544.0, 60000.3, 61000.7):
        moon = get_body("moon", Time(mjd, format="mjd", scale="tai"))
        here = SkyCoord(80.0, -20.0, unit="deg")
        there = SkyCoord(moon.ra, moon.dec)
        assert moon_apart(80.0, -20.0, mjd) == pytest.approx(here.separation(there).deg, abs=0.01)
