"""Header cards to projection parameters: as astropy reads them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from tests.kernels.sky import separation

PLAIN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 51.0, "CRPIX2": 61.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "matrix",
    [
        {"CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 1e-4},
        {"CDELT1": -1e-4, "CDELT2": 1e-4, "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
        {"CDELT1": -1e-4, "CDELT2": 1e-4, "CROTA2": 30.0},
        {"CDELT1": -1e-4, "CDELT2": 2e-4},
    ],
)
def test_every_form_of_the_matrix(matrix: dict[str, float]) -> None:
    cards = PLAIN | matrix
    x, y = np.array([0.0, 50, 99]), np.array([0.0, 60, 20])
    truth = WCS(fits.Header(cards)).all_pix2world(x, y, 0)
    np.testing.assert_allclose(np.array(pixel_to_sky(from_cards(cards), x, y)), truth, atol=1e-11)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "hdu"),
    [("wcs/tpv.fits", 0), ("wcs/tanpv.fits", 0), ("wcs/sipsample.fits", 0), ("wcs/1904-66_TAN.fits", 0)],
)
def test_real_headers_are_read(real_data: Path, name: str, hdu: int) -> None:
    header = fits.getheader(real_data / name, hdu)
    cards = {key: value for key, value in header.items() if key not in {"", "COMMENT", "HISTORY"}}
    x, y = np.array([0.0, 100, 255]), np.array([0.0, 30, 255])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = WCS(header).all_pix2world(x, y, 0)
    wcs = from_cards(cards)
    np.testing.assert_allclose(np.array(pixel_to_sky(wcs, x, y)), truth, atol=1e-9)


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(ValueError, match="STG"):
        from_cards(PLAIN | {"CTYPE1": "RA---STG", "CTYPE2": "DEC--STG"})
    with pytest.raises(ValueError, match="CDELT1"):
        from_cards(PLAIN)


SCALE = {"CDELT1": -1e-4, "CDELT2": 2e-4}
DECLINATION_FIRST = {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": -30.0, "CRVAL2": 150.0}


@pytest.mark.parametrize(
    "cards",
    [
        PLAIN | SCALE,
        PLAIN | SCALE | {"CROTA2": 33.0},
        PLAIN | SCALE | {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
        PLAIN | SCALE | {"LONPOLE": 100.0},
        PLAIN | SCALE | {"CRVAL2": 90.0},
        PLAIN | SCALE | DECLINATION_FIRST | {"PC1_2": 0.3},
    ],
    ids=["plain", "crota", "pc", "lonpole", "pole", "declination-first"],
)
def test_every_way_to_write_cards_is_that_of_astropy(cards: dict[str, object]) -> None:
    x, y = np.meshgrid(np.linspace(0, 2000, 5), np.linspace(0, 2000, 5))
    peer = WCS(fits.Header(cards))
    peer_ra, peer_dec = peer.all_pix2world(x, y, 0)[:: -1 if cards["CTYPE1"] == "DEC--TAN" else 1]
    ra, dec = pixel_to_sky(from_cards(cards), x, y)
    assert np.max(separation(ra, dec, peer_ra, peer_dec)) * 3600 < 1e-8


def test_cards_that_are_not_understood_are_refused() -> None:
    for change, words in (
        ({"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN"}, "TAN or TPV"),
        ({"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}, "right ascension"),
        ({"CUNIT1": "arcsec"}, "not in deg"),
        ({"CRVAL1": "12:00:00"}, "CRVAL1 is '12:00:00', not a number"),
        ({"CRVAL1": np.nan}, "not finite"),
        ({"LONPOLE": 90.0, "PV2_7": 0.5}, "LONPOLE"),
        (DECLINATION_FIRST | {"PV1_7": 0.5}, "programs disagree"),
    ):
        with pytest.raises(ValueError, match=words):
            from_cards(PLAIN | SCALE | change)
