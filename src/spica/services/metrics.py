"""Metrics: values from outside come in, names are listed, units are searched by them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core import where as selection
from spica.core.faults import SetupFault
from spica.core.records import Grain, Metric, Unit
from spica.services import logs
from spica.services.surveys import opened

_HEAD = re.compile(r"\s*(?P<name>[^\[\]()]+?)\s*(?:[\[(](?P<unit>[^\])]*)[\])])?\s*$")
UNIT_COLUMNS = frozenset({"exposure", "name", "detector", "unit"})
WORDS = frozenset({"grade", "comment"})
"""Columns of text that are kept: as the unit's grade, and as a comment."""


@dataclass(frozen=True)
class Rejected:
    """A row that was left out, and why."""

    row: int
    why: str


@dataclass(frozen=True)
class Loaded:
    """What was loaded from a table."""

    path: Path
    units: int
    metrics: int
    notes: int
    names: tuple[str, ...]
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class NameLine:
    """A metric's name, and the grains at which it is recorded."""

    name: str
    grains: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Units that a search found, as a table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def load(path: Path, folder: Path | None, source: str = "") -> Loaded:
    """Load a table of values per exposure or detector.

    The unit of a row is named by the columns ``exposure`` (or ``name``) and, if there is one, ``detector``; or by
    ``unit`` in its text form. A head ``seeing [arcsec]`` carries a metric's unit. ``grade`` and ``comment`` are kept as
    such. A row of a unit that the survey does not know is left out and named.

    Raises
    ------
    DataFault
        ``file.*``.
    SetupFault
        ``order.invalid`` where no column names a unit or none holds numbers; ``survey.*``, ``registry.*``.
    """
    table = logs.read(path)
    heads = {column: _head(column) for column in table.columns}
    if not {"exposure", "name", "unit"} & set(table.columns):
        raise SetupFault(
            "order.invalid",
            f"{path}: no column names the exposure (there are {', '.join(table.columns)})",
            advice="name that column 'exposure', and 'detector' beside it where values are of single detectors",
        )
    origin = source or path.name
    metrics: list[Metric] = []
    rejected: list[Rejected] = []
    units: set[Unit] = set()
    notes: list[tuple[Unit, str, str]] = []
    with opened(folder) as house:
        names = _exposure_names(exposure.name for exposure in house.registry.exposures())
        for number, row in enumerate(table.rows, start=1):
            unit = _unit(row, names)
            if unit is None:
                rejected.append(Rejected(number, f"the survey has no exposure {_told(row)!r}"))
                continue
            values = list(_values(row, heads, unit, origin))
            words = [(unit, word, str(row[word])) for word in sorted(WORDS & set(row)) if row[word]]
            if not values and not words:
                rejected.append(Rejected(number, "no column holds a number"))
                continue
            units.add(unit)
            metrics += values
            notes += words
        house.registry.add_metrics(metrics)
        for unit, word, text in notes:
            house.registry.grade(unit, text if word == "grade" else "", text if word == "comment" else "", origin)
    found = tuple(sorted({metric.name for metric in metrics}))
    return Loaded(path, len(units), len(metrics), len(notes), found, tuple(rejected))


def _head(column: str) -> tuple[str, str]:
    match = _HEAD.match(column)
    if match is None:
        return column, ""
    return re.sub(r"[^\w.]+", "_", match["name"]).strip("_"), match["unit"] or ""


def _exposure_names(names: Iterator[str]) -> dict[str, str]:
    """Full names by themselves and by their part after the camera, which is the observatory's own."""
    full = list(names)
    return {name.partition("-")[2]: name for name in full} | {name: name for name in full}


def _told(row: Mapping[str, Any]) -> str:
    return str(row.get("unit") or row.get("exposure") or row.get("name") or "")


def _unit(row: Mapping[str, Any], names: Mapping[str, str]) -> Unit | None:
    if row.get("unit"):
        try:
            unit = Unit.parse(str(row["unit"]))
        except ValueError:
            return None
        exposure = unit.keys.get("exposure")
        return unit if exposure is None or exposure in names else None
    name = names.get(_told(row))
    if name is None:
        return None
    detector = logs.number(row.get("detector"))
    if detector is None:
        return Unit(Grain.EXPOSURE, (name,))
    return Unit(Grain.DETECTOR, (name, str(int(detector))))


def _values(row: Mapping[str, Any], heads: Mapping[str, tuple[str, str]], unit: Unit, source: str) -> Iterator[Metric]:
    for column, (name, units) in heads.items():
        if column in UNIT_COLUMNS or column in WORDS:
            continue
        value = logs.number(row.get(column))
        if value is not None:
            yield Metric(unit, name, value, units, source)


def names(folder: Path | None) -> tuple[NameLine, ...]:
    """All metrics by name."""
    with opened(folder) as house:
        return tuple(NameLine(name, grains) for name, grains in house.registry.metric_names().items())


def search(folder: Path | None, where: str, columns: tuple[str, ...], sort: str, limit: int) -> Found:
    """Detectors that meet a selection, with the columns and metrics asked for (those that it names by default).

    Raises
    ------
    SetupFault
        ``where.invalid``; ``survey.*``, ``registry.*``.
    """
    wanted = columns or tuple(dict.fromkeys(selection.names(selection.parse(where))))
    with opened(folder) as house:
        rows = house.registry.search(where, wanted, sort, limit)
    heads = tuple(rows[0]) if rows else ("exposure", "detector", *wanted)
    return Found(heads, tuple(tuple(row.values()) for row in rows))
