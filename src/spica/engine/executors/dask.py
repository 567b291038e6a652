"""Run jobs on a Dask cluster: one on this machine, or a scheduler elsewhere.

The coordinator keeps a bounded window of jobs submitted, so that the scheduler never holds a whole survey. Workers of a
cluster elsewhere must see the survey folder under the same path.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from spica.core.faults import ResourceFault, SetupFault
from spica.core.jobs import JobReport
from spica.engine.executors.base import Ended
from spica.engine.executors.heap import keep_freed_memory
from spica.engine.executors.local import ONE_THREAD
from spica.engine.spec import JobSpec, Lost
from spica.engine.worker import work

Place = Callable[[JobSpec], Sequence[str] | None]
"""Workers (addresses, host names or names) that a job must run on, None for any."""


class Dask:
    """A window of jobs on a Dask cluster.

    Parameters
    ----------
    workers : how many on this machine; 0 for one per core. Ignored with an address.
    timeout : seconds a unit may take; it is given up then (Dask cannot kill one task of a worker). A unit may wait
        for a whole window of others before it is begun, so that this many times `window` pass first.
    memory : bytes a worker may use, 0 for no limit.
    address : of a running scheduler (``tcp://host:8786``); '' starts a cluster here.
    place : pins jobs to where their data lie; a pin to workers of which none is there holds nothing.
    window : jobs submitted at a time, per worker.
    patience : seconds to wait for a scheduler.

    Raises
    ------
    SetupFault
        ``program.missing`` where Dask is not installed, ``order.invalid`` where the scheduler does not answer.
    """

    def __init__(
        self,
        workers: int = 0,
        timeout: float = 3600.0,
        memory: int = 0,
        *,
        address: str = "",
        place: Place | None = None,
        window: int = 4,
        patience: float = 10.0,
    ) -> None:
        self._client, self._cluster = _connect(workers, memory, address, patience)
        self._client.register_worker_callbacks(keep_freed_memory)
        self._timeout = timeout
        self._place = place
        self._window = window
        self._out: dict[str, tuple[JobSpec, Any, float]] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def room(self) -> int:
        """How many further specs it takes now."""
        workers = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        return max(0, self._window * workers - len(self._out))

    def submit(self, specs: Sequence[JobSpec]) -> None:
        """Take specs; one that is pinned runs where it is pinned to, or waits."""
        there = self._there() if self._place else frozenset()
        for spec in specs:
            pinned = [each for each in (self._place(spec) or () if self._place else ()) if each in there]
            where: dict[str, Any] = {"workers": pinned, "allow_other_workers": False} if pinned else {}
            name = f"{spec.key}-{spec.attempt}"
            future = self._client.submit(work, spec, key=name, pure=False, retries=0, **where)
            self._out[name] = (spec, future, time.monotonic())
            future.add_done_callback(lambda done: self._ended.put(done.key))

    def _there(self) -> frozenset[str]:
        """Addresses, host names and names of the workers that are there now."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return frozenset(
            str(each) for address, worker in workers.items() for each in (address, worker["host"], worker["name"])
        )

    def completed(self, timeout: float) -> list[Ended]:
        """What ended, waiting for the first."""
        names: list[str] = []
        try:
            if self._out:
                names.append(self._ended.get(timeout=timeout))
            while True:
                names.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        # One that was given up may still end: nobody waits for it any more.
        return [self._end(name) for name in names if name in self._out] + self._overdue()

    def _end(self, name: str) -> Ended:
        spec, future, _ = self._out.pop(name)
        try:
            if future.status == "finished":
                report: JobReport = future.result()
                return report
            problem = future.exception() if future.status == "error" else None
        finally:
            future.release()
        what = f"{type(problem).__name__}: {problem}" if problem else future.status
        message = f"the worker that had {spec.unit} was lost: {what}"
        return Lost(spec.key, ResourceFault("worker.killed", message, attempt=spec.attempt).record())

    def _overdue(self) -> list[Ended]:
        now = time.monotonic()
        late = [name for name, (_, _, since) in self._out.items() if now - since > self._timeout * self._window]
        ended: list[Ended] = []
        for name in late:
            spec, future, since = self._out.pop(name)
            future.cancel(force=True)
            message = f"{spec.unit} did not end within {self._timeout:g} s"
            fault = ResourceFault("worker.timeout", message, seconds=now - since, limit=self._timeout)
            ended.append(Lost(spec.key, fault.record()))
        return ended

    def withdraw(self) -> list[str]:
        """Nothing is taken back: the window is small, and who has begun what only the scheduler knows."""
        return []

    def close(self, *, now: bool = False) -> None:
        """Leave the scheduler; a cluster of our own ends."""
        if now:
            self._client.cancel([future for _, future, _ in self._out.values()])
        self._out.clear()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _connect(workers: int, memory: int, address: str, patience: float) -> tuple[Any, Any]:
    try:
        dask: Any = import_module("dask")
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise SetupFault(
            "program.missing", f"Dask is not installed: {error}", advice="pip install 'spica[dask]'"
        ) from error
    # A worker that dies costs one attempt: whether there is another is the coordinator's to say, not the scheduler's.
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    if address:
        try:
            return distributed.Client(address, timeout=patience), None
        except (OSError, TimeoutError) as error:
            raise SetupFault("order.invalid", f"no Dask scheduler answers at {address}: {error}") from error
    with dask.config.set({"distributed.nanny.pre-spawn-environ": ONE_THREAD}):
        cluster = distributed.LocalCluster(
            n_workers=workers or len(os.sched_getaffinity(0)),
            threads_per_worker=1,
            memory_limit=memory or None,
            dashboard_address=None,
        )
    return distributed.Client(cluster), cluster
