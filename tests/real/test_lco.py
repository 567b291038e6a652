"""Las Cumbres frames: a list placed against Gaia whatever its header says, a frame where no reference catalogue reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.psf import PsfModel
from spica.core.records import Exposure, FrameType
from spica.core.task import Member
from spica.files.catalogues import read_catalogue
from spica.files.hats.regions import Cone, vectors
from spica.files.reference.catalogue import open_reference
from spica.instruments.solutions import wcs_cards
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.tasks.pointing import TASK
from tests.support.references import imported
from tests.support.terminal import new_survey

pytestmark = pytest.mark.realdata


def frame(folder: Path) -> tuple[Catalogue, dict[str, Any], float]:
    """Clean sources of a source-extractor list, the sky cards of its frame, and when it was taken [MJD]."""
    with fits.open(folder / "ldac_test_catalog.fits") as hdus:
        text = "".join(f"{card:80s}" for card in hdus["LDAC_IMHEAD"].data[0][0])
        rows = hdus["LDAC_OBJECTS"].data
        kept = (rows["FLAGS"] == 0) & (rows["FLUX_AUTO"] > 20 * rows["FLUXERR_AUTO"])
        columns = {"x": rows["XWIN_IMAGE"][kept] - 1.0, "y": rows["YWIN_IMAGE"][kept] - 1.0}
        sources = Catalogue(
            {name: values.astype(float) for name, values in columns.items()}
            | {"flux": rows["FLUX_AUTO"][kept].astype(float)}
        )
    header = dict(fits.Header.fromstring(text, sep=""))
    return sources, header, float(header["MJD-OBS"])


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize("spoilt", ["as it is", "three minutes away", "turned by twenty degrees"])
def test_a_list_is_placed_against_gaia(real_data: Path, tmp_path: Path, spoilt: str) -> None:
    folder = real_data / "lco_calibrated"
    sources, header, mjd = frame(folder)
    imported(tmp_path, "gaia", folder / "GAIA-DR2.cat")
    reference = open_reference(tmp_path, "gaia").find(Cone(219.83, -9.77, 0.5), mjd=mjd)
    cards = {**wcs_cards([header], 0), "NAXIS1": header["NAXIS1"], "NAXIS2": header["NAXIS2"]}
    if spoilt.startswith("three"):
        cards["CRVAL2"] += 0.05
    elif spoilt.startswith("turned"):
        turn = np.radians(20.0)
        cd = np.array([[cards.get(f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)])
        cd = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ cd
        cards |= {f"CD{i + 1}_{j + 1}": float(cd[i, j]) for i in (0, 1) for j in (0, 1)}
    exposure = Exposure(0, "lco-1", "lco", FrameType.OBJECT, "2016-01-01", mjd, 60.0, band="w")
    made = TASK.run(
        TASK.settings(), sources=(Member("detector:lco-1/1", sources),), headers={1: cards}, exposure=exposure, reference=reference
    )["pointing"]["detectors"]["1"]  # fmt: skip
    ra, dec = pixel_to_sky(from_cards(made["cards"]), sources["x"], sources["y"])
    far, near = cKDTree(vectors(reference["ra"], reference["dec"])).query(
        vectors(ra, dec), distance_upper_bound=np.radians(1.0 / 3600)
    )
    ok = np.isfinite(far)
    east = 3600 * (ra[ok] - reference["ra"][near[ok]]) * np.cos(np.radians(dec[ok]))
    north = 3600 * (dec[ok] - reference["dec"][near[ok]])
    assert ok.sum() > 90
    assert max(abs(np.median(east)), abs(np.median(north))) < 0.03
    assert max(1.4826 * np.median(np.abs(each)) for each in (east, north)) < 0.15


@pytest.mark.slow
def test_a_frame_beyond_the_reference_has_its_catalogue_and_says_what_it_lacks(real_data: Path, tmp_path: Path) -> None:
    """It follows an asteroid, so that its stars are trails; what is sharp in it are single hot pixels."""
    terminal = new_survey(tmp_path / "survey")
    terminal.ask("ingest", real_data / "lco_calibrated/banzai_test_frame.fits.fz")
    terminal.order("refcat", "import", "gaia", real_data / "lco_calibrated/GAIA-DR2.cat")
    terminal.order("run", "tie", "--executor", "inprocess", code=1)
    told = {each["code"] for each in terminal.ask("faults")["faults"]}
    assert {"pointing.no-reference", "zero-point.none"} <= told
    models = [
        PsfModel.from_catalogue(read_catalogue(path)) for path in (terminal.folder / "products/psf").rglob("*.parquet")
    ]
    assert all(model.fwhm > 1.0 for model in models)
    (made,) = (terminal.folder / "products/sources").rglob("*.parquet")
    assert len(read_catalogue(made)) > 200
