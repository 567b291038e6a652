"""Every header among the real data: understood as wcslib does, and converted to every form that it has room for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astro_metadata_translator.tests import read_test_file
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from spica.core.keywords import is_sky
from spica.files.heads import read_heads, write_heads
from spica.services import wcs

FILES = (
    "wcs/1904-66_STG.fits",
    "wcs/1904-66_TAN.fits",
    "wcs/DECam_00154912_12_header.fits",
    "wcs/sipsample.fits",
    "wcs/tanpv.fits",
    "wcs/tpv.fits",
    "wcs/scamp.head",
)
YAMLS = ("decam", "hsc", "megaprime", "sdss-fpC-006377-g4-0399", "suprimecam-CORR40535770")
SIZE = (2048, 2048)


def solution(cards: dict[str, Any]) -> WCS:
    """By wcslib; TAN with a PV polynomial is read as TPV, as SCAMP means it."""
    header = fits.Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, *SIZE
    for key, value in cards.items():
        if is_sky(key) and value is not None:
            header[key] = "deg" if value == "degree" else value
    if any(f"PV1_{k}" in header for k in (5, 7)):
        header["CTYPE1"], header["CTYPE2"] = (f"{header[key][:5]}TPV" for key in ("CTYPE1", "CTYPE2"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(header, naxis=2)


def cards_of(real_data: Path, name: str) -> dict[str, Any]:
    if name.endswith(".head"):
        return read_heads(real_data / name)[0]
    if name.endswith(".fits"):
        return {key: value for key, value in fits.getheader(real_data / name).items() if key and key != "COMMENT"}
    return dict(read_test_file(str(real_data / "headers" / f"fitsheader-{name}.yaml")))


@pytest.mark.parametrize("name", [*FILES, *YAMLS])
@pytest.mark.parametrize("to", ["tpv", "sip"])
def test_headers_in_another_form_are_the_same_sky(real_data: Path, tmp_path: Path, name: str, to: str) -> None:
    cards = cards_of(real_data, name)
    size = (192, 192) if "1904" in name else SIZE
    write_heads(tmp_path / "in.head", [{key: value for key, value in cards.items() if is_sky(key)}])
    target = tmp_path / "out.head"
    (done,) = wcs.convert(tmp_path / "in.head", target, to, size=size)
    # A stereographic sky is no polynomial, but near to one over an image.
    assert done.exact == ("STG" not in name)
    assert done.residual is not None
    assert done.residual < (1e-3 if done.exact else 1.0)
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(0, size[0] - 1, 9), np.linspace(0, size[1] - 1, 9)))
    want = np.array(solution(cards).all_pix2world(x, y, 0))
    got = np.array(solution(read_heads(target)[0]).all_pix2world(x, y, 0))
    away = (got[0] - want[0] + 180) % 360 - 180
    worst = 3.6e6 * np.hypot(away * np.cos(np.radians(want[1])), got[1] - want[1]).max()
    assert worst < max(2e-3, 3.0 * (done.residual or 0.0))
