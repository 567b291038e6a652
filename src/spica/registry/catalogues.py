"""Questions over many Parquet catalogues at once, answered by DuckDB: the registry says which files, DuckDB reads them.

One thread, a bounded memory and an order that does not depend on either: rows come in the order of their files and
stand in a file as they were written, unless a sort is asked for. Nothing is loaded from a network, and a value never
becomes part of a statement's text. Tests of rows are true or false, as in `spica.core.select`: NaN and what is absent
meet no comparison but ``!=``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from spica.core.faults import DataFault, Fault, ResourceFault
from spica.core.task import Form
from spica.core.where import parse
from spica.registry import where
from spica.registry.door import Door
from spica.registry.rowtests import FACTS, Readable, condition, quoted, readable
from spica.registry.schema import detectors, exposures, products

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEMORY = "512MB"
"""What DuckDB may hold; a sort of more than that goes to disk."""
BATCH = 8192
_FILES = "read_parquet($paths, union_by_name = true, hive_partitioning = false)"


class Listed(NamedTuple):
    """A catalogue and the detector it is of; `path` is relative to the survey's folder."""

    path: str
    exposure: str
    detector: int
    night: str
    band: str
    mjd: float


@dataclass(frozen=True)
class Question:
    """What is asked of catalogues.

    Attributes
    ----------
    columns : in the order wanted; ``flux_aper_1`` is the first value of the column ``flux_aper``.
    rows : selection of rows (`spica.core.where`), all where empty.
    sort : names, ``-name`` descending; absent values come last, equal rows in the order of their files.
    limit : so many rows at most.
    """

    columns: tuple[str, ...]
    rows: str = ""
    sort: tuple[str, ...] = ()
    limit: int | None = None


def newest(door: Door, selection: str, name: str) -> list[Listed]:
    """The newest catalogue called `name` of each detector that a selection takes, by exposure and detector."""
    columns = (products.c.path, exposures.c.name, detectors.c.detector, exposures.c.night, exposures.c.band)
    query = (
        select(*columns, exposures.c.mjd)
        .join_from(detectors, exposures, exposures.c.id == detectors.c.exposure)
        .join(products, products.c.unit == detectors.c.unit)
        .where(products.c.name == name, products.c.form == Form.CATALOGUE.value)
        .where(products.c.forgotten.is_(False), products.c.path != "")
        .order_by(exposures.c.name, detectors.c.detector, products.c.recorded, products.c.key)
    )
    with door.read() as connection:
        taken = where.of_detectors(connection, selection)
        if taken is not None:
            query = query.where(taken)
        # Later records of the same detector take the place of earlier ones.
        last = {(row[1], row[2]): Listed(*row) for row in connection.execute(query)}
    return list(last.values())


