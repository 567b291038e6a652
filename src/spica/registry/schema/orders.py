"""What people order of masters: this one and no other, or also for those nights."""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, Table

from spica.registry.schema.base import metadata
from spica.registry.text import Number, Words

calibration_orders = Table(
    "calibration_orders",
    metadata,
    Column("id", Number, primary_key=True),
    Column("action", Words, nullable=False),
    Column("camera", Words, nullable=False),
    Column("block", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("band", Words, nullable=False),
    Column("detector", Integer),
    Column("first", Words, nullable=False),
    Column("last", Words, nullable=False),
    Column("who", Words, nullable=False),
    Column("recorded", Double, nullable=False),
    Column("withdrawn", Double),
)
"""`action`: 'use' or 'copy'; empty `name` and `band` and no `detector` mean all; nights `first` to `last` inclusive.

Never overwritten: one that holds no longer is withdrawn."""
