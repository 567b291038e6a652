"""Real frames are placed on the sky: a whole focal plane against Gaia, however its headers are spoilt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.records import Exposure, FrameType
from spica.core.task import Member
from spica.files.hats.regions import Cone, vectors
from spica.files.reference.catalogue import open_reference
from spica.instruments.solutions import wcs_cards
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.tasks.pointing import TASK
from tests.support.references import imported

MJD = 56744.2909
EXPOSURE = Exposure(0, "hsc-1180", "hsc", FrameType.OBJECT, "2014-03-27", MJD, 270.0, band="z")


@pytest.fixture(scope="module")
def visit(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Needs of the task: star lists (without fluxes) and guessed headers of 51 detectors, Gaia at the time of the visit."""
    folder = real_data / "hsc_visit1180_catalogues"
    home = tmp_path_factory.mktemp("references")
    imported(home, "gaia", folder / "gaia_refCat.parquet")
    reference = open_reference(home, "gaia").find(Cone(150.2, 2.2, 1.5), mjd=MJD)
    sources, headers = [], {}
    for path in sorted(folder.glob("1180_*.fits")):
        number = int(path.stem.partition("_")[2])
        with fits.open(path) as hdus:
            cards = dict(hdus[0].header)
            x, y = (np.asarray(hdus[1].data[name], np.float64) for name in "xy")
        sources.append(Member(f"detector:hsc-1180/{number}", Catalogue({"x": x, "y": y, "flux": np.ones(x.size)})))
        headers[number] = {**wcs_cards([cards], 0), "NAXIS1": 2048, "NAXIS2": 4176}
    return {"sources": tuple(sources), "headers": headers, "exposure": EXPOSURE, "reference": reference}


def offsets(visit: Mapping[str, Any], cards: Mapping[int, Mapping[str, Any]]) -> dict[int, tuple[float, float]]:
    """Median offset in both coordinates, and the robust rms of matches after it is taken out [arcsec], by detector."""
    reference = visit["reference"]
    tree = cKDTree(vectors(reference["ra"], reference["dec"]))
    found = {}
    for member in visit["sources"]:
        number = int(member.unit.rpartition("/")[2])
        ra, dec = pixel_to_sky(from_cards(cards[number]), member.value["x"], member.value["y"])
        far, near = tree.query(vectors(ra, dec), distance_upper_bound=np.radians(3.0 / 3600))
        ok = np.isfinite(far)
        dx = 3600 * (ra[ok] - reference["ra"][near[ok]]) * np.cos(np.radians(dec[ok]))
        dy = 3600 * (dec[ok] - reference["dec"][near[ok]])
        middle = np.median(dx), np.median(dy)
        good = np.hypot(dx - middle[0], dy - middle[1]) < 0.3
        rms = (
            np.sqrt(np.median((dx[good] - middle[0]) ** 2 + (dy[good] - middle[1]) ** 2) / 1.386)
            if good.any()
            else np.nan
        )
        found[number] = float(np.hypot(*middle)), float(rms)
    return found


@pytest.mark.slow
def test_all_detectors_of_a_visit_are_brought_to_gaia(visit: dict[str, Any]) -> None:
    before = offsets(visit, visit["headers"])
    made = TASK.run(TASK.settings(), **visit)["pointing"]
    assert len(made["detectors"]) == 51
    assert {one["how"] for one in made["detectors"].values()} == {"own"}
    after = offsets(visit, {int(number): one["cards"] for number, one in made["detectors"].items()})
    # The guesses are linear, each by itself: what bends in the outer detectors (seconds of arc in 54) is told by all together.
    assert max(shift for shift, _ in before.values()) > 1.5
    assert np.median([shift for shift, _ in after.values()]) < 0.01
    assert max(shift for shift, _ in after.values()) < 0.03
    assert max(rms for _, rms in after.values()) < 0.05


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("spoilt", ["turned", "mirrored", "away"])
def test_headers_that_are_spoilt_come_out_the_same_or_not_at_all(visit: dict[str, Any], spoilt: str) -> None:
    """Turned or mirrored each about its own place, detectors contradict each other: none may follow another's lead."""
    few = {**visit, "sources": visit["sources"][:6]}
    numbers = [int(member.unit.rpartition("/")[2]) for member in few["sources"]]
    turn = np.array([[0.6, -0.8], [0.8, 0.6]]) if spoilt == "turned" else np.diag([-1.0, 1.0])
    headers = {}
    for number in numbers:
        cards = dict(visit["headers"][number])
        cd = np.array([[cards[f"CD{i}_{j}"] for j in (1, 2)] for i in (1, 2)])
        if spoilt == "away":
            cards["CRVAL2"] += 0.3
        else:
            cards |= {f"CD{i + 1}_{j + 1}": float((turn @ cd)[i, j]) for i in (0, 1) for j in (0, 1)}
        headers[number] = cards
    good = TASK.run(TASK.settings(), **{**few, "headers": {n: visit["headers"][n] for n in numbers}})["pointing"]
    made = TASK.run(TASK.settings(), **{**few, "headers": headers})["pointing"]
    placed = [number for number in numbers if made["detectors"][str(number)]["cards"]]
    assert len(placed) >= (6 if spoilt == "away" else 4)
    assert all(made["detectors"][str(number)]["reason"] for number in set(numbers) - set(placed))
    for number in placed:
        one, other = (from_cards(each["detectors"][str(number)]["cards"]) for each in (good, made))
        # Headers that contradict each other tell of no common bending: a straight map is right in the middle of a detector
        # to what this camera bends there, and 4" wrong in a corner. One that is only shifted comes out as bent as before.
        inside, limit = ((0.0, 1.0), 0.3) if spoilt == "away" else ((0.4, 0.6), 1.0)
        x, y = np.meshgrid(*(np.linspace(*inside, 5) * side for side in (2047.0, 4175.0)))
        here, there = pixel_to_sky(one, x, y), pixel_to_sky(other, x, y)
        assert 3600 * np.abs(here[1] - there[1]).max() < limit
        assert 3600 * np.abs(here[0] - there[0]).max() < limit
