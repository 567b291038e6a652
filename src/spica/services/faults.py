"""What went wrong: open faults of units, files in quarantine, and what every code means."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spica.core.catalogue import CODES
from spica.core.faults import FaultRecord, SetupFault
from spica.core.records import Scalar
from spica.services.surveys import opened
from spica.services.times import utc

INGEST = "ingest"
"""Stands for the pipeline of faults that no pipeline made."""


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


def faults(folder: Path | None, code: str = "", pipeline: str | None = None) -> tuple[FaultLine, ...]:
    """Open faults, the newest first, then the quarantine.

    Parameters
    ----------
    code : only this code.
    pipeline : only of this pipeline ('ingest' for those of ingest, quarantine included).

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``, ``order.invalid`` for a code that nobody declared.
    """
    if code and code not in CODES:
        near = difflib.get_close_matches(code, CODES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SetupFault("order.invalid", f"there is no fault code {code!r}{hint}", advice="see 'spica faults --codes'")
    with opened(folder) as house:
        rows = house.registry.faults(None, code, "" if pipeline == INGEST else pipeline)
        quarantined = house.registry.quarantined() if pipeline in {None, INGEST} else []
    found = [line(str(row.unit), row.pipeline or INGEST, row.fault, row.recorded) for row in rows]
    # A file that contradicts a known exposure is told of with the exposure: not once more as a file in quarantine.
    told = {row.fault.message for row in rows}
    found += [
        line(row.path, "quarantine", row.fault, row.recorded)
        for row in quarantined
        if code in {"", row.fault.code} and row.fault.message not in told
    ]
    return tuple(found)
