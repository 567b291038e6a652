"""PSFEx's files: read as others read them, written as PSFEx writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import galsim
import galsim.des
import numpy as np
import pytest
from astropy.io import fits

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.psf import PsfModel, polynomial_terms
from spica.files.ldac import write_ldac
from spica.files.psfex import read_psfex, write_psfex
from spica.kernels.psf_model import psf_stamps
from tests.support.starfield import SKY, field, misfit, sloping

LEGACY = {
    "legacy_testcase6/c4d_171113_061941_ooi_r_ls9-psfex.fits": 63,
    "legacy_mzlsbass2/ksb_170430_055945_ooi_r_ls9-psfex.fits": 31,
    "legacy_mzlsbass2/ksb_170430_055945_ooi_r_ls9-CCD4-psfex.fits": 31,
    "legacy_mzlsbass2/k4m_160319_075112_ooi_zd_ls9-psfex.fits": 63,
}


def made(degree: int = 2, sampling: float = 0.5, fwhm: float = 3.2) -> PsfModel:
    """A Moffat profile whose width changes over the detector."""
    n = 2 * round(14 / sampling) + 1
    at = (np.arange(n) - n // 2) * sampling
    square = at**2 + at[:, None] ** 2
    cube = np.zeros((len(polynomial_terms(degree)), n, n), np.float32)
    alpha = 0.5 * fwhm / np.sqrt(2 ** (1 / 3) - 1)
    cube[0] = (1 + square / alpha**2) ** -3
    if degree:
        cube[1] = 0.1 * (square / alpha**2 - 0.5) * (1 + square / alpha**2) ** -4
    cube /= cube[0].sum() * sampling**2
    return PsfModel(cube, degree, (1023.5, 2047.5), (1024.0, 2048.0), sampling, fwhm, 1.01, 412)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    models = [made(), made(0, 1.0)]
    write_psfex(tmp_path / "two.psf", models)
    again = read_psfex(tmp_path / "two.psf")
    assert len(again) == 2
    for before, after in zip(models, again, strict=True):
        np.testing.assert_array_equal(before.coefficients, after.coefficients)
        assert (after.degree, after.sampling, after.stars) == (before.degree, before.sampling, before.stars)
        np.testing.assert_allclose([*after.centre, *after.scale], [*before.centre, *before.scale])
    write_psfex(tmp_path / "again.psf", again)
    assert (tmp_path / "again.psf").read_bytes() == (tmp_path / "two.psf").read_bytes()


def test_galsim_draws_the_same(tmp_path: Path) -> None:
    """An independent reader and evaluator (coordinates from 1), by Lanczos-3 instead of our quintic."""
    model = made()
    write_psfex(tmp_path / "one.psf", [model])
    theirs = galsim.des.DES_PSFEx(str(tmp_path / "one.psf"))
    for x, y in ((100.3, 300.6), (1900.7, 3800.2)):
        image = galsim.ImageF(25, 25, scale=1.0)
        offset = (x - np.floor(x + 0.5), y - np.floor(y + 0.5))
        profile = theirs.getPSF(galsim.PositionD(x + 1, y + 1))
        profile.drawImage(image, method="no_pixel", offset=offset, wcs=galsim.PixelScale(1.0))
        ours = psf_stamps(model.coefficients, model.values(x, y), model.sampling, [x], [y], 25)[0, 0]
        np.testing.assert_allclose(ours, image.array / image.array.sum() * ours.sum(), atol=4e-3 * ours.max())


@pytest.mark.parametrize("name", LEGACY)
def test_models_of_real_surveys_are_read(real_data: Path, name: str) -> None:
    (model,) = read_psfex(real_data / name)
    assert model.size == LEGACY[name]
    assert model.degree == 2
    # In the middle of the domain its light is all there is, and its width what the file says.
    assert model.coefficients[0].sum() * model.sampling**2 == pytest.approx(1.0, abs=0.03)
    middle = psf_stamps(model.coefficients, model.values(*model.centre), model.sampling, [50.0], [50.0], 25)[0, 0]
    above = np.count_nonzero(middle > 0.5 * middle.max())
    assert 2 * np.sqrt(above / np.pi) == pytest.approx(model.fwhm, rel=0.2)


def test_one_model_in_a_header_and_in_columns_is_the_same(real_data: Path) -> None:
    (one,), (other,) = (read_psfex(real_data / name) for name in list(LEGACY)[1:3])
    np.testing.assert_array_equal(one.coefficients, other.coefficients)
    np.testing.assert_allclose(one.centre, other.centre)


def test_groups_that_multiply_are_read(tmp_path: Path) -> None:
    """X of degree 1 and Y of degree 2 in groups of their own: six terms, to the third degree together."""
    cube = np.arange(6 * 49, dtype=np.float32).reshape(1, 6, 7, 7)
    table = fits.BinTableHDU.from_columns([fits.Column("PSF_MASK", "294E", dim="(7,7,6)", array=cube)], name="PSF_DATA")
    cards = {"POLNAXIS": 2, "POLGRP1": 1, "POLNAME1": "X_IMAGE", "POLZERO1": 11.0, "POLSCAL1": 10.0, "POLGRP2": 2}
    cards |= {"POLNAME2": "Y_IMAGE", "POLZERO2": 21.0, "POLSCAL2": 20.0, "POLNGRP": 2, "POLDEG1": 1, "POLDEG2": 2}
    cards |= {"PSF_SAMP": 1.0, "PSFNAXIS": 3, "PSFAXIS1": 7, "PSFAXIS2": 7, "PSFAXIS3": 6, "PSF_FWHM": 3.0}
    table.header.update(cards)
    table.writeto(tmp_path / "groups.psf")
    (model,) = read_psfex(tmp_path / "groups.psf")
    u, v = 0.5, -0.3
    expected = sum(u**i * v**j * cube[0, i + 2 * j] for i in range(2) for j in range(3))
    np.testing.assert_allclose(model.samples(10 + 10 * u, 20 + 20 * v)[0], expected, rtol=1e-5)


@pytest.mark.astromatic
def test_psfex_itself_agrees_about_our_stars(tmp_path: Path) -> None:
    """The program's model of a field, read by us, is the field's true profile."""
    shape, size = sloping((420, 400)), (420, 400)
    drawn = field(shape, 120, size)
    sources = drawn.sources
    columns = {
        **sources.columns,
        "x_iso": sources["x"],
        "y_iso": sources["y"],
        "background": np.full(len(sources), SKY),
    }
    columns["elongation"] = np.ones(len(sources), np.float32)
    write_ldac(tmp_path / "x.ldac", Catalogue(columns, sources.header), {"GAIN": 1.0}, drawn.image, vignette=31)
    quiet = ["-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET"]
    vary = ["-PSFVAR_KEYS", "X_IMAGE,Y_IMAGE", "-PSFVAR_GROUPS", "1,1", "-PSFVAR_DEGREES", "2", "-PSF_SAMPLING", "0.5"]
    vary += ["-PSF_SIZE", "51,51", "-PSF_ACCURACY", "0.002"]
    subprocess.run(["psfex", "x.ldac", *quiet, *vary], cwd=tmp_path, check=True)
    (model,) = read_psfex(tmp_path / "x.psf")
    assert model.stars > 50
    x, y = (axis.ravel() for axis in np.meshgrid([60.2, 210.0, 350.7], [70.1, 200.4, 330.0]))
    assert misfit(model, shape, x, y).max() < 0.006


@pytest.mark.parametrize(
    ("change", "words"),
    [({"POLNAME1": "MAG_AUTO"}, "no place on the detector"), ({"POLDEG1": 3}, "do not make")],
)
def test_models_of_other_kinds_are_refused(tmp_path: Path, change: dict[str, str | int], words: str) -> None:
    write_psfex(tmp_path / "one.psf", [made()])
    with fits.open(tmp_path / "one.psf", mode="update") as hdus:
        hdus[1].header.update(change)
    with pytest.raises(DataFault, match=words):
        read_psfex(tmp_path / "one.psf")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFault) as raised:
        read_psfex(tmp_path / "none.psf")
    assert raised.value.code == "file.missing"
    (tmp_path / "text.psf").write_text("stars")
    with pytest.raises(DataFault) as raised:
        read_psfex(tmp_path / "text.psf")
    assert raised.value.code == "file.not-fits"
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(DataFault, match="no model of a point spread function"):
        read_psfex(tmp_path / "image.fits")
    chromatic = PsfModel(np.ones((2, 7, 7), np.float32), 0, (0, 0), (1, 1), 1.0, 3.0, others=("colour",))
    with pytest.raises(DataFault, match="no terms like colour"):
        write_psfex(tmp_path / "colour.psf", [chromatic])
