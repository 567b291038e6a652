"""What people say (grades, comments) and what happened (events)."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Table

from spica.registry.schema.base import metadata
from spica.registry.schema.units import units
from spica.registry.text import Number, Plain, Words

grades = Table(
    "grades",
    metadata,
    Column("id", Number, primary_key=True),
    Column("unit", ForeignKey(units.c.id), nullable=False, index=True),
    Column("grade", Words, nullable=False),
    Column("who", Words, nullable=False),
    Column("recorded", Double, nullable=False),
)
"""Never overwritten: the last one holds."""

comments = Table(
    "comments",
    metadata,
    Column("id", Number, primary_key=True),
    Column("unit", ForeignKey(units.c.id), nullable=False, index=True),
    Column("text", Words, nullable=False),
    Column("who", Words, nullable=False),
    Column("recorded", Double, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Number, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("unit", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("details", Plain, nullable=False),
    Column("who", Words, nullable=False),
    Column("recorded", Double, nullable=False, index=True),
)
