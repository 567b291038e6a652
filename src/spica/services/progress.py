"""How a service tells how far it is: whoever asked hands in a watcher, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """How far a stage is: `done` of `total` (0 where the total is not known yet), with a word about the present one."""

    stage: str
    done: int
    total: int = 0
    note: str = ""


Watcher = Callable[[Step], None]


def unwatched(step: Step) -> None:
    """The watcher of those who do not ask."""
