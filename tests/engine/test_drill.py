"""Kills at random moments: the bytes are those of an undisturbed run."""

from __future__ import annotations

import random
import time
from pathlib import Path

import psutil
import pytest

from spica.core.faults import Outcome
from spica.engine.executors.local import Local
from tests.engine.ground import Ground, make_ground
from tests.engine.test_workers import coordinator

PACE = {"draw.seconds": 0.15}
Sizes = tuple[int, int]
SMALL: Sizes = (3, 3)
"""Biases and objects, of two detectors each."""


def undisturbed(root: Path, sizes: Sizes = SMALL) -> dict[str, bytes]:
    ground = make_ground(root, biases=sizes[0], objects=sizes[1])
    assert ground.run(ground.plan(None, "", **PACE), Local(workers=1)).complete
    ground.registry.close()
    return ground.contents()


def disturb(ground: Ground, kills: int, seed: int) -> int:
    """Run coordinators one after the other, killing a worker or the coordinator itself; answers how many were killed."""
    chance = random.Random(seed)  # noqa: S311 - the same moments every time
    killed = 0
    for _ in range(10 * kills):
        process = coordinator(ground, 300.0)
        watched = psutil.Process(process.pid)
        while process.poll() is None and killed < kills:
            time.sleep(chance.uniform(0.2, 1.2))
            try:
                workers = watched.children()
            except psutil.NoSuchProcess:
                break
            if not workers:
                continue
            victim = watched if chance.random() < 0.4 else chance.choice(workers)
            if process.poll() is None:
                victim.kill()
                killed += 1
            if victim is watched:
                break
        told, _ = process.communicate(timeout=120)
        if told.split()[-1:] == ["0"]:
            return killed
    return killed


def check(ground: Ground, expected: dict[str, bytes]) -> None:
    # A unit whose workers were shot more often than it has attempts has failed; a rerun tries it again.
    result = ground.run(ground.plan(None, "", **PACE), Local(workers=4))
    assert result.complete, ground.registry.faults()
    assert ground.contents() == expected
    plan = ground.plan(None, "", **PACE)
    assert plan.counts()["done"] == len(plan.jobs)
    assert all(ground.registry.job(job.key).outcome is Outcome.DONE for job in plan.jobs)
    assert not list(ground.survey.root.rglob("*.part"))


@pytest.mark.slow
def test_a_few_kills_change_no_byte(tmp_path: Path) -> None:
    expected = undisturbed(tmp_path / "calm")
    ground = make_ground(tmp_path / "wild")
    assert disturb(ground, 3, seed=1) == 3
    check(ground, expected)
    ground.registry.close()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_in_a_hundred_units_change_no_byte(tmp_path: Path) -> None:
    expected = undisturbed(tmp_path / "calm", (10, 24))
    ground = make_ground(tmp_path / "wild", biases=10, objects=24)
    assert disturb(ground, 20, seed=2) == 20
    check(ground, expected)
    ground.registry.close()
