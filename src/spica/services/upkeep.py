"""Upkeep of the registry: backup, restore, upgrade, version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault
from spica.registry import store
from spica.services.surveys import locate


@dataclass(frozen=True)
class Backup:
    """A backup that was written."""

    registry: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class Restored:
    """A registry that was restored; `kept` is where the one before was put, if it was a file."""

    registry: str
    path: Path
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
    store.backup(survey.registry_url, path)
    return Backup(survey.settings.registry, path, path.stat().st_size)


def restore(path: Path, folder: Path | None) -> Restored:
    """Put a backup in the registry's place.

    Raises
    ------
    DataFault
        ``file.missing``: there is no such backup.
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    survey = locate(folder)
    if not path.is_file():
        raise DataFault("file.missing", f"there is no backup {path}", path=str(path))
    kept = store.restore(survey.registry_url, path)
    return Restored(survey.settings.registry, path, kept)


def upgrade(folder: Path | None) -> Upgraded:
    """Bring the registry to the tables of this version.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    survey = locate(folder)
    before = store.version(survey.registry_url)
    store.upgrade(survey.registry_url)
    return Upgraded(survey.settings.registry, before, store.version(survey.registry_url))


def version(folder: Path | None) -> Version:
    """The version of the registry's tables.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    survey = locate(folder)
    return Version(survey.settings.registry, store.version(survey.registry_url), store.NEEDED)
