"""World coordinates: astropy (wcslib) as the independent implementation, on real headers."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.kernels.wcs import (
    TangentWcs,
    pixel_to_plane,
    pixel_to_sky,
    sky_to_pixel,
    tangent_wcs,
)
from spica.kernels.wcs_cards import from_cards
from tests.kernels.sky import separation

HEADERS = [
    ("wcs/1904-66_TAN.fits", 0),
    ("wcs/tpv.fits", 0),
    ("wcs/tanpv.fits", 0),
    ("wcs/sipsample.fits", 0),
    ("wcs/DECam_00154912_12_header.fits", 0),
    ("legacy_testcase6/c4d_150110_053718_ooi_z_ls9.S4.fits", 1),
    ("legacy_mzlsbass2/k4m_160319_075112_ooi_zd_ls9.CCD3.fits", 1),
    ("legacy_mzlsbass2/ksb_170430_055945_ooi_r_ls9.CCD4.fits", 1),
]


def read(path: Path, extension: int) -> fits.Header:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            return hdus[extension].header.copy()


def ours(header: fits.Header) -> TangentWcs:
    return from_cards(dict(header))


def theirs(header: fits.Header) -> WCS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(header)


@pytest.fixture(params=HEADERS, ids=[name for name, _ in HEADERS])
def header(request: pytest.FixtureRequest, real_data: Path) -> fits.Header:
    name, extension = request.param
    return read(real_data / name, extension)


def grid(header: fits.Header) -> tuple[np.ndarray, np.ndarray]:
    nx, ny = header.get("NAXIS1", 0) or 2048, header.get("NAXIS2", 0) or 4096
    x, y = np.meshgrid(np.linspace(-0.5, nx - 0.5, 9), np.linspace(-0.5, ny - 0.5, 11))
    return x, y


def test_pixels_fall_on_the_sky_where_astropy_puts_them(header: fits.Header) -> None:
    x, y = grid(header)
    ra, dec = pixel_to_sky(ours(header), x, y)
    peer_ra, peer_dec = theirs(header).all_pix2world(x, y, 0)
    assert np.max(separation(ra, dec, peer_ra, peer_dec)) * 3600 < 1e-8
    assert ra.shape == x.shape


def test_the_way_back_ends_where_it_began(header: fits.Header) -> None:
    x, y = grid(header)
    wcs = ours(header)
    back_x, back_y = sky_to_pixel(wcs, *pixel_to_sky(wcs, x, y))
    np.testing.assert_allclose(back_x, x, rtol=0, atol=1e-6)
    np.testing.assert_allclose(back_y, y, rtol=0, atol=1e-6)


def test_every_tpv_term_is_that_of_astropy() -> None:
    rng = np.random.default_rng(31)
    pv = np.zeros((2, 40))
    pv[:, 1] = 1.0
    pv += rng.normal(0, 1e-3, (2, 40))
    header = fits.Header({"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "CRVAL1": 150.0, "CRVAL2": -30.0})
    header.update({"CRPIX1": 1.0, "CRPIX2": 1.0, "CD1_1": -1e-3, "CD1_2": 1e-4, "CD2_1": 2e-4, "CD2_2": 1e-3})
    header.update({f"PV{i + 1}_{k}": pv[i, k] for i in range(2) for k in range(40)})
    wcs = ours(header)
    np.testing.assert_array_equal(wcs.pv, pv)
    x, y = rng.uniform(-900, 900, (2, 100))
    ra, dec = pixel_to_sky(wcs, x, y)
    peer = WCS(header).all_pix2world(x, y, 0)
    assert np.max(separation(ra, dec, *peer)) * 3600 < 1e-8
    np.testing.assert_allclose(sky_to_pixel(wcs, ra, dec), (x, y), rtol=0, atol=1e-6)


def test_the_far_side_has_no_pixel() -> None:
    wcs = tangent_wcs([10.0, 20.0], [0.0, 0.0], [[-1e-4, 0.0], [0.0, 1e-4]])
    x, y = sky_to_pixel(wcs, [10.0, 190.0, np.nan], [20.0, -20.0, 0.0])
    assert (x[0], y[0]) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert np.isnan(x[1:]).all()
    assert np.isnan(y[1:]).all()


def test_plane() -> None:
    wcs = tangent_wcs([10.0, 20.0], [5.0, 6.0], [[-1e-4, 0.0], [0.0, 1e-4]])
    np.testing.assert_allclose(pixel_to_plane(wcs, 15.0, 6.0), (-1e-3, 0.0), atol=1e-15)


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="singular"):
        tangent_wcs([1, 2], [1, 2], [[1.0, 1.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match="crval"):
        tangent_wcs([np.nan, 2], [1, 2], np.eye(2))
    with pytest.raises(ValueError, match=r"pv of shape \(2, 41\)"):
        tangent_wcs([1, 2], [1, 2], np.eye(2), pv=np.zeros((2, 41)))
    with pytest.raises(ValueError, match="SIP"):
        tangent_wcs([1, 2], [1, 2], np.eye(2), sip_a=np.zeros((3, 3)))
