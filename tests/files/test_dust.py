"""Maps of Galactic dust in the form of Schlegel, Finkbeiner & Davis, written here from a known function of place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from spica.core.columns import Catalogue
from spica.core.extinction import COEFFICIENTS, reddened
from spica.core.faults import DataFault
from spica.core.records import Grain, Unit
from spica.core.tiles import Tile
from spica.engine.resolvers.base import Link
from spica.engine.resolvers.dust import Dust
from spica.engine.spec import Given
from spica.engine.targets import Target
from spica.files.dust import installed
from spica.files.dust import pixels_of as pixels
from spica.kernels.projection import Projection

SIDE = 513
Values = np.ndarray[Any, np.dtype[np.float64]]


def known(longitude: Values, latitude: Values) -> Values:
    """A smooth E(B-V)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.asarray(0.1 + 0.05 * np.cos(lat) * np.cos(lon) + 0.02 * np.sin(lat) * np.cos(lat) * np.sin(lon))


def header(pole: int, *, lambert: bool) -> fits.Header:
    """Of a hemisphere about a pole, as the makers' first files tell it, or as a WCS."""
    middle, scale = (SIDE + 1) / 2, SIDE / 2.1
    cards: dict[str, Any] = {"CRPIX1": middle, "CRPIX2": middle}
    if lambert:
        return fits.Header(cards | {"LAM_NSGP": pole, "LAM_SCAL": scale})
    step = np.degrees(np.sqrt(2.0)) / scale
    turn = {"CTYPE1": "GLON-ZEA", "CTYPE2": "GLAT-ZEA", "CRVAL1": 0.0, "CRVAL2": 90.0 * pole, "LONPOLE": 180.0}
    # Longitudes run from +x, against the clock about the northern pole as the makers have it turned.
    return fits.Header(cards | turn | {"CD1_1": 0.0, "CD1_2": -step, "CD2_1": -pole * step, "CD2_2": 0.0})


def written(folder: Path, *, lambert: bool) -> Path:
    (folder / "dust").mkdir(parents=True)
    v, u = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    for pole, name in ((1, "ngp"), (-1, "sgp")):
        head = header(pole, lambert=lambert)
        if lambert:
            x, y = (u - SIDE // 2) / head["LAM_SCAL"], -pole * (v - SIDE // 2) / head["LAM_SCAL"]
            latitude = np.degrees(pole * np.arcsin(np.clip(1.0 - x**2 - y**2, -1.0, 1.0)))
            longitude = np.degrees(np.arctan2(y, x))
        else:
            longitude, latitude = WCS(head).all_pix2world(u, v, 0)
        values = np.nan_to_num(known(longitude, latitude)).astype(np.float32)
        fits.writeto(folder / "dust" / f"SFD_dust_4096_{name}.fits", values, head)
    return folder


@pytest.mark.parametrize("lambert", [True, False])
def test_the_map_is_read_where_it_was_written(tmp_path: Path, *, lambert: bool) -> None:
    found = installed(written(tmp_path, lambert=lambert))
    assert found is not None
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    sky = SkyCoord(ra, dec, unit="deg").galactic
    np.testing.assert_allclose(found.reddening(ra, dec), known(sky.l.deg, sky.b.deg), atol=2e-4)


@pytest.mark.parametrize("pole", [1, -1])
def test_pixels_of_the_published_headers_are_those_of_wcslib(pole: int) -> None:
    """The files of 1999 tell their projection twice; wcslib reads the one way, we the other."""
    cards: dict[str, Any] = {
        "CTYPE1": "GLON-ZEA", "CTYPE2": "GLAT-ZEA", "CRPIX1": 2048.5, "CRPIX2": 2048.5, "CRVAL1": 90.0 * pole,
        "CRVAL2": 90.0 * pole, "CD1_1": -0.0395646818624 * pole, "CD1_2": 0.0, "CD2_1": 0.0,
        "CD2_2": 0.0395646818624 * pole, "LONPOLE": 180.0, "LAM_NSGP": pole, "LAM_SCAL": 2048,
    }  # fmt: skip
    rng = np.random.default_rng(2)
    longitude, sine = rng.uniform(0.0, 360.0, 2000), rng.uniform(0.0, 1.0, 2000)
    longitude[:4], sine[:4] = [0.0, 90.0, 180.0, 270.0], [0.0, 0.5, 0.999999, 1.0]
    latitude = pole * np.degrees(np.arcsin(sine))
    place = np.stack([
        np.cos(np.radians(latitude)) * np.cos(np.radians(longitude)),
        np.cos(np.radians(latitude)) * np.sin(np.radians(longitude)),
        np.sin(np.radians(latitude)),
    ], -1)  # fmt: skip
    ours = pixels(cards, place)
    theirs = WCS(fits.Header(cards)).all_world2pix(longitude, latitude, 0)
    # The scale of the WCS is rounded to 12 digits.
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    # The formula that the headers' comments state, without trigonometry of ours.
    away = np.sqrt(1.0 - pole * np.sin(np.radians(latitude))) * 2048
    stated = away * np.cos(np.radians(longitude)) + 2047.5, -pole * away * np.sin(np.radians(longitude)) + 2047.5
    np.testing.assert_allclose(ours, stated, atol=1e-4)


def test_without_a_whole_map_there_is_none_and_another_file_is_named(tmp_path: Path) -> None:
    assert installed(tmp_path) is None
    written(tmp_path, lambert=True)
    (tmp_path / "dust" / "SFD_dust_4096_ngp.fits").write_bytes(b"no map")
    found = installed(tmp_path)
    assert found is not None
    with pytest.raises(DataFault, match="no map of dust") as caught:
        found.reddening([192.86], [27.13])
    assert caught.value.code == "file.not-fits"
    (tmp_path / "dust" / "SFD_dust_4096_sgp.fits").unlink()
    assert installed(tmp_path) is None


def test_objects_of_a_tile_are_reddened_by_their_places(tmp_path: Path) -> None:
    found = installed(written(tmp_path, lambert=True))
    assert found is not None
    sky = Projection("TAN", np.array([40.0, 10.0]), np.array([600.0, 500.0]), np.diag([-1e-3, 1e-3]))
    tile = Tile("t", 1200, 1000, sky.cards(), ((), ()))
    target = Target(Unit(Grain.TILE, ("t",)), (), "t", tile)
    stock, ground = SimpleNamespace(references=tmp_path), SimpleNamespace(dust=lambda: found.checksum)
    source: Any = Dust()
    links = source.resolve(ground, None, None, target)
    given = source.load(stock, None, links, target)
    assert isinstance(given, Given)
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 1199, 200), rng.uniform(0, 999, 200)
    columns, declared = reddened(given.value, Catalogue({"x": x, "y": y}), ("g", "r", "narrow"))
    expected = found.reddening(*sky.pixel_to_sky(x, y))
    np.testing.assert_allclose(columns["reddening"], expected, atol=1e-5)
    assert list(declared) == ["reddening", "extinction_g", "extinction_r"]
    np.testing.assert_allclose(columns["extinction_r"], 2.285 * columns["reddening"])
    assert "3.303 E(B-V): g of SDSS, Schlafly & Finkbeiner 2011" in declared["extinction_g"].meaning
    assert COEFFICIENTS["V"] == (2.742, "Landolt")
    nothing = SimpleNamespace(dust=lambda: "")
    assert source.resolve(nothing, None, None, target) == ()
    assert source.load(stock, None, (), target) is None
    assert source.load(stock, None, (Link("other", "SFD"),), target) is None
