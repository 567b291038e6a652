"""Units of work: a short number for each, which metrics, jobs, faults and grades refer to."""

from __future__ import annotations

from sqlalchemy import Column, Table

from spica.registry.schema.base import metadata
from spica.registry.text import Number, Words

units = Table(
    "units",
    metadata,
    Column("id", Number, primary_key=True),
    Column("grain", Words, nullable=False),
    Column("name", Words, nullable=False, unique=True),
)
"""`name` is the unit's text form, ``grain:value/value``."""
