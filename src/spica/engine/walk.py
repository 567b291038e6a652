"""Walk a graph of jobs: hand out what is ready, in order, and follow what finishes and what fails.

It knows nothing of processes, clusters or data. Jobs are numbers; the more urgent goes first, of equals the lower number.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


class Walk:
    """A walk over jobs and their dependencies.

    Parameters
    ----------
    dependencies : job to the jobs that must finish before it; dependencies that are no jobs here are taken as done.
    urgency : of jobs; 0 where it is not told.
    """

    def __init__(self, dependencies: Mapping[int, Sequence[int]], urgency: Mapping[int, float] | None = None) -> None:
        self._urgency = urgency or {}
        self._waits: dict[int, int] = {}
        self._followers: dict[int, list[int]] = {}
        for job, needed in dependencies.items():
            inside = [other for other in set(needed) if other in dependencies]
            self._waits[job] = len(inside)
            for other in inside:
                self._followers.setdefault(other, []).append(job)
        self._ready = [self._place(job) for job, count in self._waits.items() if count == 0]
        heapq.heapify(self._ready)
        self._out: set[int] = set()

    @property
    def left(self) -> int:
        """Jobs that have not ended yet."""
        return len(self._waits)

    @property
    def out(self) -> int:
        """Jobs handed out and not ended."""
        return len(self._out)

    @property
    def ready(self) -> int:
        """Jobs that could be taken now."""
        return len(self._ready)

    def take(self, count: int) -> list[int]:
        """Up to `count` ready jobs, the most urgent first, of equals the lowest numbers."""
        taken = [heapq.heappop(self._ready)[1] for _ in range(min(count, len(self._ready)))]
        self._out.update(taken)
        return taken

    def finish(self, job: int) -> None:
        """A job is done: its followers may become ready."""
        self._end(job)
        for follower in self._followers.pop(job, ()):
            if follower in self._waits:
                self._waits[follower] -= 1
                if self._waits[follower] == 0:
                    heapq.heappush(self._ready, self._place(follower))

    def fail(self, job: int) -> list[tuple[int, int]]:
        """A job failed: all that need it, directly or not, end too.

        Returns
        -------
        Pairs of a job that cannot run and the one right before it that did not finish, in order.
        """
        self._end(job)
        refused: list[tuple[int, int]] = []
        queue = [job]
        while queue:
            culprit = queue.pop(0)
            for follower in sorted(self._followers.pop(culprit, ())):
                if follower in self._waits:
                    del self._waits[follower]
                    refused.append((follower, culprit))
                    queue.append(follower)
        return refused

    def _place(self, job: int) -> tuple[float, int]:
        return -self._urgency.get(job, 0.0), job

    def _end(self, job: int) -> None:
        del self._waits[job]
        self._out.discard(job)
