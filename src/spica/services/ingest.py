"""Taking frames in: found, verified, translated, placed, recorded. A bad file is put aside and stops nothing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from spica.core.faults import DataFault, Fault, FaultRecord, SetupFault
from spica.core.records import FileRecord, IngestRecord
from spica.files import atomic, checksums
from spica.files.storage import Area
from spica.files.survey import LOCAL, Survey
from spica.instruments import tables
from spica.intake import place as placing
from spica.intake.find import Candidate, candidates
from spica.registry.rows import Added, AddStatus
from spica.registry.store import Registry
from spica.services.examining import Examined, Tables, examine_all, examine_one
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import camera_folders, opened

BATCH = 32
"""Files that are recorded in one transaction."""
MODES = {"copy": "copy", "link": "link", "inplace": "place", "place": "place"}


@dataclass(frozen=True)
class Order:
    """What is to be ingested, and how.

    Attributes
    ----------
    paths : files, folders, globs, bundles, ``@lists``.
    camera : the camera that they are of, '' to recognise it.
    mode : 'copy', 'link', 'inplace', '' for the survey's setting.
    workers : processes that read files, 0 for one per core.
    reload : one file whose record is read anew, None for ordinary ingest.
    """

    paths: tuple[str, ...] = ()
    camera: str = ""
    mode: str = ""
    workers: int = 0
    reload: Path | None = None


@dataclass(frozen=True)
class Problem:
    """A file that was not taken, and why; `kept` is where a copy of it lies, '' where none was made."""

    path: str
    code: str
    message: str
    advice: str
    kept: str


@dataclass(frozen=True)
class Summary:
    """What became of all files. `rate` counts detector records per second."""

    files: int
    bytes: int
    exposures: int
    detectors: int
    new: int
    known: int
    completed: int
    reloaded: int
    changed: int
    quarantined: int
    seconds: float
    rate: float
    problems: tuple[Problem, ...]


@dataclass
class _Tally:
    """Counts while the work goes on."""

    status: Counter[str] = field(default_factory=Counter)
    exposures: set[str] = field(default_factory=set)
    files: int = 0
    bytes: int = 0
    detectors: int = 0
    problems: list[Problem] = field(default_factory=list)


def ingest(order: Order, folder: Path | None, watcher: Watcher = unwatched) -> Summary:
    """Take files into the survey.

    Each file is examined, brought to its place and recorded, a batch in one transaction. What was done before an
    interruption or a full disk is recorded, and the same order goes on from there.

    Raises
    ------
    SetupFault
        ``order.invalid``, ``order.nothing``, ``camera.*``, ``survey.*``, ``registry.*``.
    DataFault
        ``file.missing`` where nothing of what the order names is there.
    ResourceFault
        ``disk.full``, ``disk.read-only``, ``storage.unreachable``.
    """
    if not order.paths and order.reload is None:
        raise SetupFault("order.invalid", "nothing is named to be ingested", advice="spica ingest PATH…")
    began = time.monotonic()
    with opened(folder) as house:
        intake = _Intake(house.survey, house.registry, order)
        if order.reload is not None:
            intake.reload(order.reload)
        else:
            for name in ("scratch", "quarantine"):
                atomic.sweep(house.survey.folder(name))
            with atomic.passing_folder(house.survey.folder("scratch"), "spool") as spool:
                intake.take(order.paths, spool, watcher)
    return _summary(intake.tally, time.monotonic() - began)


def _summary(tally: _Tally, seconds: float) -> Summary:
    if not tally.files and all(problem.code == "file.missing" for problem in tally.problems):
        if tally.problems:
            first = tally.problems[0]
            raise DataFault("file.missing", first.message, path=first.path)
        raise SetupFault("order.nothing", "no FITS file was found", advice="name files, or a folder that holds some")
    return Summary(
        files=tally.files,
        bytes=tally.bytes,
        exposures=len(tally.exposures),
        detectors=tally.detectors,
        new=tally.status[AddStatus.NEW],
        known=tally.status[AddStatus.KNOWN],
        completed=tally.status[AddStatus.COMPLETED],
        reloaded=tally.status[AddStatus.RELOADED],
        changed=tally.status[AddStatus.CHANGED],
        quarantined=len(tally.problems) - tally.status[AddStatus.CHANGED],
        seconds=seconds,
        rate=tally.detectors / seconds if seconds else 0.0,
        problems=tuple(tally.problems),
    )


class _Intake:
    """The way of files into one survey."""

    def __init__(self, survey: Survey, registry: Registry, order: Order) -> None:
        self.survey = survey
        self.registry = registry
        self.tally = _Tally()
        self.swept: set[Path] = set()
        self.mode = _mode(order.mode or survey.settings.ingest.mode)
        self.workers = order.workers
        name = survey.settings.ingest.area
        if name not in survey.areas:
            raise SetupFault("survey.invalid", f"storage area {name!r} of [ingest] is not in [areas]", area=name)
        self.area = Area(name, survey.areas[name])
        folders = camera_folders(survey)
        names = survey.settings.cameras or tuple(tables.names(folders))
        self.tables = Tables(names, order.camera, survey.settings.camera, folders)
        for camera in (*names, order.camera, survey.settings.camera):
            if camera:
                tables.load(camera, folders)

    def take(self, paths: Iterable[str], spool: Path, watcher: Watcher) -> None:
        """Take all files that an order names."""
        self._reopen()
        batch: list[tuple[Examined, IngestRecord]] = []
        found = examine_all(self._unknown(candidates(paths, spool), watcher), self.tables, self.workers)
        try:
            for examined in found:
                placed = self._place(examined, {record.file.checksum: record.file for _, record in batch})
                if placed is not None:
                    batch.append((examined, placed))
                if len(batch) >= BATCH:
                    self._record(batch)
                watcher(Step("ingest", self.tally.files + len(batch), 0, examined.candidate.path.name))
        finally:
            self._record(batch)
        watcher(Step("ingest", self.tally.files, self.tally.files))

    def _reopen(self) -> None:
        """Folders that could not be read before and can be now leave quarantine: their files speak for themselves."""
        for row in self.registry.quarantined():
            if os.path.isdir(row.path) and os.access(row.path, os.R_OK | os.X_OK):  # noqa: PTH112 - never raises
                self.registry.release_from_quarantine(row.path)

    def _unknown(self, found: Iterable[Candidate], watcher: Watcher) -> Iterator[Candidate]:
        """Files that have to be read: those of an unchanged size and time whose copy is there are known."""
        for candidate in found:
            if candidate.fault is None and not candidate.spooled and self._is_known(candidate):
                self.tally.status[AddStatus.KNOWN] += 1
                self.tally.files += 1
                watcher(Step("ingest", self.tally.files, 0, candidate.path.name))
                continue
            yield candidate

    def _is_known(self, candidate: Candidate) -> bool:
        try:
            status = candidate.path.stat()
        except OSError:
            return False  # examining it will say what is wrong
        checksum = self.registry.known_file(candidate.origin, status.st_size, status.st_mtime)
        return checksum is not None and self._is_there(self.registry.files([checksum])[checksum])

    def _is_there(self, file: FileRecord) -> bool:
        url = self.survey.areas.get(file.area)
        return url is not None and ("://" in url or self.survey.path_of(file).is_file())

    def _place(self, examined: Examined, coming: Mapping[str, FileRecord]) -> IngestRecord | None:
        """Bring a good file to its place, unless it is there or `coming` under another name; a bad one goes aside."""
        if examined.record is None or examined.fault is not None:
            if examined.fault is not None:
                self._set_aside(examined.candidate, examined.fault)
            return None
        record = examined.record
        self._sweep(record)
        checksum = record.file.checksum
        known = coming.get(checksum) or self.registry.files([checksum]).get(checksum)
        if known is not None and self._is_there(known):
            return replace(record, file=replace(record.file, path=known.path, area=known.area))
        return placing.place(record, examined.candidate, self.area, self.mode)

    def _sweep(self, record: IngestRecord) -> None:
        """Delete what an ingest that was killed left half-written where this record's file goes: each folder once."""
        if not self.area.is_local:
            return
        folder = Path(self.area.where(placing.folder_of(record)))
        if folder not in self.swept:
            self.swept.add(folder)
            atomic.sweep(folder)

    def _record(self, batch: list[tuple[Examined, IngestRecord]]) -> None:
        """Record a batch in one transaction and empty it."""
        answers = self.registry.add_many([record for _, record in batch])
        for (examined, record), answer in zip(batch, answers, strict=True):
            self._count(examined.candidate, record, answer)
        batch.clear()

    def _count(self, candidate: Candidate, record: IngestRecord, answer: Added) -> None:
        refused = answer.status in {AddStatus.REFUSED, AddStatus.CHANGED}
        if refused and answer.fault is not None:
            self._set_aside(candidate, answer.fault, record.file.checksum)
            self._withdraw(candidate, record.file)
            if answer.status is AddStatus.CHANGED:
                self.tally.status[answer.status] += 1
            return
        self.tally.files += 1
        self.tally.bytes += record.file.size
        self.tally.status[answer.status] += 1
        self.tally.exposures.add(answer.exposure)
        self.tally.detectors += len(answer.detectors)
        if answer.status is not AddStatus.KNOWN:
            self.registry.release_from_quarantine(candidate.origin)
        placing.release(candidate)

    def _withdraw(self, candidate: Candidate, file: FileRecord) -> None:
        """Take back the copy of a file that the registry refused, unless it is the delivered file itself."""
        placed = (
            Path(self.area.where(file.path))
            if file.area == self.area.name and not Path(file.path).is_absolute()
            else None
        )
        if (
            placed is not None
            and placed != candidate.path
            and file.checksum not in self.registry.files([file.checksum])
        ):
            self.area.remove(file.path)
        placing.release(candidate)

    def _set_aside(self, candidate: Candidate, fault: FaultRecord, checksum: str = "") -> None:
        """Record a file that cannot be taken; a copied one is kept in the quarantine folder for people to look at."""
        self.tally.files += candidate.fault is None
        kept = ""
        if candidate.fault is None and candidate.path.is_file():
            checksum = checksum or _checksum(candidate.path)
            if checksum and (self.mode == "copy" or candidate.spooled):
                kept = str(placing.set_aside(candidate, self.survey.folder("quarantine"), checksum))
        self.registry.quarantine(candidate.origin, checksum, fault)
        self.tally.problems.append(Problem(candidate.origin, fault.code, fault.message, fault.advice, kept))

    def reload(self, path: Path) -> None:
        """Read one file's record anew."""
        absolute = path.expanduser().absolute()
        examined = examine_one(Candidate(absolute, self._origin(absolute)), self.tables)
        if examined.record is None:
            fault = examined.fault
            if fault is None:
                return
            raise DataFault(fault.code, fault.message, advice=fault.advice, **fault.evidence)
        record = examined.record
        if absolute.is_relative_to(self.survey.root):
            relative = str(absolute.relative_to(self.survey.root))
            record = replace(record, file=replace(record.file, path=relative, area=LOCAL))
        else:
            record = placing.place(record, examined.candidate, self.area, self.mode)
        self._count(examined.candidate, record, self.registry.reload(record))

    def _origin(self, path: Path) -> str:
        """Where a file came from: what is recorded of a copy in the survey, the path itself of any other."""
        if path.is_relative_to(self.survey.root) and path.is_file():
            known = self.registry.files([_checksum(path)])
            for file in known.values():
                return file.origin or str(path)
        return str(path)


def _mode(mode: str) -> str:
    if mode not in MODES:
        raise SetupFault("order.invalid", f"files are ingested by copy, link or inplace, not by {mode!r}", mode=mode)
    return MODES[mode]


def _checksum(path: Path) -> str:
    """The checksum of a bad file; '' where it cannot even be read."""
    try:
        return checksums.of_file(path)
    except Fault:
        return ""
