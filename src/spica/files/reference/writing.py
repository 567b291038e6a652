"""A catalogue in the layout of HATS, which DuckDB, pyarrow and LSDB read: Parquet files by HEALPix cell, and descriptions.

Hierarchical Adaptive Tiling Scheme, IVOA Note of 2025. The same rows give the same bytes for one version of Arrow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from spica.core.reference import SPATIAL, Partition, declaration
from spica.files import atomic
from spica.files.reference import healpix
from spica.files.reference.spilling import Counts, Rows

ROW_GROUP = 1 << 14
"""Rows that a look-up reads at least."""
FINE, _FINE_BLOCKS = 13, 256
"""Catalogues of up to about 200 square degrees are counted in cells of 26 arcseconds."""


class Writer:
    """Partitions written one after another, in the order of the sky.

    Attributes
    ----------
    rows, partitions, epochs, right_ascensions, motion : of what was written.
    fine, coarse : rows counted in small cells (as long as they are few) and in larger ones.
    """

    def __init__(self, folder: Path, columns: tuple[str, ...]) -> None:
        self.folder = folder
        self.columns = columns
        self.rows = 0
        self.partitions: list[Partition] = []
        self.fine, self.coarse = Counts(FINE, _FINE_BLOCKS), Counts()
        self.epochs = (np.inf, -np.inf)
        self.right_ascensions = (np.inf, -np.inf)
        self.motion = 0.0
        self._hash = hashlib.blake2b(digest_size=20)
        self._footers: list[pq.FileMetaData] = []
        self._schema = pa.schema([_field(SPATIAL), *(_field(name) for name in columns)])

    @property
    def checksum(self) -> str:
        """Of all rows so far, whatever the partitions."""
        return self._hash.hexdigest()

    def write(self, partition: Partition, rows: Rows) -> None:
        """Write the rows of a partition, sorted by cell."""
        rows["_sequence"] = 0  # it tells where a row came from, not what it is
        self._hash.update(np.ascontiguousarray(rows).view(np.uint8).data)
        names = (SPATIAL, *self.columns)
        table = pa.Table.from_arrays(
            [pa.array(np.ascontiguousarray(rows[name])) for name in names], schema=self._schema
        )
        path = self.folder / partition.path
        found: list[pq.FileMetaData] = []
        with atomic.writing(path) as part:
            pq.write_table(
                *(table, part),
                row_group_size=ROW_GROUP,
                version="2.6",
                compression="zstd",
                compression_level=1,
                use_dictionary=False,
                write_statistics=[SPATIAL, "ra", "dec", *(name for name in self.columns if name.startswith("mag_"))],
                metadata_collector=found,
            )
        for footer in found:
            footer.set_file_path(partition.path.removeprefix("dataset/"))
        self._footers += found
        self.partitions.append(Partition(partition.order, partition.pixel, len(rows)))
        self._learn(rows)

    def _learn(self, rows: Rows) -> None:
        self.rows += len(rows)
        self.fine.add(rows[SPATIAL])
        self.coarse.add(rows[SPATIAL])
        self.epochs = _wider(self.epochs, rows["epoch"])
        self.right_ascensions = _wider(self.right_ascensions, rows["ra"])
        if "pmra" in self.columns and "pmdec" in self.columns:
            motions = np.hypot(rows["pmra"], rows["pmdec"])
            if not np.all(np.isnan(motions)):
                self.motion = max(self.motion, float(np.nanmax(motions)))

    def finish(self, facts: Mapping[str, str | int | float]) -> None:
        """Write what readers of HATS ask for first; `facts` are further properties."""
        dataset = self.folder / "dataset"
        with atomic.writing(dataset / "_common_metadata") as part:
            pq.write_metadata(self._schema, part)
        with atomic.writing(dataset / "_metadata") as part:
            pq.write_metadata(self._schema, part, metadata_collector=self._footers)
        lines = ["Norder,Npix", *(f"{each.order},{each.pixel}" for each in self.partitions)]
        atomic.write_bytes(self.folder / "partition_info.csv", ("\n".join(lines) + "\n").encode())
        described = {
            "dataproduct_type": "object",
            "hats_nrows": self.rows,
            "hats_col_ra": "ra",
            "hats_col_dec": "dec",
            "hats_col_healpix": SPATIAL,
            "hats_col_healpix_order": healpix.DEEPEST,
            "hats_npix_suffix": ".parquet",
            "hats_order": max((each.order for each in self.partitions), default=0),
            "hats_version": "v1.0",
            "moc_sky_fraction": f"{sum(4.0**-each.order for each in self.partitions) / 12:.6g}",
            **facts,
        }
        text = "#HATS catalog\n" + "".join(f"{key}={value}\n" for key, value in described.items())
        for name in ("hats.properties", "properties"):
            atomic.write_bytes(self.folder / name, text.encode())


def _field(name: str) -> pa.Field:
    if name == SPATIAL:
        meaning = {"unit": "", "ucd": "pos.healpix", "meaning": "nested HEALPix cell of order 29"}
        return pa.field(name, pa.int64(), nullable=False, metadata=meaning)
    column = declaration(name)
    facts = {"unit": column.unit, "ucd": column.ucd, "meaning": column.meaning}
    return pa.field(name, pa.from_numpy_dtype(np.dtype(column.dtype)), nullable=False, metadata=facts)


def _wider(span: tuple[float, float], values: npt.NDArray[Any]) -> tuple[float, float]:
    return min(span[0], float(values.min())), max(span[1], float(values.max()))
