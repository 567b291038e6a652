"""Published releases as they lie on disk: ``published/NAME`` with its manifest ``release.json``, which needs no registry.

A release is frozen when its manifest is there: the folder is written under another name, and renamed when it is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spica.core.faults import DataFault, SetupFault
from spica.files import checksums
from spica.files.survey import Survey

MANIFEST = "release.json"
OBJECTS = "objects"
"""Folder of the catalogue of objects."""
HISTORY = "history.json"
STORY = "history.txt"
FORM = 1
"""Of the manifest: a reader of another form refuses it."""


@dataclass(frozen=True)
class PublishedFile:
    """A file of a release, or a folder of very many: path in its folder, size [byte], checksum (BLAKE2b-160), the product that it holds."""

    path: str
    size: int
    checksum: str
    product: str = ""


@dataclass(frozen=True)
class PublishedUnit:
    """A stack or a tile of a release: the jobs that made it, its figures by name (value, unit, step), its files.

    It is made of so many `exposures`, of `exposure_time` [s] in all; `grade` is the last that a person gave.
    """

    unit: str
    jobs: tuple[str, ...]
    figures: Mapping[str, tuple[float, str, str]]
    files: tuple[PublishedFile, ...]
    exposures: int = 0
    exposure_time: float = 0.0
    grade: str = ""


@dataclass(frozen=True)
class Frozen:
    """A release as it was published.

    Attributes
    ----------
    released, public : dates, ``YYYY-MM-DD``: when it was closed, and from when everybody may have it.
    owners : who was told.
    spica, pipeline, tasks : version, pipeline's name, versions of the tasks by step.
    asked : the release's file.
    missing : units that it lacks, and why.
    more : files that are of no single unit (object catalogue, sky maps).
    """

    name: str
    title: str
    released: str
    public: str
    owners: tuple[str, ...]
    spica: str
    pipeline: str
    tasks: Mapping[str, int]
    asked: Mapping[str, Any]
    units: tuple[PublishedUnit, ...]
    missing: Mapping[str, str]
    more: tuple[PublishedFile, ...] = ()

    def files(self) -> Iterator[PublishedFile]:
        """All files, in the order of their units."""
        for unit in self.units:
            yield from unit.files
        yield from self.more


def folder_of(survey: Survey, name: str) -> Path:
    """The one path of a published release, which stays."""
    return survey.folder("published") / name


def is_frozen(survey: Survey, name: str) -> bool:
    """Whether a release was published."""
    return (folder_of(survey, name) / MANIFEST).is_file()


def refuse_frozen(survey: Survey, name: str) -> None:
    """SetupFault ``release.frozen`` for a release that was published: nothing of it may change any more."""
    if is_frozen(survey, name):
        message = f"release {name!r} was published: {folder_of(survey, name)}"
        raise SetupFault("release.frozen", message, release=name)


def write(folder: Path, frozen: Frozen) -> None:
    """Write the manifest into a folder that is being made."""
    plain = {"form": FORM, **asdict(frozen)}
    (folder / MANIFEST).write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read(survey: Survey, name: str) -> Frozen:
    """A published release.

    Raises
    ------
    SetupFault
        ``release.unpublished``.
    DataFault
        ``file.corrupt`` where the manifest cannot be read.
    """
    path = folder_of(survey, name) / MANIFEST
    if not path.is_file():
        raise SetupFault("release.unpublished", f"release {name!r} was not published: there is no {path}", release=name)
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        form = plain.pop("form")
        plain["units"] = tuple(
            PublishedUnit(**{**unit, "files": tuple(PublishedFile(**each) for each in unit["files"])})
            for unit in plain["units"]
        )
        plain["more"] = tuple(PublishedFile(**each) for each in plain["more"])
        found = Frozen(**plain)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataFault("file.corrupt", f"{path}: {error}", path=str(path)) from error
    if form != FORM:
        raise DataFault("file.corrupt", f"{path} is of form {form}, this spica reads {FORM}", path=str(path))
    return found


def whole_folder(place: Path, path: str) -> PublishedFile:
    """A folder as one: its checksum is that of the paths and checksums of all its files, in order."""
    size, told = 0, hashlib.blake2b(digest_size=20)
    for each in sorted(item for item in (place / path).rglob("*") if item.is_file()):
        size += each.stat().st_size
        told.update(f"{each.relative_to(place / path).as_posix()} {checksums.of_file(each)}\n".encode())
    return PublishedFile(path, size, told.hexdigest())


def damaged(survey: Survey, frozen: Frozen) -> Iterator[tuple[str, str]]:
    """Path of each file, in order, and what is wrong with it ('' for nothing): gone, or other bytes than published."""
    folder = folder_of(survey, frozen.name)
    for file in frozen.files():
        path = folder / file.path
        if path.is_dir():
            same = whole_folder(folder, file.path).checksum == file.checksum
            yield file.path, "" if same else "it has other files or bytes than were published"
        elif not path.is_file():
            yield file.path, "it is gone"
        elif path.stat().st_size != file.size or checksums.of_file(path) != file.checksum:
            yield file.path, "it has other bytes than were published"
        else:
            yield file.path, ""
