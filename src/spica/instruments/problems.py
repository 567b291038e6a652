"""What is wrong with a header: collected property by property, raised as one fault that lists all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spica.core.faults import DataFault


@dataclass(frozen=True)
class Problem:
    """One property that the header does not give.

    Attributes
    ----------
    name : the exposure's (or read-out's) property.
    kind : 'missing', 'absurd', or 'filter' where only the camera table's filters lack it.
    why : what was looked for, or found; without the property's name.
    """

    name: str
    kind: Literal["missing", "absurd", "filter"]
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class PropertyError(Exception):
    """A property cannot be read; caught where properties are collected, never seen outside this room."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def missing(name: str, why: str) -> PropertyError:
    """The error that says a property is not there."""
    return PropertyError(Problem(name, "missing", why))


def absurd(name: str, why: str) -> PropertyError:
    """The error that says a property cannot be true."""
    return PropertyError(Problem(name, "absurd", why))


_CODES = {"missing": "header.missing", "absurd": "header.absurd", "filter": "header.unknown-filter"}


def refuse(problems: Sequence[Problem], camera: str, filename: str) -> DataFault:
    """One fault that lists every problem; its code is that of the gravest kind (missing, absurd, filter)."""
    kinds = {problem.kind for problem in problems}
    code = next(code for kind, code in _CODES.items() if kind in kinds)
    found = "; ".join(str(problem) for problem in problems)
    return DataFault(
        code,
        f"{filename or 'header'} ({camera}): {found}",
        camera=camera,
        file=filename,
        problems=len(problems),
        **{f"{problem.kind} {problem.name}": problem.why for problem in problems},
    )
