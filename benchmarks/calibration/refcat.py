"""Reference catalogues: import of drawn rows, cone look-ups cold and warm, against DuckDB searching all rows."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import costing, run_program

ROWS = int(os.environ.get("SPICA_BENCH_REFCAT_ROWS", "10_000_000"))
_FILE = 1_000_000
_CONES = 400
_RADIUS = 0.3
"""Degrees: a detector or two."""
_BRUTE = 8
"""Cones that DuckDB is asked for."""

IMPORT = """
import sys
from pathlib import Path
from spica.files.reference.importing import ImportOrder, take_in
take_in(Path(sys.argv[1]), ImportOrder("drawn", tuple(sorted(Path(sys.argv[2]).glob("*.parquet")))))
"""
LOOK = """
import json, sys, time
from pathlib import Path
import numpy as np
from spica.files.reference.catalogue import open_reference
from spica.files.hats.regions import Cone
cones = json.loads(sys.argv[2])
catalogue = open_reference(Path(sys.argv[1]), "drawn")
catalogue.find(Cone(0.0, -89.0, 0.01))
spent = []
for ra, dec, radius in cones * 2:
    start = time.perf_counter()
    catalogue.find(Cone(ra, dec, radius), ("source_id", "ra", "dec", "pmra", "pmdec", "mag_G"), "mag_G < 20")
    spent.append(time.perf_counter() - start)
print(json.dumps(spent))
"""


def figures() -> Iterator[Figure]:
    """Rows per second taken in and the most memory held; milliseconds per cone; the same by DuckDB over all rows."""
    millions = f"{ROWS / 1e6:g} million rows"
    with tempfile.TemporaryDirectory() as folder:
        raw, parent = Path(folder, "raw"), Path(folder, "references")
        raw.mkdir()
        for number in range(max(ROWS // _FILE, 1)):
            pq.write_table(_drawn(number, min(ROWS, _FILE)), raw / f"{number:04d}.parquet", compression="zstd")
        small = Path(folder, "small")
        small.mkdir()
        (small / "0000.parquet").symlink_to(raw / "0000.parquet")
        one = run_program([sys.executable, "-c", IMPORT, Path(folder, "one"), small])
        used = run_program([sys.executable, "-c", IMPORT, parent, raw])
        yield figure(f"refcat import, {millions}", ROWS / used.cpu / 1e6, "million rows per CPU s")
        label = f"refcat import, peak memory, {millions}"
        goal = at_most(1000)
        yield figure(label, used.peak / 1e6, "MB", goal, peer="itself, 1 million rows", peer_value=one.peak / 1e6)
        rng = np.random.default_rng(1)
        cones = [
            (float(ra), float(dec), _RADIUS)
            for ra, dec in zip(
                rng.uniform(0, 360, _CONES), np.degrees(np.arcsin(rng.uniform(-1, 1, _CONES))), strict=True
            )
        ]
        look = run_program([sys.executable, "-c", LOOK, parent, json.dumps(cones)])
        spent = 1e3 * np.array(json.loads(look.output.splitlines()[-1])).reshape(2, -1)
        brute = 1e3 * _by_duckdb(parent / "drawn", cones[:_BRUTE])
        for name, times in (("first time", spent[0]), ("again", spent[1])):
            label = f"refcat cone of {_RADIUS} degree, {name}, {millions}"
            yield figure(f"{label}, median", float(np.median(times)), "ms", peer="DuckDB, all rows", peer_value=brute)
            yield figure(f"{label}, 99 %", float(np.quantile(times, 0.99)), "ms")
        yield figure(f"refcat look-ups, peak memory, {millions}", look.peak / 1e6, "MB")


def _drawn(number: int, rows: int) -> pa.Table:
    """Stars all over the sky with the columns of Gaia."""
    rng = np.random.default_rng(number)
    correlations = {f"{name}_corr": rng.uniform(-0.5, 0.5, rows).astype(np.float32) for name in ("ra_dec", "ra_pmra")}
    small = {
        name: rng.uniform(0.02, 1.0, rows).astype(np.float32)
        for name in ("ra_error", "dec_error", "pmra_error", "pmdec_error", "parallax_error")
    }
    columns = {
        "source_id": rng.permutation(rows).astype(np.int64) + number * rows,
        "ra": rng.uniform(0, 360, rows),
        "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, rows))),
        "ref_epoch": np.full(rows, 2016.0),
        "pmra": rng.normal(0, 8, rows),
        "pmdec": rng.normal(0, 8, rows),
        "parallax": rng.normal(0.5, 0.5, rows),
        "phot_g_mean_mag": (21.0 - rng.exponential(1.5, rows)).astype(np.float32),
        "phot_g_mean_flux_over_error": np.full(rows, 500.0, np.float32),
    }
    return pa.table(columns | small | correlations)


def _by_duckdb(folder: Path, cones: list[tuple[float, float, float]]) -> float:
    """Seconds per cone, one thread, over the same files without the use of their order (median)."""
    spent = []
    with duckdb.connect(config={"threads": 1}) as connection:
        for ra, dec, radius in cones:
            query = """
                select source_id, ra, dec, pmra, pmdec, mag_G from read_parquet($files)
                where mag_G < 20 and degrees(2 * asin(sqrt(pow(sin(radians(dec - $dec) / 2), 2)
                    + cos(radians(dec)) * cos(radians($dec)) * pow(sin(radians(ra - $ra) / 2), 2)))) <= $radius
            """
            files = f"{folder}/dataset/*/*/*.parquet"
            with costing() as cost:
                connection.execute(query, {"files": files, "ra": ra, "dec": dec, "radius": radius}).fetchall()
            spent.append(cost.wall)
    return float(np.median(spent))


if __name__ == "__main__":
    start = time.perf_counter()
    for each in figures():
        print(each)
    print(f"{time.perf_counter() - start:.0f} s")
