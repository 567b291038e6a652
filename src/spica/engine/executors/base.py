"""The interface of executors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from spica.core.jobs import JobReport
from spica.engine.spec import JobSpec, Lost

Ended = JobReport | Lost


class Executor(Protocol):
    """Runs specs somewhere; every spec that was submitted ends exactly once, as a report or as lost."""

    @property
    def room(self) -> int:
        """How many further specs it takes now without hoarding."""

    def submit(self, specs: Sequence[JobSpec]) -> None:
        """Take specs; they are begun in this order."""

    def completed(self, timeout: float) -> list[Ended]:
        """What ended, waiting up to `timeout` seconds for the first."""

    def withdraw(self) -> list[str]:
        """Take back the specs that nobody has begun: their keys; they do not end any more."""

    def close(self, *, now: bool = False) -> None:
        """Stop; `now` kills what is at work."""
