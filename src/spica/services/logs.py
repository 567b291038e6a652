"""Tables from outside, CSV or Parquet, as plain rows: observing logs, values of other instruments, grades."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.faults import DataFault
from spica.services.orders import literal


@dataclass(frozen=True)
class Log:
    """A table: names of its columns, and rows by those names."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


def read(path: Path) -> Log:
    """Read a table; ``.parquet`` and ``.pq`` as Parquet, all else as CSV with a line of heads.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.unreadable``, ``file.empty``, ``file.not-parquet``.
    """
    if not path.is_file():
        raise DataFault("file.missing", f"there is no table {path}", path=str(path))
    if path.suffix in {".parquet", ".pq"}:
        return _parquet(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [line for line in stream if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise DataFault("file.unreadable", f"{path} cannot be read: {error}", path=str(path)) from error
    if not lines:
        raise DataFault("file.empty", f"{path} has no rows", path=str(path))
    dialect = csv.excel_tab if "\t" in lines[0] else csv.excel
    reader = csv.DictReader(lines, dialect=dialect, skipinitialspace=True)
    columns = tuple(name.strip() for name in reader.fieldnames or ())
    rows = tuple(
        {name.strip(): (value or "").strip() for name, value in row.items() if isinstance(name, str)} for row in reader
    )
    return Log(columns, rows)


def _parquet(path: Path) -> Log:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataFault("file.not-parquet", f"{path} cannot be read: {error}", path=str(path)) from error
    return Log(tuple(table.column_names), tuple(table.to_pylist()))


def number(value: Any) -> float | None:
    """The number that a cell holds; None where it holds none."""
    if isinstance(value, str):
        value = literal(value) if value.strip() else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
