"""Catalogues as Parquet: each column with its unit, UCD and meaning; the same rows give the same bytes.

Bytes are promised for one version of Arrow. A column that holds several values per row is a fixed-size list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault, SetupFault
from spica.core.records import Scalar
from spica.core.select import evaluate
from spica.core.streams import Parts
from spica.core.where import names, parse
from spica.files import atomic

_HEADER = b"spica.header"
_IDENTITY = b"spica.identity"
ROW_GROUP = 1 << 17


def write_catalogue(path: Path, catalogue: Catalogue, identity: Mapping[str, Scalar]) -> None:
    """Write a catalogue.

    Parameters
    ----------
    path : where; replaced in one step.
    catalogue : columns, each declared in `spica.core.columns.COLUMNS` or in `catalogue.extra`.
    identity : unit, job key, task versions …

    Raises
    ------
    DataFault
        ``data.bad-value`` where a column is not declared or has another length than its neighbours.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    write_parts(path, Parts(iter([catalogue]), catalogue.header), identity)


def write_parts(path: Path, parts: Parts, identity: Mapping[str, Scalar]) -> int:
    """Write a catalogue part by part, each a row group (or some); answers the number of rows.

    Raises
    ------
    DataFault
        As `write_catalogue`; ``data.bad-value`` also where the parts differ in their columns, or there are none.
    """
    metadata = {_HEADER: _json(parts.header), _IDENTITY: _json(identity)}
    rows = 0
    with atomic.writing(path) as part, ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for catalogue in parts.parts:
            table = _to_table(path, catalogue, metadata)
            if writer is None:
                writer = stack.enter_context(_writer(part, table.schema))
            elif not table.schema.equals(writer.schema):
                message = (
                    f"{path}: the columns of a part are {', '.join(table.schema.names)}, those of the first differ"
                )
                raise DataFault("data.bad-value", message, path=str(path))
            writer.write_table(table, row_group_size=ROW_GROUP)
            rows += table.num_rows
        if writer is None:
            raise DataFault("data.bad-value", f"{path}: a catalogue without a part", path=str(path))
    return rows


def _writer(part: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        *(part, schema),
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_statistics=True,
        store_schema=True,
    )


def _to_table(path: Path, catalogue: Catalogue, metadata: Mapping[bytes, bytes]) -> pa.Table:
    fields, arrays = [], []
    for name, values in catalogue.columns.items():
        column = _declaration(catalogue, name)
        if len(values) != len(catalogue):
            message = f"{path}: column {name!r} has {len(values)} values, the catalogue {len(catalogue)}"
            raise DataFault("data.bad-value", message, column=name)
        array = _to_arrow(np.asarray(values))
        facts = {"unit": column.unit, "ucd": column.ucd, "meaning": column.meaning}
        fields.append(pa.field(name, array.type, nullable=False, metadata=facts))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))


def read_catalogue(path: Path, columns: Sequence[str] = (), where: str = "") -> Catalogue:
    """Read a catalogue, or the columns and rows asked for.

    Parameters
    ----------
    path : a file that `write_catalogue` made, or any other Parquet table of plain columns.
    columns : names; all where empty.
    where : selection of rows, as in ``snr > 20`` (`spica.core.where`).

    Raises
    ------
    DataFault
        ``file.missing``, ``file.not-parquet``.
    SetupFault
        ``where.invalid``; ``order.invalid`` for a column that is not there.
    """
    tree = parse(where)
    with _open(path) as file:
        schema = file.schema_arrow
        wanted = tuple(columns) or tuple(schema.names)
        tested = tuple(names(tree)) if tree is not None else ()
        for name in (*wanted, *tested):
            if name not in schema.names:
                code = "order.invalid" if name in wanted else "where.invalid"
                raise SetupFault(code, f"{path} has no column {name!r}", path=str(path), column=name)
        read = list(dict.fromkeys((*wanted, *tested)))
        try:
            table = file.read(columns=read)
        except (pa.ArrowException, OSError) as error:
            raise DataFault("file.not-parquet", f"{path}: {error}", path=str(path)) from error
    arrays = {name: _to_numpy(table.column(name)) for name in read}
    if tree is not None:
        rows = evaluate(tree, arrays, table.num_rows)
        arrays = {name: arrays[name][rows] for name in wanted}
    header = json.loads((schema.metadata or {}).get(_HEADER, b"{}"))
    return Catalogue(arrays, header, {name: _declared(schema.field(name), arrays[name]) for name in wanted})


