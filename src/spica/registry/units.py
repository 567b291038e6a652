"""Numbers of units: found or made."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from spica.core.records import Unit
from spica.registry.door import Door
from spica.registry.schema import units


def numbers(door: Door, connection: Connection, wanted: Iterable[Unit]) -> dict[Unit, int]:
    """The number of each unit, new ones being recorded."""
    named = {str(unit): unit for unit in wanted}
    rows = {name: {"grain": unit.grain.value, "name": name} for name, unit in named.items()}
    return {named[name]: number for name, number in door.numbers(connection, units, units.c.name, rows).items()}


def number(connection: Connection, unit: Unit) -> int | None:
    """The number of a unit, None where nothing was ever recorded about it."""
    return connection.execute(select(units.c.id).where(units.c.name == str(unit))).scalar()
