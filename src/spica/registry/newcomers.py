"""What came in since somebody looked last; and that only one of many who look acts on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, update

from spica.core.orders import State
from spica.registry import where
from spica.registry.door import Door
from spica.registry.ordering import order_row
from spica.registry.rows import Newcomers
from spica.registry.schema import exposures, meta, productions

_MARK = "rule "
"""Before the names of rules in the table `meta`."""


def seen(door: Door, rule: str) -> float:
    """Until when a rule has seen exposures; one that was never asked for has seen all that are there now."""
    with door.write() as connection:
        found = connection.execute(select(meta.c.value).where(meta.c.name == _MARK + rule)).scalar()
        if found is not None:
            return float(found)
        newest = connection.execute(select(func.max(exposures.c.recorded))).scalar() or 0.0
        first = door.insert(meta).values(name=_MARK + rule, value=repr(float(newest)))
        connection.execute(first.on_conflict_do_nothing(index_elements=[meta.c.name]))
        return float(newest)


def since(door: Door, selection: str, time: float) -> tuple[list[Newcomers], float]:
    """Exposures that a selection takes and that were recorded after `time`, by night; and what time it is."""
    recorded = exposures.c.recorded
    with door.read() as connection:
        query = select(exposures.c.night, func.count(), func.min(recorded), func.max(recorded)).where(recorded > time)
        condition = where.of_exposures(connection, selection)
        if condition is not None:
            query = query.where(condition)
        rows = connection.execute(query.group_by(exposures.c.night).order_by(exposures.c.night)).all()
        return [Newcomers(*row) for row in rows], door.now(connection)


def act(door: Door, rule: str, before: float, until: float, orders: Sequence[Mapping[str, Any]]) -> list[int]:
    """Order productions for what a rule has seen between two times, unless another coordinator has; answers their numbers.

    One that waits already with the same selection will find the newcomers when it is begun: it is not ordered once more.
    """
    numbers = []
    with door.write() as connection:
        mine = update(meta).where(meta.c.name == _MARK + rule, meta.c.value == repr(before)).values(value=repr(until))
        if connection.execute(mine).rowcount == 0:
            return []
        for order in orders:
            same = (
                productions.c.state == State.WAITING.value,
                productions.c.rule == rule,
                productions.c.selection == order["selection"],
            )
            if connection.execute(select(productions.c.id).where(*same)).first() is not None:
                continue
            values = order_row({**order, "rule": rule}, door.now(connection))
            made = connection.execute(productions.insert().values(values).returning(productions.c.id))
            numbers.append(int(made.scalar_one()))
    return numbers
