"""Several productions share one executor: the most urgent first, fair among the people who ordered them, within the memory."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spica.core.faults import Fault
from spica.engine.executors.base import Ended, Executor
from spica.engine.spec import JobSpec

_LEAST = 4
"""Specs that a seat may always hold: enough for the pool to choose among them."""
_PUMP_SECONDS = 0.05
_IDLE_SECONDS = 0.02


@dataclass(eq=False)
class Seat:
    """The share of one production in a pool: an `Executor`.

    Parameters
    ----------
    priority, person : of the production; the larger goes first, people with the same take turns.
    weigh : bytes of memory that a job is expected to need.
    """

    pool: Pool
    priority: float
    person: str
    weigh: Callable[[JobSpec], int]
    waiting: deque[JobSpec] = field(default_factory=deque)
    ended: list[Ended] = field(default_factory=list)
    closed: bool = False

    @property
    def room(self) -> int:
        """How many further specs it takes now."""
        return 0 if self.closed else self.pool.room_beside(len(self.waiting))

    def submit(self, specs: Sequence[JobSpec]) -> None:
        """Take specs."""
        with self.pool.lock:
            self.waiting.extend(specs)
            self.pool.pump(0.0)

    def completed(self, timeout: float) -> list[Ended]:
        """What ended of this production."""
        until = time.monotonic() + timeout
        while True:
            with self.pool.lock:
                idle = self.pool.pump(min(_PUMP_SECONDS, max(0.0, until - time.monotonic())))
                found, self.ended = self.ended, []
            if found or time.monotonic() >= until:
                return found
            # Others want the lock too.
            time.sleep(_IDLE_SECONDS if idle else 0.0)

    def withdraw(self) -> list[str]:
        """Take back what nobody has begun."""
        with self.pool.lock:
            keys = [spec.key for spec in self.waiting]
            self.waiting.clear()
            return keys + self.pool.withdraw(self)

    def close(self, *, now: bool = False) -> None:  # noqa: ARG002 - the executor's signature
        """Leave the pool: what is at work for it ends unheard, and is made again when it is wanted."""
        with self.pool.lock:
            self.closed = True
            self.waiting.clear()
            self.pool.leave(self)


class Pool:
    """One executor for several productions, each in a thread of its own.

    Parameters
    ----------
    executor : who does the work.
    memory : bytes that all jobs at work may need together, by what they are expected to need; 0 for no limit. One job always runs.
    """

    def __init__(self, executor: Executor, memory: int = 0) -> None:
        self.lock = threading.RLock()
        self._executor = executor
        self._memory = memory
        self._seats: list[Seat] = []
        self._at_work: dict[str, tuple[Seat, int, JobSpec]] = {}
        self._served: Counter[str] = Counter()
        self.broken: Fault | None = None
        """What the executor died of."""
        self._abandoned = False

    def seat(self, priority: float, person: str, weigh: Callable[[JobSpec], int]) -> Seat:
        """A place for one more production."""
        seat = Seat(self, priority, person, weigh)
        with self.lock:
            self._seats.append(seat)
        return seat

    @property
    def expected_memory(self) -> int:
        """Bytes that what is at work is expected to need."""
        with self.lock:
            return sum(size for _, size, _ in self._at_work.values())

    def room_beside(self, held: int) -> int:
        """How many further specs somebody may hold who holds so many already."""
        with self.lock:
            return max(0, max(self._executor.room, _LEAST) - held)

    def pump(self, timeout: float) -> bool:
        """Hand out what waits and take in what ended, waiting for it up to `timeout` seconds; answers whether nothing is at work."""
        if self._abandoned:
            raise KeyboardInterrupt
        if self.broken is not None:
            raise self.broken
        try:
            self._hand_out()
            for each in self._executor.completed(timeout) if self._at_work else ():
                seat, _, _ = self._at_work.pop(each.key)
                if not seat.closed:
                    seat.ended.append(each)
            self._hand_out()
        except Fault as fault:
            # It is everybody's: the others would wait for ever.
            self.broken = fault
            raise
        return not self._at_work

    def _hand_out(self) -> None:
        while self._executor.room > 0:
            seats = [seat for seat in self._seats if seat.waiting]
            if not seats:
                return
            busy = Counter(seat.person for seat, _, _ in self._at_work.values())
            seat = min(seats, key=lambda each: (-each.priority, busy[each.person], self._served[each.person]))
            size = seat.weigh(seat.waiting[0])
            if self._memory and self._at_work and self.expected_memory + size > self._memory:
                # Nothing smaller goes before it: it would wait for ever.
                return
            spec = seat.waiting.popleft()
            self._at_work[spec.key] = seat, size, spec
            self._served[seat.person] += 1
            self._executor.submit([spec])

    def withdraw(self, mine: Seat) -> list[str]:
        """Take a seat's specs back that nobody has begun; those of others wait again, in front."""
        found = []
        for key in reversed(self._executor.withdraw()):
            seat, _, spec = self._at_work.pop(key)
            if seat is mine:
                found.append(key)
            else:
                seat.waiting.appendleft(spec)
        return found

    def abandon(self) -> None:
        """Nobody waits for what is at work any more: all productions end as by a second Ctrl-C."""
        self._abandoned = True

    def leave(self, seat: Seat) -> None:
        """A seat is given up."""
        if seat in self._seats:
            self._seats.remove(seat)
