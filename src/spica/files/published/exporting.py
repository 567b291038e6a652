"""A published catalogue, or a part of it, in other forms: FITS, VOTable, CSV, Parquet; written as the rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spica.core.columns import Catalogue, Column
from spica.core.faults import SetupFault
from spica.core.records import Scalar
from spica.files import bintable, tables, transfer, votable
from spica.files.bintable import TableColumn
from spica.files.hats import parquet

Values = npt.NDArray[Any]
TABLE = "OBJECTS"
"""EXTNAME, and the name of the table of a VOTable."""


def write(path: Path, parts: Iterator[Catalogue], columns: Sequence[Column], facts: Mapping[str, Scalar]) -> int:
    """Write rows in the form that the ending of the name says; answers how many.

    Parameters
    ----------
    path : ``.fits``, ``.vot``, ``.csv`` or ``.parquet``; replaced in one step when all is written.
    parts : the rows, part by part.
    columns : their declarations.
    facts : about the table as a whole.

    Raises
    ------
    SetupFault
        ``order.invalid`` for another ending.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    check_name(path)
    return FORMS[path.suffix](path, parts, columns, facts)


def check_name(path: Path) -> None:
    """SetupFault ``order.invalid`` for a name that does not end as a form does."""
    if path.suffix not in FORMS:
        raise SetupFault("order.invalid", f"{path}: the name has to end in {', '.join(FORMS)}", path=str(path))


def _fits(path: Path, parts: Iterator[Catalogue], columns: Sequence[Column], facts: Mapping[str, Scalar]) -> int:
    shaped = [
        TableColumn(
            each.name,
            np.zeros((0, each.size) if each.size > 1 else 0, each.dtype),
            *(each.unit, each.meaning, each.ucd),
            remark=each.meaning,
        )
        for each in columns
    ]
    return bintable.write(path, TABLE, shaped, (part.columns for part in parts), facts)


def _votable(path: Path, parts: Iterator[Catalogue], columns: Sequence[Column], facts: Mapping[str, Scalar]) -> int:
    return votable.write(path, TABLE, columns, (part.columns for part in parts), facts)


def _csv(path: Path, parts: Iterator[Catalogue], columns: Sequence[Column], _: Mapping[str, Scalar]) -> int:
    flat = [each for column in columns for each in _flat(column)]
    return _batches(path, (dict(transfer.flattened(part.columns)) for part in parts), flat)


def _parquet(path: Path, parts: Iterator[Catalogue], columns: Sequence[Column], _: Mapping[str, Scalar]) -> int:
    return _batches(path, (part.columns for part in parts), columns)


def _batches(path: Path, parts: Iterator[Mapping[str, Values]], columns: Sequence[Column]) -> int:
    schema = parquet.schema(columns)
    batches = (
        pa.RecordBatch.from_arrays([parquet.array(part[each.name]) for each in columns], schema=schema)
        for part in parts
    )
    return tables.write_batches(path, schema, batches)


def _flat(column: Column) -> list[Column]:
    """A column of one value a row for each value: CSV holds no lists."""
    if column.size == 1:
        return [column]
    return [replace(column, name=f"{column.name}_{number + 1}", size=1) for number in range(column.size)]


FORMS: Mapping[str, Callable[[Path, Iterator[Catalogue], Sequence[Column], Mapping[str, Scalar]], int]] = {
    ".fits": _fits,
    ".vot": _votable,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""Ending of a name to who writes it."""
