"""The classic chain on a simulated exposure, beside ours and beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.psf import PsfModel
from spica.core.records import Grain, Unit
from spica.files.catalogues import read_catalogue
from spica.services import run
from spica.services.surveys import opened
from tests.support.calibrated import calibrated


def pair(folder: Path, product: str) -> tuple[Catalogue, Catalogue]:
    """Of the first detector: the classic chain's and ours."""
    found = [read_catalogue(path) for path in (folder / "products" / product).rglob("*_1_*.parquet")]
    theirs = [each for each in found if "flags_weight" in each.columns or each.header.get("PSF_made") == "PSFEx"]
    return theirs[0], next(each for each in found if each is not theirs[0])


def spread(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


@pytest.mark.slow
@pytest.mark.astromatic
def test_the_classic_chain_agrees_with_ours_and_with_the_truth(tmp_path: Path) -> None:
    home = calibrated(tmp_path, exposures="1") / "survey"
    done = run.run(run.Order("astromatic", executor="inprocess"), home)
    assert (done.done, done.failed, done.refused) == (3, 0, 0)
    theirs, ours = pair(home, "sources")
    away, row = cKDTree(np.c_[ours["x"], ours["y"]]).query(np.c_[theirs["x"], theirs["y"]])
    good = (away < 1) & (theirs["flags"] == 0) & (ours["flags"][row] == 0) & (theirs["snr"] > 20)
    shift = np.r_[[(theirs[axis] - ours[axis][row])[good] for axis in "xy"]].ravel()
    magnitude = -2.5 * np.log10(theirs["flux_auto"][good] / ours["flux_auto"][row][good])
    print(f"{good.sum()} sources: places {np.median(shift):+.4f} ± {spread(shift):.4f} pixel, ", end="")
    print(f"flux_auto {np.median(magnitude):+.4f} ± {spread(magnitude):.4f} mag (SExtractor - ours)")
    assert good.sum() > 30
    assert abs(np.median(shift)) < 0.01
    assert spread(shift) < 0.03
    assert abs(np.median(magnitude)) < 0.08
    assert spread(magnitude) < 0.03
    truth = pq.read_table(home.parent / "sky" / "truth" / "positions.parquet").to_pydict()
    drawn = [row for row, number in enumerate(truth["detector"]) if number == 1]
    places = np.c_[np.array(truth["x"])[drawn], np.array(truth["y"])[drawn]]
    found = cKDTree(places).query(np.c_[theirs["x"], theirs["y"]])[0][good]
    print(f"SExtractor's places against the truth: median {np.median(found):.4f} pixel")
    assert np.median(found) < 0.2
    models = [PsfModel.from_catalogue(each) for each in pair(home, "psf")]
    light = [float(model.coefficients[0].sum() * model.sampling**2) for model in models]
    print(f"PSFEx and ours: light of the mean PSF {light[0]:.4f}, {light[1]:.4f}")
    assert light[0] == pytest.approx(1, abs=0.05)
    with opened(home) as house:
        (exposure,) = {Unit(Grain.EXPOSURE, (name.split("_")[0],)) for name in _names(home)}
        told = {each.name: each.value for each in house.registry.metrics_of(exposure) if each.source == "scamp"}
    print({name: round(value, 4) for name, value in told.items()})
    assert told


def _names(folder: Path) -> list[str]:
    return [path.name for path in (folder / "products" / "sources").rglob("*.parquet")]
