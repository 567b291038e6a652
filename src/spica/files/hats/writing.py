"""A catalogue in the layout of HATS, which DuckDB, pyarrow and LSDB read: Parquet files by HEALPix cell, and descriptions.

Hierarchical Adaptive Tiling Scheme, IVOA Note of 2025. Each file also carries the description of its columns as a
VOTable without rows (VOParquet, IVOA Note of 2025), which TOPCAT reads. The same rows give the same bytes for one version
of Arrow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spica.core.columns import Column
from spica.core.hats import SPATIAL, SPATIAL_COLUMN, Partition
from spica.files import atomic, votable
from spica.files.hats import healpix, parquet
from spica.files.hats.moc import Moc
from spica.files.hats.moc_files import write_moc
from spica.files.hats.skymap import write_skymap
from spica.files.hats.spilling import Counts, Rows

ROW_GROUP = 1 << 14
"""Rows that a look-up reads at least."""
FINE, _FINE_BLOCKS = 13, 256
"""Catalogues of up to about 200 square degrees are counted in cells of 26 arcseconds."""
COVERAGE = "moc.fits"
"""Map of the cells that hold rows."""
_SKYMAP = 200_000
"""Cells of a sky map at most, unless they are of order 3."""


class Writer:
    """Partitions written one after another, in the order of the sky.

    Parameters
    ----------
    folder : of the catalogue.
    name : of it.
    columns : of all rows; `ra` and `dec` [degree] are among them.
    row_group : rows that a look-up reads at least.

    Attributes
    ----------
    rows, partitions : of what was written.
    fine, coarse : rows counted in small cells (as long as they are few) and in larger ones.
    """

    def __init__(self, folder: Path, name: str, columns: Sequence[Column], row_group: int = ROW_GROUP) -> None:
        self.folder = folder
        self.columns = tuple(columns)
        self.rows = 0
        self.partitions: list[Partition] = []
        self.fine, self.coarse = Counts(FINE, _FINE_BLOCKS), Counts()
        self._name = name
        self._row_group = row_group
        self._hash = hashlib.blake2b(digest_size=20)
        self._footers: list[pq.FileMetaData] = []
        every = (SPATIAL_COLUMN, *self.columns)
        self._schema = parquet.schema(every, _told(name, every))

    @property
    def checksum(self) -> str:
        """Of all rows so far, whatever the partitions."""
        return self._hash.hexdigest()

    def write(self, partition: Partition, rows: Rows) -> None:
        """Write the rows of a partition, sorted by cell."""
        rows["_sequence"] = 0  # it tells where a row came from, not what it is
        self._hash.update(np.ascontiguousarray(rows).view(np.uint8).data)
        names = (SPATIAL, *(each.name for each in self.columns))
        table = pa.Table.from_arrays([parquet.array(rows[name]) for name in names], schema=self._schema)
        path = self.folder / partition.path
        found: list[pq.FileMetaData] = []
        with atomic.writing(path) as part:
            pq.write_table(
                *(table, part),
                row_group_size=self._row_group,
                version="2.6",
                compression="zstd",
                compression_level=1,
                use_dictionary=False,
                write_statistics=[SPATIAL, "ra", "dec", *(each.name for each in self.columns if _cut(each))],
                metadata_collector=found,
            )
        for footer in found:
            footer.set_file_path(partition.path.removeprefix("dataset/"))
        self._footers += found
        self.partitions.append(Partition(partition.order, partition.pixel, len(rows)))
        self.rows += len(rows)
        self.fine.add(rows[SPATIAL])
        self.coarse.add(rows[SPATIAL])

    def finish(self, facts: Mapping[str, str | int | float]) -> None:
        """Write what readers of HATS ask for first; `facts` are further properties."""
        dataset = self.folder / "dataset"
        with atomic.writing(dataset / "_common_metadata") as part:
            pq.write_metadata(self._schema, part)
        with atomic.writing(dataset / "_metadata") as part:
            pq.write_metadata(self._schema, part, metadata_collector=self._footers)
        lines = ["Norder,Npix", *(f"{each.order},{each.pixel}" for each in self.partitions)]
        atomic.write_bytes(self.folder / "partition_info.csv", ("\n".join(lines) + "\n").encode())
        order, covered = self._map_the_sky()
        described = {
            "obs_collection": self._name,
            "dataproduct_type": "object",
            "hats_nrows": self.rows,
            "hats_col_ra": "ra",
            "hats_col_dec": "dec",
            "hats_col_healpix": SPATIAL,
            "hats_col_healpix_order": healpix.DEEPEST,
            "hats_npix_suffix": ".parquet",
            "hats_order": max((each.order for each in self.partitions), default=0),
            "hats_skymap_order": order,
            "hats_version": "v1.0",
            "moc_sky_fraction": f"{covered.fraction:.6g}",
            **facts,
        }
        text = "#HATS catalog\n" + "".join(f"{key}={value}\n" for key, value in described.items())
        for name in ("hats.properties", "properties"):
            atomic.write_bytes(self.folder / name, text.encode())

    def _map_the_sky(self) -> tuple[int, Moc]:
        """Write how many rows cells hold, as fine as is told in a small file, and which hold any.

        The sky map has two names: the second is the one of older readers.
        """
        for order in range(self.coarse.order, 2, -1):
            pixels, counts = self.coarse.cells(order)
            if pixels.size <= _SKYMAP:
                break
        for name in ("skymap.fits", "point_map.fits"):
            write_skymap(self.folder / name, order, pixels, counts)
        covered = Moc.of_cells(order, pixels)
        write_moc(self.folder / COVERAGE, covered)
        return order, covered


def _told(name: str, columns: Sequence[Column]) -> dict[bytes, bytes]:
    """What the key-value metadata of each file says (VOParquet 1.0)."""
    return {
        b"IVOA.VOTable-Parquet.version": b"1.0",
        b"IVOA.VOTable-Parquet.content": votable.described(name, columns),
    }


def _cut(column: Column) -> bool:
    """Whether rows are often chosen by it: readers then skip row groups."""
    return column.size == 1 and column.name.startswith("mag_")
