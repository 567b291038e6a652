"""Raw bias, dark, flat and science frames of a CMOS camera (Huntsman): masters, flat image, catalogue."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.mask import Mask
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.kernels.robust import robust_statistics
from tests.support.sky import match
from tests.support.terminal import Terminal, new_survey

pytestmark = pytest.mark.realdata
UNIT = "huntsman-371d420013090900-2021-01-18T11_26_32.228/1"
ONE_OF_EACH = [
    word for label in ("bias", "dark", "flat") for word in ("--set", f"combine_{label}.minimum=1")
]  # one frame of each kind is all there is


@pytest.fixture(scope="module")
def survey(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = new_survey(tmp_path_factory.mktemp("huntsman") / "survey")
    report = terminal.ask("ingest", *sorted((real_data / "huntsman").glob("*_0.fits")))
    assert (report["new"], report["quarantined"]) == (4, 0)
    terminal.order("run", "night", "--executor", "inprocess", *ONE_OF_EACH)
    return terminal


def master(survey: Terminal, unit: str, name: str) -> np.ndarray:
    return read_image(survey.product(unit, name)).pixels.astype(float)


def reference(real_data: Path, name: str) -> np.ndarray:
    """The LSST stack's master; it has one row and one column more than the raw frames."""
    with fits.open(next((real_data / "huntsman").glob(f"{name}_14*"))) as hdus:
        return np.asarray(hdus[1].data, float)[:800, :800]


def test_a_master_is_not_taken_for_a_raw_frame(survey: Terminal, real_data: Path) -> None:
    masters = sorted((real_data / "huntsman").glob("[bdf][ial][ar]*_14_*.fits"))
    assert len(masters) == 3
    report = survey.ask("ingest", *masters, code=1)
    assert {problem["code"] for problem in report["problems"]} == {"header.master"}
    assert report["new"] == 0


@pytest.mark.parametrize(
    ("unit", "name", "least"),
    [
        ("calibration:huntsman/1//2021-01-06~100", "dark", 0.97),
        ("calibration:huntsman/1/g/2021-01-12~100~twilight", "flat", 0.85),
    ],
)
def test_masters_resemble_those_of_the_lsst_stack(
    survey: Terminal, real_data: Path, unit: str, name: str, least: float
) -> None:
    ours, theirs = master(survey, unit, name), reference(real_data, name)
    good = np.isfinite(theirs)
    # Theirs were made from more frames than the one of ours that is here: the pattern must agree, not the noise.
    assert np.corrcoef(ours[good], theirs[good])[0, 1] > least


def test_the_dark_rate_is_theirs_in_electrons(survey: Terminal, real_data: Path) -> None:
    ours = master(survey, "calibration:huntsman/1//2021-01-06~100", "dark")
    gain = float(fits.getheader(real_data / "huntsman/dark_0.fits")["EGAIN"])
    assert np.median(ours) == pytest.approx(gain * np.nanmedian(reference(real_data, "dark")), rel=0.02)


def test_the_image_is_flat_and_its_stars_are_those_of_skymapper(survey: Terminal, real_data: Path) -> None:
    image = read_image(survey.product(UNIT, "science"))
    assert image.mask is not None
    good = image.mask & int(Mask.unusable()) == 0
    corners = [
        robust_statistics(np.where(good, image.pixels, np.nan)[part]).median
        for part in (np.s_[:200, :200], np.s_[:200, -200:], np.s_[-200:, :200], np.s_[-200:, -200:])
    ]
    assert np.ptp(corners) / np.mean(corners) < 0.15
    with (real_data / "huntsman/refcat.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["g_psf"]]
    ra, dec, magnitude = (np.array([float(row[name]) for row in rows]) for name in ("raj2000", "dej2000", "g_psf"))
    sources = read_catalogue(survey.product(UNIT, "sources"))
    pairs = match(sources["ra"], sources["dec"], ra, dec, 4.0)
    assert len(pairs.first) >= 14
    zero_points = magnitude[pairs.second] + 2.5 * np.log10(sources["flux_auto"][pairs.first] / 300)
    assert np.median(np.abs(zero_points - np.median(zero_points))) < 0.15
