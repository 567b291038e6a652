"""Catalogues for other programs: VOTable, CSV, and a plain FITS table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
    flat = {}
    for name, values in catalogue.columns.items():
        if values.ndim == 1:
            flat[name] = pa.array(values)
        else:
            flat |= {f"{name}_{number + 1}": pa.array(values[:, number].copy()) for number in range(values.shape[1])}
    with atomic.writing(path) as part:
        pyarrow.csv.write_csv(pa.table(flat), part)


def write_votable(path: Path, catalogue: Catalogue) -> None:
    """VOTable (binary), each field with unit, UCD and description, the facts as parameters."""
    columns = []
    for name, values in catalogue.columns.items():
        declared = catalogue.declaration(name)
        size = values.shape[1] if values.ndim == 2 else 1
        columns.append(replace(declared, name=name, dtype=values.dtype.str[1:], size=size))
    votable.write(path, "sources", columns, [catalogue.columns], catalogue.header)
