"""Start-up: how long a person waits for `spica --help` and `spica status`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import run_program

SPICA = Path(sys.executable).with_name("spica")
REPEATS = 7


def answer_time(*words: str | Path, cwd: Path) -> float:
    """Least wall seconds of a command in some runs: what a busy machine adds is not spica's."""
    run_program([SPICA, *words], cwd=cwd)
    return min(run_program([SPICA, *words], cwd=cwd).wall for _ in range(REPEATS))


def figures() -> Iterator[Figure]:
    """Answers in less than 0.7 s."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield figure("spica --help", answer_time("--help", cwd=folder), "s", at_most(0.7))
        run_program([SPICA, "init", "survey"], cwd=folder)
        yield figure("spica status, new survey", answer_time("status", cwd=folder / "survey"), "s", at_most(0.7))
