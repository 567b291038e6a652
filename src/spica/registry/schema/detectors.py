"""Detectors of exposures, and their read-outs (tuples of amplifiers), each distinct one kept once."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Integer, Table, UniqueConstraint

from spica.registry.schema.base import metadata
from spica.registry.schema.exposures import exposures
from spica.registry.schema.files import files
from spica.registry.schema.units import units
from spica.registry.text import Number, Plain, Words

readouts = Table(
    "readouts",
    metadata,
    Column("id", Number, primary_key=True),
    Column("digest", Words, nullable=False, unique=True),
    Column("amplifiers", Plain, nullable=False),
)

detectors = Table(
    "detectors",
    metadata,
    Column("unit", ForeignKey(units.c.id), primary_key=True, autoincrement=False),
    Column("exposure", ForeignKey(exposures.c.id), nullable=False),
    Column("detector", Integer, nullable=False),
    Column("file", ForeignKey(files.c.checksum), nullable=False, index=True),
    Column("readout", ForeignKey(readouts.c.id), nullable=False),
    Column("nx", Integer, nullable=False),
    Column("ny", Integer, nullable=False),
    Column("hdus", Plain, nullable=False),
    Column("amplifier_files", Plain, nullable=False),
    Column("wcs", Plain, nullable=False),
    Column("planes", Plain, nullable=False),
    Column("digest", Words, nullable=False),
    Column("gain", Double, nullable=False, server_default="0"),
    UniqueConstraint("exposure", "detector"),
)
"""`digest` names the detector's own facts: bytes, HDUs, read-out, planes, delivered sky solution. `gain` is the mean
of its amplifiers [electron/ADU]."""
