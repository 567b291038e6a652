"""Progress on stderr: bars with rates and time to go on a terminal, one line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from spica.services.progress import Step, Watcher

LINE_EVERY = 10.0
"""Seconds between lines where stderr is no terminal."""


class _Rate(ProgressColumn):
    """Units per second, as they went so far."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:.3g}/s", style="cyan")


@contextmanager
def watching() -> Iterator[Watcher]:
    """A watcher to hand to a service; what it is told is drawn on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        yield _Bars(progress)


class _Bars:
    """One bar per stage."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bars: dict[str, TaskID] = {}

    def __call__(self, step: Step) -> None:
        if step.stage not in self.bars:
            self.bars[step.stage] = self.progress.add_task(step.stage, total=step.total or None, note="")
        self.progress.update(
            self.bars[step.stage], completed=step.done, total=step.total or None, note=step.note, refresh=False
        )


class _Lines:
    """A line when a stage ends, and one every few seconds while it lasts."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.told: dict[str, float] = {}

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        began = self.began.setdefault(step.stage, now)
        ended = bool(step.total) and step.done >= step.total
        if not ended and now - self.told.setdefault(step.stage, now) < LINE_EVERY:
            return
        if ended and self.told.get(step.stage) == float("inf"):
            return
        self.told[step.stage] = float("inf") if ended else now
        rate = step.done / (now - began) if now > began else 0.0
        total = f"/{step.total}" if step.total else ""
        left = f", {(step.total - step.done) / rate:.0f} s to go" if step.total and rate and not ended else ""
        note = f" ({step.note})" if step.note else ""
        sys.stderr.write(f"{step.stage}: {step.done}{total}, {rate:.3g}/s{left}{note}\n")
