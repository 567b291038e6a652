"""A verified file gets its place: copied or linked into the survey's ``raw`` folder or an area, or left where it lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spica.core.faults import SetupFault
from spica.core.records import FileRecord, IngestRecord
from spica.files import storage
from spica.files.storage import Area
from spica.intake.find import Candidate


def place(record: IngestRecord, candidate: Candidate, area: Area, mode: str) -> IngestRecord:
    """Bring the file of a record to where it shall stay.

    Parameters
    ----------
    record, candidate : from `spica.intake.examine`.
    area : where copies and links go: ``raw/<camera>/<night>/<name>`` there. A file of the same name and other bytes
        gets the first 8 digits of its checksum into its name.
    mode : 'copy', 'link' (hard link), 'place' (leave it; a file unpacked from a bundle is copied all the same).

    Returns
    -------
    IngestRecord
        With the path and the area of the file as they are now. Nothing is written where the very file is there already.

    Raises
    ------
    SetupFault
        ``order.invalid`` where a link cannot be made, or for an unknown mode.
    ResourceFault
        ``disk.full``, ``disk.read-only``, ``storage.unreachable``.
    """
    if mode not in {"copy", "link", "place"}:
        raise SetupFault("order.invalid", f"files are ingested by copy, link or place, not by {mode!r}", mode=mode)
    if mode == "place" and not candidate.spooled:
        return record
    target, there = _target(record, area)
    if not there and mode == "link" and not candidate.spooled:
        if not area.is_local:
            message = f"files cannot be linked into the storage area {area.name}"
            raise SetupFault("order.invalid", message, advice="ingest with --mode copy", area=area.name)
        storage.link(candidate.path, Path(area.where(target)))
    elif not there:
        area.put(candidate.path, target)
    return replace(record, file=replace(record.file, path=target, area=area.name))


def set_aside(candidate: Candidate, folder: Path, checksum: str) -> Path:
    """Copy a file that was refused into the quarantine folder, where it can be looked at; returns where."""
    target = folder / f"{checksum[:8]}_{candidate.path.name}"
    if not target.exists():
        storage.copy(candidate.path, target)
    return target


def release(candidate: Candidate) -> None:
    """Delete what was unpacked for us; delivered files are never touched."""
    if candidate.spooled:
        candidate.path.unlink(missing_ok=True)
        parent = candidate.path.parent
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def folder_of(record: IngestRecord) -> str:
    """Folder of an area that copies and links of a record's file go to."""
    return f"raw/{record.exposure.camera}/{record.exposure.night}"


def _target(record: IngestRecord, area: Area) -> tuple[str, bool]:
    """Path in the area, and whether the very file lies there already."""
    file: FileRecord = record.file
    name = Path(file.origin.rpartition("!")[2]).name
    folder = folder_of(record)
    stem, dot, suffix = name.partition(".")
    for path in (f"{folder}/{name}", f"{folder}/{stem}-{file.checksum[:8]}{dot}{suffix}"):
        if not area.exists(path):
            return path, False
        if _same(area, path, file):
            return path, True
    return f"{folder}/{stem}-{file.checksum}{dot}{suffix}", False


def _same(area: Area, path: str, file: FileRecord) -> bool:
    if area.is_local and Path(area.where(path)).stat().st_size != file.size:
        return False
    return area.checksum(path) == file.checksum
