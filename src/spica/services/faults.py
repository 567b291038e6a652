"""What went wrong: open faults of units, files in quarantine, and what every code means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spica.core.catalogue import CODES
from spica.core.faults import FaultRecord
from spica.core.records import Scalar
from spica.services.status import utc
from spica.services.surveys import opened


@dataclass(frozen=True)
class CodeLine:
    """One declared code."""

    code: str
    kind: str
    meaning: str
    advice: str


@dataclass(frozen=True)
class FaultLine:
    """One fault: of a unit (its text form), or of a file in quarantine (its path)."""

    subject: str
    where: str
    code: str
    kind: str
    message: str
    evidence: Mapping[str, Scalar]
    advice: str
    recorded: str


def codes() -> tuple[CodeLine, ...]:
    """Every fault code with its meaning and advice."""
    return tuple(CodeLine(code, str(entry.kind), entry.meaning, entry.advice) for code, entry in CODES.items())


def line(subject: str, where: str, fault: FaultRecord, recorded: float) -> FaultLine:
    """A fault as people read it; `recorded` is Unix seconds."""
    return FaultLine(
        subject,
        where,
        fault.code,
        str(fault.kind),
        fault.message,
        dict(fault.evidence),
        fault.advice or (CODES[fault.code].advice if fault.code in CODES else ""),
        utc(recorded),
    )


def faults(folder: Path | None, where: str = "") -> tuple[FaultLine, ...]:
    """The open faults that a selection picks (names: code, kind, pipeline, outcome, unit …), then the quarantine.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``, ``where.invalid``.
    """
    with opened(folder) as house:
        rows = house.registry.faults(where)
        quarantined = house.registry.quarantined() if not where else ()
    found = [line(str(row.unit), row.pipeline or "ingest", row.fault, row.recorded) for row in rows]
    found += [line(row.path, "quarantine", row.fault, row.recorded) for row in quarantined]
    return tuple(found)
