"""The classic chain on simulated exposures and on their stack, beside ours and beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.mask import Mask as Bit
from spica.core.psf import PsfModel
from spica.core.records import Grain, Unit
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.services import run
from spica.services.surveys import opened
from tests.support.calibrated import calibrated

RELEASE = """
name = "dr1"
[tiles]
grid = "overlap"
scale = 0.4
overlap = 0.0
"""
EXPOSURES = 6
pytestmark = [pytest.mark.slow, pytest.mark.astromatic]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated survey beside its truth, and what the classic chain makes of its exposures and of their stack."""
    root = calibrated(tmp_path_factory.mktemp("astromatic"), exposures=str(EXPOSURES))
    (root / "survey" / "releases" / "dr1.toml").write_text(RELEASE)
    done = run.run(run.Order("astromatic", executor="inprocess"), root / "survey")
    assert (done.done, done.failed, done.refused) == (3 * EXPOSURES, 0, 0)
    done = run.run(run.Order("astromatic-deep", executor="inprocess", release="dr1"), root / "survey")
    assert (done.failed, done.refused, done.left) == (0, 0, 0)
    return root


def pair(folder: Path, product: str) -> tuple[Catalogue, Catalogue]:
    """Of the first detector of the first exposure: the classic chain's and ours."""
    paths = sorted((folder / "products" / product).rglob("*_1_*.parquet"), key=lambda path: path.name)
    first = paths[0].name.split("_")[0]
    found = [read_catalogue(path) for path in paths if path.name.startswith(f"{first}_")]
    theirs = [each for each in found if "flags_weight" in each.columns or each.header.get("PSF_made") == "PSFEx"]
    return theirs[0], next(each for each in found if each is not theirs[0])


def read_truth(sky: Path, name: str) -> dict[str, Any]:
    read = pq.read_table(sky / "sky" / "truth" / f"{name}.parquet")
    return {column: np.array(read[column].to_pylist()) for column in read.column_names}


