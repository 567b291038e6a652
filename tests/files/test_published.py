"""Published catalogues: each object once, the same bytes in any order, read by other programs, looked up by place."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse_single_table
from cdshealpix.skymap import Skymap

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.files.catalogues import read_catalogue, write_catalogue
from spica.files.hats.moc import Moc
from spica.files.hats.moc_files import read_moc
from spica.files.hats.regions import Box, Cone, Polygon, Region
from spica.files.published.catalogue import PublishedCatalogue
from spica.files.published.publishing import publish_objects
from spica.files.published.store import read_info
from tests.support.groups import lsdb_python
from tests.support.objects import DECLARED, as_tile, drawn, two_tiles
from tests.support.references import bytes_of

MIDDLE = (0.02, 20.0)


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalogue, list[Path], Path]:
    folder = tmp_path_factory.mktemp("published")
    whole, tiles = two_tiles(folder / "tiles", 2000, MIDDLE)
    publish_objects(tiles, folder / "dr1" / "objects", name="dr1", title="A & B", largest=300)
    return whole, tiles, folder / "dr1" / "objects"


def test_every_object_is_there_once_from_the_tile_that_owns_it(sky: tuple[Catalogue, list[Path], Path]) -> None:
    whole, tiles, folder = sky
    info = read_info(folder)
    assert (info.rows, info.twice, info.bands) == (2000, 0, ("g", "r", "i"))
    assert info.not_own == sum(len(read_catalogue(path)) for path in tiles) - 2000 > 0
    found = PublishedCatalogue(folder).find(Cone(*MIDDLE, 90.0))
    order, truth = np.argsort(found["object_id"]), np.argsort(whole["object_id"])
    for name in ("object_id", "ra", "dec", "flags", "flux_aper"):
        np.testing.assert_array_equal(found[name][order], whole[name][truth])
    east = (found["ra"] - MIDDLE[0] + 180) % 360 - 180 >= 0
    assert np.array_equal(found["tile"] == "t-east", east)
    # The western tile has no band i: unknown, and never 0.
    assert np.array_equal(np.isnan(found["mag_psf_i"]), ~east)
    assert np.array_equal(found["exposures_i"] == -1, ~east)
    assert found.declaration("exposures_i").meaning.endswith("-1 where the tile lacks it")
    assert "own" not in found.columns


def test_bytes_depend_on_the_tiles_and_not_on_their_order(
    sky: tuple[Catalogue, list[Path], Path], tmp_path: Path
) -> None:
    _, tiles, folder = sky
    publish_objects(reversed(tiles), tmp_path / "objects", name="dr1", title="A & B", largest=300)
    assert bytes_of(tmp_path / "objects") == bytes_of(folder)
    other = publish_objects(tiles, tmp_path / "coarse", name="dr1", largest=5000)
    assert other.checksum == read_info(folder).checksum
    assert len(other.partitions) < len(read_info(folder).partitions)


def test_an_object_on_the_seam_that_two_tiles_own_is_told_once(tmp_path: Path) -> None:
    one = drawn(20)
    tiles = [
        as_tile(tmp_path / f"{name}.parquet", one, name, np.arange(20) >= first) for name, first in (("a", 5), ("b", 0))
    ]
    info = publish_objects(tiles, tmp_path / "objects", name="dr")
    assert (info.rows, info.twice, info.not_own, info.tiles) == (20, 15, 5, {"a": 15, "b": 5})
    found = PublishedCatalogue(tmp_path / "objects").find(Cone(10.0, 20.0, 5.0), ("tile",))
    assert np.count_nonzero(found["tile"] == "a") == 15


REGIONS = (
    Cone(0.02, 20.0, 0.3),
    Box((359.8, 0.3), (19.5, 20.25)),
    Box((0.0, 0.0), (20.1, 20.2)),
    Moc.of_cone(0.1, 20.2, 0.4, 8),
    Polygon(((359.7, 19.6), (0.4, 19.7), (0.0, 20.5))),
)


def test_an_object_whose_places_in_two_tiles_lie_on_both_sides_of_the_border_is_told_once(tmp_path: Path) -> None:
    sky = drawn(400)
    east = sky["ra"] >= 10.0
    seam = np.argsort(np.abs(sky["ra"] - 10.0))[:6]
    # Three that both tiles own, three that neither does, a quarter of an arcsecond apart: other identifiers too.
    own = [~east, east]
    own[0][seam[:3]] = own[1][seam[:3]] = True
    own[0][seam[3:]] = own[1][seam[3:]] = False
    columns = dict(sky.columns)
    columns["ra"] = sky["ra"] + 0.25 / 3600.0
    columns["object_id"] = sky["object_id"] + 8
    moved = Catalogue(columns, {}, DECLARED)
    parts = [
        as_tile(tmp_path / f"{name}.parquet", each, name, mine)
        for name, each, mine in (("west", sky, own[0]), ("east", moved, own[1]))
    ]
    info = publish_objects(parts, tmp_path / "made", name="o")
    assert (info.rows, info.twice) == (len(sky), 3)
    found = PublishedCatalogue(tmp_path / "made").find(Cone(10.0, 20.0, 5.0), ("object_id", "tile"))
    assert set(sky["object_id"][seam].tolist()) <= set(found["object_id"].tolist())
    again = publish_objects(parts[::-1], tmp_path / "again", name="o")
    assert again.checksum == info.checksum


def test_a_third_tile_that_owns_an_object_decides(tmp_path: Path) -> None:
    sky = drawn(5)
    none, first = np.zeros(5, bool), np.arange(5) == 0
    parts = [
        as_tile(tmp_path / f"{name}.parquet", sky, name, own)
        for name, own in (("a", none), ("b", none | first), ("c", ~first))
    ]
    info = publish_objects(parts, tmp_path / "made", name="o")
    assert (info.rows, info.twice, info.not_own) == (5, 0, 10)


@pytest.mark.parametrize("region", REGIONS)
def test_regions_give_the_rows_that_lie_in_them(region: Region, sky: tuple[Catalogue, list[Path], Path]) -> None:
    whole, _, folder = sky
    truth = set(whole["object_id"][region.contains(whole["ra"], whole["dec"])].tolist())
    catalogue = PublishedCatalogue(folder)
    found = catalogue.find(region, ("object_id",), "mag_psf_r > 0")
    assert set(found.columns) == {"object_id"}
    assert len(truth) == len(found) > 20
    assert set(found["object_id"].tolist()) == truth
    parts = [part["object_id"] for part in catalogue.parts(region, ("object_id",))]
    np.testing.assert_array_equal(np.concatenate(parts), found["object_id"])


@pytest.mark.parametrize(
    "box",
    [
        ((0.0, 90.0), (-90.0, -89.0)),
        ((350.0, 340.0), (88.0, 90.0)),
        ((5.0, 5.0), (-1.0, 1.0)),
        ((120.0, 300.5), (-40.0, 60.0)),
    ],
)
def test_the_cells_of_a_box_hold_all_that_lies_in_it(box: tuple[tuple[float, float], tuple[float, float]]) -> None:
    from spica.files.hats import healpix

    rng = np.random.default_rng(4)
    region = Box(*box)
    ra = region.ra[0] + rng.random(4000) * ((region.ra[1] - region.ra[0]) % 360 or 360)
    dec = rng.uniform(*region.dec, 4000)
    ra[:4], dec[:4] = region.ra[0], np.linspace(*region.dec, 5)[:4]
    assert region.contains(ra, dec).all()
    first, end = region.ranges()
    cells = healpix.cells(ra % 360, dec)
    at = np.searchsorted(first, cells, side="right") - 1
    assert np.all((at >= 0) & (cells < end[at]))


def test_distances_agree_with_astropy(sky: tuple[Catalogue, list[Path], Path]) -> None:
    whole, _, folder = sky
    place = SkyCoord(*MIDDLE, unit=units.deg)
    apart = SkyCoord(whole["ra"], whole["dec"], unit=units.deg).separation(place).deg
    for radius in (0.05, 0.4):
        found = PublishedCatalogue(folder).find(Cone(*MIDDLE, radius))
        assert len(found) == np.count_nonzero(apart <= radius) > 0


def test_other_programs_read_it(sky: tuple[Catalogue, list[Path], Path]) -> None:
    whole, _, folder = sky
    query = "select count(*), avg(ra), min(Norder), list_sum(first(flux_aper)) from read_parquet($files, hive_partitioning = true)"
    count, mean, order, _ = duckdb.execute(query, {"files": f"{folder}/dataset/*/*/*.parquet"}).fetchall()[0]
    assert (count, order > 0) == (2000, True)
    assert mean == pytest.approx(whole["ra"].mean(), rel=1e-12)
    dataset = pyarrow.dataset.parquet_dataset(folder / "dataset" / "_metadata")
    assert dataset.count_rows() == 2000
    assert dataset.schema.field("mag_psf_r").metadata == {
        b"unit": b"mag", b"ucd": b"phot.mag", b"description": b"AB magnitude of flux_psf, by MAGZERO of the stack",
    }  # fmt: skip
    properties = dict(line.split("=", 1) for line in (folder / "hats.properties").read_text().splitlines()[1:])
    assert (properties["obs_collection"], properties["obs_title"], properties["hats_nrows"]) == ("dr1", "A & B", "2000")
    skymap = Skymap.from_fits(folder / "skymap.fits").skymap
    covered = read_moc(folder / "moc.fits")
    assert covered.contains(whole["ra"], whole["dec"]).all()
    assert covered.fraction == pytest.approx(float(properties["moc_sky_fraction"]), rel=1e-5)
    assert covered == Moc.of_cells(skymap.order, skymap.keys)
    assert (skymap.order, skymap.values.sum()) == (int(properties["hats_skymap_order"]), 2000)


def test_every_file_describes_its_columns_as_a_votable(sky: tuple[Catalogue, list[Path], Path], tmp_path: Path) -> None:
    _, _, folder = sky
    for path in (next(folder.rglob("Npix=*.parquet")), folder / "dataset" / "_common_metadata"):
        told = pq.read_schema(path).metadata
        assert told[b"IVOA.VOTable-Parquet.version"] == b"1.0"
        (tmp_path / "described.vot").write_bytes(told[b"IVOA.VOTable-Parquet.content"])
        fields = parse_single_table(tmp_path / "described.vot").fields
        assert [each.name for each in fields] == ["_healpix_29", *read_info(folder).names]
        described = {each.name: (str(each.unit), each.ucd, each.arraysize) for each in fields}
        assert described["ra"] == ("deg", "pos.eq.ra;meta.main", None)
        assert described["flux_aper"] == ("electron", "phot.flux;phot.aperture", "3")


LSDB = """
import json, sys
import lsdb
from hats.io.validation import is_valid_catalog
assert is_valid_catalog(sys.argv[1], strict=True)
found = lsdb.open_catalog(sys.argv[1]).cone_search(ra=0.02, dec=20.0, radius_arcsec=1080.0).compute()
print(json.dumps([found["object_id"].tolist(), found["tile"].tolist()]))
"""


@pytest.mark.slow
@pytest.mark.lsdb
def test_lsdb_takes_it_for_sound_and_finds_the_same(sky: tuple[Catalogue, list[Path], Path]) -> None:
    _, _, folder = sky
    python = lsdb_python()
    assert python is not None
    done = subprocess.run([python, "-c", LSDB, str(folder)], check=True, capture_output=True, text=True)
    names, tiles = json.loads(done.stdout.splitlines()[-1])
    ours = PublishedCatalogue(folder).find(Cone(*MIDDLE, 0.3), ("object_id", "tile"))
    assert dict(zip(names, tiles, strict=True)) == dict(
        zip(ours["object_id"].tolist(), ours["tile"].tolist(), strict=True)
    )
    assert len(ours) > 50


def test_what_cannot_be_published_is_named(sky: tuple[Catalogue, list[Path], Path], tmp_path: Path) -> None:
    _, tiles, folder = sky
    with pytest.raises(SetupFault) as there:
        publish_objects(tiles, folder, name="dr1")
    assert there.value.code == "published.exists"
    with pytest.raises(SetupFault, match="are both of tile 't-west'"):
        publish_objects([tiles[0], tiles[1], tiles[0]], tmp_path / "objects", name="dr1")
    nobody = as_tile(tmp_path / "nobody.parquet", drawn(5), "t9", np.zeros(5, bool))
    with pytest.raises(DataFault) as nothing:
        publish_objects([nobody], tmp_path / "objects", name="dr1")
    assert nothing.value.code == "published.nothing"
    other = as_tile(tmp_path / "other.parquet", drawn(5), "t8", np.ones(5, bool))
    table = read_catalogue(other)
    write_catalogue(
        other, Catalogue(dict(table.columns) | {"x": table["x"].astype(np.float32)}, table.header, table.extra), {}
    )
    with pytest.raises(DataFault, match=r"column .x. is f4 .* in tile t8, f8 .* in t-east"):
        publish_objects([*tiles, other], tmp_path / "objects", name="dr1")
    write_catalogue(other, table.select(np.arange(5), ("ra", "dec", "own")), {})
    with pytest.raises(DataFault, match="lacks column 'object_id'"):
        publish_objects([other], tmp_path / "objects", name="dr1")
    assert not (tmp_path / "objects").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_cannot_be_read_is_named(sky: tuple[Catalogue, list[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as unknown:
        read_info(tmp_path)
    assert unknown.value.code == "published.unknown"
    shutil.copytree(sky[2], tmp_path / "objects")
    victim = next((tmp_path / "objects").rglob("Npix=*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-30])
    with pytest.raises(DataFault, match=victim.name) as damaged:
        PublishedCatalogue(tmp_path / "objects").find(Cone(*MIDDLE, 90.0))
    assert damaged.value.code == "published.damaged"
    with pytest.raises(SetupFault, match="no column 'brightness'"):
        PublishedCatalogue(sky[2]).find(Cone(*MIDDLE, 1.0), ("brightness",))
    (tmp_path / "objects" / "spica.json").write_text("{}")
    with pytest.raises(DataFault, match="cannot be read"):
        read_info(tmp_path / "objects")
