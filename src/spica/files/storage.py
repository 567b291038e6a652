"""Storage areas: where copies of files lie, on a local disk or behind an address that fsspec knows (ssh, S3, memory).

A delivered file is copied, linked or left in place; a copy is registered by the caller only after it is whole.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from spica.core.faults import DataFault, ResourceFault, SetupFault
from spica.files import atomic, checksums


@dataclass(frozen=True)
class Area:
    """A storage area.

    Attributes
    ----------
    name : as in the survey's settings.
    url : a folder, or an address (``s3://bucket/survey``, ``sftp://host/survey``, ``memory://x``).
    """

    name: str
    url: str

    @property
    def is_local(self) -> bool:
        """A folder of this machine (or mounted here)."""
        return "://" not in self.url

    def where(self, path: str) -> str:
        """The whole address of a path in the area; ``order.invalid`` for one that leaves it."""
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts:
            raise SetupFault("order.invalid", f"{path!r} leaves the storage area {self.name}", area=self.name)
        return f"{self.url.rstrip('/')}/{parts}"

    def put(self, source: Path, path: str) -> None:
        """Copy a file into the area; a reader never sees half of it.

        Raises
        ------
        ResourceFault
            ``disk.full``, ``disk.read-only``, ``storage.unreachable``.
        """
        if self.is_local:
            copy(source, Path(self.where(path)))
            return
        with self._reach() as (system, root):
            target = f"{root}/{path}"
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(source), f"{target}{atomic.PART}")
            system.mv(f"{target}{atomic.PART}", target)

    def get(self, path: str, target: Path) -> None:
        """Copy a file from the area to this machine; ``file.missing`` where it is not there."""
        if self.is_local:
            copy(Path(self.where(path)), target)
            return
        with self._reach() as (system, root):
            if not system.exists(f"{root}/{path}"):
                raise DataFault("file.missing", f"{self.where(path)} is not there", path=self.where(path))
            with atomic.writing(target) as part:
                system.get_file(f"{root}/{path}", str(part))

    def exists(self, path: str) -> bool:
        """Whether the area holds a file of this path."""
        if self.is_local:
            return Path(self.where(path)).is_file()
        with self._reach() as (system, root):
            return bool(system.isfile(f"{root}/{path}"))

    def remove(self, path: str) -> None:
        """Delete a file; one that is gone already is no fault."""
        if self.is_local:
            with atomic.disk_faults(Path(self.where(path))):
                Path(self.where(path)).unlink(missing_ok=True)
            return
        with self._reach() as (system, root):
            if system.exists(f"{root}/{path}"):
                system.rm_file(f"{root}/{path}")

    def checksum(self, path: str) -> str:
        """Checksum of a file of the area, read where it lies; ``file.missing`` where it is not there."""
        if self.is_local:
            return checksums.of_file(Path(self.where(path)))
        with self._reach() as (system, root):
            if not system.exists(f"{root}/{path}"):
                raise DataFault("file.missing", f"{self.where(path)} is not there", path=self.where(path))
            with system.open(f"{root}/{path}", "rb") as stream:
                return checksums.of_stream(stream)

    def names(self) -> Iterator[str]:
        """Every file of the area by its path, sorted; half-written ones are left out."""
        if self.is_local:
            root = Path(self.url)
            found = sorted(item.relative_to(root).as_posix() for item in root.rglob("*") if item.is_file())
        else:
            with self._reach() as (system, base):
                found = sorted(str(item).removeprefix(base).lstrip("/") for item in system.find(base))
        return (name for name in found if not name.endswith(atomic.PART))

    def free_space(self) -> int | None:
        """Free bytes; None where the area cannot say (object stores have no end)."""
        return atomic.free_space(Path(self.url)) if self.is_local else None

    @contextmanager
    def _reach(self) -> Iterator[tuple[Any, str]]:
        """The file system behind the address and the area's root in it, its errors as named faults."""
        try:
            system, root = fsspec.url_to_fs(self.url)
        except ImportError as error:
            message = f"storage area {self.name}: {error}"
            raise SetupFault("program.missing", message, area=self.name, url=self.url) from error
        except ValueError as error:
            raise SetupFault("survey.invalid", f"storage area {self.name}: {error}", area=self.name) from error
        try:
            yield system, str(root).rstrip("/")
        except OSError as error:
            fault = atomic.disk_fault(error, Path(self.url))
            raise fault or ResourceFault(
                "storage.unreachable", f"storage area {self.name}: {error}", area=self.name, url=self.url
            ) from error


def copy(source: Path, target: Path) -> None:
    """Copy a file within this machine, whole or not at all (shares blocks where the file system can).

    Raises
    ------
    DataFault
        ``file.missing``, ``file.unreadable``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    try:
        stream = source.open("rb")
    except FileNotFoundError as error:
        raise DataFault("file.missing", f"{source} is not there", path=str(source)) from error
    except OSError as error:
        raise DataFault("file.unreadable", f"{source} cannot be read: {error.strerror}", path=str(source)) from error
    with stream, atomic.writing(target) as part, part.open("wb") as out:
        shutil.copyfileobj(stream, out, 1 << 22)


def link(source: Path, target: Path) -> None:
    """Give a file a second name (hard link).

    Raises
    ------
    SetupFault
        ``order.invalid`` where the disks differ or the file system has no links: copy, or leave in place.
    """
    part = atomic.part_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, part)
        part.replace(target)
    except FileNotFoundError as error:
        raise DataFault("file.missing", f"{source} is not there", path=str(source)) from error
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES}:
            message = f"{source} cannot be linked to {target}: {error.strerror}"
            raise SetupFault(
                "order.invalid", message, advice="ingest with --mode copy or --mode place", path=str(source)
            ) from error
        fault = atomic.disk_fault(error, target)
        if fault is None:
            raise
        raise fault from error
    finally:
        part.unlink(missing_ok=True)
