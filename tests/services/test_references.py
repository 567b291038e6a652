"""`spica refcat` as people use it, against exposures of a simulated survey and the simulator's own reference catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spica.files.hats.regions import Cone, Polygon
from spica.files.reference.catalogue import open_reference
from spica.instruments import tables
from spica.services import ingest, references
from spica.services.surveys import opened
from spica.simulate.reference import save_reference
from spica.simulate.settings import SimulationSettings
from spica.simulate.sky import KINDS, sky
from tests.support.references import gaia_like, write
from tests.support.survey import SCIENCE, Small
from tests.support.terminal import Terminal


def test_the_simulator_s_catalogue_with_its_gaps(tmp_path: Path) -> None:
    """Squares of the field where stars are, and none in the catalogue, are found; full ones are not taken for gaps."""
    order = SimulationSettings(density=100_000.0, exposures=1)
    heavens = sky(order, tables.load("demo"))
    path = save_reference(tmp_path / "reference.parquet", order, heavens)
    terminal = Terminal(tmp_path / "survey")
    terminal.order("init", terminal.folder)
    made = terminal.ask("refcat", "import", "simulated", path)
    assert made["mapping"] == "spica-simulated"
    assert made["line"]["bands"] == dict.fromkeys(heavens.mags, "AB")
    catalogue = open_reference(terminal.folder / "references", "simulated")
    rows = catalogue.find(Cone(float(heavens.ra[0]), float(heavens.dec[0]), 10.0))
    assert len(rows) == made["line"]["rows"]
    assert 0.05 < np.mean(np.isnan(rows["pmra"])) < 0.5
    assert rows["epoch"].tolist() == [2016.0] * len(rows)

    bright = (heavens.kind == KINDS.index("star")) & (next(iter(heavens.mags.values())) < order.reference_limit)
    resolution = references.coverage_of(catalogue.folder, [])[1]
    wide = resolution / np.cos(np.radians(np.median(heavens.dec)))
    edges = (
        np.arange(heavens.ra.min(), heavens.ra.max() + wide, wide),
        np.arange(heavens.dec.min(), heavens.dec.max() + resolution, resolution),
    )
    expected = np.histogram2d(heavens.ra[bright], heavens.dec[bright], edges)[0].reshape(-1)
    found = np.histogram2d(rows["ra"], rows["dec"], edges)[0].reshape(-1)
    squares = [
        Polygon.of([ra, ra + wide, ra + wide, ra], [dec, dec, dec + resolution, dec + resolution])
        for ra in edges[0][:-1]
        for dec in edges[1][:-1]
    ]
    fractions, _ = references.coverage_of(catalogue.folder, squares)
    gaps, full = (expected >= 10) & (found == 0), found >= 0.8 * np.maximum(expected, np.median(expected))
    assert np.count_nonzero(gaps) >= 5
    assert np.mean(fractions[gaps]) < 0.4
    assert np.mean(fractions[full]) > 0.99


@pytest.fixture
def frames(empty: Small) -> Terminal:
    """A survey with two exposures of the sky."""
    ingest.ingest(ingest.Order((str(empty.sky / "raw"),)), empty.folder)
    return Terminal(empty.folder)


def about(frames: Terminal, n: int = 30_000, width: float = 0.5) -> dict[str, np.ndarray]:
    """Stars about the field of the frames."""
    with opened(frames.folder) as house:
        exposure = house.registry.exposure(SCIENCE[0])
    assert exposure.ra is not None
    assert exposure.dec is not None
    return gaia_like(n, 4, (exposure.ra, exposure.dec), width)


def test_exposures_over_the_edge_are_named(frames: Terminal, tmp_path: Path) -> None:
    columns = about(frames)
    frames.order("refcat", "import", "whole", write(tmp_path / "whole.parquet", columns))
    assert "2 of 2 exposures are covered" in frames.order("refcat", "coverage", "whole")
    middle = np.median(columns["dec"])
    half = {name: values[columns["dec"] > middle + 0.1] for name, values in columns.items()}
    frames.order("refcat", "import", "north", write(tmp_path / "north.parquet", half))
    said = frames.order("refcat", "coverage", "north", code=1)
    assert all(name in said for name in SCIENCE)
    told = frames.ask("refcat", "coverage", "north", "--where", f"exposure='{SCIENCE[1]}'", code=1)
    (only,) = told["exposures"]
    assert (only["exposure"], only["good"], only["fraction"] < 0.5) == (SCIENCE[1], False, True)
    assert frames.ask("refcat", "coverage", "north", "--least", "0")["exposures"][0]["good"]
    assert (
        frames.ask("refcat", "coverage", "whole", "--where", "exposure='none'", code=2)["fault"]["code"]
        == "order.nothing"
    )


def test_list_and_show(frames: Terminal, tmp_path: Path) -> None:
    assert "spica refcat import" in frames.order("refcat", "list")
    path = write(tmp_path / "stars.csv.gz", about(frames, 5000))
    said = frames.order("refcat", "import", "gaia", path)
    assert "5000 rows" in said
    assert "nothing to do" in frames.order("refcat", "import", "gaia", path)
    (line,) = frames.ask("refcat", "list")
    assert (line["name"], line["rows"], line["bands"], line["epoch"]) == ("gaia", 5000, {"G": "Vega"}, [2016, 2016])
    assert 0.15 < line["area"] < 0.4
    shown = frames.ask("refcat", "show", "gaia", "--picture", tmp_path / "map.png")
    ranges = {
        each["name"]: (each["unit"], each["least"], each["greatest"], each["missing"]) for each in shown["columns"]
    }
    assert ranges["epoch"] == ("yr", 2016.0, 2016.0, 0)
    assert ranges["pmra"][3] == 10
    assert 8 <= ranges["mag_G"][1] < ranges["mag_G"][2] <= 21
    assert shown["sources"][0][:3] == ["stars.csv.gz", path.stat().st_size, 5000]
    with Image.open(tmp_path / "map.png") as picture:
        assert np.asarray(picture).std() > 5
    text = frames.order("refcat", "show", "gaia")
    assert "G (Vega)" in text
    assert "proper motion" in text
    assert "gaia-lsst" in frames.order("refcat", "list", "--mappings")
    assert frames.ask("refcat", "show", "ps1", code=2)["fault"]["code"] == "refcat.unknown"


def test_the_whole_sky_is_drawn(frames: Terminal, tmp_path: Path) -> None:
    frames.order("refcat", "import", "all", write(tmp_path / "stars.parquet", gaia_like(20_000)))
    frames.order("refcat", "show", "all", "--picture", tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 5000


def test_surveys_share_a_folder_and_bad_tables_end_with_three(frames: Terminal, tmp_path: Path) -> None:
    settings = frames.folder / "survey.toml"
    settings.write_text(f'references = "{tmp_path / "shared"}"\n' + settings.read_text())
    said = frames.order(
        "refcat", "import", "gaia", write(tmp_path / "bad.csv", {"a": np.arange(3), "b": np.arange(3)}), code=3
    )
    assert "refcat.columns" in said
    assert "--mapping" in said
    columns = gaia_like(50)
    columns["dec"][:4] = np.nan
    said = frames.order("refcat", "import", "gaia", write(tmp_path / "stars.fits", columns))
    assert "position-missing: 4 rows" in said
    assert (tmp_path / "shared" / "gaia" / "hats.properties").exists()
    assert frames.ask("refcat", "list")[0]["rows"] == 46
