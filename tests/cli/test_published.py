"""`spica cone` and `spica published`: objects on the screen, as JSON and CSV, and written out in forms that others read."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from typer.testing import CliRunner

from spica.cli.main import app
from spica.core.bright import Law
from spica.core.columns import Catalogue
from spica.core.faults import SetupFault
from spica.files.hats.moc_files import read_moc
from spica.files.hats.regions import Box, Cone
from spica.files.published.publishing import publish_objects
from spica.files.survey import Survey
from spica.services import bright, published, releases
from spica.services.releases import TileLine
from tests.support.objects import two_tiles
from tests.support.references import gaia_like, imported, write

MIDDLE = (0.02, 20.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalogue, Path]:
    root = Survey.create(tmp_path_factory.mktemp("survey") / "s").root
    sky, tiles = two_tiles(root / "scratch", 1500, MIDDLE)
    publish_objects(tiles, root / "published" / "dr1" / "objects", name="dr1", largest=300)
    return sky, root


def told(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_cone_on_the_screen_as_json_and_as_csv(made: tuple[Catalogue, Path]) -> None:
    sky, root = made
    words = ("cone", "0.02", "20.0", "0.2", "--survey", str(root), "--release", "dr1")
    answer = json.loads(told(*words, "--json"))
    inside = Cone(*MIDDLE, 0.2).contains(sky["ra"], sky["dec"])
    assert {row["object_id"] for row in answer["rows"]} == set(sky["object_id"][inside].tolist())
    assert answer["columns"]["separation"]["unit"] == "arcsec"
    apart = [row["separation"] for row in answer["rows"]]
    assert apart == sorted(apart)
    assert 0 < apart[0] < apart[-1] <= 720
    lines = list(csv.DictReader(io.StringIO(told(*words, "--csv", "--columns", "object_id,flux_aper"))))
    assert list(lines[0]) == ["object_id", "flux_aper_1", "flux_aper_2", "flux_aper_3", "separation"]
    assert [int(line["object_id"]) for line in lines] == [row["object_id"] for row in answer["rows"]]
    shown = told(*words, "--columns", "object_id,tile", "--most", "3")
    assert "separation [arcsec]" in shown
    assert f"{len(lines)} objects, the nearest 3 shown" in shown
    south = json.loads(told("cone", "0.02", "-20.0", "0.2", "--survey", str(root), "--json"))
    assert south["rows"] == []


def test_what_a_catalogue_is(made: tuple[Catalogue, Path]) -> None:
    folder = made[1] / "published" / "dr1" / "objects"
    answer = json.loads(told("published", "show", "--catalogue", str(folder), "--json"))
    assert (answer["rows"], answer["tiles"], answer["bands"]) == (1500, 2, ["g", "r", "i"])
    assert ["tile", "S6", "", "meta.id;obs.field", "tile of the release that owns the object"] in answer["columns"]
    assert "another tile owns" in told("published", "show", "--catalogue", str(folder))


def test_which_catalogue_is_asked(made: tuple[Catalogue, Path], tmp_path: Path) -> None:
    root = made[1]
    for release, words in (("dr9", "no release 'dr9' is published; there are dr1"),):
        with pytest.raises(SetupFault, match=words) as fault:
            published.open_catalogue(None, release, root)
        assert fault.value.code == "published.unknown"
    with pytest.raises(SetupFault, match="not by both"):
        published.open_catalogue(tmp_path, "dr1", root)
    done = CliRunner().invoke(app, ["published", "export", str(tmp_path / "x.fits"), "--box-ra", "1", "2"])
    assert done.exit_code != 0
    opened = published.open_catalogue(None, "", root)
    with pytest.raises(SetupFault, match=r"has to end in \.fits, \.vot"):
        published.export(opened, tmp_path / "objects.xls")
    with pytest.raises(SetupFault, match="no column 'colour'"):
        published.export(opened, tmp_path / "objects.fits", columns=("colour",))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def exports(made: tuple[Catalogue, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    for form in ("fits", "vot", "csv", "parquet"):
        words = ["published", "export", str(folder / f"objects.{form}"), "--survey", str(made[1])]
        assert json.loads(told(*words, "--json"))["rows"] == 1500
    return folder


def test_exports_hold_all_rows_with_units_ucds_and_meanings(made: tuple[Catalogue, Path], exports: Path) -> None:
    found = published.open_catalogue(None, "dr1", made[1]).find(Cone(*MIDDLE, 90.0))
    with fits.open(exports / "objects.fits", checksum=True) as file:
        data, header = file["OBJECTS"].data, file["OBJECTS"].header
        assert data.columns.names == list(found.columns)
        for name, values in found.columns.items():
            assert np.array_equal(data[name], values, equal_nan=values.dtype.kind == "f"), name
        number = data.columns.names.index("mag_psf_r") + 1
        declared = found.declaration("mag_psf_r")
        assert [header[f"{word}{number}"] for word in ("TUNIT", "TUCD", "TCOMM")] == [
            "mag",
            "phot.mag",
            declared.meaning,
        ]
        assert header["CATALOG"] == "dr1"
    table = parse_single_table(exports / "objects.vot")
    for field in table.fields:
        values = found[field.name]
        read = np.asarray(table.array[field.ID].data)
        assert np.array_equal(read, values, equal_nan=values.dtype.kind == "f"), field.name
        declared = found.declaration(field.name)
        assert (field.ucd or "", field.description) == (declared.ucd, declared.meaning)
    assert Table.read(exports / "objects.vot")["ra"].unit == "deg"
    lines = Table.read(exports / "objects.csv", format="ascii.csv")
    assert np.array_equal(lines["flux_aper_2"], found["flux_aper"][:, 1])
    assert np.array_equal(lines["tile"], found["tile"])
    whole = pq.read_table(exports / "objects.parquet")
    assert whole["object_id"].to_pylist() == found["object_id"].tolist()
    assert whole.schema.field("dec").metadata[b"ucd"] == b"pos.eq.dec;meta.main"


def test_a_part_of_the_sky_is_written_out(made: tuple[Catalogue, Path], tmp_path: Path) -> None:
    sky, root = made
    box = ("--box-ra", "359.9", "0.2", "--box-dec", "19.5", "20.5", "--columns", "object_id,mag_psf_r")
    told("published", "export", str(tmp_path / "box.fits"), "--survey", str(root), *box)
    region = Box((359.9, 0.2), (19.5, 20.5))
    truth = sky["object_id"][region.contains(sky["ra"], sky["dec"])]
    table = Table.read(tmp_path / "box.fits")
    assert table.colnames == ["object_id", "mag_psf_r"]
    assert sorted(table["object_id"]) == sorted(truth.tolist())
    told("cone", "0.02", "20", "0.2", "--survey", str(root), "--where", "mag_psf_r < 10", "-o", str(tmp_path / "c.vot"))
    assert (np.asarray(parse_single_table(tmp_path / "c.vot").array["mag_psf_r"]) < 10).all()
    # Nothing there is a table without rows, not a fault.
    told("cone", "50", "-20", "0.2", "--survey", str(root), "-o", str(tmp_path / "none.fits"))
    assert len(Table.read(tmp_path / "none.fits")) == 0


@pytest.mark.slow
def test_bright_stars_are_masked_by_circles_and_by_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Survey.create(tmp_path / "s").root
    stars = gaia_like(400, 3, (0.0, 20.0), 3.0)
    imported(root / "references", "gaia", write(tmp_path / "stars.parquet", stars))
    words = ("moc", "stars", "--reference", "gaia", "--cone", "0,20,0.5", "--faintest", "14", "--survey", str(root))
    done = json.loads(told(*words, str(tmp_path / "bright.reg"), "--json"))
    lines = (tmp_path / "bright.reg").read_text().splitlines()
    assert lines[:2] == ["# Region file format: DS9 version 4.1", "icrs"]
    magnitude = stars["phot_g_mean_mag"].astype(np.float32)
    radius = (200.0 * 10 ** (0.25 * (7.0 - magnitude)) + 12.0 * 10 ** (0.05 * (16.0 - magnitude))) / 3600
    chord = SkyCoord(stars["ra"], stars["dec"], unit="deg").separation(SkyCoord(0.0, 20.0, unit="deg")).deg
    there = (chord <= 0.5 + radius) & (magnitude <= 14)
    assert done["stars"] == len(lines) - 2 == np.count_nonzero(there) > 5
    first = np.flatnonzero(there)[np.argmin(magnitude[there])]
    assert lines[2] == (
        f'circle({stars["ra"][first]:.8f},{stars["dec"][first]:.8f},{3600 * radius[first]:.3f}")'
        f" # text={{G = {magnitude[first]:.2f}}}"
    )
    published_map = bright.mask(tmp_path / "bright.fits", "gaia", "G", root, cones=[(0.0, 20.0, 0.5)], law=Law(14.0))
    moc = read_moc(tmp_path / "bright.fits")
    assert moc.contains(stars["ra"][there], stars["dec"][there] + 0.95 * radius[there]).all()
    assert published_map.area == moc.area
    assert np.pi * np.sum(radius[there] ** 2) == pytest.approx(moc.area, rel=0.3)
    own = ("moc", "stars", "--reference", "gaia", "--cone", "0,20,0.5", "--term", "60,0.11,10", "--survey", str(root))
    told(*own, str(tmp_path / "own.reg"))
    circle = (tmp_path / "own.reg").read_text().splitlines()[2]
    assert circle.split('"')[0].endswith(f"{60.0 * 10 ** (0.11 * (10.0 - magnitude[first])):.3f}")
    tile = TileLine("t", 0.0, 20.0, 3000, 4000, 0.72, {})  # its corners lie half a degree from its middle
    monkeypatch.setattr(releases, "tiles", lambda *_: [tile])
    assert bright.mask(tmp_path / "t.fits", "gaia", "G", root, release="dr1", law=Law(14.0)).stars == done["stars"]
    with pytest.raises(SetupFault, match="no magnitudes in 'Z'; it has G"):
        bright.mask(tmp_path / "x.reg", "gaia", "Z", root, cones=[(0.0, 20.0, 0.5)])
    with pytest.raises(SetupFault, match="which place"):
        bright.mask(tmp_path / "x.reg", "gaia", "G", root)
    with pytest.raises(SetupFault, match="no law of radii"):
        Law(terms=((-1.0, 0.1, 10.0),))
    assert bright.mask(tmp_path / "none.fits", "gaia", "G", root, cones=[(90.0, -20.0, 0.5)]).stars == 0


@pytest.mark.slow
@pytest.mark.stilts
def test_stilts_reads_the_exports(exports: Path) -> None:
    stilts = shutil.which("stilts")
    assert stilts is not None
    for form in ("fits", "vot"):
        command = [stilts, "tpipe", f"in={exports / f'objects.{form}'}", "cmd=meta name units ucd description"]
        meta = subprocess.run([*command, "ofmt=csv"], check=True, capture_output=True, text=True).stdout
        lines = {line["Name"]: line for line in csv.DictReader(io.StringIO(meta))}
        assert (lines["ra"]["Units"], lines["ra"]["UCD"]) == ("deg", "pos.eq.ra;meta.main")
        assert lines["mag_psf_r"]["Description"].startswith("AB magnitude of flux_psf")
        count = [stilts, "tpipe", f"in={exports / f'objects.{form}'}", "cmd=select mag_psf_r<10", "omode=count"]
        assert "rows: " in subprocess.run(count, check=True, capture_output=True, text=True).stdout
    done = subprocess.run(
        [stilts, "votlint", str(exports / "objects.vot")], check=False, capture_output=True, text=True
    )
    assert "ERROR" not in done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.slow
def test_maps_of_coverage_are_made_cut_and_shown(made: tuple[Catalogue, Path], tmp_path: Path) -> None:
    sky, root = made
    cone, strip, both = tmp_path / "cone.fits", tmp_path / "strip.json", tmp_path / "both.txt"
    assert "square degrees" in told("moc", "make", str(cone), "--cone", "0.02,20.0,0.3", "--order", "11")
    told("moc", "make", str(strip), "--box-ra", "359.5", "0.5", "--box-dec", "20", "20.1", "--order", "11")
    told("moc", "make", str(both), "--moc", str(cone), "--within", str(strip))
    rest = tmp_path / "rest.fits"
    told("moc", "make", str(rest), "--moc", str(cone), "--without", str(strip), "--range")
    area = {path: json.loads(told("moc", "show", str(path), "--json"))["area"] for path in (cone, strip, both, rest)}
    assert area[cone] == pytest.approx(np.pi * 0.3**2, rel=0.15)
    assert area[both] + area[rest] == pytest.approx(area[cone], rel=1e-9)
    told("published", "export", str(tmp_path / "in.csv"), "--survey", str(root), "--moc", str(both))
    found = Table.read(tmp_path / "in.csv", format="ascii.csv")
    inside = Cone(*MIDDLE, 0.25).contains(sky["ra"], sky["dec"]) & (sky["dec"] > 20.01) & (sky["dec"] < 20.09)
    assert set(sky["object_id"][inside]) <= set(found["object_id"])
    told("moc", "make", str(tmp_path / "all.fits"), "--release", "dr1", "--survey", str(root), "--outside")
    outside = json.loads(told("moc", "show", str(tmp_path / "all.fits"), "--json"))
    assert 0.999 < outside["fraction"] < 1
    triangle = ("--outline", "10,20,11,20,11,21")
    told("moc", "make", str(tmp_path / "t.fits"), *triangle)
    assert "square degrees" in told("moc", "show", str(tmp_path / "t.fits"))
    for words in ((), ("--cone", "1,2"), ("--outline", "1,2,3,4"), ("--box-ra", "1", "2")):
        done = CliRunner().invoke(app, ["moc", "make", str(tmp_path / "x.fits"), *words])
        assert done.exit_code != 0
    assert not (tmp_path / "x.fits").exists()