def spread(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def test_the_classic_chain_agrees_with_ours_and_with_the_truth(sky: Path) -> None:
    home = sky / "survey"
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
    truth = read_truth(sky, "positions")
    drawn = (truth["detector"] == 1) & (truth["exposure"] == min(truth["exposure"]))
    places = np.c_[truth["x"], truth["y"]][drawn]
    found = cKDTree(places).query(np.c_[theirs["x"], theirs["y"]])[0][good]
    print(f"SExtractor's places against the truth: median {np.median(found):.4f} pixel")
    assert np.median(found) < 0.2
    models = [PsfModel.from_catalogue(each) for each in pair(home, "psf")]
    light = [float(model.coefficients[0].sum() * model.sampling**2) for model in models]
    print(f"PSFEx and ours: light of the mean PSF {light[0]:.4f}, {light[1]:.4f}")
    assert light[0] == pytest.approx(1, abs=0.05)
    with opened(home) as house:
        exposure = Unit(Grain.EXPOSURE, (min(_names(home)).split("_")[0],))
        told = {each.name: each.value for each in house.registry.metrics_of(exposure) if each.source == "scamp"}
    print({name: round(value, 4) for name, value in told.items()})
    assert told


def _names(folder: Path) -> list[str]:
    return [path.name for path in (folder / "products" / "sources").rglob("*.parquet")]


def test_psf_magnitudes_of_the_second_pass_are_ours(sky: Path) -> None:
    theirs, ours = pair(sky / "survey", "psf_sources")
    away, row = cKDTree(np.c_[ours["x_psf"], ours["y_psf"]]).query(np.c_[theirs["x_psf"], theirs["y_psf"]])
    alone = (ours["group_size"][row] == 1) & (ours["p_star"][row] > 0.5)
    good = (away < 1) & alone & (theirs["flags"] == 0) & (ours["flags_psf"][row] == 0) & (ours["snr_psf"][row] > 50)
    off = -2.5 * np.log10(theirs["flux_psf"][good] / ours["flux_psf"][row][good])
    print(f"{good.sum()} stars: flux_psf {np.median(off):+.4f} ± {spread(off):.4f} mag (SExtractor - ours)")
    print(
        f"spread_model of stars {np.median(theirs['spread_model'][good]):+.5f} ± {spread(theirs['spread_model'][good]):.5f}"
    )
    assert good.sum() > 8
    assert abs(np.median(off)) < 0.06
    assert spread(off) < 0.03
    assert abs(np.median(theirs["spread_model"][good])) < 0.002


def image(sky: Path, product: str) -> Image:
    (path,) = (sky / "survey" / "products" / product).rglob("*.fits")
    return read_image(path)


def table(sky: Path, product: str) -> Catalogue:
    (path,) = (sky / "survey" / "products" / product).rglob("*.parquet")
    return read_catalogue(path)


def blank(ours: Image, sources: Catalogue) -> Mask:
    """Pixels with light of no source that all exposures' values made, none interpolated or clipped."""
    assert ours.mask is not None
    free = np.isfinite(ours.pixels) & (ours.mask == 0)
    v, u = np.indices(ours.shape)
    for x, y, r in zip(sources["x"], sources["y"], np.maximum(8, 3 * np.sqrt(sources["area"])), strict=True):
        part = np.s_[max(int(y - r), 0) : int(y + r) + 1, max(int(x - r), 0) : int(x + r) + 1]
        free[part] &= np.hypot(v[part] - y, u[part] - x) > r
    return np.asarray(free, np.bool_)


def test_our_stack_is_swarps(sky: Path) -> None:
    ours, theirs = image(sky, "stack"), image(sky, "swarp_stack")
    assert {key: ours.header[key] for key in ("CRVAL1", "CRPIX2", "CD1_1")} == pytest.approx(
        {key: theirs.header[key] for key in ("CRVAL1", "CRPIX2", "CD1_1")}
    )
    assert ours.header["MAGZERO"] == theirs.header["MAGZERO"]
    assert ours.variance is not None
    free = blank(ours, table(sky, "deep_sources")) & np.isfinite(theirs.pixels)
    noise = np.sqrt(ours.variance)
    with np.errstate(invalid="ignore"):
        apart = (theirs.pixels - ours.pixels) / noise
    levels, within = [], []
    # The programs' meshes of the sky differ by more than all else: level by level, then what is left.
    for y in range(0, ours.shape[0], 32):
        for x in range(0, ours.shape[1], 32):
            values = apart[y : y + 32, x : x + 32][free[y : y + 32, x : x + 32]]
            if values.size > 100:
                levels.append(float(np.median(values)))
                within.append(values - levels[-1])
    left = spread(np.concatenate(within))
    seen = [spread((each.pixels / noise)[free]) for each in (ours, theirs)]
    print(
        f"blank sky, SWarp - ours: {left:.4f} sigma within 32 pixels, levels {np.median(levels):+.3f} ± {np.std(levels):.3f}; ",
        end="",
    )
    print(f"noise seen / told: ours {seen[0]:.4f}, SWarp {seen[1]:.4f}")
    assert left < 0.04
    assert abs(np.median(levels)) < 0.2
    assert seen[0] == pytest.approx(1, abs=0.03)
    assert seen[1] == pytest.approx(seen[0], rel=0.03)


def test_stars_are_as_bright_in_both_stacks(sky: Path) -> None:
    ours, theirs, sources = image(sky, "stack"), image(sky, "swarp_stack"), table(sky, "deep_sources")
    assert ours.mask is not None
    v, u = np.indices(ours.shape)
    lost = int(Bit.unusable() | Bit.SATURATED | Bit.BLEED | Bit.CLIPPED)
    ratios = []
    for row in np.flatnonzero((sources["flags"] == 0) & (sources["snr_psf"] > 100) & (sources["p_star"] > 0.5)):
        x, y = sources["x"][row], sources["y"][row]
        part = np.s_[max(int(y) - 20, 0) : int(y) + 21, max(int(x) - 20, 0) : int(x) + 21]
        away = np.hypot(v[part] - y, u[part] - x)
        inside, ring = away < 8, (away > 12) & (away < 19)
        if (ours.mask[part][inside] & lost).any() or not np.isfinite(theirs.pixels[part][inside]).all():
            continue
        light = [
            float((each.pixels[part] - np.nanmedian(each.pixels[part][ring]))[inside].sum()) for each in (ours, theirs)
        ]
        ratios.append(light[1] / light[0])
    print(f"{len(ratios)} stars: light SWarp / ours {np.median(ratios):.5f} ± {spread(np.array(ratios)):.5f}")
    assert len(ratios) >= 5
    assert np.median(ratios) == pytest.approx(1, abs=5e-3)
    assert spread(np.array(ratios)) < 1e-2


def test_psf_magnitudes_on_the_stacks_agree_and_ours_are_nearer_the_truth(sky: Path) -> None:
    theirs, ours = table(sky, "swarp_psf_sources"), table(sky, "objects")
    truth = read_truth(sky, "sources")
    level = np.cos(np.radians(np.median(truth["dec"])))
    apart, number = cKDTree(np.c_[truth["ra"] * level, truth["dec"]]).query(np.c_[ours["ra"] * level, ours["dec"]])
    away, row = cKDTree(np.c_[ours["x"], ours["y"]]).query(np.c_[theirs["x"], theirs["y"]])
    true = truth["mag_r"][number][row]
    star = (truth["type"][number] == "star")[row] & (apart[row] < 0.5 / 3600)
    good = (away < 1) & star & (theirs["flags"] == 0) & (true > 16) & (true < 20)
    both = [theirs["mag_psf"][good] - true[good], ours["mag_psf_r"][row][good] - true[good]]
    off = both[0] - both[1]
    print(
        f"{good.sum()} stars of 16 to 20 mag: mag_psf SExtractor - ours {np.median(off):+.4f} ± {spread(off):.4f}; ",
        end="",
    )
    print(
        ", ".join(
            f"{who} - truth {np.median(each):+.4f}" for who, each in zip(("SExtractor", "ours"), both, strict=True)
        )
    )
    assert good.sum() > 30
    assert abs(np.median(off)) < 0.05
    assert spread(off) < 0.03
    assert abs(np.median(both[1])) < min(abs(np.median(both[0])), 0.015)
