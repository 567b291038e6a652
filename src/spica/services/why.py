"""The whole story of one unit: where it came from, what was done to it, with what, what came of it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spica.core.faults import FaultRecord, Outcome
from spica.core.jobs import InputRecord
from spica.core.records import Detector, Exposure, Grain, Scalar, Unit
from spica.registry.rows import JobRow
from spica.registry.store import Registry
from spica.services.faults import FaultLine, line
from spica.services.grades import GradeLine, verdict_of
from spica.services.surveys import Opened, opened
from spica.services.times import utc
from spica.services.units import detector_of, known_unit, quoted


@dataclass(frozen=True)
class FileStory:
    """A raw file: where its bytes are, and what its conformance check said."""

    name: str
    path: str
    size: int
    checksum: str
    origin: str
    conformance: tuple[str, ...]


@dataclass(frozen=True)
class StepStory:
    """One step of a job, with its settings and where each came from."""

    label: str
    task: str
    version: int
    settings: Mapping[str, Any]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class ProductStory:
    """A product of a job; `path` is '' for a value kept in the registry."""

    name: str
    form: str
    size: int
    path: str
    checksum: str
    used_by: int


@dataclass(frozen=True)
class LeftOut:
    """A frame that was left out of a master, and why; `choice` is the value that says so."""

    unit: str
    why: str
    choice: str


@dataclass(frozen=True)
class JobStory:
    """One job: how it ended, what it used and made, what it left out, what it cost."""

    key: str
    unit: str
    pipeline: str
    outcome: str
    recorded: str
    attempts: int
    rungs: tuple[str, ...]
    steps: tuple[StepStory, ...]
    settings_changed: Mapping[str, Any]
    inputs: tuple[InputRecord, ...]
    products: tuple[ProductStory, ...]
    left_out: tuple[LeftOut, ...]
    fault: FaultLine | None
    traceback: str
    wall: float
    cpu: float
    peak_memory: int
    bytes_read: int
    bytes_written: int
    host: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class MetricLine:
    """A metric's value."""

    name: str
    value: float
    units: str
    source: str


@dataclass(frozen=True)
class EventLine:
    """A grade, a comment, or something that happened. Times are UTC."""

    when: str
    what: str
    detail: str


@dataclass(frozen=True)
class Story:
    """All of it; `todo` is what to try next, most pressing first; `quality` the latest verdict on its figures."""

    unit: str
    verdict: str
    facts: Mapping[str, Scalar]
    files: tuple[FileStory, ...] = ()
    jobs: tuple[JobStory, ...] = ()
    faults: tuple[FaultLine, ...] = ()
    metrics: tuple[MetricLine, ...] = ()
    events: tuple[EventLine, ...] = ()
    todo: tuple[str, ...] = field(default=())
    quality: GradeLine | None = None


def why(text: str, folder: Path | None) -> Story:
    """The story of a unit, or of a delivered file by its path.

    Raises
    ------
    SetupFault
        ``order.unknown-unit``; ``survey.*``, ``registry.*``.
    """
    with opened(folder) as house:
        rejected = _quarantine(house.registry, text)
        if rejected is not None:
            return rejected
        return _story(house, _delivered(house.registry, text) or known_unit(house.registry, text))


def _delivered(registry: Registry, text: str) -> Unit | None:
    """The unit of a file that was taken in: its detector, or the exposure where it holds several."""
    found = registry.detectors_in_file(text) or registry.detectors_in_file(str(Path(text).absolute()))
    if not found:
        return None
    exposure, number = found[0]
    if len(found) == 1:
        return Unit(Grain.DETECTOR, (exposure, str(number)))
    return Unit(Grain.EXPOSURE, (exposure,))


def _quarantine(registry: Registry, text: str) -> Story | None:
    """The story of a file that was put aside, by its path, its name or the end of its path."""
    path = Path(text)
    rows = [
        row
        for row in registry.quarantined(released=True)
        if row.path in {text, str(path.absolute())} or row.path.endswith(f"/{text}")
    ]
    if not rows:
        return None
    told = tuple(line(row.path, "quarantine", row.fault, row.recorded) for row in rows)
    held = rows[-1].released is None
    facts: dict[str, Scalar] = {"path": rows[-1].path, "checksum": rows[-1].checksum, "since": utc(rows[-1].recorded)}
    verdict = "in quarantine" if held else "was in quarantine, and was taken later"
    return Story(text, verdict, facts, faults=told, todo=(told[-1].advice,) if held else ())


def _story(house: Opened, unit: Unit) -> Story:
    registry = house.registry
    exposure = registry.exposure(unit.keys["exposure"]) if "exposure" in unit.keys else None
    jobs = tuple(_job(registry, row) for row in registry.jobs_of(unit))
    faults = tuple(
        line(str(row.unit), row.pipeline or "ingest", row.fault, row.recorded) for row in _faults(registry, unit)
    )
    return Story(
        unit=str(unit),
        verdict=_verdict(jobs, faults),
        facts=_facts(exposure) if exposure else unit.keys,
        files=tuple(_files(house, unit)) if exposure else (),
        jobs=jobs,
        faults=faults,
        metrics=tuple(MetricLine(m.name, m.value, m.units, m.source) for m in registry.metrics_of(unit)),
        events=tuple(_events(registry, unit)),
        todo=tuple(_todo(jobs, faults)),
        quality=verdict_of(registry, unit),
    )


