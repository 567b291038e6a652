"""Reference catalogues taken in: every form gives the same rows, nothing vanishes, nothing is left half-done."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from spica.core.faults import DataFault, Fault, SetupFault
from spica.core.reference import ReferenceFlag
from spica.files.hats import healpix
from spica.files.hats.regions import Cone
from spica.files.reference import mapping, reading, store
from spica.files.reference.catalogue import ReferenceCatalogue
from spica.files.reference.converting import ABSURD_POSITION, NO_EPOCH, NO_ID, NO_POSITION, TWICE
from tests.support.groups import lsdb_python
from tests.support.references import bytes_of, gaia_like, imported, write

ALL = Cone(0.0, 0.0, 180.0)
FORMS = ("parquet", "csv", "csv.gz", "ecsv", "fits", "ldac")


def rows(folder: Path) -> dict[str, np.ndarray]:
    found = ReferenceCatalogue(folder).find(ALL)
    order = np.argsort(found["source_id"])
    return {name: values[order] for name, values in found.columns.items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form: str, tmp_path: Path) -> None:
    columns = gaia_like(500)
    info = imported(tmp_path, "gaia", write(tmp_path / f"stars.{form}", columns)).info
    assert (info.rows, info.mapping, info.bands) == (500, "gaia", {"G": "Vega"})
    found, order = rows(tmp_path / "gaia"), np.argsort(columns["source_id"])
    for ours, theirs in {
        "source_id": "source_id",
        "ra": "ra",
        "dec": "dec",
        "pmra": "pmra",
        "epoch": "ref_epoch",
    }.items():
        assert np.array_equal(found[ours], columns[theirs][order], equal_nan=True), ours
    for ours, theirs in {"ra_err": "ra_error", "mag_G": "phot_g_mean_mag", "ra_dec_corr": "ra_dec_corr"}.items():
        assert np.array_equal(found[ours], columns[theirs][order].astype(np.float32)), ours
    assert np.allclose(found["mag_G_err"], 2.5 / np.log(10) / 500, rtol=1e-6)
    assert np.array_equal(found["flags"] == ReferenceFlag.DUPLICATED, columns["duplicated_source"][order])
    assert np.count_nonzero(np.isnan(found["pmra"])) == np.count_nonzero(np.isnan(columns["pmra"])) > 0


def test_a_hats_folder_is_taken_in_again_with_its_bands(tmp_path: Path) -> None:
    imported(tmp_path, "one", write(tmp_path / "stars.csv", gaia_like(300)), largest=40)
    info = imported(tmp_path, "two", tmp_path / "one").info
    assert (info.mapping, info.bands, info.rows) == ("spica", {"G": "Vega"}, 300)
    assert info.checksum == store.read_info(tmp_path / "one").checksum
    first, second = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path: Path) -> None:
    columns = gaia_like(100)
    columns["ra"][0] = np.nan
    columns["dec"][1:3] = np.nan
    columns["dec"][3] = 91.0
    columns["ra"][4:6] = (-0.5, 361.0)
    columns["ref_epoch"][6] = np.nan
    columns["source_id"][10:14] = columns["source_id"][20]
    info = imported(tmp_path, "gaia", write(tmp_path / "stars.parquet", columns)).info
    assert dict(info.rejected) == {NO_POSITION: 3, ABSURD_POSITION: 3, NO_EPOCH: 1, TWICE: 4}
    assert info.rows == 100 - 11
    found = rows(tmp_path / "gaia")
    kept = found["source_id"] == columns["source_id"][20]
    assert np.count_nonzero(kept) == 1
    assert found["ra"][kept][0] == columns["ra"][10], "the first of them"


def test_a_missing_identifier_is_told(tmp_path: Path) -> None:
    text = (
        "source_id,ra,dec,ref_epoch,phot_g_mean_mag\n1,10.0,20.0,2016,12\nnull,11.0,20.0,2016,13\n3,12,20,2016,null\n"
    )
    (tmp_path / "stars.csv").write_text(text)
    info = imported(tmp_path, "gaia", tmp_path / "stars.csv").info
    assert dict(info.rejected) == {NO_ID: 1}
    assert np.isnan(rows(tmp_path / "gaia")["mag_G"][1])


def test_without_an_epoch_it_has_to_be_said(tmp_path: Path) -> None:
    columns = gaia_like(50)
    del columns["ref_epoch"]
    path = write(tmp_path / "stars.fits", columns)
    with pytest.raises(DataFault) as caught:
        imported(tmp_path, "gaia", path)
    assert caught.value.code == "refcat.epoch"
    assert "--epoch" in caught.value.advice
    assert imported(tmp_path, "gaia", path, epoch=2015.5).info.epochs == (2015.5, 2015.5)


def test_an_epoch_in_another_unit_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    columns = gaia_like(50) | {"ref_epoch": np.full(50, 57388.5)}
    with pytest.raises(DataFault, match="epoch-absurd: 50") as caught:
        imported(tmp_path, "gaia", write(tmp_path / "stars.fits", columns))
    assert caught.value.code == "refcat.nothing"
    assert store.names(tmp_path) == ()


def test_hours_are_suspected_and_a_mapping_mends_them(tmp_path: Path) -> None:
    columns = gaia_like(50)
    columns["ra"] = columns["ra"] / 15
    path = write(tmp_path / "stars.csv", columns)
    assert [each.partition(":")[0] for each in imported(tmp_path, "hours", path).info.warnings] == ["ra-below-24"]
    (tmp_path / "hours.toml").write_text(
        'name = "hours"\ntitle = "in hours"\nrecognise = ["ra", "dec"]\n[columns]\nra = { from = "ra", unit = "hourangle" }\n'
        'dec = "dec"\nepoch = "ref_epoch"\n[bands]\nG = { mag = "phot_g_mean_mag", system = "Vega" }\n'
    )
    info = imported(tmp_path, "degrees", path, mapping=tmp_path / "hours.toml").info
    assert [each.partition(":")[0] for each in info.warnings] == ["position-errors-missing"]
    assert np.allclose(np.sort(rows(tmp_path / "degrees")["ra"]), np.sort(columns["ra"] * 15))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file.empty"),
        (b"a,b,c\n1,2,3\n", "refcat.columns"),
        (b"SIMPLE  =                    T", "file.not-fits"),
        (b"PAR1 and then nothing", "file.not-parquet"),
        (b"no table at all", "file.not-parquet"),
        (b"source_id,ra,dec,ref_epoch,phot_g_mean_mag\n", "refcat.nothing"),
        (b"source_id,ra,dec,ref_epoch,phot_g_mean_mag\n1,ten,20,2016,12\n", "file.not-parquet"),
        (b"source_id,ra,dec,ref_epoch,phot_g_mean_mag\n1,10,20\n", "file.not-parquet"),
    ],
)
def test_tables_that_are_none(content: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(Fault) as caught:
        imported(tmp_path / "cats", "gaia", path)
    assert caught.value.code == code
    assert str(path.name) in caught.value.message
    assert store.names(tmp_path / "cats") == ()


@pytest.mark.parametrize("form", ["parquet", "fits", "csv.gz"])
def test_a_table_cut_short_leaves_the_old_catalogue(form: str, tmp_path: Path) -> None:
    imported(tmp_path, "gaia", write(tmp_path / "good.csv", gaia_like(100)))
    before = bytes_of(tmp_path / "gaia")
    path = write(tmp_path / f"bad.{form}", gaia_like(3000, 2))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DataFault) as caught:
        imported(tmp_path, "gaia", path, replace=True)
    assert caught.value.code in {"file.truncated", "file.not-parquet"}
    assert bytes_of(tmp_path / "gaia") == before
    assert not list(tmp_path.glob(".gaia*"))


def test_unknown_columns_are_named_with_the_nearest_mapping(tmp_path: Path) -> None:
    columns = {{"phot_g_mean_mag": "gmag"}.get(name, name): values for name, values in gaia_like(20).items()}
    with pytest.raises(DataFault, match=r"gmag.*nearest is 'gaia', which also needs phot_g_mean_mag"):
        imported(tmp_path, "gaia", write(tmp_path / "stars.csv", columns))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "a"', "title"),
        ('name = "a"\ntitle = ""\nrecognise = ["x"]\n[columns]\nra = "x"\n', "'dec' is not mapped"),
        (
            'name = "a"\ntitle = ""\nrecognise = ["x"]\n[columns]\nra = "x"\ndec = "y"\npm_ra = "z"\n',
            "did you mean 'pmra'",
        ),
        (
            'name = "a"\ntitle = ""\nrecognise = ["x"]\n[columns]\nra = "x"\ndec = { from = "y", unit = "m" }\n',
            "unit 'm'",
        ),
        (
            'name = "a"\ntitle = ""\nrecognise = ["x"]\n[columns]\nra = "x"\ndec = "y"\nepoch = { from = "t", unit = "s" }\n',
            "mjd",
        ),
        (
            'name = "a"\ntitle = ""\nrecognise = ["x"]\n[columns]\nra = "x"\ndec = "y"\n[flags]\nred = { from = "z" }\n',
            "'red'",
        ),
        ("name = [", "Invalid"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_place(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(SetupFault) as caught:
        mapping.read(path)
    assert caught.value.code == "refcat.mapping"
    assert told in caught.value.message


def test_the_same_files_again_are_nothing_to_do_and_others_need_a_word(tmp_path: Path) -> None:
    one, two = (write(tmp_path / f"{seed}.csv", gaia_like(100, seed)) for seed in (1, 2))
    columns = gaia_like(100, 2)
    columns["source_id"] += 1
    write(two, columns)
    assert imported(tmp_path, "gaia", one).changed
    before = bytes_of(tmp_path / "gaia")
    assert not imported(tmp_path, "gaia", one).changed
    assert bytes_of(tmp_path / "gaia") == before
    with pytest.raises(SetupFault) as caught:
        imported(tmp_path, "gaia", two)
    assert caught.value.code == "refcat.exists"
    assert imported(tmp_path, "gaia", two, add=True).info.rows == 200
    assert not imported(tmp_path, "gaia", one, add=True).changed
    both = imported(tmp_path, "both", one, two).info
    assert store.read_info(tmp_path / "gaia").checksum == both.checksum
    assert imported(tmp_path, "gaia", two, replace=True).info.rows == 100


def test_bytes_depend_on_nothing_but_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = gaia_like(1000)
    halves = [{name: values[part] for name, values in columns.items()} for part in (slice(0, 400), slice(400, None))]
    paths = [write(tmp_path / f"{number}.parquet", half) for number, half in enumerate(halves)]
    first = imported(tmp_path / "a", "gaia", *paths, largest=50).info
    monkeypatch.setattr(reading, "CHUNK", 64)
    imported(tmp_path / "b", "gaia", *paths, largest=50)
    assert bytes_of(tmp_path / "a" / "gaia") == bytes_of(tmp_path / "b" / "gaia")
    assert imported(tmp_path / "c", "gaia", *reversed(paths), largest=300).info.checksum == first.checksum


def test_partitions_hold_no_more_than_they_may_and_are_in_order(tmp_path: Path) -> None:
    columns = gaia_like(3000, 1, (359.9, 10.0), 4.0)
    info = imported(tmp_path, "gaia", write(tmp_path / "stars.parquet", columns), largest=100).info
    assert len({each.order for each in info.partitions}) > 1
    assert max(each.rows for each in info.partitions) <= 100
    assert sum(each.rows for each in info.partitions) == info.rows == 3000
    assert all(one.end <= two.first for one, two in itertools.pairwise(info.partitions))
    for each in info.partitions:
        table = pq.read_table(tmp_path / "gaia" / each.path, partitioning=None)
        cells = table["_healpix_29"].to_numpy()
        assert np.all(np.diff(cells) >= 0)
        assert each.first <= cells[0] <= cells[-1] < each.end
        assert np.array_equal(healpix.cells(table["ra"].to_numpy(), table["dec"].to_numpy()), cells)


def test_duckdb_and_pyarrow_read_it(tmp_path: Path) -> None:
    columns = gaia_like(2000)
    imported(tmp_path, "gaia", write(tmp_path / "stars.parquet", columns), largest=300)
    folder = tmp_path / "gaia"
    bright = int(np.count_nonzero(columns["phot_g_mean_mag"].astype(np.float32) < 12))
    query = "select count(*), min(Norder) from read_parquet($files, hive_partitioning = true) where mag_G < 12"
    count, order = duckdb.execute(query, {"files": f"{folder}/dataset/*/*/*.parquet"}).fetchall()[0]
    assert (count, order >= 0) == (bright, True)
    whole = pyarrow.dataset.parquet_dataset(folder / "dataset" / "_metadata")
    assert whole.count_rows() == 2000
    assert whole.schema.equals(pq.read_schema(folder / "dataset" / "_common_metadata"))
    assert whole.schema.field("pmra").metadata[b"unit"] == b"mas/yr"
    listed = (folder / "partition_info.csv").read_text().splitlines()
    assert listed[0] == "Norder,Npix"
    assert len(listed) - 1 == len(store.read_info(folder).partitions)
    properties = dict(line.split("=", 1) for line in (folder / "hats.properties").read_text().splitlines()[1:])
    assert properties["hats_nrows"] == "2000"
    assert properties["hats_col_healpix"] == "_healpix_29"
    assert (folder / "properties").read_bytes() == (folder / "hats.properties").read_bytes()


LSDB = """
import json, sys
import lsdb
catalogue = lsdb.open_catalog(sys.argv[1])
found = catalogue.cone_search(ra=10.0, dec=20.0, radius_arcsec=3600.0 * float(sys.argv[2])).compute()
print(json.dumps([len(catalogue.columns), found["source_id"].tolist(), found["ra"].tolist()]))
"""


@pytest.mark.slow
@pytest.mark.lsdb
@pytest.mark.parametrize("radius", [4.0, 40.0])
def test_lsdb_reads_it(tmp_path: Path, radius: float) -> None:
    imported(tmp_path, "gaia", write(tmp_path / "stars.parquet", gaia_like(20000)), largest=300)
    catalogue = ReferenceCatalogue(tmp_path / "gaia")
    ours = catalogue.find(Cone(10.0, 20.0, radius), ("source_id", "ra"))
    python = lsdb_python()
    assert python is not None
    command = [python, "-c", LSDB, str(tmp_path / "gaia"), str(radius)]
    columns, names, ra = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert columns > 10
    order, theirs = np.argsort(ours["source_id"]), np.argsort(names)
    assert len(names) > 10
    assert np.array_equal(np.array(names)[theirs], ours["source_id"][order])
    assert np.array_equal(np.array(ra)[theirs], ours["ra"][order])


KILLED = """
import os, signal, sys
from pathlib import Path
from spica.files.reference import importing, store
place = sys.argv[1]
if place == "writing":
    importing.Writer.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    real = Path.rename
    def rename(self, target):
        real(self, target)
        os.kill(os.getpid(), signal.SIGKILL)
    Path.rename = rename
