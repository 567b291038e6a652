"""Run jobs in this very process: for notebooks, tests and debuggers."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from contextlib import redirect_stdout

from spica.engine.executors.base import Ended
from spica.engine.spec import JobSpec
from spica.engine.worker import work

_AHEAD = 32


class InProcess:
    """One job after the other, here."""

    def __init__(self) -> None:
        self._waiting: deque[JobSpec] = deque()

    @property
    def room(self) -> int:
        """How many further specs it takes now."""
        return max(0, _AHEAD - len(self._waiting))

    def submit(self, specs: Sequence[JobSpec]) -> None:
        """Take specs."""
        self._waiting.extend(specs)

    def completed(self, timeout: float) -> list[Ended]:  # noqa: ARG002 - it works as long as it takes
        """Work on the next one."""
        if not self._waiting:
            return []
        # What a task prints must not mix with the answer of a command.
        with redirect_stdout(sys.stderr):
            return [work(self._waiting.popleft())]

    def withdraw(self) -> list[str]:
        """Give back what waits."""
        keys = [spec.key for spec in self._waiting]
        self._waiting.clear()
        return keys

    def close(self, *, now: bool = False) -> None:  # noqa: ARG002 - nothing runs beside us
        """Forget what waits."""
        self._waiting.clear()
