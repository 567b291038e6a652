"""Productions: one order each, from its opening to its end; those of the queue are begun by a coordinator."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, Table

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
    Column("state", Words, nullable=False, server_default="done"),
    Column("queued", Integer, nullable=False, server_default="0"),
    Column("held", Integer, nullable=False, server_default="0"),
    Column("priority", Double, nullable=False, server_default="0"),
    Column("person", Words, nullable=False, server_default=""),
    Column("release", Words, nullable=False, server_default=""),
    Column("tiles", Plain, nullable=False, server_default="[]"),
    Column("retry", Integer, nullable=False, server_default="0"),
    Column("rule", Words, nullable=False, server_default=""),
    Column("wish", Words, nullable=False, server_default=""),
    Column("begun", Double),
    Column("progress", Plain, nullable=False, server_default="{}"),
    Column("fault", Plain, nullable=False, server_default="null"),
    Column("signed", Plain, nullable=False, server_default="null"),
    Index(None, "state", "priority"),
)
"""`state` is one of `spica.core.orders.State`. `queued`: it waits for a coordinator, to which it goes back where one dies. `held`: nobody
begins it. `wish`: what its coordinator is asked to do with it. `owner`: who works on it, or did last; `person`: who ordered it.
`progress`: how far it is; `fault`: what stopped it; `signed`: who accepted its result, and when."""
