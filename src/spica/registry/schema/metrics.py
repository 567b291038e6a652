"""Metrics: named numbers of units; a new name is a new row of `metric_names`, never a migration."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Table

from spica.registry.schema.base import metadata
from spica.registry.schema.units import units
from spica.registry.text import Number, Words

metric_names = Table(
    "metric_names",
    metadata,
    Column("id", Number, primary_key=True),
    Column("label", Words, nullable=False, unique=True),
    Column("name", Words, nullable=False),
    Column("grain", Words, nullable=False),
)
"""`label` is ``grain:name``."""

metric_tags = Table(
    "metric_tags",
    metadata,
    Column("id", Number, primary_key=True),
    Column("label", Words, nullable=False, unique=True),
    Column("units", Words, nullable=False),
    Column("source", Words, nullable=False),
)
"""`label` is units and source as JSON."""

metrics = Table(
    "metrics",
    metadata,
    Column("unit", ForeignKey(units.c.id), primary_key=True, autoincrement=False),
    Column("name", ForeignKey(metric_names.c.id), primary_key=True, autoincrement=False),
    Column("value", Double),
    Column("tag", ForeignKey(metric_tags.c.id), nullable=False),
    # Serves name-and-range searches without touching the table.
    Index(None, "name", "value", "unit"),
    sqlite_with_rowid=False,
)
"""One value per unit and name, the last one given; NULL stands for NaN."""
