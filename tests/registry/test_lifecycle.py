from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from spica.core.faults import DataFault, ResourceFault, SetupFault
from spica.core.records import Grain, Metric, Unit
from spica.registry import backup, glance, lifecycle
from spica.registry.door import Door
from spica.registry.schema import meta, metadata
from spica.registry.store import Registry
from spica.registry.version import SCHEMA
from tests.registry.samples import detector_unit, exposure, ingest, master, report


def test_migrations_make_the_declared_tables(empty_url: str) -> None:
    lifecycle.upgrade(empty_url)
    door = Door(empty_url)
    with door.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    door.close()
    assert lifecycle.version(empty_url) == SCHEMA
    lifecycle.upgrade(empty_url)
    Registry.open(empty_url).close()


def test_create_refuses_what_is_there(empty_url: str) -> None:
    Registry.create(empty_url).close()
    with pytest.raises(SetupFault) as caught:
        Registry.create(empty_url)
    assert caught.value.code == "survey.exists"


def test_nothing_there(empty_url: str) -> None:
    with pytest.raises(SetupFault) as caught:
        Registry.open(empty_url)
    assert caught.value.code == "registry.missing"
    assert lifecycle.version(empty_url) == 0


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.sqlite",
        "postgresql+psycopg://me:secret@127.0.0.1:1/none",
        "mysql://x/y",
        "no address",
    ],
)
def test_addresses_that_lead_nowhere(url: str) -> None:
    with pytest.raises(SetupFault) as caught:
        Registry.open(url)
    assert caught.value.code == "registry.missing"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("version", "code"), [(SCHEMA + 1, "registry.newer"), (SCHEMA - 1, "registry.older")])
def test_other_versions(registry: Registry, version: int, code: str) -> None:
    url = registry._door.url
    _sign(registry, version)
    try:
        for deed in (Registry.open, glance.counts):
            if version:
                with pytest.raises(SetupFault) as caught:
                    deed(url)
                assert caught.value.code == code
        if version > SCHEMA:
            with pytest.raises(SetupFault) as caught:
                lifecycle.upgrade(url)
            assert caught.value.code == code
    finally:
        _sign(registry, SCHEMA)


def _sign(registry: Registry, version: int) -> None:
    with registry._door.write() as connection:
        connection.execute(meta.update().where(meta.c.name == "schema").values(value=str(version)))


def _corrupt_head(path: Path) -> None:
    path.write_bytes(b"this was a database once" * 1000)


def _corrupt_middle(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    path.write_bytes(bytes(raw))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


def _lose_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE leases")


@pytest.mark.parametrize("damage", [_corrupt_head, _corrupt_middle, _truncate, _lose_a_table])
def test_a_damaged_file(sqlite_template: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "registry.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    damage(path)
    with pytest.raises(SetupFault) as caught:
        Registry.open(f"sqlite:///{path}").counts()
    assert caught.value.code == "registry.corrupt"
    with pytest.raises(SetupFault):
        glance.counts(f"sqlite:///{path}")


def test_a_registry_that_cannot_be_written(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    with Registry.open(f"sqlite:///file:{path}?mode=ro&uri=true") as registry:
        assert registry.counts().detectors == 0
        with pytest.raises(ResourceFault) as caught:
            registry.add(ingest(exposure(1)))
    assert caught.value.code == "disk.read-only"


def test_a_full_disk(registry: Registry) -> None:
    if not registry._door.sqlite:
        with registry._door.read() as connection:
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
        return
    with registry._door.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 3}")
    with pytest.raises(ResourceFault) as caught:
        registry.add_many([ingest(exposure(n), range(62)) for n in range(1, 20)])
    assert caught.value.code == "disk.full"
    assert registry.exposures() == []


def test_a_busy_database(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    with (
        Registry.open(f"sqlite:///{path}", busy=0.05) as registry,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResourceFault) as caught:
            registry.add(ingest(exposure(1)))
        assert caught.value.code == "registry.busy"
        # Readers do not wait.
        assert registry.counts().detectors == 0
        other.execute("ROLLBACK")
        registry.add(ingest(exposure(1)))


def test_network_disks_are_told() -> None:
    mounts = "/dev/sda1 / ext4 rw 0 0\nhost:/x /data nfs4 rw 0 0\ntmpfs /data/local\\040disk tmpfs rw 0 0\n"
    assert lifecycle.network_disk(Path("/data/survey/registry.sqlite"), mounts) == "nfs4"
    assert lifecycle.network_disk(Path("/data/local disk/registry.sqlite"), mounts) == ""
    assert lifecycle.network_disk(Path("/home/registry.sqlite"), mounts) == ""


def test_sqlite_settings(registry: Registry) -> None:
    if registry._door.sqlite:
        with registry._door.read() as connection:
            told = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "foreign_keys", "synchronous")
            }
        assert told == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1}


