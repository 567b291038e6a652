"""Every real header becomes a record through ``spica ingest``: put on a frame of the size that it tells of."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astro_metadata_translator.tests import read_test_file
from astropy.io import fits

from tests.support.terminal import Terminal, new_survey

pytestmark = pytest.mark.realdata
RECORDS = {
    "fitsheader-decam": ("decam", "z", 25),
    "fitsheader-hsc": ("hsc", "i", 50),
    "fitsheader-megaprime": ("megaprime", "i", 2),
    "fitsheader-sdss-fpC-006377-g4-0399": ("sdss", "g", None),
    "fitsheader-suprimecam-CORR40535770": ("suprimecam", "r", 0),
}
STRUCTURE = {
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "EXTEND", "CHECKSUM",
    "DATASUM", "BZERO", "BSCALE", "BLANK", "TTYPE1", "TFORM1", "TFORM2", "TTYPE2", "THEAP", "NEXTEND",
}  # fmt: skip


def frame(path: Path, source: Path) -> Path:
    """A FITS file with these cards around empty pixels; image extensions where the header is of one."""
    values: dict[str, Any] = dict(read_test_file(str(source)))
    size = [int(values.get(f"ZNAXIS{axis}", values[f"NAXIS{axis}"])) for axis in (2, 1)]
    header = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            if keyword not in STRUCTURE and not keyword.startswith("Z") and keyword not in {"COMMENT", "HISTORY", ""}:
                header[keyword] = value
        pixels = np.zeros(size, np.uint16)
        hdus = (
            [fits.PrimaryHDU(header=header), fits.CompImageHDU(pixels, header)]
            if "XTENSION" in values
            else [fits.PrimaryHDU(pixels, header)]
        )
        fits.HDUList(hdus).writeto(path, output_verify="silentfix")
    return path


@pytest.fixture(scope="module")
def survey(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    folder = tmp_path_factory.mktemp("headers")
    terminal = new_survey(folder / "survey")
    (folder / "in").mkdir()
    for source in sorted((real_data / "headers").glob("*.yaml")):
        frame(folder / "in" / f"{source.stem}.fits", source)
    report = terminal.ask("ingest", folder / "in", code=1)
    assert report["new"] == len(RECORDS)
    assert [(Path(p["path"]).stem, p["code"]) for p in report["problems"]] == [("bad-megaprime", "header.missing")]
    assert "EXPTIME" in report["problems"][0]["message"]
    return terminal


@pytest.mark.parametrize("name", RECORDS)
def test_the_record_is_the_headers(survey: Terminal, name: str) -> None:
    camera, band, detector = RECORDS[name]
    stories = survey.ask("why", survey.folder.parent / "in" / f"{name}.fits")
    assert stories["facts"]["camera"] == camera
    assert str(stories["facts"]["band"]).partition(" ")[0] == band
    if detector is not None:
        assert str(stories["unit"]).endswith(f"/{detector}")
