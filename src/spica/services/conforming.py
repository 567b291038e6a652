"""Conformance of all FITS files of a survey to the standard, as astropy and NASA's fitsverify see it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spica.services.progress import Step, Watcher


@dataclass(frozen=True)
class Finding:
    """What one program says of one file."""

    path: str
    kind: str
    program: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Conformance:
    """How many files were checked, by which programs (and which are absent), and what they found."""

    files: int
    programs: tuple[str, ...]
    absent: tuple[str, ...]
    findings: tuple[Finding, ...]


def conformance(files: Sequence[tuple[str, Path]], watcher: Watcher) -> Conformance:
    """Check files against the FITS standard.

    Parameters
    ----------
    files : kind ('raw', 'product') and path of each, looked at in order of the paths; those that are not there are left
        out.
    """
    from spica.files.conformance import PROGRAM, by_astropy, by_fitsverify

    checks: dict[str, Callable[[Path], tuple[str, ...]]] = {"astropy": by_astropy}
    absent = () if shutil.which(PROGRAM) else (PROGRAM,)
    if not absent:
        checks[PROGRAM] = by_fitsverify
    there = sorted(((kind, path) for kind, path in files if path.is_file()), key=lambda each: each[1])
    findings: list[Finding] = []
    for number, (kind, path) in enumerate(there, start=1):
        findings.extend(_findings(kind, path, checks))
        watcher(Step("conformance", number, len(there), path.name))
    return Conformance(len(there), tuple(checks), absent, tuple(findings))


def _findings(kind: str, path: Path, checks: dict[str, Callable[[Path], tuple[str, ...]]]) -> Iterator[Finding]:
    for program, look in checks.items():
        try:
            lines = look(path)
        except (OSError, ValueError) as error:
            lines = (f"cannot be read: {error}",)
        if lines:
            yield Finding(str(path), kind, program, lines)
