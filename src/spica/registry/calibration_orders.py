"""Orders on masters: given, listed, withdrawn."""

from __future__ import annotations

from sqlalchemy import select, update

from spica.registry.door import Door
from spica.registry.rows import CalibrationOrder
from spica.registry.schema import calibration_orders as table


def give(door: Door, order: CalibrationOrder) -> int:
    """Record an order; answers its number."""
    with door.write() as connection:
        row = {
            "action": order.action,
            "camera": order.camera,
            "block": order.block,
            "name": order.name,
            "band": order.band,
            "detector": order.detector,
            "first": order.first,
            "last": order.last,
            "who": order.who,
            "recorded": door.now(connection),
        }
        return int(connection.execute(table.insert().values(row).returning(table.c.id)).scalar_one())


def listed(door: Door, *, withdrawn: bool = False) -> list[CalibrationOrder]:
    """Orders that hold (and those that do no longer), in the order in which they were given."""
    query = select(table).order_by(table.c.id)
    if not withdrawn:
        query = query.where(table.c.withdrawn.is_(None))
    with door.read() as connection:
        return [
            CalibrationOrder(
                *(row.action, row.camera, row.block, row.name, row.band, row.detector, row.first, row.last),
                *(row.who, row.id, row.recorded, row.withdrawn),
            )
            for row in connection.execute(query)
        ]


def withdraw(door: Door, number: int) -> bool:
    """Let an order hold no longer; False where there is none of this number that does."""
    with door.write() as connection:
        mine = table.c.id == number, table.c.withdrawn.is_(None)
        return connection.execute(update(table).where(*mine).values(withdrawn=door.now(connection))).rowcount > 0
