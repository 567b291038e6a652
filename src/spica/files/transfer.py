"""Catalogues for other programs: VOTable, CSV, and a plain FITS table."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from spica.core.columns import Catalogue
from spica.core.keywords import comment
from spica.core.records import Scalar
from spica.files import atomic, bintable
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
    """VOTable 1.4 (binary), each field with unit, UCD and description, the facts as parameters."""
    from astropy.io.votable import tree

    file = tree.VOTableFile(version="1.4")
    resource = tree.Resource()
    file.resources.append(resource)
    table = tree.TableElement(file, name="sources")
    resource.tables.append(table)
    for key, value in catalogue.header.items():
        table.params.append(_parameter(file, key, value))
    for number, (name, values) in enumerate(catalogue.columns.items()):
        declared = catalogue.declaration(name)
        field = tree.Field(
            file,
            ID=f"c{number}",
            name=name,
            datatype={"i2": "short", "i4": "int", "i8": "long", "f4": "float", "f8": "double"}[values.dtype.str[1:]],
            unit=declared.unit.replace("pixel2", "pixel**2") or None,
            ucd=declared.ucd or None,
            arraysize=str(values.shape[1]) if values.ndim == 2 else None,
        )
        field.description = declared.meaning
        table.fields.append(field)
    table.create_arrays(len(catalogue))
    for number, values in enumerate(catalogue.columns.values()):
        table.array[f"c{number}"] = values
        table.array.mask[f"c{number}"] = False
    table.format = "binary2"
    out = io.BytesIO()
    file.to_xml(out)
    atomic.write_bytes(path, out.getvalue())


def _parameter(file: object, key: str, value: Scalar) -> object:
    from astropy.io.votable import tree

    kind = "boolean" if isinstance(value, bool) else "long" if isinstance(value, int) else "double"
    given = {"datatype": "char", "arraysize": "*"} if isinstance(value, str | None) else {"datatype": kind}
    parameter = tree.Param(file, name=key, value="" if value is None else value, **given)
    parameter.description = comment(key) or None
    return parameter
