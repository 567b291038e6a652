"""Backup and restore: one file, the same for both databases, so that a survey can move from one to the other.

A backup is a ZIP archive of one text file per table: JSON lines, the first with the columns' names, then one list per
row in the order of the primary key (bytes as base64). ``backup.json`` holds the version of the tables, which a
restore makes first and then upgrades. It is read in one transaction: what is written meanwhile is wholly in or out.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, LargeBinary, MetaData, Table, func, select, text

from spica import __version__
from spica.core.faults import DataFault, ResourceFault
from spica.registry import lifecycle
from spica.registry.door import Door
from spica.registry.schema import metadata
from spica.registry.version import SCHEMA

_CHUNK = 2000
_HEAD = "backup.json"
_FORMAT = "spica registry backup 1"


def backup(url: str, path: Path) -> dict[str, int]:
    """Write a backup of the registry at `url`; answers the number of rows by table.

    The file appears whole or not at all: it is written beside `path` and renamed.
    """
    door = lifecycle.opened(url)
    rows: dict[str, int] = {}
    try:
        with _writing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with door.read() as connection:
                for table in metadata.sorted_tables:
                    rows[table.name] = _dump(connection, table, archive)
            head = {"format": _FORMAT, "schema": SCHEMA, "spica": __version__, "rows": rows}
            archive.writestr(_HEAD, json.dumps(head, indent=1))
    finally:
        door.close()
    return rows


def restore(url: str, path: Path) -> dict[str, int]:
    """Make a new registry at `url` from a backup; answers the number of rows by table.

    Raises
    ------
    DataFault
        ``file.missing``, or ``file.corrupt`` where the file is no whole backup: nothing is left behind then.
    SetupFault
        ``survey.exists`` where there is a registry already, ``registry.newer`` for a backup of a newer version.
    """
    if not path.exists():
        raise DataFault("file.missing", f"there is no backup {path}", path=str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            head = json.loads(archive.read(_HEAD))
            # Every byte is checked against its checksum before the first row is written.
            broken = archive.testzip()
            if broken is not None or head["format"] != _FORMAT:
                raise DataFault(
                    "file.corrupt", f"{path} is no whole backup ({broken or head['format']})", path=str(path)
                )
            if head["schema"] > SCHEMA:
                raise lifecycle.newer(str(path), head["schema"])
            return _fill(url, archive, head)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, zlib.error) as error:
        raise DataFault("file.corrupt", f"{path} is no backup of a registry: {error}", path=str(path)) from error


def _fill(url: str, archive: zipfile.ZipFile, head: dict[str, Any]) -> dict[str, int]:
    lifecycle.create(url, f"{head['schema']:04d}")
    door = Door(url)
    try:
        with door.write() as connection:
            # The tables as they were in the backup's version, not as this version declares them.
            tables = MetaData()
            tables.reflect(connection)
            for table in tables.sorted_tables:
                if f"{table.name}.jsonl" in archive.namelist():
                    _load(connection, table, archive)
    finally:
        door.close()
    lifecycle.upgrade(url)
    rows: dict[str, int] = head["rows"]
    return rows


def _dump(connection: Connection, table: Table, archive: zipfile.ZipFile) -> int:
    names = [column.name for column in table.c]
    blobs = [place for place, column in enumerate(table.c) if isinstance(column.type, LargeBinary)]
    # Plain columns, without spica's types: texts travel as they are stored.
    bare = text(f"SELECT {', '.join(_quoted(n) for n in names)} FROM {table.name} ORDER BY {_order(table)}")  # noqa: S608 — names are our own tables'
    number = 0
    with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as file:
        file.write(json.dumps(names).encode() + b"\n")
        for row in connection.execution_options(yield_per=_CHUNK).execute(bare):
            values = list(row)
            for place in blobs:
                values[place] = base64.b64encode(values[place]).decode()
            file.write(json.dumps(values).encode() + b"\n")
            number += 1
    return number


def _quoted(name: str) -> str:
    return f'"{name}"'


def _order(table: Table) -> str:
    return ", ".join(_quoted(column.name) for column in table.primary_key)


def _load(connection: Connection, table: Table, archive: zipfile.ZipFile) -> None:
    with archive.open(f"{table.name}.jsonl") as file:
        names = json.loads(file.readline())
        types = {column.name: column.type for column in table.c}
        connection.execute(table.delete())
        for chunk in _chunks(_rows(file, names, {n for n in names if isinstance(types[n], LargeBinary)})):
            connection.execute(table.insert(), chunk)
    if connection.dialect.name == "postgresql" and "id" in types and table.c.id.autoincrement:
        _advance(connection, table)


def _rows(file: IO[bytes], names: list[str], blobs: set[str]) -> Iterator[dict[str, Any]]:
    for line in file:
        row = dict(zip(names, json.loads(line), strict=True))
        for name in blobs:
            row[name] = base64.b64decode(row[name])
        yield row


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    left = iter(rows)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk


def _advance(connection: Connection, table: Table) -> None:
    """Let PostgreSQL hand out numbers above those that were restored."""
    sequence = connection.execute(select(func.pg_get_serial_sequence(table.name, "id"))).scalar()
    if sequence is not None:
        last = connection.execute(select(func.max(table.c.id))).scalar()
        connection.execute(select(func.setval(sequence, last or 1, last is not None)))


@contextmanager
def _writing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `path` that takes its place when all went well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115 — renamed after it is closed
    except OSError as error:
        raise _unwritable(path, error) from error
    temporary = Path(file.name)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> ResourceFault:
    code = "disk.full" if error.errno == errno.ENOSPC else "disk.read-only"
    return ResourceFault(code, f"cannot write {path}: {error}", path=str(path))
