"""Answers as tables, written a batch at a time: Parquet or CSV by the name of the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from spica.core.columns import COLUMNS
from spica.core.faults import SetupFault
from spica.files import atomic

SUFFIXES = (".csv", ".parquet")


def check_table_name(path: Path, schema: pa.Schema | None = None) -> None:
    """SetupFault ``order.invalid`` unless a table of this schema can be written under this name."""
    if path.suffix not in SUFFIXES:
        raise SetupFault("order.invalid", f"{path}: the name has to end in {' or '.join(SUFFIXES)}", path=str(path))
    if path.suffix == ".csv" and schema is not None:
        lists = [field.name for field in schema if pa.types.is_nested(field.type)]
        if lists:
            advice = f"name its values, such as {lists[0]}_1, or write .parquet"
            message = f"{path}: {lists[0]!r} holds several values per row, which CSV cannot"
            raise SetupFault("order.invalid", message, advice=advice, column=lists[0])


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches as they come; answers the number of rows.

    Parameters
    ----------
    path : ``.csv`` or ``.parquet``; replaced in one step when all is written.
    schema : that of every batch; known columns get unit, UCD and meaning in Parquet.

    Raises
    ------
    SetupFault
        ``order.invalid`` for another ending, or lists in CSV.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    check_table_name(path, schema)
    rows = 0
    told = pa.schema([_told(field) for field in schema])
    with atomic.writing(path) as part:
        made = pyarrow.csv.CSVWriter(part, told) if path.suffix == ".csv" else _parquet(part, told)
        with made as writer:
            for batch in batches:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=told))
                rows += batch.num_rows
    return rows


def _parquet(part: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(part, schema, version="2.6", compression="zstd", compression_level=3, use_dictionary=False)


def _told(field: pa.Field) -> pa.Field:
    column = COLUMNS.get(field.name) or COLUMNS.get(re.sub(r"_\d+$", "", field.name))
    if column is None:
        return field
    return field.with_metadata({"unit": column.unit, "ucd": column.ucd, "meaning": column.meaning})
