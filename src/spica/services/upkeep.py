"""Upkeep of the registry: backup, restore, upgrade, version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault, Fault
from spica.registry import backup as backups
from spica.registry import lifecycle
from spica.registry.door import sqlite_path
from spica.registry.version import SCHEMA
from spica.services.surveys import locate

COMPANIONS = ("", "-wal", "-shm")
"""What SQLite keeps beside its file belongs to it."""


@dataclass(frozen=True)
class Backup:
    """A backup that was written."""

    registry: str
    path: Path
    bytes: int
    rows: int


@dataclass(frozen=True)
class Restored:
    """A registry that was restored; `kept` is where the one before was put, if it was a file."""

    registry: str
    path: Path
    rows: int
    kept: Path | None


@dataclass(frozen=True)
class Upgraded:
    """A registry that was brought to this version's tables."""

    registry: str
    before: int
    after: int


@dataclass(frozen=True)
class Version:
    """The version of a registry's tables, and the one that this spica works with."""

    registry: str
    version: int
    needed: int


def backup(path: Path, folder: Path | None) -> Backup:
    """Write the registry to one file.

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    survey = locate(folder)
    rows = backups.backup(survey.registry_url, path)
    return Backup(survey.settings.registry, path, path.stat().st_size, sum(rows.values()))


def restore(path: Path, folder: Path | None) -> Restored:
    """Put a backup in the registry's place.

    A SQLite registry that is there (a damaged one, say) is kept beside the new one, and comes back where the backup
    cannot be restored. A database of a server has to be empty.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.corrupt``: the backup cannot be used.
    SetupFault
        ``survey.*``, ``registry.newer``; ``survey.exists`` for a database that is not empty.
    """
    survey = locate(folder)
    if not path.is_file():
        raise DataFault("file.missing", f"there is no backup {path}", path=str(path))
    current = sqlite_path(survey.registry_url)
    kept = _free_name(current) if current is not None and current.exists() else None
    if current is not None and kept is not None:
        _move(current, kept)
    try:
        rows = backups.restore(survey.registry_url, path)
    except Fault:
        if current is not None and kept is not None:
            _move(kept, current)
        raise
    return Restored(survey.settings.registry, path, sum(rows.values()), kept)


def _free_name(current: Path) -> Path:
    number = 1
    while (name := current.with_name(f"{current.name}.before-restore-{number}")).exists():
        number += 1
    return name


def _move(source: Path, target: Path) -> None:
    for companion in COMPANIONS:
        Path(f"{target}{companion}").unlink(missing_ok=True)
        if Path(f"{source}{companion}").exists():
            Path(f"{source}{companion}").replace(f"{target}{companion}")


def upgrade(folder: Path | None) -> Upgraded:
    """Bring the registry to the tables of this version.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    survey = locate(folder)
    before = lifecycle.version(survey.registry_url)
    lifecycle.upgrade(survey.registry_url)
    return Upgraded(survey.settings.registry, before, lifecycle.version(survey.registry_url))


def version(folder: Path | None) -> Version:
    """The version of the registry's tables.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    survey = locate(folder)
    return Version(survey.settings.registry, lifecycle.version(survey.registry_url), SCHEMA)
