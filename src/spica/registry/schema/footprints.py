"""Where units lie on the sky: outlines of detectors and exposures, as their solutions have them."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Table

from spica.registry.schema.base import metadata
from spica.registry.schema.units import units
from spica.registry.text import Plain

footprints = Table(
    "footprints",
    metadata,
    Column("unit", ForeignKey(units.c.id), primary_key=True, autoincrement=False),
    Column("ra", Double, nullable=False),
    Column("dec", Double, nullable=False),
    Column("radius", Double, nullable=False, index=True),
    Column("vertices", Plain, nullable=False),
    Column("recorded", Double, nullable=False),
    Index(None, "dec", "ra"),
)
"""One outline per unit, the last one given. `ra`, `dec`, `radius` [degree] are of a circle that holds it; `vertices` two
lists, right ascensions and declinations."""
