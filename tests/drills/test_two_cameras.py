"""Two cameras of other pixels, sites and layouts see one sky in one band: one stack of both, against the truth."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.files import frozen
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.files.survey import Survey
from spica.services import ingest, initialise, references, releases, run, simulation
from spica.services.publishing import publish
from spica.simulate.sky import Sky
from spica.simulate.sky import sky as draw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

COMMON = {
    "bands": "r", "exposures": "3", "exposure_time": "60", "biases": "3", "darks": "0", "flats": "3",
    "density": "900", "mag_bright": "17", "mag_faint": "22.5", "star_fraction": "0.95", "effects.variables": "false", "transients_per_field": "0", "movers_per_field": "0",
}  # fmt: skip
CAMERAS = {
    "decam": {"detectors": "28,35", "detector_size": "[480, 480]"},
    "megaprime": {"detectors": "22,13", "detector_size": "[640, 640]", "first": "101"},
}
"""Pixels of 0.264″ and 0.187″, east up and north up, Chile and Hawaii: 2 × 2′ each detector."""
RELEASE = """
name = "both"
[tiles]
grid = "overlap"
scale = 0.25
overlap = 0.0
[[rule]]
name = "verdict"
where = "detector > 0"
"""


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey with the stack of both cameras, beside the skies as each drew it."""
    root = tmp_path_factory.mktemp("two")
    home = root / "survey"
    initialise.initialise(home)
    with pytest.MonkeyPatch.context() as patch:
        heavens: list[Sky] = []

        def one_sky(*order: Any) -> Sky:
            if not heavens:
                heavens.append(draw(*order))
            return heavens[0]

        # Each order would otherwise draw a sky of its own, as wide as its camera sees.
        patch.setattr("spica.simulate.survey.sky", one_sky)
        for camera, own in CAMERAS.items():
            simulation.simulate(root / camera, camera, COMMON | {"fields": "[[71.3, -5.0]]"} | own, home)
    taken = ingest.ingest(ingest.Order(tuple(str(root / camera / "raw") for camera in CAMERAS)), home)
    assert not taken.problems
    references.bring_in("truth", [root / "decam" / "reference.parquet"], home)
    (home / "releases" / "both.toml").write_text(RELEASE)
    for pipeline in ("calibrations", "calibrate", "deep"):
        result = run.run(run.Order(pipeline, executor="inprocess", release="both" if pipeline == "deep" else ""), home)
        assert (result.failed, result.refused, result.left) == (0, 0, 0), pipeline
    return root


def found(field: Path) -> tuple[Catalogue, Mapping[str, np.ndarray], np.ndarray]:
    """Sources of the stack, the stars of the truth, and the row of the star that each is (-1: of none)."""
    [path] = (field / "survey" / "products" / "deep_sources").rglob("*.parquet")
    sources = read_catalogue(path)
    table = pq.read_table(field / "decam" / "truth" / "sources.parquet")
    sky = {name: np.asarray(table[name]) for name in ("ra", "dec", "mag_r", "type")}
    level = np.cos(np.radians(5.0))
    places = [np.stack([each["ra"] * level, each["dec"]], 1) * 3600.0 for each in (sky, sources)]
    apart, row = cKDTree(places[0]).query(places[1])
    beside = cKDTree(places[0]).query_ball_point(places[0], 4.0)
    mag = sky["mag_r"]
    lone = np.array(
        [not any(mag[other] < mag[own] + 2.5 for other in near if other != own) for own, near in enumerate(beside)]
    )
    return sources, sky, np.where((apart < 0.5) & (sky["type"][row] == "star") & lone[row], row, -1)


def test_both_are_stacked_and_the_header_names_them(field: Path) -> None:
    [stack] = releases.preview("both", field / "survey").stacks
    assert {name.partition("-")[0] for name in stack.exposures} == set(CAMERAS)
    [path] = (field / "survey" / "products" / "stack").rglob("*.fits")
    image = read_image(path)
    assert image.header["NCOMBINE"] == 12
    assert image.header["INSTRUME"] == "decam, megaprime"


def test_stars_are_as_bright_as_the_truth_says_where_one_camera_looks_and_where_both_do(field: Path) -> None:
    sources, sky, row = found(field)
    true = sky["mag_r"][row]
    good = (row >= 0) & (true < 20.5) & np.isfinite(sources["mag_psf"])
    off, error = (sources["mag_psf"] - true)[good], sources["mag_psf_err"][good]
    assert good.sum() > 60
    # Zero points of six exposures by some sixty reference stars each.
    assert abs(np.median(off)) < 0.03
    assert 1.4826 * np.median(np.abs(off - np.median(off))) < 0.015
    pulls = (off - np.median(off)) / np.hypot(error, 0.01)
    assert 0.5 < 1.4826 * np.median(np.abs(pulls)) < 1.5
    number = sources["exposures"][good]
    both, few = off[number == 6], off[number <= 3]
    assert min(both.size, few.size) > 10
    assert abs(np.median(both) - np.median(few)) < 0.03


def test_history_of_the_published_stack_names_both_cameras(field: Path) -> None:
    today = dt.date(2026, 11, 29)
    done = publish.publish("both", field / "survey", publish.Dates(today, today))
    [path] = done.folder.rglob(f"*/r/{frozen.HISTORY}")
    told = json.loads(path.read_text())
    assert {each["camera"] for each in told["exposures"]} == set(CAMERAS)
    assert frozen.read(Survey.open(field / "survey"), "both").units[0].exposures == 6
