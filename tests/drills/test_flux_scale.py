"""Electrons of calibrated stars against those that were drawn: what is normalised to 1 is the flat's median, no more and no less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial import cKDTree

from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from tests.support.calibrated import calibrated

SKY = {
    "detectors": "1", "exposures": "1", "density": "4000", "mag_bright": "15", "star_fraction": "1", "slope": "0.1",
    "effects.clouds": "no", "effects.trails": "no", "effects.cosmics": "no", "effects.fringes": "no",
}  # fmt: skip
FLAT = {f"effects.{name}": "no" for name in ("vignetting", "response", "dust", "amp_steps")}


@pytest.mark.slow
@pytest.mark.parametrize("even", [True, False], ids=["a flat of ones", "vignetting, dust, steps"])
def test_electrons_are_those_drawn_times_the_flats_median(tmp_path: Path, *, even: bool) -> None:
    home = calibrated(tmp_path, None, **SKY, **(FLAT if even else {}))
    truth = home / "sky" / "truth"
    table = pq.read_table(truth / "positions.parquet")
    drawn = {name: table[name].to_numpy() for name in ("x", "y", "electrons")}
    flat = float(np.median(read_image(next(truth.glob("flat_r_*.fits"))).pixels))
    assert (flat == pytest.approx(1.0, abs=1e-3)) is even
    (path,) = (home / "survey/products/sources").rglob("*.parquet")
    (fits,) = (home / "survey/products/psf_sources").rglob("*.parquet")
    sources, light = read_catalogue(path), read_catalogue(fits)["flux_psf"]
    away, row = cKDTree(np.c_[drawn["x"], drawn["y"]]).query(np.c_[sources["x"], sources["y"]])
    good = (away < 0.5) & (sources["flags"] == 0) & (sources["snr"] > 100)
    assert good.sum() >= 30
    ratio = light[good] / drawn["electrons"][row[good]]
    assert np.median(ratio) / flat == pytest.approx(1.0, abs=0.012)
