"""Products, and the validity of those that are masters."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, Table

from spica.registry.schema.base import metadata
from spica.registry.schema.jobs import jobs
from spica.registry.schema.units import units
from spica.registry.text import Plain, Words

products = Table(
    "products",
    metadata,
    Column("key", Words, primary_key=True),
    Column("job", ForeignKey(jobs.c.key), nullable=False, index=True),
    Column("name", Words, nullable=False),
    Column("form", Words, nullable=False),
    Column("unit", ForeignKey(units.c.id), nullable=False),
    Column("path", Words, nullable=False),
    Column("checksum", Words, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("scratch", Boolean, nullable=False),
    Column("master", Boolean, nullable=False),
    Column("facts", Plain, nullable=False),
    Column("value", Plain, nullable=False),
    Column("forgotten", Boolean, nullable=False),
    Column("recorded", Double, nullable=False),
    Index(None, "unit", "name"),
)
"""`forgotten`: the bytes were deleted after their last use (scratch); the record stays."""

calibrations = Table(
    "calibrations",
    metadata,
    Column("product", ForeignKey(products.c.key), primary_key=True),
    Column("name", Words, nullable=False),
    Column("camera", Words, nullable=False),
    Column("detector", Integer, nullable=False),
    Column("band", Words, nullable=False),
    Column("ny", Integer, nullable=False),
    Column("nx", Integer, nullable=False),
    Column("bin_x", Integer, nullable=False),
    Column("bin_y", Integer, nullable=False),
    Column("readout_mode", Words, nullable=False),
    Column("valid_from", Double, nullable=False),
    Column("valid_to", Double, nullable=False),
    Column("block", Words, nullable=False),
    Index(None, "camera", "name"),
)
"""Validity is MJD TAI, from (inclusive) to (exclusive)."""
