"""Faults of units, and files in quarantine."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Table

from spica.registry.schema.base import metadata
from spica.registry.schema.units import units
from spica.registry.text import Number, Plain, Words

faults = Table(
    "faults",
    metadata,
    Column("id", Number, primary_key=True),
    Column("unit", ForeignKey(units.c.id), nullable=False, index=True),
    Column("pipeline", Words, nullable=False),
    Column("job", Words, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("code", Words, nullable=False, index=True),
    Column("kind", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("evidence", Plain, nullable=False),
    Column("advice", Words, nullable=False),
    Column("recorded", Double, nullable=False),
    Column("cleared", Double, index=True),
)
"""`pipeline` and `job` are '' for faults of ingest. `cleared`: when a later success of the same unit settled it."""

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Number, primary_key=True),
    Column("path", Words, nullable=False, index=True),
    Column("checksum", Words, nullable=False),
    Column("code", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("evidence", Plain, nullable=False),
    Column("advice", Words, nullable=False),
    Column("recorded", Double, nullable=False),
    Column("released", Double),
)