importing.take_in(Path(sys.argv[2]), importing.ImportOrder("gaia", (Path(sys.argv[3]),), replace=True))
"""


@pytest.mark.parametrize(("place", "old"), [("writing", ""), ("writing", "gaia"), ("renaming", "gaia")])
def test_a_kill_leaves_the_old_catalogue_or_none(place: str, old: str, tmp_path: Path) -> None:
    parent, path = tmp_path / "cats", write(tmp_path / "stars.parquet", gaia_like(200, 2))
    before: dict[str, bytes] = {}
    if old:
        imported(parent, "gaia", write(tmp_path / "old.parquet", gaia_like(100)))
        before = bytes_of(parent / "gaia")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, place, str(parent), str(path)], check=False, env=os.environ, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert store.names(parent) == ((old,) if old else ())
    assert not old or bytes_of(parent / "gaia") == before
    # The same order again ends well, and nothing of the killed one is left.
    assert imported(parent, "gaia", path, replace=True).info.rows == 200
    assert sorted(each.name for each in parent.iterdir()) == [".lock", "gaia"]


def test_what_an_import_has_under_way_is_not_touched(tmp_path: Path) -> None:
    old = tmp_path / ".gaia.old"
    imported(tmp_path, "gaia", write(tmp_path / "stars.csv", gaia_like(20)))
    (tmp_path / "gaia").rename(old)
    with store.alone(tmp_path):
        # The lock's owner has mended it: what another one would see is the folder as it was.
        (tmp_path / "gaia").rename(old)
        assert store.names(tmp_path) == ()
        assert old.exists()
    assert store.names(tmp_path) == ("gaia",)


FULL = """
import resource, signal, sys
from pathlib import Path
from spica.core.faults import ResourceFault
from spica.files.reference.importing import ImportOrder, take_in
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
try:
    take_in(Path(sys.argv[2]), ImportOrder("gaia", (Path(sys.argv[3]),)))
