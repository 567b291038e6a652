"""What a piece of work costs: wall and CPU seconds, and the most memory it held."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLING = 0.01


@dataclass
class Cost:
    """The cost of a block of this process: wall and CPU seconds, its children's CPU included once they ended."""

    wall: float = 0.0
    cpu: float = 0.0


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@contextmanager
def costing() -> Iterator[Cost]:
    """Measure the block; the yielded cost is filled in when it ends."""
    cost = Cost()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    yield cost
    cost.wall, cost.cpu = time.perf_counter() - wall, _cpu_seconds() - cpu


@dataclass(frozen=True)
class Usage:
    """The cost of a program.

    Attributes
    ----------
    wall, cpu : seconds; CPU of the program and of the children it waited for.
    peak : most resident bytes held at once by the program and all its descendants together, sampled each 10 ms
        (pages that they share count once for each).
    output : what it wrote, both streams together.
    """

    wall: float
    cpu: float
    peak: int
    output: str


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended between the list and the look
    return total


def run_program(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Usage:
    """Run a program to its end and measure it.

    Raises
    ------
    RuntimeError
        It ended with another status than 0; the message carries its output.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
        watched = psutil.Process(child.pid)
        peak = 0
        while True:
            peak = max(peak, _resident(watched))
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(_SAMPLING)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if child.returncode != 0:
        message = f"{' '.join(words)} ended with {child.returncode}:\n{text[-4000:]}"
        raise RuntimeError(message)
    return Usage(wall, usage.ru_utime + usage.ru_stime, peak, text)
