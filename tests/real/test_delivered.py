"""Frames reduced elsewhere (DECam, Mosaic-3, 90Prime Community Pipeline cutouts, Las Cumbres): ingested, catalogued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from spica.core.columns import Catalogue, Flag
from spica.files.catalogues import read_catalogue
from tests.support.sky import match
from tests.support.terminal import Terminal, new_survey

pytestmark = pytest.mark.realdata
FOLDERS = ("legacy_mzlsbass2", "legacy_testcase6", "legacy_testcase8", "legacy_testcase9")


@pytest.fixture(scope="module")
def survey(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = new_survey(tmp_path_factory.mktemp("delivered") / "survey")
    frames = [path for folder in FOLDERS for path in sorted((real_data / folder).glob("*_oo[iwd]_*ls9.*.fits"))]
    report = terminal.ask("ingest", *frames, real_data / "lco_calibrated/banzai_test_frame.fits.fz")
    assert report["quarantined"] == 0
    assert report["exposures"] == 14
    terminal.order("run", "catalogue", "--executor", "inprocess")
    return terminal


def catalogues(survey: Terminal) -> dict[str, Catalogue]:
    found = sorted((survey.folder / "products/sources").rglob("*.parquet"))
    return {path.name.partition("_")[0]: read_catalogue(path) for path in found}


def gaia(real_data: Path) -> tuple[np.ndarray, np.ndarray]:
    tables: list[Any] = [Table.read(path, hdu=1) for folder in FOLDERS for path in (real_data / folder).glob("chunk-*")]
    ra, dec = (np.concatenate([np.asarray(table[name], float) for table in tables]) for name in ("ra", "dec"))
    return ra, dec


def test_every_frame_has_its_catalogue(survey: Terminal) -> None:
    found = catalogues(survey)
    assert len(found) == 14
    assert all(len(catalogue) > 0 for catalogue in found.values())
    cameras = {name.partition("-")[0] for name in found}
    assert cameras == {"decam", "mosaic3", "90prime", "lco"}
    # The stars of this one are trails of 20 pixels, which follow an asteroid.
    (trailed,) = (catalogue for name, catalogue in found.items() if name.startswith("lco"))
    assert 0.0 < float(trailed.header["FILTFWHM"] or 0.0) < 8.0


def test_positions_are_those_of_gaia(survey: Terminal, real_data: Path) -> None:
    ra, dec = gaia(real_data)
    offsets = []
    for catalogue in catalogues(survey).values():
        # The small cut-outs hold few stars, and those of blends have good places too.
        fair = catalogue["flags"] & ~(Flag.NEIGHBOUR | Flag.DEBLENDED) == 0
        bright = fair & (catalogue["snr"] > 40)
        pairs = match(catalogue["ra"][bright], catalogue["dec"][bright], ra, dec, 1.0)
        offsets += pairs.distance.tolist()
    assert len(offsets) >= 12
    # Proper motions since Gaia's epoch are not applied yet.
    assert float(np.median(offsets)) < 0.06


def test_the_seeing_is_the_published_one(survey: Terminal, real_data: Path) -> None:
    table = Table.read(real_data / "legacy_mzlsbass2/survey-ccds-1.fits.gz", hdu=1)
    published = {str(row["image_filename"]).rpartition("/")[2][:17].strip(): float(row["fwhm"]) for row in table}
    mosaic = catalogues(survey)["mosaic3-kp4m.20160319T075112"]
    bright = (mosaic["flags"] == 0) & (mosaic["snr"] > 20)
    assert float(np.median(mosaic["fwhm"][bright])) == pytest.approx(published["k4m_160319_075112"], rel=0.05)


def test_weights_become_honest_errors(survey: Terminal) -> None:
    for name, catalogue in catalogues(survey).items():
        bright = catalogue["snr"] > 40
        assert np.all(catalogue["flux_auto_err"][bright] > 0), name
        assert np.all(np.isfinite(catalogue["x_err"][bright])), name
