"""Outlines of units on the sky: written with the jobs that find them, searched by position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import asin, cos, degrees, radians, sin
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from spica.core.outline import Outline, apart
from spica.core.records import Grain, Unit
from spica.registry.door import Door
from spica.registry.schema import footprints, units

_SLACK = 1e-9
"""Degrees by which circles are enlarged: rounding loses nothing."""


def write(
    door: Door, connection: Connection, given: Sequence[Outline], numbers: Mapping[Unit, int], now: float
) -> None:
    """Write outlines of numbered units; a unit's earlier one is replaced."""
    rows = {}
    for each in given:
        ra, dec = each.middle
        rows[numbers[each.unit]] = {
            "unit": numbers[each.unit],
            "ra": ra,
            "dec": dec,
            "radius": each.radius + _SLACK,
            "vertices": [list(each.ra), list(each.dec)],
            "recorded": now,
        }
    door.upsert(connection, footprints, list(rows.values()), ("ra", "dec", "radius", "vertices", "recorded"))


def of_units(door: Door, wanted: Iterable[Unit]) -> dict[Unit, Outline]:
    """Outlines of units, those left out that have none."""
    query = select(units.c.name, footprints.c.vertices).join_from(footprints, units, units.c.id == footprints.c.unit)
    with door.read() as connection:
        found = connection.execute(query.where(door.among(units.c.name, [str(unit) for unit in wanted])))
        return {each.unit: each for each in map(_outline, found)}


def near(door: Door, ra: float, dec: float, radius: float, grain: Grain) -> list[Outline]:
    """Outlines of units of a grain that hold a position, or come within `radius` [degree] of it, by unit.

    With a radius the circles about the outlines count: a few that only come near may be among them.
    """
    with door.read() as connection:
        widest = connection.execute(select(func.max(footprints.c.radius))).scalar()
        if widest is None:
            return []
        query = (
            select(units.c.name, footprints.c.vertices, footprints.c.ra, footprints.c.dec, footprints.c.radius)
            .join_from(footprints, units, units.c.id == footprints.c.unit)
            .where(units.c.grain == grain.value, _around(ra, dec, float(widest) + radius))
        )
        rows = connection.execute(query).all()
    close = [row for row in rows if apart(ra, dec, row.ra, row.dec) <= row.radius + radius]
    found = [_outline((row.name, row.vertices)) for row in close]
    return sorted((each for each in found if radius > 0 or each.contains(ra, dec)), key=lambda each: each.unit)


def _around(ra: float, dec: float, reach: float) -> ColumnElement[bool]:
    """Condition on circles' middles that lie in a box about a position: what is within `reach` [degree] is in it."""
    high = footprints.c.dec.between(dec - reach, dec + reach)
    if abs(dec) + reach >= 90.0:
        return high
    wide = degrees(asin(min(sin(radians(reach)) / cos(radians(dec)), 1.0))) + _SLACK
    low, far = ra - wide, ra + wide
    between: ColumnElement[bool] = footprints.c.ra.between(low, far)
    if low < 0.0:
        between = or_(between, footprints.c.ra >= low + 360.0)
    if far >= 360.0:
        between = or_(between, footprints.c.ra <= far - 360.0)
    return and_(high, between)


def _outline(row: Any) -> Outline:
    name, (ra, dec) = row
    return Outline(Unit.parse(name), tuple(ra), tuple(dec))
