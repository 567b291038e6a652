"""Catalogues for other programs: VOTable, CSV, and a plain FITS table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from spica.core.columns import Catalogue
from spica.files import atomic, bintable, votable
from spica.files.bintable import TableColumn


def write_fits_table(path: Path, catalogue: Catalogue) -> None:
    """One binary table, spica's names and pixels from 0; the header holds units, meanings, UCDs and the facts."""
    columns = []
    for name, values in catalogue.columns.items():
        declared = catalogue.declaration(name)
        columns.append(TableColumn(name, values, declared.unit, declared.meaning, declared.ucd))
    with atomic.writing(path) as part:
        part.write_bytes(bintable.primary() + bintable.table("SOURCES", columns, catalogue.header))


def write_csv(path: Path, catalogue: Catalogue) -> None:
    """One line of names, then one a source; of a column with several values a row each gets a name (``flux_aper_1``)."""
    atomic.write_bytes(path, csv_bytes(catalogue.columns))


def csv_bytes(columns: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The same, of columns in memory."""
    made = pa.BufferOutputStream()
    pyarrow.csv.write_csv(pa.table({name: pa.array(values) for name, values in flattened(columns)}), made)
    return bytes(made.getvalue())


def flattened(columns: Mapping[str, npt.NDArray[Any]]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Columns of one value a row: ``flux_aper_1`` … of one with several."""
    for name, values in columns.items():
        if values.ndim == 1:
            yield name, values
        else:
            yield from ((f"{name}_{number + 1}", values[:, number].copy()) for number in range(values.shape[1]))


def write_votable(path: Path, catalogue: Catalogue) -> None:
    """VOTable (binary), each field with unit, UCD and description, the facts as parameters."""
    columns = []
    for name, values in catalogue.columns.items():
        declared = catalogue.declaration(name)
        size = values.shape[1] if values.ndim == 2 else 1
        columns.append(replace(declared, name=name, dtype=values.dtype.str[1:], size=size))
    votable.write(path, "sources", columns, [catalogue.columns], catalogue.header)
