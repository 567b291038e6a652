"""Tables of the truth as Parquet with the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spica.files.atomic import writing


def write_table(
    path: Path, columns: Mapping[str, Any], units: Mapping[str, str] = MappingProxyType({}), note: str = ""
) -> None:
    """Write columns (name to array or list) as Parquet.

    Parameters
    ----------
    path : the file.
    columns : equally long; lists of text, numbers (None for missing) or numpy arrays.
    units : column to unit, kept in the column's metadata.
    note : what the table holds, kept in its metadata.
    """
    arrays = {name: pa.array(values) for name, values in columns.items()}
    fields = [pa.field(name, array.type, metadata={"unit": units.get(name, "")}) for name, array in arrays.items()]
    schema = pa.schema(fields, metadata={"description": note})
    with writing(path, durable=False) as part:
        pq.write_table(pa.table(list(arrays.values()), schema=schema), part, compression="zstd")
