"""Local workers: a worker that dies, hangs or eats memory costs one unit's attempt, nothing more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from spica.core.faults import DataFault, Outcome
from spica.core.jobs import JobReport
from spica.core.records import Unit
from spica.engine.executors.local import Local
from spica.engine.spec import JobSpec, Lost
from tests.engine.ground import Ground

ONE = "00101/1"
"""Part of the text of one object unit."""


def misbehave(ground: Ground, what: str, marker: Path | None = None, **local: Any) -> tuple[Any, Ground]:
    overrides = {"draw.misbehave": what, "draw.units": ONE}
    if marker:
        overrides["draw.marker"] = str(marker)
    attempts = 1 if what == "hang" else 2
    return ground.run(ground.plan(None, "", **overrides), Local(workers=2, **local), attempts=attempts), ground


def fault_of(ground: Ground) -> tuple[str, int]:
    (row,) = (job for job in ground.registry.jobs_of(Unit.parse("demo-20261120-00101/1")) if job.fault)
    assert row.fault is not None
    return row.fault.code, row.attempts


def test_a_killed_worker_costs_one_attempt(ground: Ground, tmp_path: Path) -> None:
    result, _ = misbehave(ground, "kill", tmp_path / "once")
    assert result.complete
    assert result.done == 17
    assert (tmp_path / "once").exists()


@pytest.mark.slow
def test_a_unit_that_kills_its_workers_fails_alone(ground: Ground) -> None:
    result, _ = misbehave(ground, "kill")
    assert (result.done, result.failed, result.left) == (16, 1, 0), "its exposure is counted from the other detector"
    assert fault_of(ground) == ("worker.killed", 2)


@pytest.mark.slow
def test_a_hanging_unit_is_stopped(ground: Ground) -> None:
    result, _ = misbehave(ground, "hang", timeout=3.0)
    assert (result.done, result.failed) == (16, 1)
    assert fault_of(ground)[0] == "worker.timeout"


@pytest.mark.slow
def test_a_unit_that_eats_memory_is_stopped(ground: Ground) -> None:
    result, _ = misbehave(ground, "eat", memory=600 * 2**20)
    assert (result.done, result.failed) == (16, 1)
    assert fault_of(ground)[0] == "worker.memory"


@pytest.mark.parametrize(
    ("what", "code"), [("raise", "internal.error"), ("fault", "data.no-pixels"), ("full", "disk.full")]
)
def test_what_a_task_raises_becomes_a_named_fault(ground: Ground, what: str, code: str) -> None:
    overrides = {"draw.misbehave": what, "draw.units": ONE}
    result = ground.run(ground.plan(None, "", **overrides))
    assert fault_of(ground)[0] == code
    if code == "disk.full":
        assert result.stopped is not None
        assert result.left > 0
    else:
        assert (result.done, result.failed) == (16, 1)


def test_failed_on_data_stays_failed_and_the_rest_is_tried_again(ground: Ground) -> None:
    overrides = {"draw.misbehave": "fault", "draw.units": ONE}
    ground.run(ground.plan(None, "", **overrides))
    assert ground.plan(None, "", **overrides).counts()["failed"] == 1
    raising = overrides | {"draw.misbehave": "raise"}
    ground.run(ground.plan(None, "", **raising))
    again = ground.plan(None, "", **raising)
    assert (again.counts()["failed"], again.counts()["run"]) == (0, 1 + 1), "the unit, and its exposure with it"


def test_workers_run_one_thread_each(ground: Ground) -> None:
    executor = Local(workers=1)
    plan = ground.plan(None, "", **{"draw.seconds": 0.2})
    seen: list[dict[str, str]] = []

    def look(progress: object) -> None:
        seen.extend(psutil.Process(pid).environ() for pid in executor.pids)

    ground.run(plan, executor, progress=look)
    assert seen
    assert all(each["NUMBA_NUM_THREADS"] == each["OMP_NUM_THREADS"] == "1" for each in seen)


@pytest.mark.slow
def test_an_interrupted_production_is_resumed(ground: Ground, tmp_path: Path) -> None:
    plan = ground.plan(None, "", **{"draw.seconds": 0.1})
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    first = ground.run(plan, Local(workers=1))
    timer.join()
    assert first.interrupted
    assert 0 < first.done < 17
    assert first.done + first.left == 17
    again = ground.plan(None, "", **{"draw.seconds": 0.1})
    assert again.counts()["run"] == first.left
    assert ground.run(again, Local(workers=2)).complete


COORDINATE = """
import sys
from pathlib import Path
from spica.engine.executors.local import Local
from spica.engine.planner import make_plan
from spica.engine.run import execute
from spica.files.survey import Survey
from spica.registry.store import Registry
from tests.engine.ground import Ground
from tests.engine.tiny import TASKS
survey = Survey.open(sys.argv[1])
ground = Ground(survey, Registry.open(survey.registry_url), TASKS)
plan = ground.plan(None, "", **{"draw.seconds": 0.15})
print("planned", flush=True)
result = ground.run(plan, Local(workers=2), lease_seconds=float(sys.argv[2]))
print("ended", result.done, result.elsewhere, result.left, flush=True)
"""


def coordinator(ground: Ground, lease: float = 3.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COORDINATE, str(ground.survey.root), str(lease)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def gone(pids: list[int], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.slow
def test_workers_die_with_their_coordinator_and_a_rerun_resumes(ground: Ground) -> None:
    process = coordinator(ground, 300.0)
    assert process.stdout is not None
    assert process.stdout.readline() == "planned\n"
    watched = psutil.Process(process.pid)
    while not (workers := [child.pid for child in watched.children()]):
        time.sleep(0.05)
    time.sleep(1.0)
    process.kill()
    process.communicate()
    assert gone(workers)
    begun = time.monotonic()
    result = ground.run(ground.plan(None, "", **{"draw.seconds": 0.15}), Local(workers=2))
    assert result.complete
    assert time.monotonic() - begun < 30, "what a dead coordinator of this machine had leased is free at once"


@pytest.mark.slow
def test_two_coordinators_share_the_work(ground: Ground) -> None:
    both = [coordinator(ground, 30.0) for _ in range(2)]
    told = [process.communicate(timeout=60)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    done = [int(words[2]) for words in told]
    assert sum(done) == 17, f"each unit once: {told}"
    assert ground.plan(None, "", **{"draw.seconds": 0.15}).counts()["done"] == 17


def test_scratch_that_vanishes_under_a_job_is_made_again(ground: Ground) -> None:
    """Another order may delete a scratch product that ours was about to read."""

    class Thief(Local):
        stolen = 0

        def submit(self, specs: Sequence[JobSpec]) -> None:
            for spec in specs:
                if spec.recipe.chain.label == "combine_bias" and not self.stolen:
                    for path in ground.survey.folder("scratch").rglob("*.fits"):
                        path.unlink()
                    self.stolen += 1
            super().submit(specs)

    thief = Thief(workers=2)
    result = ground.run(ground.plan(), thief)
    assert thief.stolen == 1
    assert result.complete
    assert not ground.registry.faults()


def test_scratch_that_vanishes_from_its_maker_is_made_again(ground: Ground) -> None:
    """Another order may delete a scratch product before the job that wrote it has described it."""

    class Thief(Local):
        stolen: Path | None = None

        def completed(self, timeout: float) -> list[JobReport | Lost]:
            return [self.robbed(ended) for ended in super().completed(timeout)]

        def robbed(self, ended: JobReport | Lost) -> JobReport | Lost:
            if isinstance(ended, Lost) or self.stolen or not any(step.label == "draw_bias" for step in ended.steps):
                return ended
            self.stolen = next(
                path
                for path in (ground.survey.path_of(each.path) for each in ended.products)
                if "scratch" in path.parts
            )
            self.stolen.unlink()
            fault = DataFault("file.missing", f"{ended.unit}: gone", path=str(self.stolen)).record()
            return replace(ended, outcome=Outcome.FAILED, products=(), metrics=(), fault=fault)

    thief = Thief(workers=2)
    result = ground.run(ground.plan(), thief)
    assert thief.stolen
    assert result.complete
    assert not ground.registry.faults()
