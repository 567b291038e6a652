"""Metrics: written by the thousand, found by name and range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, select

from spica.core.records import Grain, Metric, Unit
from spica.registry import units, where
from spica.registry.door import Door
from spica.registry.schema import detectors, exposures, metric_names, metric_tags, metrics
from spica.registry.schema import units as unit_table
from spica.registry.text import packed


def add(door: Door, given: Sequence[Metric]) -> None:
    """Record metrics, in one transaction; a unit's earlier value of the same name is replaced."""
    with door.write() as connection:
        write(door, connection, given, units.numbers(door, connection, {each.unit for each in given}))


def write(door: Door, connection: Connection, given: Sequence[Metric], numbers: Mapping[Unit, int]) -> None:
    """Write metrics of numbered units; NaN is kept as NULL, which no comparison finds."""
    if not given:
        return
    grains = {(each.name, each.unit.grain.value) for each in given}
    names = door.remembered(
        *(connection, metric_names, metric_names.c.label),
        {f"{grain}:{name}": {"label": f"{grain}:{name}", "name": name, "grain": grain} for name, grain in grains},
    )
    marks = {(each.units, each.source) for each in given}
    tags = door.remembered(
        *(connection, metric_tags, metric_tags.c.label),
        {packed(mark): {"label": packed(mark), "units": mark[0], "source": mark[1]} for mark in marks},
    )
    # One row per unit and name: the last one given, as an upsert must not meet the same row twice.
    rows = {
        (each.unit, each.name): {
            "unit": numbers[each.unit],
            "name": names[f"{each.unit.grain.value}:{each.name}"],
            "value": None if math.isnan(each.value) else float(each.value),
            "tag": tags[packed((each.units, each.source))],
        }
        for each in given
    }
    door.upsert(connection, metrics, list(rows.values()), ("value", "tag"))


def of_unit(door: Door, unit: Unit) -> list[Metric]:
    """All metrics of a unit, by name."""
    query = (
        select(metric_names.c.name, metrics.c.value, metric_tags.c.units, metric_tags.c.source)
        .join_from(metrics, metric_names, metric_names.c.id == metrics.c.name)
        .join(metric_tags, metric_tags.c.id == metrics.c.tag)
        .join(unit_table, unit_table.c.id == metrics.c.unit)
        .where(unit_table.c.name == str(unit))
        .order_by(metric_names.c.name)
    )
    with door.read() as connection:
        return [
            Metric(unit, name, math.nan if value is None else value, unit_of, source)
            for name, value, unit_of, source in connection.execute(query)
        ]


def of_all(door: Door, name: str, grains: Sequence[Grain]) -> dict[Unit, float]:
    """A metric's value of every unit of some grains that has it."""
    query = (
        select(unit_table.c.name, metrics.c.value)
        .join_from(metrics, metric_names, metric_names.c.id == metrics.c.name)
        .join(unit_table, unit_table.c.id == metrics.c.unit)
        .where(metric_names.c.name == name, metric_names.c.grain.in_([grain.value for grain in grains]))
        .where(metrics.c.value.is_not(None))
    )
    with door.read() as connection:
        return {Unit.parse(unit): value for unit, value in connection.execute(query)}


def known_names(door: Door) -> dict[str, tuple[str, ...]]:
    """Every recorded metric's name with the grains at which it is known."""
    found: dict[str, tuple[str, ...]] = {}
    with door.read() as connection:
        for name, grain in connection.execute(
            select(metric_names.c.name, metric_names.c.grain).order_by(metric_names.c.name, metric_names.c.grain)
        ):
            found[name] = (*found.get(name, ()), grain)
    return found