def _faults(registry: Registry, unit: Unit) -> Iterator[Any]:
    """Open faults of the unit, and those of ingest of its exposure."""
    yield from registry.faults(unit)
    if unit.grain is Grain.DETECTOR:
        yield from registry.faults(Unit(Grain.EXPOSURE, unit.values[:1]))


def _verdict(jobs: tuple[JobStory, ...], faults: tuple[FaultLine, ...]) -> str:
    """The latest outcome in each pipeline, the worst first."""
    if not jobs:
        return "at fault on ingest" if faults else "recorded, nothing has been done to it yet"
    latest = _latest(jobs)
    said: dict[str, str] = {}
    for outcome in (Outcome.FAILED, Outcome.REFUSED, Outcome.DONE):
        for job in latest:
            if job.outcome == outcome.value:
                said.setdefault(job.pipeline, outcome.value)
    ended = {outcome: [pipeline for pipeline, one in said.items() if one == outcome] for outcome in said.values()}
    return "; ".join(f"{outcome} in {', '.join(named)}" for outcome, named in ended.items())


def _latest(jobs: tuple[JobStory, ...]) -> tuple[JobStory, ...]:
    """The latest job of each pipeline and chain of steps: a unit may have several in one pipeline."""
    return tuple({(job.pipeline, tuple(step.label for step in job.steps)): job for job in jobs}.values())


def _facts(exposure: Exposure) -> dict[str, Scalar]:
    pointing = f"{exposure.ra:.5f} {exposure.dec:+.5f}" if exposure.ra is not None and exposure.dec is not None else ""
    return {
        "camera": exposure.camera,
        "frame": f"{exposure.frame_type}{f' ({exposure.flat_kind})' if exposure.flat_kind else ''}, {exposure.state}",
        "night": exposure.night,
        "MJD TAI": exposure.mjd,
        "exposure time [s]": exposure.exposure_time,
        "slices": exposure.extra.get("slices"),
        "band": f"{exposure.band} ({exposure.filter})" if exposure.band else "",
        "pointing [deg]": pointing,
        "airmass": exposure.airmass,
        "object": exposure.object,
        "field": exposure.field,
        "programme": exposure.programme,
        "binning": " ".join(str(number) for number in exposure.binning),
        "read-out": exposure.readout_mode,
        "defaulted": ", ".join(exposure.defaulted),
    }


def _files(house: Opened, unit: Unit) -> Iterator[FileStory]:
    registry = house.registry
    name = unit.values[0]
    if unit.grain is Grain.DETECTOR:
        pairs = [detector_of(unit)]
    else:
        pairs = [(row.exposure, row.detector) for row in registry.detector_rows(f"exposure = '{quoted(name)}'")]
    checksums = sorted({sum_ for detector in registry.detectors(pairs).values() for sum_ in _checksums(detector)})
    for checksum, record in registry.files(checksums).items():
        path = (
            str(house.survey.path_of(record)) if record.area in house.survey.areas else f"{record.area}:{record.path}"
        )
        yield FileStory(Path(record.path).name, path, record.size, checksum, record.origin, tuple(record.conformance))


def _checksums(detector: Detector) -> set[str]:
    return {detector.file, *detector.amplifier_files, *(checksum for checksum, _ in detector.planes.values())} - {""}


def _job(registry: Registry, row: JobRow) -> JobStory:
    report = registry.job(row.key)
    changed = {
        f"{step.label}.{name}": value
        for step in report.steps
        for name, value in step.settings.items()
        if step.sources.get(name, "default") != "default"
    }
    return JobStory(
        key=row.key,
        unit=str(row.unit),
        pipeline=row.pipeline,
        outcome=row.outcome.value,
        recorded=utc(row.recorded),
        attempts=row.attempts,
        rungs=report.rungs,
        steps=tuple(StepStory(s.label, s.task, s.version, dict(s.settings), dict(s.sources)) for s in report.steps),
        settings_changed=changed,
        inputs=report.inputs,
        products=tuple(
            ProductStory(p.name, p.form.value, p.size, p.path, p.checksum, len(registry.consumers_of(p.key)))
            for p in report.products
        ),
        left_out=tuple(
            LeftOut(unit, str(reason), p.name)
            for p in report.products
            for unit, reason in sorted(p.value.get("left_out", {}).items())
        ),
        fault=_told(row.fault, row) if row.fault else None,
        traceback=report.traceback,
        wall=row.wall,
        cpu=row.cpu,
        peak_memory=row.peak_memory,
        bytes_read=row.bytes_read,
        bytes_written=row.bytes_written,
        host=row.host,
        versions=dict(report.versions),
    )


def _told(fault: FaultRecord, row: JobRow) -> FaultLine:
    return line(str(row.unit), row.pipeline, fault, row.recorded)


def _events(registry: Registry, unit: Unit) -> Iterator[EventLine]:
    for note in registry.notes_of(unit):
        yield EventLine(utc(note.recorded), note.kind, f"{note.text}{f' ({note.who})' if note.who else ''}")


def _todo(jobs: tuple[JobStory, ...], faults: tuple[FaultLine, ...]) -> Iterator[str]:
    """Advice, each piece once: of open faults first, then of the latest job of each chain of steps."""
    latest = _latest(jobs)
    said: set[str] = set()
    for advice in (*(fault.advice for fault in faults), *(job.fault.advice for job in latest if job.fault)):
        if advice and advice not in said:
            said.add(advice)
            yield advice
    if not jobs and not faults:
        yield "spica run night --dry-run says what would be done"
