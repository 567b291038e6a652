"""Atomic writes: a file is there whole or not at all, and a disk that refuses is a named fault.

A temporary name in the same folder is written, flushed to the disk and renamed. What a killed process leaves behind ends
in ``.part`` and is swept by `sweep`; nothing ever reads such a file.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from spica.core.faults import Fault, ResourceFault

PART = ".part"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_AWAY = {errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH}
_counter = itertools.count()


def disk_fault(error: OSError, path: Path) -> Fault | None:
    """The named fault of an error met while writing, None where it is not the disk's."""
    if error.errno in _FULL:
        return ResourceFault("disk.full", f"no space left for {path}", path=str(path), free=free_space(path))
    if error.errno in _REFUSED:
        return ResourceFault("disk.read-only", f"{path} cannot be written: {error.strerror}", path=str(path))
    if error.errno in _AWAY:
        return ResourceFault("storage.unreachable", f"{path} does not answer: {error.strerror}", path=str(path))
    return None


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn errors of the disk met in the block into named faults (``disk.full``, ``disk.read-only``, …)."""
    try:
        yield
    except OSError as error:
        fault = disk_fault(error, path)
        if fault is None:
            raise
        raise fault from error


@contextmanager
def writing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not.

    Parameters
    ----------
    path : where the file shall be; missing folders are made, an existing file is replaced in one step.
    durable : flush file and folder to the disk before and after the renaming (off for scratch).

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``, ``storage.unreachable``.
    """
    part = part_of(path)
    with disk_faults(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            commit(part, path, durable=durable)
        finally:
            part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """A temporary name beside `path` that no other process of any machine uses and that `sweep` knows."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{next(_counter)}{PART}")


def commit(part: Path, path: Path, *, durable: bool = True) -> None:
    """Let a finished temporary file take its place."""
    if durable:
        _flush(part)
    part.replace(path)
    if durable:
        _flush(path.parent)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a small file atomically."""
    with writing(path, durable=durable) as part:
        part.write_bytes(data)


@contextmanager
def passing_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder in `parent` for files that pass through; it goes when the block ends, or with `sweep`.

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``, ``storage.unreachable``.
    """
    folder = part_of(parent / name)
    with disk_faults(folder):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        with disk_faults(folder):
            shutil.rmtree(folder)


def sweep(folder: Path) -> list[Path]:
    """Delete what killed processes of this machine left half-written below `folder`; returns what was deleted."""
    gone = []
    for part in sorted(folder.rglob(f".*{PART}")):
        host, _, rest = part.name.removesuffix(PART).rpartition(".")[2].partition("-")
        owner = rest.partition("-")[0]
        if host == _host() and owner.isdigit() and not _alive(int(owner)):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)
            gone.append(part)
    return gone


def free_space(path: Path) -> int:
    """Free bytes on the disk that holds `path` (or its nearest existing parent)."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


@cache
def _host() -> str:
    """Name of this machine as letters and digits: folders may be shared with others, whose processes are not ours."""
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname()) or "host"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
