"""Faults, quarantine, grades, comments and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from spica.core.faults import FaultRecord
from spica.core.records import Unit
from spica.registry import forms
from spica.registry.door import Door
from spica.registry.rows import Event, FaultRow, Note, QuarantineRow
from spica.registry.schema import comments, events, faults, grades, quarantine, units
from spica.registry.units import numbers


def record_fault(door: Door, unit: Unit, fault: FaultRecord, pipeline: str) -> None:
    """Record a fault of a unit that no job made (ingest, inventory, checks)."""
    with door.write() as connection:
        row = {"unit": numbers(door, connection, [unit])[unit], "pipeline": pipeline, "job": "", "outcome": ""}
        connection.execute(faults.insert(), [{**forms.fault_columns(fault), **row, "recorded": door.now(connection)}])


def fault_list(
    door: Door, unit: Unit | None, code: str, pipeline: str | None, *, cleared: bool, limit: int | None
) -> list[FaultRow]:
    """Faults, the newest first; see `Registry.faults`."""
    query = select(faults, units.c.name.label("unit_name")).join(units, units.c.id == faults.c.unit)
    if unit is not None:
        query = query.where(units.c.name == str(unit))
    if code:
        query = query.where(faults.c.code == code)
    if pipeline is not None:
        query = query.where(faults.c.pipeline == pipeline)
    if not cleared:
        query = query.where(faults.c.cleared.is_(None))
    with door.read() as connection:
        rows = connection.execute(query.order_by(faults.c.id.desc()).limit(limit))
        return [
            FaultRow(
                *(Unit.parse(row.unit_name), row.pipeline, row.job, row.outcome, forms.fault(row)),
                *(row.recorded, row.cleared),
            )
            for row in rows
        ]


def clear_faults(door: Door, unit: Unit, pipeline: str) -> int:
    """Settle the open faults of a unit in a pipeline ('' for ingest); answers how many."""
    with door.write() as connection:
        number = select(units.c.id).where(units.c.name == str(unit)).scalar_subquery()
        mine = faults.c.unit == number, faults.c.pipeline == pipeline, faults.c.cleared.is_(None)
        return connection.execute(update(faults).where(*mine).values(cleared=door.now(connection))).rowcount


def put_in_quarantine(door: Door, path: str, checksum: str, fault: FaultRecord) -> None:
    """Record that a delivered file was not taken; the same file with the same code is noted once."""
    with door.write() as connection:
        row = {**forms.fault_columns(fault), "path": path, "checksum": checksum, "recorded": door.now(connection)}
        same = select(quarantine.c.id).where(
            quarantine.c.path == path,
            quarantine.c.checksum == checksum,
            quarantine.c.code == fault.code,
            quarantine.c.released.is_(None),
        )
        if connection.execute(same.limit(1)).first() is None:
            connection.execute(quarantine.insert(), [row])


def release(door: Door, path: str) -> int:
    """Note that a file left quarantine (it was taken after all, or removed); answers how many records."""
    with door.write() as connection:
        held = update(quarantine).where(quarantine.c.path == path, quarantine.c.released.is_(None))
        return connection.execute(held.values(released=door.now(connection))).rowcount


def quarantine_list(door: Door, *, released: bool) -> list[QuarantineRow]:
    """Files in quarantine (and those that have left it), oldest first."""
    query = select(quarantine).order_by(quarantine.c.id)
    if not released:
        query = query.where(quarantine.c.released.is_(None))
    with door.read() as connection:
        return [
            QuarantineRow(row.path, row.checksum, forms.fault(row), row.recorded, row.released)
            for row in connection.execute(query)
        ]


def note(door: Door, unit: Unit, grade: str, comment: str, who: str) -> None:
    """Record a grade, a comment, or both ('' leaves one out)."""
    with door.write() as connection:
        row = {"unit": numbers(door, connection, [unit])[unit], "who": who, "recorded": door.now(connection)}
        if grade:
            connection.execute(grades.insert(), [{**row, "grade": grade}])
        if comment:
            connection.execute(comments.insert(), [{**row, "text": comment}])


def notes_of(door: Door, unit: Unit) -> list[Note]:
    """Grades and comments of a unit, oldest first; the last grade holds."""
    found = []
    with door.read() as connection:
        for kind, table, column in (("grade", grades, grades.c.grade), ("comment", comments, comments.c.text)):
            query = (
                select(column, table.c.who, table.c.recorded)
                .join(units, units.c.id == table.c.unit)
                .where(units.c.name == str(unit))
                .order_by(table.c.id)
            )
            found += [Note(kind, unit, said, who, at) for said, who, at in connection.execute(query)]
    return sorted(found, key=lambda each: each.recorded)


def record_event(door: Door, kind: str, message: str, unit: str, details: Mapping[str, Any], who: str) -> None:
    """Record that something happened."""
    with door.write() as connection:
        row = {"kind": kind, "message": message, "unit": unit, "details": dict(details), "who": who}
        connection.execute(events.insert(), [{**row, "recorded": door.now(connection)}])


def event_list(door: Door, kind: str, since: float, limit: int | None) -> list[Event]:
    """What happened, the newest first."""
    query = select(events).where(events.c.recorded >= since)
    if kind:
        query = query.where(events.c.kind == kind)
    with door.read() as connection:
        rows = connection.execute(query.order_by(events.c.recorded.desc(), events.c.id.desc()).limit(limit))
        return [Event(row.kind, row.unit, row.message, row.details, row.who, row.recorded) for row in rows]
