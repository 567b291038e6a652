"""A published catalogue of objects: cones of one arcminute in a warm process and the first one of all, against a plain scan and DuckDB."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset

from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import costing, run_program
from spica.core.columns import SOURCE_COLUMNS, Catalogue, Column
from spica.files.catalogues import write_catalogue

ROWS = int(os.environ.get("SPICA_BENCH_CONE_ROWS", "10_000_000"))
_TILES = 20
_DENSITY = 1e5
"""Objects per square degree: about as deep as CFHTLS."""
_CONES, _SCANNED = 300, 8
_RADIUS = 1 / 60
"""Degrees."""
_DEC = 20.0

PUBLISH = """
import sys
from pathlib import Path
from spica.files.published.publishing import publish_objects
publish_objects(sorted(Path(sys.argv[1]).glob("*.parquet")), Path(sys.argv[2]), name="drawn")
"""
LOOK = """
import json, sys, time
begin = time.perf_counter()
from pathlib import Path
from spica.files.published.catalogue import PublishedCatalogue
from spica.files.hats.regions import Cone
columns = tuple(json.loads(sys.argv[3]))
loaded = time.perf_counter()
catalogue = PublishedCatalogue(Path(sys.argv[1]))
spent, used, rows = [], [], 0
for ra, dec, radius in json.loads(sys.argv[2]):
    start, before = time.perf_counter(), time.process_time()
    rows += len(catalogue.find(Cone(ra, dec, radius), columns))
    spent.append(time.perf_counter() - start)
    used.append(time.process_time() - before)
    if len(spent) == 1:
        first = time.perf_counter() - loaded
