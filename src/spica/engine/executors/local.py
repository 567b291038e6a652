"""Own worker processes on this machine, crash-safe: a worker that dies loses the one unit that it had begun.

Each worker is a long-lived process at the other end of a socket pair. It reports each job as it ends, so that the first
job it has not reported is the one it was working on when it died. Small jobs travel many at a time.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from spica.core.faults import InternalFault, ResourceFault
from spica.core.jobs import JobReport
from spica.engine.executors.base import Ended
from spica.engine.executors.child import HELLO
from spica.engine.spec import JobSpec, Lost

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_DEEPEST = 64
"""Most jobs that are sent to a worker ahead of its work."""
_AHEAD_SECONDS = 0.1
"""Work that a worker is given ahead: enough never to wait, little enough to share fairly."""
_LOOK_SECONDS = 0.2
_STARTS = 3
"""Workers that may die before they are ready, one after the other, until the installation is to blame."""
_KILLED_STARTS = 10
"""The same where a signal killed them, from outside as like as not."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    socket: Connection
    ready: bool = False
    specs: deque[JobSpec] = field(default_factory=deque)
    since: float = 0.0
    doom: Lost | None = None
    """Why we killed it, if we did."""


class Local:
    """Local worker processes.

    Parameters
    ----------
    workers : how many; 0 for one per core.
    timeout : seconds a unit may take.
    memory : bytes a unit may use, 0 for no limit.
    """

    def __init__(self, workers: int = 0, timeout: float = 3600.0, memory: int = 0) -> None:
        self._count = workers or len(os.sched_getaffinity(0))
        self._timeout = timeout
        self._memory = memory
        self._workers: list[_Worker] = []
        self._waiting: deque[JobSpec] = deque()
        self._typical = 1.0
        self._looked = 0.0
        self._stillborn = 0

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._workers]

    @property
    def _depth(self) -> int:
        """How many jobs a worker is given at a time."""
        return max(1, min(_DEEPEST, int(_AHEAD_SECONDS / max(self._typical, 1e-6))))

    @property
    def room(self) -> int:
        """How many further specs it takes now: enough to fill every worker twice."""
        held = len(self._waiting) + sum(len(worker.specs) for worker in self._workers)
        return max(0, 2 * self._count * self._depth - held)

    def submit(self, specs: Sequence[JobSpec]) -> None:
        """Take specs; starts workers as they are needed."""
        self._waiting.extend(specs)
        while len(self._workers) < min(self._count, len(self._waiting) + self._busy):
            self._workers.append(self._start())
        self._feed()

    def completed(self, timeout: float) -> list[Ended]:
        """Reports and losses since the last call."""
        until = time.monotonic() + timeout
        while True:
            ended = self._collect(max(0.0, min(until - time.monotonic(), _LOOK_SECONDS)))
            self._look()
            self._feed()
            if ended or time.monotonic() >= until or not (self._waiting or self._busy):
                return ended

    def withdraw(self) -> list[str]:
        """Take back what no worker has."""
        keys = [spec.key for spec in self._waiting]
        self._waiting.clear()
        return keys

    def close(self, *, now: bool = False) -> None:
        """End the workers: idle ones by themselves, busy ones (or all, `now`) by a kill."""
        for worker in self._workers:
            if now or worker.specs:
                worker.process.kill()
            worker.socket.close()
        for worker in self._workers:
            worker.process.wait()
        self._workers.clear()
        self._waiting.clear()

    @property
    def _busy(self) -> int:
        return sum(bool(worker.specs) for worker in self._workers)

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            # sys.path travels: whatever the coordinator could import (an outside package, a test), workers can too.
            path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    *(sys.executable, "-m", "spica.engine.executors.child"),
                    *(str(theirs.fileno()), str(os.getpid()), str(self._memory)),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
            )
        return _Worker(process, Connection(ours.detach()))

    def _feed(self) -> None:
        """Give each worker work ahead; the least laden first."""
        if not self._waiting:
            return
        depth = self._depth
        share = max(1, min(depth, -(-len(self._waiting) // max(1, len(self._workers)))))
        for worker in sorted(self._workers, key=lambda each: len(each.specs)):
            if not self._waiting:
                return
            lack = min(share, depth - len(worker.specs))
            if lack > 0 and (2 * len(worker.specs) <= depth) and worker.doom is None:
                self._send(worker, [self._waiting.popleft() for _ in range(min(lack, len(self._waiting)))])

    def _send(self, worker: _Worker, specs: list[JobSpec]) -> None:
        if not worker.specs:
            worker.since = time.monotonic()
        worker.specs.extend(specs)
        try:
            worker.socket.send_bytes(pickle.dumps(specs, pickle.HIGHEST_PROTOCOL))
        except OSError:
            return  # it died: the end of its socket is met when reports are collected

    def _collect(self, timeout: float) -> list[Ended]:
        ended: list[Ended] = []
        by_socket = {worker.socket: worker for worker in self._workers}
        for found in wait(list(by_socket), timeout):
            worker = by_socket[found]  # type: ignore[index]  # we gave nothing but connections
            try:
                ended.extend(self._receive(worker))
            except (EOFError, OSError):
                ended.extend(self._bury(worker))
        return ended

    def _receive(self, worker: _Worker) -> Iterable[Ended]:
        while True:
            message = worker.socket.recv_bytes()
            if message == HELLO:
                worker.ready = True
                worker.since = time.monotonic()
                self._stillborn = 0
            else:
                report: JobReport = pickle.loads(message)  # noqa: S301 - from our own worker
                worker.specs.popleft()
                worker.since = time.monotonic()
                self._typical += 0.2 * (report.cost.wall - self._typical)
                yield report
            if not worker.socket.poll():
                return

    def _bury(self, worker: _Worker) -> list[Ended]:
        """A worker is gone: the job it had begun is lost, the rest waits again in front; another one starts."""
        worker.socket.close()
        status = worker.process.wait()
        self._workers.remove(worker)
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= (_STARTS if status >= 0 else _KILLED_STARTS):
                raise InternalFault(
                    "internal.error",
                    f"worker processes die before they are ready (exit status {status})",
                    status=status,
                )
            self._waiting.extendleft(reversed(worker.specs))
            worker.specs.clear()
        ended: list[Ended] = []
        if worker.specs:
            if worker.doom is None:
                ended.append(_killed(worker.specs.popleft(), status))
            elif worker.doom.key == worker.specs[0].key:
                worker.specs.popleft()
                ended.append(worker.doom)
            # Else its report crossed our kill: nobody had begun the rest.
            self._waiting.extendleft(reversed(worker.specs))
        if self._waiting:
            self._workers.append(self._start())
        return ended

    def _look(self) -> None:
        """Kill workers that hang or have grown too large."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        for worker in self._workers:
            if not worker.specs or not worker.ready or worker.doom is not None:
                continue
            spec = worker.specs[0]
            took, resident = now - worker.since, _resident(worker.process.pid) if self._memory else 0
            if took > self._timeout:
                message = f"{spec.unit} took longer than {self._timeout:g} s"
                fault = ResourceFault("worker.timeout", message, seconds=took, limit=self._timeout)
            elif resident > self._memory:
                message = f"{spec.unit} needed {resident} bytes of memory, allowed are {self._memory}"
                fault = ResourceFault("worker.memory", message, bytes=resident, limit=self._memory)
            else:
                continue
            worker.doom = Lost(spec.key, fault.record())
            worker.process.kill()


def _killed(spec: JobSpec, status: int) -> Lost:
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    message = f"the worker that had begun {spec.unit} died: {name}"
    return Lost(spec.key, ResourceFault("worker.killed", message, status=name, attempt=spec.attempt).record())


def _resident(process: int) -> int:
    """Resident bytes of a process, 0 where it is gone or the system does not tell."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
