"""Orders on masters (which are to be used, and where), and the gain that a detector was read out with."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To version 2."""
    op.create_table(
        "calibration_orders",
        sa.Column("id", NUMBER, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("action", "camera", "block", "name", "band")),
        sa.Column("detector", sa.Integer(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("first", "last", "who")),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.Column("withdrawn", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_calibration_orders"),
    )
    op.add_column("detectors", sa.Column("gain", sa.Double(), nullable=False, server_default="0"))
    _fill_gains()
    op.execute("UPDATE meta SET value = '2' WHERE name = 'schema'")


def _fill_gains() -> None:
    """The mean gain of the amplifiers, of the detectors that are there."""
    connection = op.get_bind()
    readouts = sa.table("readouts", sa.column("id"), sa.column("amplifiers"))
    detectors = sa.table("detectors", sa.column("readout"), sa.column("gain"))
    for number, amplifiers in connection.execute(sa.select(readouts.c.id, readouts.c.amplifiers)).all():
        gains = [float(each["gain"]) for each in json.loads(amplifiers)]
        if gains:
            mean = sum(gains) / len(gains)
            connection.execute(sa.update(detectors).where(detectors.c.readout == number).values(gain=mean))
