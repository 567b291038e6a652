"""Productions may wait in a queue: their state, priority, wishes, progress and sign-off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

WORDS = {"state": "done", "person": "", "release": "", "rule": "", "wish": ""}
PLAIN = {"tiles": "[]", "progress": "{}", "fault": "null", "signed": "null"}
WHOLE = ("queued", "held", "retry")


def upgrade() -> None:
    """To version 4."""
    for name, default in (WORDS | PLAIN).items():
        op.add_column("productions", sa.Column(name, sa.Text(), nullable=False, server_default=default))
    for name in WHOLE:
        op.add_column("productions", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("productions", sa.Column("priority", sa.Double(), nullable=False, server_default="0"))
    op.add_column("productions", sa.Column("begun", sa.Double(), nullable=True))
    op.create_index("ix_productions_state_priority", "productions", ["state", "priority"])
    # Who works while the tables change is not there any more.
    op.execute("UPDATE productions SET begun = opened, state = CASE WHEN closed IS NULL THEN 'stopped' ELSE 'done' END")
    op.execute("UPDATE meta SET value = '4' WHERE name = 'schema'")
