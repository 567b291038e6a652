"""Jobs with their chains of steps and settings (each distinct one kept once), inputs, and leases."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Integer, Table

from spica.registry.schema.base import metadata
from spica.registry.schema.productions import productions
from spica.registry.schema.units import units
from spica.registry.text import Number, Plain, Words

chains = Table(
    "chains",
    metadata,
    Column("id", Number, primary_key=True),
    Column("digest", Words, nullable=False, unique=True),
    Column("steps", Plain, nullable=False),
)
"""`steps`: list of label, task, version, settings and the source of each setting."""

environments = Table(
    "environments",
    metadata,
    Column("id", Number, primary_key=True),
    Column("digest", Words, nullable=False, unique=True),
    Column("versions", Plain, nullable=False),
)
"""`versions`: package to version, as a worker had them."""

jobs = Table(
    "jobs",
    metadata,
    Column("key", Words, primary_key=True),
    Column("unit", ForeignKey(units.c.id), nullable=False, index=True),
    Column("pipeline", Words, nullable=False),
    Column("chain", ForeignKey(chains.c.id), nullable=False),
    Column("environment", ForeignKey(environments.c.id), nullable=False),
    Column("production", ForeignKey(productions.c.id), index=True),
    Column("outcome", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("rungs", Plain, nullable=False),
    Column("fault", Plain),
    Column("traceback", Words, nullable=False),
    Column("wall", Double, nullable=False),
    Column("cpu", Double, nullable=False),
    Column("peak_memory", BigInteger, nullable=False),
    Column("bytes_read", BigInteger, nullable=False),
    Column("bytes_written", BigInteger, nullable=False),
    Column("host", Words, nullable=False),
    Column("owner", Words, nullable=False),
    Column("recorded", Double, nullable=False),
    Index(None, "pipeline", "outcome"),
)

inputs = Table(
    "inputs",
    metadata,
    Column("job", ForeignKey(jobs.c.key), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("need", Words, nullable=False),
    Column("key", Words, nullable=False, index=True),
    Column("unit", Words, nullable=False),
    Column("how", Words, nullable=False),
    sqlite_with_rowid=False,
)
"""The provenance graph: `key` is a product's key, or the name of what else satisfied the need."""

leases = Table(
    "leases",
    metadata,
    Column("key", Words, primary_key=True),
    Column("owner", Words, nullable=False, index=True),
    Column("expires", Double, nullable=False),
)
"""Who works on which job key, and until when that holds."""