def read_parts(path: Path) -> Iterator[Catalogue]:
    """All rows of a catalogue, a row group at a time: memory does not grow with their number; errors as `read_catalogue`."""
    with _open(path) as file:
        schema = file.schema_arrow
        header = json.loads((schema.metadata or {}).get(_HEADER, b"{}"))
        for group in range(file.num_row_groups):
            try:
                table = file.read_row_group(group, use_threads=False)
            except (pa.ArrowException, OSError) as error:
                raise DataFault("file.not-parquet", f"{path}: {error}", path=str(path)) from error
            arrays = {name: _to_numpy(table.column(name)) for name in schema.names}
            yield Catalogue(arrays, header, {name: _declared(schema.field(name), arrays[name]) for name in arrays})


def read_columns(path: Path) -> tuple[Column, ...]:
    """The declarations of a catalogue's columns, and nothing of the rows."""
    with _open(path) as file:
        schema = file.schema_arrow
    return tuple(_declared(field, _to_numpy(pa.chunked_array([pa.array([], field.type)]))) for field in schema)


@dataclass(frozen=True)
class FileTable:
    """`spica.core.streams.Table` over a catalogue file: rows are read when they are asked for, and not kept."""

    path: Path
    columns: tuple[str, ...] = ()
    where: str = ""

    @property
    def header(self) -> dict[str, Scalar]:
        """Facts about the whole catalogue."""
        return read_header(self.path)

    def __len__(self) -> int:
        if self.where:
            return len(self.read())
        with _open(self.path) as file:
            return int(file.metadata.num_rows)

    def read(self) -> Catalogue:
        """The rows and columns asked for; as `read_catalogue`."""
        return read_catalogue(self.path, self.columns, self.where)


def read_header(path: Path) -> dict[str, Scalar]:
    """The facts that a catalogue holds about itself as a whole, and nothing of the rows."""
    with _open(path) as file:
        found: dict[str, Scalar] = json.loads((file.schema_arrow.metadata or {}).get(_HEADER, b"{}"))
    return found


def read_identity(path: Path) -> dict[str, Scalar]:
    """The identity that `write_catalogue` was given, and nothing of the rows."""
    with _open(path) as file:
        found: dict[str, Scalar] = json.loads((file.schema_arrow.metadata or {}).get(_IDENTITY, b"{}"))
    return found


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, memory_map=True)
    except FileNotFoundError as error:
        raise DataFault("file.missing", f"{path} is not there", path=str(path)) from error
    except (pa.ArrowException, OSError) as error:
        raise DataFault("file.not-parquet", f"{path}: {error}", path=str(path)) from error


def _declaration(catalogue: Catalogue, name: str) -> Column:
    try:
        return catalogue.declaration(name)
    except KeyError as error:
        message = f"column {name!r} is declared neither in spica.core.columns nor by the catalogue"
        raise DataFault("data.bad-value", message, column=name) from error


def _declared(field: pa.Field, values: npt.NDArray[Any]) -> Column:
    facts = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    size = values.shape[1] if values.ndim == 2 else 1
    kind = values.dtype.str.lstrip("<>=|")
    return Column(field.name, kind, facts.get("unit", ""), facts.get("ucd", ""), facts.get("meaning", ""), size)


def _to_arrow(values: npt.NDArray[Any]) -> pa.Array:
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if native.ndim == 1:
        return pa.array(native)
    flat = pa.array(native.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, native.shape[1])


def _to_numpy(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        flat = column.combine_chunks().flatten() if column.num_chunks != 1 else column.chunk(0).flatten()
        return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, kind.list_size)
    return np.asarray(column.to_numpy())


def _json(values: Mapping[str, Scalar]) -> bytes:
    return json.dumps(dict(values), sort_keys=True, separators=(",", ":")).encode()
