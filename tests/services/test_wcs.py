"""`spica wcs`: solutions shown and converted, in FITS files and SCAMP's .head files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from typer.testing import CliRunner

from spica.cli.main import app
from spica.core.faults import DataFault, SetupFault
from spica.files.heads import read_heads, write_heads
from spica.services import wcs

PLAIN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0, "CRVAL2": -20.0, "CRPIX1": 50.0, "CRPIX2": 60.0,
    "CD1_1": -7e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7e-5, "RADESYS": "ICRS",
}  # fmt: skip
SIP = {
    **PLAIN, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "B_1_1": -2e-4,
}  # fmt: skip
ZPN = {**PLAIN, "CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": 300.0}


def image(path: Path, cards: dict[str, object]) -> Path:
    pixels = np.arange(120 * 100, dtype=np.int16).reshape(120, 100)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, fits.Header(cards), name="CCD1")]).writeto(path)
    return path


def places(path: Path, hdu: int = 1) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 99, 5), np.linspace(0, 119, 5))
    return np.array(WCS(fits.getheader(path, hdu)).all_pix2world(x, y, 0))


@pytest.mark.parametrize("to", ["tpv", "sip"])
def test_a_fits_file_in_another_form_is_the_same_sky_and_pixels(tmp_path: Path, to: str) -> None:
    source, target = image(tmp_path / "a.fits", SIP), tmp_path / "b.fits"
    (done,) = wcs.convert(source, target, to)
    assert done.exact
    assert done.residual is not None
    assert done.residual < 1e-3
    assert np.abs(places(source) - places(target)).max() < 1e-9
    header = fits.getheader(target, 1)
    assert header["CTYPE1"] == {"tpv": "RA---TPV", "sip": "RA---TAN-SIP"}[to]
    assert ("A_ORDER" in header) == (to == "sip")
    assert np.array_equal(fits.getdata(source, 1), fits.getdata(target, 1))


def test_head_files_there_and_back(tmp_path: Path) -> None:
    source, head, back = image(tmp_path / "a.fits", SIP), tmp_path / "a.head", tmp_path / "b.ahead"
    wcs.convert(source, head, "tpv")
    (block,) = read_heads(head)
    assert block["CTYPE1"] == "RA---TPV"
    (done,) = wcs.convert(head, back, "sip")
    assert done.exact
    assert done.residual is None
    assert read_heads(back)[0]["A_2_0"] == pytest.approx(1e-4, rel=1e-9)
    write_heads(tmp_path / "two.head", [{"A": 1, "B": "text's"}, {"A": 2.5}])
    assert read_heads(tmp_path / "two.head") == [{"A": 1, "B": "text's"}, {"A": 2.5}]


def test_a_fit_says_what_it_leaves_and_is_refused_beyond_the_tolerance(tmp_path: Path) -> None:
    source = image(tmp_path / "a.fits", ZPN)
    (done,) = wcs.convert(source, tmp_path / "b.fits", "tpv", tolerance=0.1)
    assert not done.exact
    assert done.residual is not None
    assert 0 < done.residual <= 0.1
    assert 3.6e6 * np.abs(places(source) - places(tmp_path / "b.fits")).max() < 0.2
    with pytest.raises(DataFault) as caught:
        wcs.convert(image(tmp_path / "c.fits", SIP), tmp_path / "d.fits", "tan", tolerance=0.1)
    assert caught.value.code == "wcs.inexact"
    assert float(caught.value.evidence["residual_mas"] or 0) > 10
    assert not (tmp_path / "d.fits").exists()


def test_what_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    odd = image(tmp_path / "odd.fits", {**PLAIN, "CTYPE1": "GLON-AIT", "CTYPE2": "GLAT-AIT"})
    none = image(tmp_path / "none.fits", {})
    good = image(tmp_path / "good.fits", PLAIN)
    for path, code in ((odd, "wcs.unsupported"), (none, "wcs.none"), (tmp_path / "x.head", "file.missing")):
        with pytest.raises(DataFault) as caught:
            wcs.convert(path, tmp_path / "out.head", "tpv")
        assert caught.value.code == code
    write_heads(tmp_path / "zpn.head", [{k: v for k, v in ZPN.items() if isinstance(v, str | float)}])
    with pytest.raises(DataFault, match="size is not told"):
        wcs.convert(tmp_path / "zpn.head", tmp_path / "out.head", "tpv")
    assert wcs.convert(tmp_path / "zpn.head", tmp_path / "out.head", "tpv", size=(100, 120))
    for target, to in ((good, "tpv"), (tmp_path / "out.head", "zpn")):
        with pytest.raises(SetupFault):
            wcs.convert(good, target, to)
    with pytest.raises(SetupFault):
        wcs.convert(tmp_path / "out.head", tmp_path / "out.fits", "sip")
    (tmp_path / "junk.head").write_text("no cards\nat all\n")
    (tmp_path / "empty.head").write_text("\n")
    for name, code in (("junk", "file.not-fits"), ("empty", "file.empty")):
        with pytest.raises(DataFault) as caught:
            wcs.show(tmp_path / f"{name}.head")
        assert caught.value.code == code


def test_shown(tmp_path: Path) -> None:
    (one,) = wcs.show(image(tmp_path / "a.fits", PLAIN))
    assert (one.form, one.frame, one.mirrored, one.degree) == ("TAN", "ICRS", False, 1)
    assert one.scale == pytest.approx(0.252)
    assert one.rotation == pytest.approx(0.0, abs=0.01)
    (odd,) = wcs.show(image(tmp_path / "b.fits", {**PLAIN, "CTYPE1": "GLON-AIT", "CTYPE2": "GLAT-AIT"}))
    assert "GLON" in odd.problem


@pytest.mark.parametrize(
    ("told", "frame"),
    [
        ({"RADESYS": "FK5"}, "FK5"),
        ({"RADESYS": "", "RADECSYS": "FK4"}, "FK4"),
        ({"RADESYS": "", "EQUINOX": 2000.0}, "FK5"),
        ({"RADESYS": "", "EQUINOX": 1950.0}, "FK4"),
        ({"RADESYS": ""}, "ICRS"),
    ],
)
def test_the_frame_is_passed_on(tmp_path: Path, told: dict[str, object], frame: str) -> None:
    source = image(tmp_path / "a.fits", {**PLAIN, **told})
    wcs.convert(source, tmp_path / "b.fits", "sip")
    header = fits.getheader(tmp_path / "b.fits", 1)
    assert header["RADESYS"] == frame
    assert "RADECSYS" not in header


def test_commands(tmp_path: Path) -> None:
    source = str(image(tmp_path / "a.fits", SIP))
    run = CliRunner()
    shown = run.invoke(app, ["wcs", "show", source])
    assert shown.exit_code == 0, shown.output
    assert "TAN-SIP" in shown.output
    done = run.invoke(app, ["wcs", "convert", source, str(tmp_path / "b.head"), "--to", "tpv"])
    assert done.exit_code == 0, done.output
    assert "exactly" in done.output
