"""The folders that reference catalogues lie in: what there is, what is known of each, and how one takes another's place."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from spica.core.faults import DataFault, SetupFault
from spica.core.hats import Partition
from spica.core.reference import ReferenceInfo, ReferenceSource
from spica.files import atomic

Int64 = npt.NDArray[np.int64]

ABOUT = "spica.json"
DENSITY = "spica_density.parquet"
FORMAT = 1
"""Of `ABOUT`; raised when older programs could not read it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_OLD = ".old"


def names(parent: Path) -> tuple[str, ...]:
    """Catalogues in a folder, by name."""
    if any(parent.glob(f".*{_OLD}")):
        _recover_if_nobody_works(parent)
    return tuple(sorted(path.parent.name for path in parent.glob(f"*/{ABOUT}") if _NAME.fullmatch(path.parent.name)))


def check_name(name: str) -> None:
    """SetupFault ``order.invalid`` for what cannot be the name of a catalogue."""
    if not _NAME.fullmatch(name):
        message = f"{name!r} is no name of a catalogue: letters, digits, - and _, at most 64"
        raise SetupFault("order.invalid", message, name=name)


def folder_of(parent: Path, name: str) -> Path:
    """The folder of a catalogue.

    Raises
    ------
    SetupFault
        ``refcat.unknown`` with those that there are.
    """
    known = names(parent)
    if name not in known:
        message = f"there is no reference catalogue {name!r} in {parent}; there are: {', '.join(known) or 'none'}"
        raise SetupFault("refcat.unknown", message, name=name)
    return parent / name


def read_info(folder: Path) -> ReferenceInfo:
    """What is known of a catalogue.

    Raises
    ------
    DataFault
        ``refcat.damaged`` where its description cannot be read.
    """
    path = folder / ABOUT
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if given.pop("format") != FORMAT:
            message = f"{path} was written by another version of spica"
            raise DataFault("refcat.damaged", message, path=str(path))
        given["partitions"] = tuple(Partition(*each) for each in given["partitions"])
        given["sources"] = tuple(ReferenceSource(**each) for each in given["sources"])
        given |= {key: tuple(given[key]) for key in ("columns", "epochs", "warnings")}
        return ReferenceInfo(**given)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFault("refcat.damaged", f"{path} cannot be read: {error}", path=str(path)) from error


def write_info(folder: Path, info: ReferenceInfo) -> None:
    """Write what is known of a catalogue; no date and no host is in it."""
    made = dataclasses.asdict(info) | {"format": FORMAT}
    made["partitions"] = [[each.order, each.pixel, each.rows] for each in info.partitions]
    atomic.write_bytes(folder / ABOUT, (json.dumps(made, indent=1, sort_keys=True) + "\n").encode())


def write_density(folder: Path, pixels: Int64, counts: Int64) -> None:
    """Write how many rows each cell (of the order in the description) holds."""
    table = pa.table({"pixel": pa.array(pixels), "rows": pa.array(counts)})
    with atomic.writing(folder / DENSITY) as part:
        pq.write_table(table, part, compression="zstd", use_dictionary=False)


def read_density(folder: Path) -> tuple[Int64, Int64]:
    """Cells that hold rows, rising, and their counts; DataFault ``refcat.damaged``."""
    path = folder / DENSITY
    try:
        table = pq.read_table(path, use_threads=False)
        return np.asarray(table["pixel"].to_numpy()), np.asarray(table["rows"].to_numpy())
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DataFault("refcat.damaged", f"{path} cannot be read: {error}", path=str(path)) from error


def size_of(folder: Path) -> int:
    """Bytes on disk."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def swap(made: Path, folder: Path) -> None:
    """Let a finished folder take the place of `folder`: after a kill there is the old one or the new one."""
    old = folder.with_name(f".{folder.name}{_OLD}")
    with atomic.disk_faults(folder):
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
        if old.exists():
            shutil.rmtree(old)


@contextmanager
def alone(parent: Path) -> Iterator[None]:
    """One process at a time changes the catalogues of a folder; a second one waits."""
    with atomic.disk_faults(parent):
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            atomic.sweep(parent)
            _recover(parent)
            yield


def _recover_if_nobody_works(parent: Path) -> None:
    """What `_recover` does, unless an import is under way or the folder is not ours to write."""
    try:
        with (parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _recover(parent)
    except (BlockingIOError, PermissionError):
        return


def _recover(parent: Path) -> None:
    """Finish what a killed process left between the two renamings of `swap`."""
    for old in parent.glob(f".*{_OLD}"):
        folder = parent / old.name.removeprefix(".").removesuffix(_OLD)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)
