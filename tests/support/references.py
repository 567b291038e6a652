"""Published catalogues as tests need them: drawn stars with Gaia's column names, in any form of file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from astropy.table import Table

from spica.files.reference.importing import Imported, ImportOrder, take_in

Columns = dict[str, np.ndarray]


def gaia_like(n: int, seed: int = 1, centre: tuple[float, float] | None = None, width: float = 2.0) -> Columns:
    """Stars with the names that Gaia gives: over the whole sky, or in a square about a centre [degree]."""
    rng = np.random.default_rng(seed)
    if centre is None:
        ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    else:
        dec = centre[1] + rng.uniform(-width / 2, width / 2, n)
        ra = (centre[0] + rng.uniform(-width / 2, width / 2, n) / np.cos(np.radians(dec))) % 360
    pmra = rng.normal(0, 8, n)
    pmra[:: max(n // 10, 1)] = np.nan
    return {
        "source_id": rng.permutation(n).astype(np.int64) * 2**35 + 7,
        "ra": ra,
        "dec": dec,
        "ra_error": rng.uniform(0.05, 0.5, n),
        "dec_error": rng.uniform(0.05, 0.5, n),
        "ref_epoch": np.full(n, 2016.0),
        "pmra": pmra,
        "pmdec": np.where(np.isnan(pmra), np.nan, rng.normal(0, 8, n)),
        "pmra_error": np.where(np.isnan(pmra), np.nan, 0.2),
        "pmdec_error": np.where(np.isnan(pmra), np.nan, 0.2),
        "ra_dec_corr": rng.uniform(-0.5, 0.5, n),
        "phot_g_mean_mag": rng.uniform(8, 21, n),
        "phot_g_mean_flux_over_error": np.full(n, 500.0),
        "duplicated_source": rng.random(n) < 0.1,
    }


def write(path: Path, columns: Columns) -> Path:
    """Write columns in the form that the name's ending says: .parquet, .csv, .csv.gz, .ecsv, .fits, .ldac."""
    name = path.name
    if name.endswith(".parquet"):
        pq.write_table(pa.table(columns), path, row_group_size=1000)
    elif name.endswith((".csv", ".csv.gz")):
        with pa.output_stream(str(path), compression="gzip" if name.endswith(".gz") else None) as stream:
            pyarrow.csv.write_csv(pa.table(columns, schema=None), stream)
    elif name.endswith(".ecsv"):
        Table(columns).write(path, format="ascii.ecsv", delimiter=",")
    elif name.endswith(".ldac"):
        _write_ldac(path, columns)
    else:
        Table(columns).write(path, format="fits")
    return path


def _write_ldac(path: Path, columns: Columns) -> None:
    from astropy.io import fits

    header = fits.BinTableHDU.from_columns([fits.Column("Field Header Card", "80A", array=["END"])], name="LDAC_IMHEAD")
    objects = fits.BinTableHDU(Table(columns).as_array(), name="LDAC_OBJECTS")
    fits.HDUList([fits.PrimaryHDU(), header, objects]).writeto(path)


def imported(parent: Path, name: str, *files: Path, **words: Any) -> Imported:
    """Take files in as a catalogue."""
    return take_in(parent, ImportOrder(name, files, **words))


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a catalogue by its name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
