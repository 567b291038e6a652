"""Facts about the registry itself: version of the tables, who made it and when."""

from __future__ import annotations

from sqlalchemy import Column, Table

from spica.registry.schema.base import metadata
from spica.registry.text import Words

meta = Table("meta", metadata, Column("name", Words, primary_key=True), Column("value", Words, nullable=False))
