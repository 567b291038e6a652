"""Sources of one catalogue or of many as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spica.core.faults import SetupFault
from spica.core.records import Grain
from spica.files.tables import check_table_name, write_batches
from spica.registry.catalogues import Catalogues, Listed, Question, reading
from spica.registry.store import Registry
from spica.services.surveys import opened
from spica.services.units import known_unit, quoted

MAIN = ("source_id", "ra", "dec", "x", "y", "flux_auto", "flux_auto_err", "fwhm", "snr", "flags")
OF = ("exposure", "detector")
"""Shown besides the main columns where the rows come from several catalogues."""
PRODUCT = "sources"


@dataclass(frozen=True)
class Sources:
    """Rows of catalogues: `total` rows meet the selection, as many as asked for are here, or in the file `out`."""

    unit: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: int
    paths: tuple[str, ...]
    out: str = ""
    written: int = 0


def sources(
    text: str,
    folder: Path | None,
    columns: Sequence[str] = (),
    rows: str = "",
    limit: int | None = 20,
    *,
    where: str = "",
    sort: Sequence[str] = (),
    count: bool = False,
    out: Path | None = None,
) -> Sources:
    """The sources in the newest catalogue of each detector that is asked about.

    Parameters
    ----------
    text : a detector, or an exposure; with `where`, or where it is empty, what that selection takes.
    columns : the main ones where empty; ``night``, ``band``, ``mjd``, ``exposure`` and ``detector`` tell whose they are.
    rows : selection of rows.
    limit : so many rows at most; None for all.
    sort : names, ``-name`` for descending.
    count : count only.
    out : a file, ``.csv`` or ``.parquet``, that the rows are written to a batch at a time, instead of into the answer.

    Raises
    ------
    SetupFault
        ``order.unknown-unit``, ``order.nothing`` where there is no catalogue, ``where.invalid``, ``order.invalid``.
    DataFault
        ``file.missing``, ``file.not-parquet``.
    """
    if out is not None:
        check_table_name(out)
    with opened(folder) as house:
        subject, listed = _listed(house.registry, text, where)
        root = house.survey.root
        spill = house.survey.folder("scratch")
    wanted = tuple(columns) or ((*OF, *MAIN) if len(listed) > 1 else MAIN)
    spill.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix="sort-", dir=spill) as room,
        reading(root, listed, Path(room)) as catalogues,
    ):
        total = catalogues.count(rows)
        paths = tuple(each.path for each in listed)
        if count:
            return Sources(subject, (), (), total, paths)
        question = Question(wanted, rows, tuple(sort), limit)
        if out is None:
            return Sources(subject, wanted, _taken(catalogues, question), total, paths)
        schema, batches = catalogues.batches(question)
        return Sources(subject, wanted, (), total, paths, str(out), write_batches(out, schema, batches))


def _listed(registry: Registry, text: str, where: str) -> tuple[str, list[Listed]]:
    """What is asked about, in words, and its catalogues."""
    subject, selection = where or "this survey", where
    if text:
        unit = known_unit(registry, text)
        subject = f"{unit} where {where}" if where else str(unit)
        tests = [f"exposure = '{quoted(unit.values[0])}'", *([f"({where})"] if where.strip() else [])]
        if unit.grain is Grain.DETECTOR:
            tests.append(f"detector = {unit.values[1]}")
        selection = " and ".join(tests)
    listed = registry.catalogues(selection, PRODUCT)
    if not listed:
        advice = f"'spica why {text}' says why" if text else "'spica status' shows what is done"
        raise SetupFault("order.nothing", f"{subject} has no catalogue", advice=advice, unit=text)
    return subject, listed


def _taken(catalogues: Catalogues, question: Question) -> tuple[tuple[Any, ...], ...]:
    _, batches = catalogues.batches(question)
    rows: list[tuple[Any, ...]] = []
    for batch in batches:
        rows += zip(*(map(_plain, column.to_pylist()) for column in batch.columns), strict=True)
    return tuple(rows)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
