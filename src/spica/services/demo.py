"""The demonstration: a small survey from simulated sky to catalogues, judged against the known truth."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from spica.core.faults import DataFault, SetupFault
from spica.files import atomic
from spica.services import ingest, initialise, kernels, run, simulation
from spica.services.judging import Finding, judge_images, judge_masters, judge_sources, matched
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import opened

MARKER = ".spica-demonstration"
"""Lies in a folder that a demonstration made, and that the next one may therefore replace."""

CAMERA = "demo"
SKY = {"nights": "2026-11-20", "bands": "r,i", "exposures": "3", "density": "1000"}
SELECTION = "night = '2026-11-20'"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Stage:
    """What one stage of the way worked on, and how long it took."""

    name: str
    count: str
    seconds: float


@dataclass(frozen=True)
class Picture:
    """A picture of the report."""

    title: str
    path: Path


@dataclass(frozen=True)
class Report:
    """The demonstration's results."""

    folder: Path
    survey: Path
    seconds: float
    stages: tuple[Stage, ...]
    findings: tuple[Finding, ...]
    pictures: tuple[Picture, ...]
    good: bool


class _Clock:
    """Notes how long each stage takes."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.stages: list[Stage] = []

    def stage(self, name: str, deed: Callable[[], Answer], count: Callable[[Answer], str]) -> Answer:
        """Do it, and note it."""
        began = time.monotonic()
        answer = deed()
        self.stages.append(Stage(name, count(answer), time.monotonic() - began))
        return answer


def demonstrate(folder: Path, *, workers: int = 0, seed: int = 20261120, watcher: Watcher = unwatched) -> Report:
    """Simulate a small survey, take it in, reduce it, and judge the results.

    Parameters
    ----------
    folder : made where it is missing; replaced where an earlier demonstration made it; refused where something else
        lies in it.
    workers : worker processes, 0 for one per core.
    seed : of the sky.

    Raises
    ------
    SetupFault
        ``order.invalid`` for a folder that holds something else.
    """
    folder = folder.expanduser().absolute()
    _clear(folder)
    clock = _Clock()
    clock.stage("compile kernels", lambda: kernels.compile_all(watcher), lambda _: "all")
    sky, home = folder / "sky", folder / "survey"
    clock.stage("init", lambda: initialise.initialise(home, name="Demonstration"), lambda _: "1 survey")
    clock.stage(
        "simulate",
        lambda: simulation.simulate(sky, CAMERA, SKY | {"seed": str(seed)}, home, watcher),
        lambda made: f"{made.exposures} exposures, {made.pixels / 1e6:.0f} Mpix",
    )
    taken = clock.stage(
        "ingest",
        lambda: ingest.ingest(ingest.Order((str(sky / "raw"),)), home, watcher),
        lambda summary: f"{summary.files} files, {summary.detectors} detectors",
    )
    if taken.problems:
        problem = taken.problems[0]
        raise DataFault(problem.code, problem.message, advice=problem.advice, path=problem.path)
    for pipeline in ("calibrations", "reduce"):
        order = run.Order(pipeline, SELECTION, workers=workers)
        clock.stage(pipeline, lambda order=order: run.run(order, home, watcher), _units)  # type: ignore[misc]
    findings, pictures = clock.stage("judge", lambda: _judge(sky, home, folder / "report", watcher), lambda _: "report")
    report = Report(
        folder=folder,
        survey=home,
        seconds=time.monotonic() - clock.began,
        stages=tuple(clock.stages),
        findings=findings,
        pictures=pictures,
        good=all(finding.good for finding in findings),
    )
    told = json.dumps(asdict(report), indent=1, default=str)
    atomic.write_bytes(folder / "report" / "report.json", told.encode())
    return report


def _clear(folder: Path) -> None:
    """An empty folder with our marker in it; only what an earlier demonstration made is deleted."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / MARKER).is_file():
            message = f"{folder} holds something else than a demonstration"
            raise SetupFault("order.invalid", message, advice="choose another folder", path=str(folder))
        shutil.rmtree(folder)
    with atomic.disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()


def _units(production: run.Production) -> str:
    ended = [f"{production.done} done"]
    ended += [f"{production.refused} refused"] if production.refused else []
    ended += [f"{production.failed} failed"] if production.failed else []
    return ", ".join(ended)


def _judge(sky: Path, home: Path, folder: Path, watcher: Watcher) -> tuple[tuple[Finding, ...], tuple[Picture, ...]]:
    from spica.services import judged_pictures
    from spica.services.truth import Truth, frames, masters

    watcher(Step("judging", 0, 4))
    truth = Truth.read(sky / "truth")
    with opened(home) as house:
        reduced = list(frames(house, truth))
        made = sorted(masters(house, truth), key=lambda master: (master.kind, master.band, master.detector))
        if not reduced or not made:
            raise SetupFault(
                "order.nothing", "the demonstration made nothing that could be judged", advice="spica faults"
            )
        watcher(Step("judging", 1, 4))
        findings = (*judge_masters(made), *judge_images(reduced), *judge_sources(reduced))
        watcher(Step("judging", 2, 4))
        pictures = (
            Picture("one detector, raw to catalogue", folder / "frame.png"),
            Picture("sources against the truth", folder / "sources.png"),
            Picture("masters against the truth", folder / "masters.png"),
        )
        judged_pictures.frame_picture(house, reduced[0], pictures[0].path)
        watcher(Step("judging", 3, 4))
        judged_pictures.sources_picture(reduced, matched(reduced), pictures[1].path)
        judged_pictures.masters_picture(made, pictures[2].path)
    watcher(Step("judging", 4, 4))
    return findings, pictures
