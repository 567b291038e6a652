"""Outlines of detectors and exposures on the sky."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """To version 3."""
    op.create_table(
        "footprints",
        sa.Column("unit", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("ra", "dec", "radius")),
        sa.Column("vertices", sa.Text(), nullable=False),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_footprints_unit_units"),
        sa.PrimaryKeyConstraint("unit", name="pk_footprints"),
    )
    op.create_index("ix_footprints_radius", "footprints", ["radius"])
    op.create_index("ix_footprints_dec_ra", "footprints", ["dec", "ra"])
    op.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