print(json.dumps([first, loaded - begin, rows, spent, used]))
"""
FEW = ("object_id", "ra", "dec", "mag_psf_r", "mag_psf_err_r")


def figures() -> Iterator[Figure]:
    """Milliseconds of cones: median and 95 %, first and later, all columns and few; the same by others, over all rows."""
    millions = f"{ROWS / 1e6:g} million objects"
    with tempfile.TemporaryDirectory() as folder:
        tiles, published = Path(folder, "tiles"), Path(folder, "published", "objects")
        tiles.mkdir()
        for number in range(_TILES):
            _draw(tiles / f"t{number:02d}.parquet", number, ROWS // _TILES)
        made = run_program([sys.executable, "-c", PUBLISH, tiles, published])
        yield figure(f"publishing, {millions}", ROWS / made.cpu / 1e6, "million objects per CPU s")
        yield figure(f"publishing, peak memory, {millions}", made.peak / 1e6, "MB")
        cones = _cones()
        scan = 1e3 * _by_pyarrow(published, cones[:_SCANNED])
        duck = 1e3 * _by_duckdb(published, cones[:_SCANNED])
        for label, columns in (("all columns", ()), (f"{len(FEW)} columns", FEW)):
            told = run_program([sys.executable, "-c", LOOK, published, json.dumps(cones), json.dumps(columns)])
            first, loading, rows, spent, used = json.loads(told.output.splitlines()[-1])
            times = 1e3 * np.array(spent[1:])
            name = f"cone of 1 arcminute, {label}, {millions}"
            yield figure(
                f"{name}, median", float(np.median(times)), "ms", at_most(20), peer="pyarrow, all rows", peer_value=scan
            )
            yield figure(
                f"{name}, 95 %", float(np.quantile(times, 0.95)), "ms", at_most(20), peer="DuckDB", peer_value=duck
            )
            cpu = 1e3 * np.array(used[1:])
            yield figure(f"{name}, CPU, median", float(np.median(cpu)), "CPU ms")
            yield figure(f"{name}, CPU, 95 %", float(np.quantile(cpu, 0.95)), "CPU ms")
            yield figure(f"{name}, the first of a process, catalogue opened", 1e3 * first, "ms")
            yield figure(f"{name}, imports before it", 1e3 * loading, "ms")
            yield figure(f"{name}, objects found, mean", rows / len(cones), "")


def _side() -> float:
    """Width of the field [degree of a great circle]."""
    return float(np.sqrt(ROWS / _DENSITY))


def _cones() -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(1)
    half = 0.45 * _side()
    return [
        (float(180 + x / np.cos(np.radians(_DEC + y))), float(_DEC + y), _RADIUS)
        for x, y in rng.uniform(-half, half, (_CONES, 2))
    ]


def _draw(path: Path, number: int, rows: int) -> None:
    """What a tile says: a strip of the field, objects with the columns of three bands."""
    rng = np.random.default_rng(number)
    side = _side()
    dec = _DEC + side * ((number + rng.random(rows)) / _TILES - 0.5)
    columns: dict[str, np.ndarray] = {
        "object_id": rng.permutation(rows).astype(np.int64) + number * rows,
        "own": np.ones(rows, np.int32),
        "ra": 180 + side * rng.uniform(-0.5, 0.5, rows) / np.cos(np.radians(dec)),
        "dec": dec,
    }
    declared = {
        "object_id": Column("object_id", "i8", "", "meta.id;meta.main", "identifier"),
        "own": Column("own", "i4", "", "meta.code", "1 where this tile owns the place"),
        "ra": SOURCE_COLUMNS["ra"],
        "dec": SOURCE_COLUMNS["dec"],
    }
    for name in ("x", "y", "area", "a", "b", "theta", "elongation", "fwhm", "snr", "flags"):
        declared[name] = SOURCE_COLUMNS[name]
        columns[name] = rng.uniform(0, 100, rows).astype(declared[name].dtype)
    for band in "gri":
        for word, dtype, unit in (("flux", "f8", "nJy"), ("mag", "f4", "mag")):
            for kind in ("psf", "auto", "colour"):
                for suffix in ("", "_err"):
                    name = f"{word}_{kind}{suffix}_{band}"
                    declared[name] = Column(name, "f4" if suffix else dtype, unit, "phot.flux", "drawn")
                    columns[name] = rng.uniform(15, 25, rows).astype(declared[name].dtype)
    declared = {name: replace(each, name=name) for name, each in declared.items()}
    write_catalogue(path, Catalogue(columns, {"TILE": path.stem, "BANDS": "g r i"}, declared), {})


def _by_pyarrow(folder: Path, cones: list[tuple[float, float, float]]) -> float:
    """Seconds per cone of a scan with the filter that row groups' statistics serve: a box in right ascension and declination."""
    dataset = pyarrow.dataset.parquet_dataset(folder / "dataset" / "_metadata")
    spent = []
    for ra, dec, radius in cones:
        wide = radius / np.cos(np.radians(dec))
        box = (pc.field("ra") > ra - wide) & (pc.field("ra") < ra + wide)
        box = box & (pc.field("dec") > dec - radius) & (pc.field("dec") < dec + radius)
        with costing() as cost:
            dataset.to_table(filter=box, use_threads=False)
        spent.append(cost.wall)
    return float(np.median(spent))


def _by_duckdb(folder: Path, cones: list[tuple[float, float, float]]) -> float:
    """The same by DuckDB, one thread, all columns."""
    spent = []
    with duckdb.connect(config={"threads": 1}) as connection:
        for ra, dec, radius in cones:
            wide = radius / np.cos(np.radians(dec))
            query = """
                select * from read_parquet($files)
                where ra between $west and $east and dec between $south and $north
            """
            files = f"{folder}/dataset/*/*/*.parquet"
            edges = {"west": ra - wide, "east": ra + wide, "south": dec - radius, "north": dec + radius}
            with costing() as cost:
                connection.execute(query, {"files": files, **edges}).fetchall()
            spent.append(cost.wall)
    return float(np.median(spent))


if __name__ == "__main__":
    for each in figures():
        print(each)
