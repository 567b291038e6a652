"""How a survey stands. Light: it opens the settings and the registry, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spica.core.catalogue import CODES
from spica.registry.rows import Counts, Production
from spica.services.surveys import opened

LATEST = 5
"""Productions that are shown."""


@dataclass(frozen=True)
class ExposureLine:
    """How many exposures of one kind came in through one camera."""

    camera: str
    frame_type: str
    exposures: int


@dataclass(frozen=True)
class WorkLine:
    """How many units of one pipeline ended how."""

    pipeline: str
    done: int
    refused: int
    failed: int


@dataclass(frozen=True)
class ProductionLine:
    """One order: running while `closed` is empty. Times are UTC."""

    id: int
    name: str
    pipeline: str
    selection: str
    opened: str
    closed: str
    done: int
    refused: int
    failed: int


@dataclass(frozen=True)
class FaultLine:
    """Open faults of one code."""

    code: str
    count: int
    advice: str


@dataclass(frozen=True)
class Status:
    """A survey at a glance."""

    name: str
    folder: Path
    registry: str
    nights: int
    detectors: int
    files: int
    bytes: int
    products: int
    product_bytes: int
    running: int
    quarantined: int
    exposures: tuple[ExposureLine, ...]
    work: tuple[WorkLine, ...]
    productions: tuple[ProductionLine, ...]
    faults: tuple[FaultLine, ...]


def status(folder: Path | None) -> Status:
    """How the survey in `folder` (or here) stands.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    with opened(folder) as house:
        counts = house.registry.counts()
        productions = house.registry.productions(limit=LATEST)
    survey = house.survey
    return Status(
        name=survey.settings.name,
        folder=survey.root,
        registry=survey.settings.registry,
        nights=counts.nights,
        detectors=counts.detectors,
        files=counts.files,
        bytes=counts.bytes,
        products=counts.products,
        product_bytes=counts.product_bytes,
        running=counts.running,
        quarantined=counts.quarantined,
        exposures=_exposures(counts),
        work=_work(counts),
        productions=tuple(_production(production) for production in productions),
        faults=_faults(counts),
    )


def _exposures(counts: Counts) -> tuple[ExposureLine, ...]:
    return tuple(
        ExposureLine(camera, frame_type, number)
        for camera, by_type in sorted(counts.exposures.items())
        for frame_type, number in sorted(by_type.items())
    )


def _work(counts: Counts) -> tuple[WorkLine, ...]:
    return tuple(
        WorkLine(pipeline, outcomes.get("done", 0), outcomes.get("refused", 0), outcomes.get("failed", 0))
        for pipeline, outcomes in sorted(counts.jobs.items())
    )


def _faults(counts: Counts) -> tuple[FaultLine, ...]:
    ordered = sorted(counts.faults.items(), key=lambda item: (-item[1], item[0]))
    return tuple(FaultLine(code, count, CODES[code].advice if code in CODES else "") for code, count in ordered)


def _production(production: Production) -> ProductionLine:
    return ProductionLine(
        production.id,
        production.name,
        production.pipeline,
        production.selection,
        utc(production.opened),
        utc(production.closed) if production.closed else "",
        production.outcomes.get("done", 0),
        production.outcomes.get("refused", 0),
        production.outcomes.get("failed", 0),
    )


def utc(seconds: float) -> str:
    """Unix seconds as ``2026-11-20 03:04:05``, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