def search(door: Door, selection: str, columns: Sequence[str], sort: str, limit: int | None) -> list[dict[str, Any]]:
    """Detectors that a selection takes, with the columns and metrics asked for; see `Registry.search`."""
    wanted = ["exposure", "detector", *(name for name in columns if name not in {"exposure", "detector"})]
    with door.read() as connection:
        known = {(row.name, row.grain): row.id for row in connection.execute(select(metric_names))}
        rows = _walked(connection, known, selection, wanted, sort, limit) if limit else None
        if rows is None:
            rows = _sorted(connection, known, selection, wanted, sort, limit)
    return [dict(zip(wanted, row, strict=True)) for row in rows]


def _sorted(
    connection: Connection,
    known: Mapping[tuple[str, str], int],
    selection: str,
    wanted: Sequence[str],
    sort: str,
    limit: int | None,
) -> Sequence[Sequence[Any]]:
    """All that the selection takes, then sorted."""
    by = sort.removeprefix("-")
    source: Any = detectors.join(exposures, exposures.c.id == detectors.c.exposure)
    shown: dict[str, Any] = {"exposure": exposures.c.name, "detector": detectors.c.detector}
    for name in dict.fromkeys([*wanted, *([by] if by else [])]):
        if name not in shown:
            source, shown[name] = _column(name, source, known)
    query = select(*(shown[name].label(f"c{place}") for place, name in enumerate(wanted))).select_from(source)
    condition = where.of_detectors(connection, selection)
    if condition is not None:
        query = query.where(condition)
    if by:
        query = query.order_by(shown[by].is_(None), shown[by].desc() if sort != by else shown[by].asc())
    return connection.execute(query.order_by(exposures.c.name, detectors.c.detector).limit(limit)).all()


def _walked(
    connection: Connection,
    known: Mapping[tuple[str, str], int],
    selection: str,
    wanted: Sequence[str],
    sort: str,
    limit: int,
) -> Sequence[Sequence[Any]] | None:
    """The first rows in the order of a metric, found by walking along its index and looking at each detector.

    None where that would take longer than `_sorted`, or finds too few: detectors without the metric come last, and
    they are not in its index.
    """
    by = sort.removeprefix("-")
    number = known.get((by, Grain.DETECTOR.value))
    if number is None or by in where.EXPOSURE_COLUMNS or by in where.DETECTOR_COLUMNS:
        return None
    condition = where.of_walk(connection, selection, number, limit)
    if condition is None:
        return None
    along = metrics.alias()
    # The sum keeps SQLite from beginning with the detectors: the walk is along the metric's index.
    source: Any = along.join(detectors, detectors.c.unit == along.c.unit + 0)
    source = source.join(exposures, exposures.c.id == detectors.c.exposure)
    shown: dict[str, Any] = {"exposure": exposures.c.name, "detector": detectors.c.detector, by: along.c.value}
    for name in wanted:
        if name not in shown:
            source, shown[name] = _column(name, source, known)
    query = (
        select(*(shown[name].label(f"c{place}") for place, name in enumerate(wanted)))
        .select_from(source)
        .where(along.c.name == number, along.c.value.is_not(None), condition)
        .order_by(along.c.value.desc() if sort != by else along.c.value.asc())
        .order_by(exposures.c.name, detectors.c.detector)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return rows if len(rows) == limit else None


def _column(name: str, source: Any, known: Mapping[tuple[str, str], int]) -> tuple[Any, Any]:
    """A table's column, or a metric joined as one."""
    fixed = where.EXPOSURE_COLUMNS.get(name)
    if fixed is None:
        fixed = where.DETECTOR_COLUMNS.get(name)
    if fixed is not None:
        return source, fixed
    for grain, unit in ((Grain.DETECTOR, detectors.c.unit), (Grain.EXPOSURE, exposures.c.unit)):
        number = known.get((name, grain.value))
        if number is not None:
            table = metrics.alias()
            joined = source.outerjoin(table, and_(table.c.unit == unit, table.c.name == number))
            return joined, table.c.value
    raise where.unknown(name, {*where.EXPOSURE_COLUMNS, *where.DETECTOR_COLUMNS, *(each for each, _ in known)})
