"""A registry that is damaged, gone, newer, older or of something else: refused by name, and a backup brings it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from spica.registry.store import Registry
from tests.drills.ground import Field, Program, contents, obey_permissions
from tests.support.survey import NIGHT_UNITS

WAL = ("-wal", "-shm")


def at_rest(folder: Path) -> Path:
    """The registry's file, with all that SQLite keeps beside it taken in."""
    path = folder / "registry.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def rubbish(path: Path) -> None:
    path.write_bytes(b"no database at all " * 1000)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def scrambled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(4096, len(data), 4096):
        data[place : place + 64] = bytes(64)
    path.write_bytes(data)


def a_table_short(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE metrics")
    connection.close()


def of_something_else(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def version(number: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (number,))
        connection.close()

    change.__name__ = f"version_{number}"
    return change


DRILLS: list[tuple[Callable[[Path], None], str]] = [
    (rubbish, "registry.corrupt"),
    (truncated, "registry.corrupt"),
    (scrambled, "registry.corrupt"),
    (a_table_short, "registry.corrupt"),
    (version("soon"), "registry.corrupt"),
    (version("99"), "registry.newer"),
    (empty, "registry.missing"),
    (gone, "registry.missing"),
    (of_something_else, "registry.missing"),
]


QUICK = (rubbish, a_table_short, gone, of_something_else)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [drill if drill[0] in QUICK else pytest.param(*drill, marks=pytest.mark.slow) for drill in DRILLS],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_registry_that_cannot_be_used(
    done: Field, expected: dict[str, bytes], spoil: Callable[[Path], None], code: str
) -> None:
    backup = done.folder.parent / "registry.backup"
    done.order("registry", "backup", backup)
    path = at_rest(done.folder)
    spoil(path)
    there = path.exists()
    spoilt = path.read_bytes() if there else b""
    orders = [("run", "night"), ("ingest", str(done.delivery)), ("faults",), ("check",)]
    # A glance at the status looks into the tables that it needs, and no others.
    for words in orders if spoil is a_table_short else [("status",), *orders]:
        fault = done.ask(*words, code=2)["fault"]
        assert fault["code"] == code, words
        assert str(path) in fault["message"]
        assert fault["advice"]
    assert path.exists() == there
    assert not there or path.read_bytes() == spoilt, "nobody writes into it"
    assert done.ask("doctor", code=2)
    restored = done.ask("registry", "restore", backup)
    assert (restored["kept"] is not None) == there, "what was there is kept to be looked at"
    again = done.night()
    assert (again["done"], again["skipped"]) == (0, NIGHT_UNITS)
    assert done.ask("check", "--deep")["differences"] == []
    assert done.contents() == expected


def test_without_a_backup_everything_is_made_again(done: Field, expected: dict[str, bytes]) -> None:
    """The raw files and the settings are enough: the same keys, the same bytes."""
    rubbish(at_rest(done.folder))
    path = done.folder / "registry.sqlite"
    path.rename(path.with_suffix(".damaged"))
    done.order("registry", "upgrade")
    done.order("ingest", done.folder / "raw", "--mode", "inplace")
    assert done.night()["done"] == NIGHT_UNITS
    assert done.contents() == expected


@pytest.mark.parametrize(
    "damage",
    [pytest.param(b"", marks=pytest.mark.slow), pytest.param(b"not a backup", marks=pytest.mark.slow), None],
    ids=["empty", "rubbish", "truncated"],
)
def test_a_backup_that_cannot_be_used(done: Field, damage: bytes | None, expected: dict[str, bytes]) -> None:
    backup = done.folder.parent / "registry.backup"
    done.order("registry", "backup", backup)
    backup.write_bytes(backup.read_bytes()[:-2000] if damage is None else damage)
    fault = done.ask("registry", "restore", backup, code=3)["fault"]
    assert fault["code"].startswith("file.")
    assert str(backup) in fault["message"]
    assert done.night()["skipped"] == NIGHT_UNITS, "the registry that was there is there"


def test_a_registry_that_may_not_be_written(done: Field) -> None:
    path = at_rest(done.folder)
    path.chmod(0o400)
    for beside in WAL:
        path.with_name(path.name + beside).unlink(missing_ok=True)
    done.folder.chmod(0o500)
    plain = Program(done.folder, before=obey_permissions)
    try:
        fault = plain.order("run", "night", "--set", "detect.threshold=7", "--json", code=4).answer["fault"]
    finally:
        done.folder.chmod(0o700)
        path.chmod(0o600)
    assert fault["code"] == "disk.read-only"
    assert str(path) in fault["message"]
    assert contents(done.folder)
    assert done.night()["skipped"] == NIGHT_UNITS


def test_a_registry_that_somebody_holds(done: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that keeps the database locked: said after a while, and over when it lets go."""
    monkeypatch.setitem(Registry.open.__func__.__kwdefaults__, "busy", 0.2)  # type: ignore[attr-defined]
    holder = sqlite3.connect(done.folder / "registry.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    fault = done.ask("run", "night", "--executor", "inprocess", "--set", "detect.threshold=7", code=4)["fault"]
    assert fault["code"] == "registry.busy"
    assert "try again" in fault["advice"]
    holder.execute("ROLLBACK")
    holder.close()
    assert done.night("--set", "detect.threshold=7")["complete"]
