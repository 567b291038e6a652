"""Exposures: one row each, columns as in `spica.core.records.Exposure`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, Table

from spica.registry.schema.base import metadata
from spica.registry.schema.units import units
from spica.registry.text import Plain, Words

exposures = Table(
    "exposures",
    metadata,
    # Not handed out by the database: the stable number made from camera and name.
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("unit", ForeignKey(units.c.id), nullable=False, unique=True),
    Column("name", Words, nullable=False, unique=True),
    Column("camera", Words, nullable=False),
    Column("frame_type", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("night", Words, nullable=False),
    Column("mjd", Double, nullable=False, index=True),
    Column("exposure_time", Double, nullable=False),
    Column("dark_time", Double, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("band", Words, nullable=False),
    Column("filter", Words, nullable=False),
    Column("flat_kind", Words, nullable=False),
    Column("ra", Double),
    Column("dec", Double),
    Column("rotation", Double),
    Column("airmass", Double),
    Column("object", Words, nullable=False),
    Column("field", Words, nullable=False),
    Column("programme", Words, nullable=False),
    Column("run", Words, nullable=False),
    Column("observer", Words, nullable=False),
    Column("bin_x", Integer, nullable=False),
    Column("bin_y", Integer, nullable=False),
    Column("readout_mode", Words, nullable=False),
    Column("defaulted", Plain, nullable=False),
    Column("extra", Plain, nullable=False),
    Column("digest", Words, nullable=False),
    Column("recorded", Double, nullable=False),
)
"""`digest` names the exposure's facts; `recorded` is Unix time (UTC seconds), as are all times but `mjd`."""