class Catalogues:
    """Catalogues that can be asked as if they were one table; made by `reading`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, root: Path, listed: Sequence[Listed]) -> None:
        self._connection = connection
        self._root = root
        self._listed = listed
        for each in listed:
            if not (root / each.path).is_file():
                raise _missing(root / each.path, each)
        self._values: dict[str, Any] = {"paths": [_literally(root / each.path) for each in listed]}
        with self._faults():
            described = connection.execute(f"DESCRIBE SELECT * FROM {_FILES}", self._values).fetchall()  # noqa: S608 — no word of it comes from outside
        types = {str(row[0]): str(row[1]) for row in described}
        self.columns: dict[str, str] = {**FACTS, **types, **FACTS}

    def count(self, rows: str = "") -> int:
        """How many rows a selection takes; SetupFault ``where.invalid``, DataFault as `batches`."""
        statement, values = self._statement(Question((), rows), "count(*)")
        with self._faults():
            found = self._connection.execute(statement, values).fetchall()
        return int(found[0][0])

    def batches(self, question: Question) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The schema of the answer and its rows, a batch at a time; ask nothing else before the last batch.

        Raises
        ------
        SetupFault
            ``where.invalid`` for an unknown name (with the nearest one) or a value of another type.
        DataFault
            ``file.missing``, ``file.not-parquet``, naming file and unit; the latter also while batches are taken.
        ResourceFault
            ``worker.memory``, ``disk.full``.
        """
        shown = ", ".join(f"{each.sql} AS {quoted(name)}" for name, each in self._readable(question.columns))
        statement, values = self._statement(question, shown)
        with self._faults():
            reader: Any = self._connection.sql(statement, params=values).to_arrow_reader(BATCH)
        return reader.schema, self._taken(reader)

    def _taken(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while True:
            with self._faults():
                batch = next(reader, None)
            if batch is None:
                return
            yield batch

    def _readable(self, names: Sequence[str]) -> list[tuple[str, Readable]]:
        return [(name, readable(name, self.columns)) for name in names]

    def _statement(self, question: Question, shown: str) -> tuple[str, dict[str, Any]]:
        """The statement and its values: names are those of columns that are there, quoted; all else is a value."""
        values: dict[str, Any] = {}
        tree = parse(question.rows)
        kept = "" if tree is None else f" WHERE {condition(tree, self.columns, values)}"
        order = []
        for name, each in self._readable([name.removeprefix("-") for name in question.sort]):
            order += [each.absent, f"{each.sql} DESC" if f"-{name}" in question.sort else each.sql]
        tail = f" ORDER BY {', '.join([*order, 'file_index', 'file_row_number'])}" if order else ""
        if question.limit is not None:
            values["most"] = question.limit
            tail += " LIMIT $most"
        for name in FACTS:
            values[f"fact_{name}"] = [getattr(each, name) for each in self._listed]
        text = f"SELECT {shown} FROM {_FILES}{kept}{tail}"  # noqa: S608 — see above
        named = set(re.findall(r"\$(\w+)", re.sub(r'"[^"]*"', "", text)))
        used = {key: value for key, value in values.items() if key in named}
        return text, {**self._values, **used}

    @contextmanager
    def _faults(self) -> Iterator[None]:
        import duckdb
        import pyarrow as pa

        try:
            yield
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            fault = self._named(error)
            if fault is None:
                raise
            raise fault from error

    def _named(self, error: Exception) -> Fault | None:
        """The fault behind an error: what the disk or the memory refuses, else the first file that cannot be read."""
        import duckdb

        told = str(error)
        if "No space left" in told:
            return ResourceFault("disk.full", f"no space left to sort in: {told}")
        if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in told:
            advice = "ask for fewer columns or a narrower selection"
            return ResourceFault("worker.memory", f"the answer needs more than {MEMORY}: {told}", advice=advice)
        probe = "SELECT bit_xor(hash(whole)) FROM read_parquet($path, hive_partitioning = false) AS whole"
        for each in self._listed:
            path = self._root / each.path
            try:
                self._connection.execute(probe, {"path": _literally(path)}).fetchall()
            except duckdb.Error as own:
                if not path.is_file():
                    return _missing(path, each)
                unit = f"{each.exposure}/{each.detector}"
                return DataFault("file.not-parquet", f"{path}, of {unit}: {own}", path=str(path), unit=unit)
        return None


@contextmanager
def reading(root: Path, listed: Sequence[Listed], spill: Path) -> Iterator[Catalogues]:
    """Open catalogues (one at least) for questions.

    Parameters
    ----------
    root : the survey's folder.
    spill : a folder for what does not fit in memory; DuckDB makes it when it is needed.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.not-parquet``, naming file and unit.
    """
    import duckdb

    settings: dict[str, Any] = {
        "threads": 1,
        "memory_limit": MEMORY,
        "temp_directory": str(spill),
        "preserve_insertion_order": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        # Statistics in Parquet leave NaN out, and DuckDB would conclude from them that there is none.
        "disabled_optimizers": "statistics_propagation,filter_pushdown",
        "lock_configuration": "true",
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        yield Catalogues(connection, root, listed)
    finally:
        connection.close()


def _missing(path: Path, each: Listed) -> DataFault:
    unit = f"{each.exposure}/{each.detector}"
    return DataFault("file.missing", f"{path}, the catalogue of {unit}, is not there", path=str(path), unit=unit)


def _literally(path: Path) -> str:
    """A path in which nothing is a wildcard."""
    return re.sub(r"[\[*?]", lambda found: f"[{found[0]}]", str(path))
