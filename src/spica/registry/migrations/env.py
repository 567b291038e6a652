"""Alembic's entry: it runs on the connection that `spica.registry.lifecycle` hands in."""

from __future__ import annotations

from alembic import context

from spica.registry.schema import metadata

connection = context.config.attributes["connection"]
# SQLite cannot alter most of a table in place: Alembic then copies it (batch mode).
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
context.run_migrations()
