"""Dask: the same bytes; a killed worker costs one attempt; jobs run where they are pinned to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.engine.executors.dask import Dask
from tests.engine.ground import Ground, make_ground


@pytest.fixture(scope="module")
def cluster() -> Iterator[Dask]:
    made = Dask(workers=2)
    yield made
    made.close()


def run(ground: Ground, dask: Dask, **overrides: object) -> dict[str, bytes]:
    from spica.engine.run import execute

    result = execute(ground.plan(None, "", **overrides), dask, ground.registry, ground.survey)
    assert result.complete, ground.registry.faults()
    return ground.contents()


def test_dask_gives_the_same_bytes_and_survives_a_killed_worker(cluster: Dask, tmp_path: Path) -> None:
    here, there = make_ground(tmp_path / "here"), make_ground(tmp_path / "there")
    kill = {"draw.misbehave": "kill", "draw.units": "00101/1", "draw.marker": str(tmp_path / "once")}
    (tmp_path / "once").touch()
    here.run(here.plan(None, "", **kill))
    (tmp_path / "once").unlink()
    assert run(there, cluster, **kill) == here.contents()
    assert (tmp_path / "once").exists()


def test_a_pinned_job_runs_where_it_is_pinned_to(cluster: Dask, tmp_path: Path) -> None:
    pids = cluster._client.run(os.getpid)
    first = min(pids)
    cluster._place = lambda _: [first]
    ground = make_ground(tmp_path / "s", biases=4, objects=0, detectors=2)
    run(ground, cluster, **{"draw_bias.misbehave": "sign", "draw_bias.marker": str(tmp_path / "pid")})
    cluster._place = None
    assert [path.name for path in tmp_path.glob("pid.*")] == [f"pid.{pids[first]}"]


def test_a_scheduler_that_does_not_answer_is_a_fault_of_the_order() -> None:
    with pytest.raises(SetupFault) as caught:
        Dask(address="tcp://127.0.0.1:1", patience=0.5)
    assert caught.value.code == "order.invalid"
