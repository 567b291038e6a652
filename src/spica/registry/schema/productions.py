"""Productions: one order each, from its opening to its end."""

from __future__ import annotations

from sqlalchemy import Column, Double, Table

from spica.registry.schema.base import metadata
from spica.registry.text import Number, Plain, Words

productions = Table(
    "productions",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Words, nullable=False),
    Column("pipeline", Words, nullable=False),
    Column("selection", Words, nullable=False),
    Column("settings", Plain, nullable=False),
    Column("owner", Words, nullable=False),
    Column("opened", Double, nullable=False),
    Column("closed", Double),
    Column("outcomes", Plain, nullable=False),
)
