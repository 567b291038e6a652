"""The tables of the spine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To version 1."""
    _units()
    _exposures()
    _files()
    _copies()
    _headers()
    _readouts()
    _detectors()
    _productions()
    _chains()
    _environments()
    _jobs()
    _inputs()
    _leases()
    _products()
    _calibrations()
    _metric_names()
    _metric_tags()
    _metrics()
    _faults()
    _quarantine()
    _grades()
    _comments()
    _events()
    _meta()
    op.execute("INSERT INTO meta (name, value) VALUES ('schema', '1')")


def _units() -> None:
    op.create_table(
        "units",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("grain", "name"),
        sa.PrimaryKeyConstraint("id", name="pk_units"),
        sa.UniqueConstraint("name", name="uq_units_name"),
    )


def _exposures() -> None:
    op.create_table(
        "exposures",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("unit", NUMBER, nullable=False),
        *_texts("name", "camera", "frame_type", "state", "night"),
        sa.Column("mjd", sa.Double(), nullable=False),
        sa.Column("exposure_time", sa.Double(), nullable=False),
        sa.Column("dark_time", sa.Double(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        *_texts("band", "filter", "flat_kind"),
        sa.Column("ra", sa.Double(), nullable=True),
        sa.Column("dec", sa.Double(), nullable=True),
        sa.Column("rotation", sa.Double(), nullable=True),
        sa.Column("airmass", sa.Double(), nullable=True),
        *_texts("object", "field", "programme", "run", "observer"),
        sa.Column("bin_x", sa.Integer(), nullable=False),
        sa.Column("bin_y", sa.Integer(), nullable=False),
        *_texts("readout_mode", "defaulted", "extra", "digest"),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_exposures_unit"),
        sa.PrimaryKeyConstraint("id", name="pk_exposures"),
        sa.UniqueConstraint("name", name="uq_exposures_name"),
        sa.UniqueConstraint("unit", name="uq_exposures_unit"),
    )
    op.create_index("ix_exposures_mjd", "exposures", ["mjd"])


def _files() -> None:
    op.create_table(
        "files",
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("conformance", sa.Text(), nullable=False),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("checksum", name="pk_files"),
    )


def _copies() -> None:
    op.create_table(
        "copies",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("checksum", "area", "path", "origin"),
        sa.Column("mtime", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["checksum"], ["files.checksum"], name="fk_copies_checksum"),
        sa.PrimaryKeyConstraint("id", name="pk_copies"),
        sa.UniqueConstraint("path", "area", name="uq_copies_path_area"),
    )
    op.create_index("ix_copies_checksum", "copies", ["checksum"])
    op.create_index("ix_copies_origin", "copies", ["origin"])


def _headers() -> None:
    op.create_table(
        "headers",
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("texts", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["checksum"], ["files.checksum"], name="fk_headers_checksum"),
        sa.PrimaryKeyConstraint("checksum", name="pk_headers"),
    )


def _readouts() -> None:
    op.create_table(
        "readouts",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("digest", "amplifiers"),
        sa.PrimaryKeyConstraint("id", name="pk_readouts"),
        sa.UniqueConstraint("digest", name="uq_readouts_digest"),
    )


def _detectors() -> None:
    op.create_table(
        "detectors",
        sa.Column("unit", NUMBER, autoincrement=False, nullable=False),
        sa.Column("exposure", sa.BigInteger(), nullable=False),
        sa.Column("detector", sa.Integer(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("readout", NUMBER, nullable=False),
        sa.Column("nx", sa.Integer(), nullable=False),
        sa.Column("ny", sa.Integer(), nullable=False),
        *_texts("hdus", "amplifier_files", "wcs", "planes", "digest"),
        sa.ForeignKeyConstraint(["exposure"], ["exposures.id"], name="fk_detectors_exposure"),
        sa.ForeignKeyConstraint(["file"], ["files.checksum"], name="fk_detectors_file"),
        sa.ForeignKeyConstraint(["readout"], ["readouts.id"], name="fk_detectors_readout"),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_detectors_unit"),
        sa.PrimaryKeyConstraint("unit", name="pk_detectors"),
        sa.UniqueConstraint("exposure", "detector", name="uq_detectors_exposure_detector"),
    )
    op.create_index("ix_detectors_file", "detectors", ["file"])


def _productions() -> None:
    op.create_table(
        "productions",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("name", "pipeline", "selection", "settings", "owner"),
        sa.Column("opened", sa.Double(), nullable=False),
        sa.Column("closed", sa.Double(), nullable=True),
        sa.Column("outcomes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_productions"),
    )


def _chains() -> None:
    op.create_table(
        "chains",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("digest", "steps"),
        sa.PrimaryKeyConstraint("id", name="pk_chains"),
        sa.UniqueConstraint("digest", name="uq_chains_digest"),
    )


def _environments() -> None:
    op.create_table(
        "environments",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("digest", "versions"),
        sa.PrimaryKeyConstraint("id", name="pk_environments"),
        sa.UniqueConstraint("digest", name="uq_environments_digest"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("unit", NUMBER, nullable=False),
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("chain", NUMBER, nullable=False),
        sa.Column("environment", NUMBER, nullable=False),
        sa.Column("production", NUMBER, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("rungs", sa.Text(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("wall", sa.Double(), nullable=False),
        sa.Column("cpu", sa.Double(), nullable=False),
        sa.Column("peak_memory", sa.BigInteger(), nullable=False),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column("bytes_written", sa.BigInteger(), nullable=False),
        *_texts("host", "owner"),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["chain"], ["chains.id"], name="fk_jobs_chain"),
        sa.ForeignKeyConstraint(["environment"], ["environments.id"], name="fk_jobs_environment"),
        sa.ForeignKeyConstraint(["production"], ["productions.id"], name="fk_jobs_production"),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_jobs_unit"),
        sa.PrimaryKeyConstraint("key", name="pk_jobs"),
    )
    op.create_index("ix_jobs_pipeline_outcome", "jobs", ["pipeline", "outcome"])
    op.create_index("ix_jobs_production", "jobs", ["production"])
    op.create_index("ix_jobs_unit", "jobs", ["unit"])


def _inputs() -> None:
    op.create_table(
        "inputs",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        *_texts("need", "key", "unit", "how"),
        sa.ForeignKeyConstraint(["job"], ["jobs.key"], name="fk_inputs_job"),
        sa.PrimaryKeyConstraint("job", "place", name="pk_inputs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_inputs_key", "inputs", ["key"])


def _leases() -> None:
    op.create_table(
        "leases",
        *_texts("key", "owner"),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_leases"),
    )
    op.create_index("ix_leases_owner", "leases", ["owner"])


def _products() -> None:
    op.create_table(
        "products",
        *_texts("key", "job", "name", "form"),
        sa.Column("unit", NUMBER, nullable=False),
        *_texts("path", "checksum"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("scratch", sa.Boolean(), nullable=False),
        sa.Column("master", sa.Boolean(), nullable=False),
        *_texts("facts", "value"),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.key"], name="fk_products_job"),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_products_unit"),
        sa.PrimaryKeyConstraint("key", name="pk_products"),
    )
    op.create_index("ix_products_job", "products", ["job"])
    op.create_index("ix_products_unit_name", "products", ["unit", "name"])


def _calibrations() -> None:
    op.create_table(
        "calibrations",
        *_texts("product", "name", "camera"),
        sa.Column("detector", sa.Integer(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("ny", sa.Integer(), nullable=False),
        sa.Column("nx", sa.Integer(), nullable=False),
        sa.Column("bin_x", sa.Integer(), nullable=False),
        sa.Column("bin_y", sa.Integer(), nullable=False),
        sa.Column("readout_mode", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Double(), nullable=False),
        sa.Column("valid_to", sa.Double(), nullable=False),
        sa.Column("block", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["product"], ["products.key"], name="fk_calibrations_product"),
        sa.PrimaryKeyConstraint("product", name="pk_calibrations"),
    )
    op.create_index("ix_calibrations_camera_name", "calibrations", ["camera", "name"])


def _metric_names() -> None:
    op.create_table(
        "metric_names",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("label", "name", "grain"),
        sa.PrimaryKeyConstraint("id", name="pk_metric_names"),
        sa.UniqueConstraint("label", name="uq_metric_names_label"),
    )


def _metric_tags() -> None:
    op.create_table(
        "metric_tags",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("label", "units", "source"),
        sa.PrimaryKeyConstraint("id", name="pk_metric_tags"),
        sa.UniqueConstraint("label", name="uq_metric_tags_label"),
    )


def _metrics() -> None:
    op.create_table(
        "metrics",
        sa.Column("unit", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", NUMBER, autoincrement=False, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("tag", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["name"], ["metric_names.id"], name="fk_metrics_name"),
        sa.ForeignKeyConstraint(["tag"], ["metric_tags.id"], name="fk_metrics_tag"),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_metrics_unit"),
        sa.PrimaryKeyConstraint("unit", "name", name="pk_metrics"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_metrics_name_value_unit", "metrics", ["name", "value", "unit"])


def _faults() -> None:
    op.create_table(
        "faults",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("unit", NUMBER, nullable=False),
        *_texts("pipeline", "job", "outcome", "code", "kind", "message", "evidence", "advice"),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.Column("cleared", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_faults_unit"),
        sa.PrimaryKeyConstraint("id", name="pk_faults"),
    )
    op.create_index("ix_faults_cleared", "faults", ["cleared"])
    op.create_index("ix_faults_code", "faults", ["code"])
    op.create_index("ix_faults_unit", "faults", ["unit"])


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("path", "checksum", "code", "kind", "message", "evidence", "advice"),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.Column("released", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )
    op.create_index("ix_quarantine_path", "quarantine", ["path"])


def _grades() -> None:
    op.create_table(
        "grades",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("unit", NUMBER, nullable=False),
        *_texts("grade", "who"),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_grades_unit"),
        sa.PrimaryKeyConstraint("id", name="pk_grades"),
    )
    op.create_index("ix_grades_unit", "grades", ["unit"])


def _comments() -> None:
    op.create_table(
        "comments",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("unit", NUMBER, nullable=False),
        *_texts("text", "who"),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name="fk_comments_unit"),
        sa.PrimaryKeyConstraint("id", name="pk_comments"),
    )
    op.create_index("ix_comments_unit", "comments", ["unit"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", NUMBER, nullable=False),
        *_texts("kind", "unit", "message", "details", "who"),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_recorded", "events", ["recorded"])


def _meta() -> None:
    op.create_table("meta", *_texts("name", "value"), sa.PrimaryKeyConstraint("name", name="pk_meta"))


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
