"""Examining delivered files, in this process or in several: answers come in the order of the files."""

from __future__ import annotations

import math
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from spica.core.camera import Camera
from spica.core.faults import DataFault, FaultRecord, ResourceFault
from spica.core.records import IngestRecord
from spica.instruments import tables
from spica.intake.examine import examine
from spica.intake.find import Candidate

PATIENCE = 5.0
"""Seconds that this process works alone: a delivery done by then is not worth the start of further processes."""
WINDOW = 8
"""Files in hand per process: bounds what is unpacked and read ahead."""


@dataclass(frozen=True)
class Tables:
    """Cameras by name, as every process can load them.

    Attributes
    ----------
    names : those to recognise files among.
    camera : the one that the order names, '' for none.
    fallback : the one for files that no table recognises, '' for none.
    folders : the survey's own tables.
    """

    names: tuple[str, ...]
    camera: str
    fallback: str
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Examined:
    """What became of one file: a record, or a fault."""

    candidate: Candidate
    record: IngestRecord | None
    fault: FaultRecord | None


@cache
def _cameras(given: Tables) -> tuple[list[Camera], Camera | None, Camera | None]:
    among = [tables.load(name, given.folders) for name in given.names]
    named = tables.load(given.camera, given.folders) if given.camera else None
    return among, named, tables.load(given.fallback, given.folders) if given.fallback else None


def examine_one(candidate: Candidate, given: Tables) -> Examined:
    """Examine one file; a fault of the data is an answer, other faults are raised."""
    among, named, fallback = _cameras(given)
    try:
        return Examined(candidate, examine(candidate, among, named, fallback), None)
    except DataFault as fault:
        return Examined(candidate, None, fault.record())


def examine_all(candidates: Iterable[Candidate], given: Tables, workers: int) -> Iterator[Examined]:
    """Examine files; with more than one worker those that are left after a few seconds in processes of their own.

    Parameters
    ----------
    workers : processes; 0: one per core.

    Raises
    ------
    ResourceFault
        ``worker.killed``.
    """
    workers = workers or len(os.sched_getaffinity(0))
    alone_until = time.monotonic() + PATIENCE if workers > 1 else math.inf
    rest = iter(candidates)
    for candidate in rest:
        if time.monotonic() > alone_until:
            yield from _in_processes(chain([candidate], rest), given, workers)
            return
        yield examine_one(candidate, given)


def _in_processes(candidates: Iterable[Candidate], given: Tables, workers: int) -> Iterator[Examined]:
    # Fresh processes, not copies of this one: it has threads (progress, database).
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_interrupts)
    waiting: deque[Future[Examined]] = deque()
    try:
        for candidate in candidates:
            waiting.append(pool.submit(examine_one, candidate, given))
            if len(waiting) >= workers * WINDOW:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        message = "a process that examined files was killed"
        raise ResourceFault(
            "worker.killed", message, advice="ingest again, with --workers 1 to find the file"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C is the coordinator's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
