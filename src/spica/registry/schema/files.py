"""Files by the checksum of their bytes, their copies on storage areas, and their headers."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, LargeBinary, Table, UniqueConstraint

from spica.registry.schema.base import metadata
from spica.registry.text import Number, Plain, Words

files = Table(
    "files",
    metadata,
    Column("checksum", Words, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("conformance", Plain, nullable=False),
    Column("recorded", Double, nullable=False),
)

copies = Table(
    "copies",
    metadata,
    Column("id", Number, primary_key=True),
    Column("checksum", ForeignKey(files.c.checksum), nullable=False, index=True),
    Column("area", Words, nullable=False),
    Column("path", Words, nullable=False),
    Column("origin", Words, nullable=False, index=True),
    Column("mtime", Double, nullable=False),
    UniqueConstraint("path", "area"),
)
"""`mtime` is the origin's time of modification when it was read: an unchanged file need not be read again."""

headers = Table(
    "headers",
    metadata,
    Column("checksum", ForeignKey(files.c.checksum), primary_key=True),
    Column("texts", LargeBinary, nullable=False),
)
"""`texts`: the headers of all HDUs, a JSON list, compressed (zlib)."""