def _fill(registry: Registry) -> None:
    registry.add_many([ingest(exposure(n), origin=f"/in/{n}\udcff.fits") for n in range(1, 4)])
    unit = detector_unit(exposure(1), 0)
    registry.record_many([report(unit), master()], registry.queue.add("p", "reduce"), "me")
    registry.add_metrics([Metric(unit, "strange", float("inf")), Metric(unit, "none", float("nan"))])
    registry.grade(Unit(Grain.EXPOSURE, (exposure(1).name,)), "A", "fine\0", "me")
    registry.event("ingest", "three", details={"n": 3})


def test_backup_goes_from_either_to_either(registry: Registry, empty_url: str, tmp_path: Path) -> None:
    _fill(registry)
    path = tmp_path / "backups" / "one.zip"
    rows = backup.backup(registry._door.url, path)
    assert rows["detectors"] == 12
    assert backup.restore(empty_url, path) == rows
    with Registry.open(empty_url) as restored:
        assert restored.counts() == registry.counts()
        assert list(restored.detector_rows()) == list(registry.detector_rows())
        assert restored.files() == registry.files()
        assert restored.masters() == registry.masters()
        unit = detector_unit(exposure(1), 0)
        assert str(restored.metrics_of(unit)) == str(registry.metrics_of(unit))
        assert restored.job(report(unit).key) == registry.job(report(unit).key)
        assert restored.notes_of(Unit(Grain.EXPOSURE, (exposure(1).name,)))[1].text == "fine\0"
        # New rows get new numbers.
        _fill_more(restored)
        again = tmp_path / "two.zip"
        assert backup.backup(empty_url, again)["detectors"] == 16
    with pytest.raises(SetupFault) as caught:
        backup.restore(empty_url, path)
    assert caught.value.code == "survey.exists"


def _fill_more(registry: Registry) -> None:
    registry.add(ingest(exposure(77)))
    registry.record(report(detector_unit(exposure(77), 0), tag="new"))
    registry.event("more", "one")


def _flip(raw: bytes) -> bytes:
    start = len(raw) // 3
    return raw[:start] + bytes(byte ^ 0xFF for byte in raw[start : start + 100]) + raw[start + 100 :]


@pytest.mark.parametrize(
    "harm",
    [
        lambda raw: raw[: len(raw) // 2],
        _flip,
        lambda _: b"no archive",
        lambda _: b"",
    ],
)
def test_a_damaged_backup(sqlite_template: Path, tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "one.zip"
    backup.backup(f"sqlite:///{sqlite_template}", path)
    path.write_bytes(harm(path.read_bytes()))
    target = f"sqlite:///{tmp_path}/new.sqlite"
    with pytest.raises(DataFault) as caught:
        backup.restore(target, path)
    assert caught.value.code == "file.corrupt"
    assert not (tmp_path / "new.sqlite").exists()


def test_no_backup(tmp_path: Path) -> None:
    with pytest.raises(DataFault) as caught:
        backup.restore(f"sqlite:///{tmp_path}/new.sqlite", tmp_path / "none.zip")
    assert caught.value.code == "file.missing"


def test_the_glance_agrees(registry: Registry) -> None:
    _fill(registry)
    assert glance.counts(registry._door.url) == registry.counts()


def test_the_glance_loads_little() -> None:
    code = "import sys, spica.registry.glance; print(*sorted({'sqlalchemy', 'pydantic', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
    code = (
        code.replace("glance", "store")
        .replace("'sqlalchemy', ", "'astropy', 'numba', 'scipy', 'pyarrow', 'duckdb', 'alembic', ")
        .replace("'pydantic', ", "")
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
