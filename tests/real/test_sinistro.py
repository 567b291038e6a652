"""A raw mosaic of four amplifiers (Las Cumbres Sinistro, binned 2 × 2): assembled frame and catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.mask import Mask
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.kernels.detrend import Box, Planes
from spica.kernels.seams import seam_step
from tests.support.real import BARE
from tests.support.terminal import Terminal, new_survey

pytestmark = pytest.mark.realdata
UNIT = "sinistro-elp1m008-fa05-20211007-0042/1"


@pytest.fixture(scope="module")
def survey(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = new_survey(tmp_path_factory.mktemp("sinistro") / "survey")
    folder = terminal.folder / "pipelines"
    folder.mkdir(exist_ok=True)
    (folder / "bare.toml").write_text(BARE)
    report = terminal.ask("ingest", real_data / "raw_lco/mef_raw_test_frame.fits")
    assert (report["new"], report["quarantined"]) == (1, 0)
    return terminal


def test_without_masters_it_is_refused_and_the_reason_is_named(survey: Terminal) -> None:
    survey.order("run", "reduce", "--executor", "inprocess", code=1)
    assert survey.ask("why", UNIT)["jobs"][-1]["outcome"] == "refused"
    assert any(fault["code"] == "calibration.missing" for fault in survey.ask("faults")["faults"])


def test_the_frame_is_assembled_and_catalogued(survey: Terminal, real_data: Path) -> None:
    survey.order("run", "bare", "--executor", "inprocess")
    image = read_image(survey.product(UNIT, "science"))
    assert image.variance is not None
    assert image.mask is not None
    ny, nx = image.shape
    with fits.open(real_data / "raw_lco/mef_raw_test_frame.fits") as raw:
        levels = [float(np.median(hdu.data)) for hdu in raw[1:]]
        assert len(levels) == 4
    quarters = [
        float(np.median(image.pixels[y : y + ny // 2, x : x + nx // 2])) for y in (0, ny // 2) for x in (0, nx // 2)
    ]
    # The raw quarters differ by their bias levels; gains alone bring the sky to a few per cent without any flat.
    assert np.ptp(levels) / np.mean(levels) > np.ptp(quarters) / np.mean(quarters)
    assert np.ptp(quarters) / np.mean(quarters) < 0.05
    sources = read_catalogue(survey.product(UNIT, "sources"))
    bright = (sources["snr"] > 50) & (sources["flags"] == 0)
    assert np.count_nonzero(bright) > 100
    assert 1.5 < float(np.median(sources["fwhm"][bright])) < 8
    # The rough delivered solution puts the sources where the telescope pointed.
    assert abs(float(np.median(sources["ra"])) - 287.3) < 0.5
    assert abs(float(np.median(sources["dec"])) - 59.5) < 0.5


def test_no_step_is_left_between_the_amplifiers(survey: Terminal) -> None:
    """Across each of the four seams the medians of both sides agree; by the header's gains alone they do not."""
    survey.order("run", "bare", "--executor", "inprocess")
    image = read_image(survey.product(UNIT, "science"))
    assert image.variance is not None
    assert image.mask is not None
    ny, nx = image.shape
    planes = Planes(image.pixels, image.variance, image.mask)
    halves = (0, ny // 2, ny), (0, nx // 2, nx)
    boxes = [Box(halves[0][j], halves[0][j + 1], halves[1][i], halves[1][i + 1]) for j in (0, 1) for i in (0, 1)]
    factors = [image.header[f"AMPFAC{n:02d}"] for n in range(4)]
    assert 0.005 < np.std(np.array(factors, float)) < 0.03
    noise = float(np.sqrt(np.median(image.variance)))
    for one, other in ((0, 1), (2, 3), (0, 2), (1, 3)):
        step, error = seam_step(planes, boxes[one], boxes[other], int(Mask.unusable()))
        assert error < 0.002
        assert abs(step) < 3 * error
        assert abs(step) * float(np.median(image.pixels)) < 0.1 * noise


def test_the_sky_noise_is_the_one_that_the_variance_promises(survey: Terminal) -> None:
    survey.order("run", "bare", "--executor", "inprocess")
    image = read_image(survey.product(UNIT, "science"))
    assert image.variance is not None
    sky = slice(300, 420), slice(60, 180)
    pixels = image.pixels[sky].astype(float)
    across = np.diff(pixels, axis=1).ravel() / np.sqrt(2)
    # Clipped deviation: a median would be as coarse as the raw numbers, 6 electrons.
    rough = 1.4826 * float(np.median(np.abs(across)))
    sigma = float(np.std(across[np.abs(across) < 3 * rough]))
    # Without a flat the pixels' own responses (about 1 % of 1900 electrons) stay in: 45 becomes 49 electrons.
    assert sigma == pytest.approx(float(np.sqrt(np.median(image.variance[sky]))), rel=0.15)
