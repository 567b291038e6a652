"""How a survey stands. Light: it reads the settings and counts in the registry, and loads no database library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spica.core.catalogue import CODES
from spica.core.verdict import grade_of
from spica.registry import glance
from spica.registry.counts import Counts
from spica.services.surveys import locate


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
class VerdictLine:
    """How many detectors have a grade."""

    grade: str
    detectors: int


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
    faults: tuple[FaultLine, ...]
    verdicts: tuple[VerdictLine, ...] = ()


def status(folder: Path | None) -> Status:
    """How the survey in `folder` (or here) stands.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    survey = locate(folder)
    counts = glance.counts(survey.registry_url)
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
        faults=_faults(counts),
        verdicts=tuple(VerdictLine(grade_of(number), count) for number, count in sorted(counts.verdicts.items())),
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