except ResourceFault as fault:
    print(fault.code)
"""


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    parent, path = tmp_path / "cats", write(tmp_path / "stars.parquet", gaia_like(3000, 2))
    words = [sys.executable, "-c", FULL, "100000", str(parent), str(path)]
    done = subprocess.run(words, check=False, env=os.environ, capture_output=True, text=True)
    assert done.stdout.split() == ["disk.full"], done.stderr
    assert [each.name for each in parent.iterdir()] == [".lock"]


def test_names_and_folders_that_cannot_be(tmp_path: Path) -> None:
    path = write(tmp_path / "stars.csv", gaia_like(10))
    for name in ("", "../up", ".hidden", "a b"):
        with pytest.raises(SetupFault) as caught:
            imported(tmp_path, name, path)
        assert caught.value.code == "order.invalid"
    with pytest.raises(SetupFault, match="there are: none"):
        store.folder_of(tmp_path, "gaia")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFault) as missing:
        imported(tmp_path, "gaia", tmp_path / "empty")
    assert missing.value.code == "file.missing"
    with pytest.raises(SetupFault, match="either"):
        imported(tmp_path, "gaia", path, add=True, replace=True)


def test_files_of_two_kinds_are_not_mixed(tmp_path: Path) -> None:
    one = write(tmp_path / "stars.csv", gaia_like(10))
    columns = {
        "objID": np.arange(5),
        "raMean": np.full(5, 10.0),
        "decMean": np.zeros(5),
        "epochMean": np.full(5, 56000.0),
    }
    two = write(tmp_path / "ps1.csv", columns)
    with pytest.raises(SetupFault, match="gaia, ps1"):
        imported(tmp_path, "both", one, two)
