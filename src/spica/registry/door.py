"""The one door to the database: connections, transactions, clock, and database errors turned into named faults."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import (
    ARRAY,
    URL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    make_url,
    select,
    true,
)
from sqlalchemy import exc as errors
from sqlalchemy.sql.dml import Insert

from spica.core.faults import Fault, InternalFault, ResourceFault, SetupFault
from spica.registry.spelling import storable
from spica.registry.text import Words

BUSY_SECONDS = 30.0
"""How long SQLite waits for another writer."""

_Statement = TypeVar("_Statement")
_WRITING = "spica_writing"
_INTAKE_LOCK = 0x73706963
"""PostgreSQL advisory lock that intake holds: check and insert must not interleave."""


class Door:
    """An engine with two ways in: `read` (one consistent snapshot) and `write` (one transaction).

    Parameters
    ----------
    url : SQLAlchemy address, ``sqlite:///path`` or ``postgresql+psycopg://…``.
    busy : seconds that SQLite waits for another writer before ``registry.busy``.
    """

    def __init__(self, url: str, *, busy: float = BUSY_SECONDS) -> None:
        self.url = url
        self.engine = _engine(url, busy)
        self.sqlite = self.engine.dialect.name == "sqlite"
        self._reading = self.engine if self.sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._writing = self.engine.execution_options(**{_WRITING: True})
        self.kept: dict[str, Any] = {}
        """Statements that are built once, by name."""
        self._remembered: dict[str, dict[str, int]] = {}

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent state throughout."""
        with translated(self.url), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in one transaction: everything within is recorded, or nothing.

        SQLite takes the write lock at once (BEGIN IMMEDIATE), so that what is read inside still holds when it is
        written. PostgreSQL runs at READ COMMITTED: each deed that races is one statement with its condition inside.
        """
        with translated(self.url), self._writing.begin() as connection:
            yield connection

    def now(self, connection: Connection, *, lasting: bool = True) -> float:
        """Unix seconds (UTC) by the clock that all users of this registry share: the server's, or this machine's.

        A transaction that is not `lasting` (jobs and leases: work that a rerun repeats with the same bytes) will not
        wait for PostgreSQL's disk: a power failure may undo its last half second, as it always may with SQLite's WAL.
        The same statement tells both, to save a round trip.
        """
        if self.sqlite:
            return time.time()
        return float(connection.execute(_SERVER_CLOCK if lasting else _SERVER_CLOCK_PASSING).scalar_one())

    def lock_intake(self, connection: Connection) -> None:
        """Let one intake at a time check and insert (SQLite's write lock does so by itself)."""
        if not self.sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(_INTAKE_LOCK)))

    def among(self, column: ColumnElement[Any], values: Iterable[str] | Iterable[int]) -> ColumnElement[bool]:
        """``column IN values`` with all values in a single parameter, so that there may be any number of them."""
        return self._listing(column, bindparam("among", self.listed(values), unique=True))

    def listing(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """As `among`, for statements that are kept: the values are given as the parameter `name`, made by `listed`."""
        return self._listing(column, bindparam(name))

    def _listing(self, column: ColumnElement[Any], values: Any) -> ColumnElement[bool]:
        if self.sqlite:
            return column.in_(select(func.json_each(values).table_valued("value").c.value))
        kind = ARRAY(Text() if isinstance(column.type, Words) else BigInteger())
        return column == func.any(cast(values, kind))

    def listed(self, values: Iterable[str] | Iterable[int]) -> str | list[Any]:
        """Values as one parameter."""
        given = [storable(value) if isinstance(value, str) else value for value in values]
        return json.dumps(given) if self.sqlite else given

    def once(self, name: str, build: Callable[[], _Statement]) -> _Statement:
        """A statement that is built at its first use: building takes longer than asking."""
        if name not in self.kept:
            self.kept[name] = build()
        kept: _Statement = self.kept[name]
        return kept

    def insert(self, table: Table) -> Any:
        """The dialect's INSERT, which knows ON CONFLICT (both dialects spell it alike, but share no type)."""
        if self.sqlite:
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, leaving alone those that are there already."""
        if rows:
            statement = self.once(f"new {table.name}", lambda: self.insert(table).on_conflict_do_nothing())
            connection.execute(statement, list(rows))

    def upsert(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        update: Sequence[str],
        keys: Sequence[str] = (),
    ) -> None:
        """Insert rows; where the primary key (or the unique `keys`) is there already, set the columns `update`."""

        def build() -> Insert:
            new: Any = self.insert(table)
            unique = [table.c[name] for name in keys] or list(table.primary_key)
            values = {name: new.excluded[name] for name in update}
            made: Insert = new.on_conflict_do_update(index_elements=unique, set_=values)
            return made

        if rows:
            connection.execute(self.once(f"upsert {table.name}", build), list(rows))

    def numbers(
        self, connection: Connection, table: Table, key: Column[str], rows: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, int]:
        """The `id` of each row by its unique text `key`, inserting the rows that are new."""
        if not rows:
            return {}
        query = self.once(f"numbers {table.name}", lambda: select(key, table.c.id).where(self.listing(key, "names")))
        found = connection.execute(query, {"names": self.listed(rows)})
        numbers: dict[str, int] = {row[0]: row[1] for row in found}
        missing = [row for name, row in rows.items() if name not in numbers]
        if missing:
            self.insert_new(connection, table, missing)
            fresh = connection.execute(query, {"names": self.listed(row[key.name] for row in missing)})
            numbers.update({row[0]: row[1] for row in fresh})
        return numbers

    def remembered(
        self, connection: Connection, table: Table, key: Column[str], rows: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, int]:
        """As `numbers`, for tables of few rows that never change: what was found once is not asked again."""
        known = self._remembered.setdefault(table.name, {})
        asked = {name: row for name, row in rows.items() if name not in known}
        if not asked:
            return known
        query = self.once(f"numbers {table.name}", lambda: select(key, table.c.id).where(self.listing(key, "names")))
        found = {row[0]: row[1] for row in connection.execute(query, {"names": self.listed(asked)})}
        # Only what other transactions have made for good is remembered: ours may yet be rolled back.
        known.update(found)
        missing = {name: row for name, row in asked.items() if name not in found}
        return known | self.numbers(connection, table, key, missing) if missing else known


_SERVER_CLOCK = select(func.extract("epoch", func.clock_timestamp()))
_SERVER_CLOCK_PASSING = _SERVER_CLOCK.add_columns(func.set_config("synchronous_commit", "off", true()))


def _engine(url: str, busy: float) -> Engine:
    try:
        parsed = make_url(url)
        name = parsed.get_backend_name()
        if name == "sqlite":
            engine = create_engine(_on_its_disk(parsed), connect_args={"timeout": busy})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        if name == "postgresql":
            # Connections are made anew after five minutes rather than asked each time whether they still stand.
            return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_recycle=300)
    except (errors.ArgumentError, ModuleNotFoundError) as error:
        missing = "pip install 'spica[postgres]'" if isinstance(error, ModuleNotFoundError) else ""
        raise SetupFault(
            "registry.missing", f"registry {shown(url)}: {error}", advice=missing, url=shown(url)
        ) from error
    raise SetupFault("registry.missing", f"registry {shown(url)}: only sqlite and postgresql serve", url=shown(url))


def _on_its_disk(url: URL) -> URL:
    """The address of a SQLite file; on a disk that is read-only one that says so, for SQLite wants to write to read.

    A log that was not copied back holds what the file lacks: it cannot be read then, and `translated` says why.
    """
    path = sqlite_path(str(url))
    if path is None or not _on_read_only_disk(path) or _has_bytes(path.with_name(f"{path.name}-wal")):
        return url
    return url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "immutable": "1", "uri": "true"})


def _on_read_only_disk(path: Path) -> bool:
    return path.exists() and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _has_bytes(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


_PRAGMAS = (
    "foreign_keys=ON",
    "synchronous=NORMAL",
    "case_sensitive_like=ON",
    "cache_size=-65536",
    # Job keys are scattered: copying the log back less often writes each page fewer times (8000 pages are 32 MB).
    "wal_autocheckpoint=8000",
)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Settings that SQLite wants on each connection."""
    # We begin transactions ourselves (`_begin_sqlite`): the driver's own guessing would begin too late.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def shown(url: str) -> str:
    """The address without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except errors.ArgumentError:
        return url


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite address; None for other databases, for one in memory and for what is no address."""
    try:
        parsed = make_url(url)
    except errors.ArgumentError:
        return None
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return None
    return Path(str(parsed.database).removeprefix("file:"))


# Words of the drivers' messages, in lower case, and the fault that each means.
_MEANINGS: tuple[tuple[tuple[str, ...], type[Fault], str, str], ...] = (
    (
        ("database is locked", "database table is locked", "lock timeout", "deadlock"),
        ResourceFault,
        "registry.busy",
        "did not answer in time",
    ),
    (("readonly database", "read-only transaction"), ResourceFault, "disk.read-only", "cannot be written"),
    (("disk is full", "no space left", "disk i/o error"), ResourceFault, "disk.full", "has no space left"),
    (
        ("malformed", "not a database", "no such table", "no such column", "undefinedtable", "undefinedcolumn"),
        SetupFault,
        "registry.corrupt",
        "is damaged",
    ),
    (
        (
            "unable to open",
            "connection failed",
            "connection refused",
            "could not connect",
            "server closed",
            "terminating connection",
        ),
        SetupFault,
        "registry.missing",
        "cannot be opened",
    ),
)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what the database says into named faults."""
    try:
        yield
    except errors.TimeoutError as error:
        raise ResourceFault("registry.busy", f"registry {shown(url)} did not answer in time", url=shown(url)) from error
    except errors.DBAPIError as error:
        said = f"{type(error.orig).__name__}: {error.orig}"
        path = sqlite_path(url)
        if path is not None and "unable to open" in said and path.exists() and not os.access(path.parent, os.W_OK):
            # SQLite keeps a log beside its file, and cannot even read without being allowed to write one.
            raise ResourceFault("disk.read-only", f"registry {shown(url)} cannot be written: {said}") from error
        for words, fault, code, meaning in _MEANINGS:
            if any(word in said.lower() for word in words):
                raise fault(code, f"registry {shown(url)} {meaning}: {said}", url=shown(url)) from error
        raise InternalFault("internal.error", f"registry {shown(url)}: {said}", url=shown(url)) from error
