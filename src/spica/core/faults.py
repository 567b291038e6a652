"""Named faults: few classes, many codes, each with evidence in numbers and the next thing to try.

A fault travels: a worker pickles it into a report, the registry stores it, the command line and the portal show it.
`catalogue.py` beside this file lists every code with its meaning and advice; raising an undeclared code is itself an
internal fault, so that no message reaches a user without advice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from spica.core.catalogue import CODES, FaultCode, FaultKind

__all__ = ["DataFault", "Fault", "FaultKind", "FaultRecord", "InternalFault", "ResourceFault", "SetupFault", "declare"]

Evidence = Mapping[str, str | int | float | bool | None]


class Outcome(StrEnum):
    """How a unit of work ends; nothing vanishes."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class FaultRecord:
    """A fault as data: what the registry keeps and people read.

    Attributes
    ----------
    code : dotted name, declared in `spica.core.catalogue` (or by an outside package through `declare`).
    kind : data, setup, resource or internal.
    message : one sentence naming the file, the unit and what is wrong.
    evidence : numbers and names that prove it.
    advice : the next thing to try.
    """

    code: str
    kind: FaultKind
    message: str
    evidence: Evidence = field(default_factory=dict)
    advice: str = ""


class Fault(Exception):  # noqa: N818 - the house word for a named error
    """Base of the named faults; raise one of its four children.

    Parameters
    ----------
    code : dotted code declared in the catalogue.
    message : one sentence for a person.
    advice : overrides the catalogue's advice where the raiser knows better.
    **evidence : numbers and names (JSON scalars).
    """

    kind: FaultKind = FaultKind.INTERNAL

    def __init__(self, code: str, message: str, *, advice: str = "", **evidence: str | float | bool | None) -> None:
        super().__init__(message)
        declared = CODES.get(code)
        if declared is None:
            raise InternalFault("internal.undeclared-code", f"fault code {code!r} is not declared", undeclared=code)
        self.code = code
        self.message = message
        self.evidence: dict[str, str | int | float | bool | None] = dict(evidence)
        self.advice = advice or declared.advice

    def record(self) -> FaultRecord:
        """The fault as plain data."""
        return FaultRecord(self.code, self.kind, self.message, self.evidence, self.advice)

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.code, self.message, self.advice, self.evidence)


def _revive(
    cls: type[Fault], code: str, message: str, advice: str, evidence: dict[str, str | int | float | bool | None]
) -> Fault:
    return cls(code, message, advice=advice, **evidence)


class DataFault(Fault):
    """The data of one unit are at fault: this unit is quarantined, its neighbours go on."""

    kind = FaultKind.DATA


class SetupFault(Fault):
    """The installation, a setting or an order is at fault: stop before starting."""

    kind = FaultKind.SETUP


class ResourceFault(Fault):
    """A resource is short (disk, memory, a worker, a lock): try again later."""

    kind = FaultKind.RESOURCE


class InternalFault(Fault):
    """A defect in spica or in an outside module."""

    kind = FaultKind.INTERNAL


def declare(code: str, kind: FaultKind, meaning: str, advice: str) -> None:
    """Declare a fault code of an outside package (idempotent; a clash is refused)."""
    new = FaultCode(kind, meaning, advice)
    old = CODES.setdefault(code, new)
    if old != new:
        raise InternalFault("internal.undeclared-code", f"fault code {code!r} is declared twice", undeclared=code)
