"""A camera table against the headers of a real file: what is read, what is missing, what cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spica.core.camera import Camera
from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.instruments.detectors import detectors
from spica.instruments.headers import read, recognise, translate
from spica.instruments.rules import Header

Verdict = Literal["ok", "defaulted", "absent", "missing", "absurd"]


@dataclass(frozen=True)
class Finding:
    """One property of one file.

    Attributes
    ----------
    subject : property of the exposure, 'recognised', or 'detectors'.
    verdict : 'ok'; 'defaulted' (the header does not say, the table's default stands); 'absent' (may be, and is);
        'missing' or 'absurd' (the file would be refused).
    value : what was read.
    why : for missing and absurd ones.
    """

    subject: str
    verdict: Verdict
    value: Scalar = None
    why: str = ""


def review(camera: Camera, headers: Sequence[Header], filename: str = "") -> tuple[Finding, ...]:
    """Every property that a table reads from a file's headers, with a verdict; nothing is raised for bad headers."""
    understood = read(headers, camera, filename)
    findings = [_recognised(camera, headers, filename)]
    for name, value in sorted(understood.reading.values.items()):
        if name in {problem.name for problem in understood.reading.problems}:
            continue
        verdict: Verdict = "defaulted" if name in understood.defaulted else "absent" if value is None else "ok"
        findings.append(Finding(name, verdict, value))
    findings += [
        Finding(problem.name, "missing" if problem.kind == "missing" else "absurd", why=problem.why)
        for problem in understood.reading.problems
    ]
    findings += [Finding(f"extra.{name}", "ok", value) for name, value in sorted(understood.extra.items())]
    if not understood.reading.problems:
        findings.append(_detectors(camera, headers, filename))
    return tuple(findings)


def _recognised(camera: Camera, headers: Sequence[Header], filename: str) -> Finding:
    try:
        recognise(headers, [camera], filename)
    except DataFault as fault:
        return Finding("recognised", "missing", why=fault.message)
    return Finding("recognised", "ok", camera.name)


def _detectors(camera: Camera, headers: Sequence[Header], filename: str) -> Finding:
    """Whether the file's HDUs and sections fit the table; the value counts detectors found and in the table."""
    try:
        found = detectors(headers, camera, translate(headers, camera, filename), "", filename)
    except DataFault as fault:
        return Finding("detectors", "absurd", why=fault.message)
    return Finding("detectors", "ok", f"{len(found)} of {len(camera.detectors)}")
