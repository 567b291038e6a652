"""Dask: the same bytes; a killed worker costs one attempt; jobs run where they are pinned to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.core.records import Grain, Unit
from spica.core.task import Form
from spica.engine.executors.dask import Dask
from spica.engine.executors.near import near
from spica.engine.spec import Gathered, Given, JobSpec, Recipe, Stored
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


def test_a_pin_to_workers_that_are_not_there_holds_nothing(cluster: Dask, tmp_path: Path) -> None:
    cluster._place = lambda _: ["some-host-that-is-away"]
    run(make_ground(tmp_path / "s", biases=2, objects=0, detectors=1), cluster)
    cluster._place = None


def test_jobs_are_near_the_area_that_holds_most_of_what_they_read(tmp_path: Path) -> None:
    survey, archive, attic = tmp_path / "s", tmp_path / "s" / "archive", tmp_path / "attic"
    for path, size in ((survey / "bias", 10), (archive / "raw", 100), (attic / "old", 50)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))

    def spec(*paths: Path) -> JobSpec:
        unit = Unit(Grain.EXPOSURE, ("a",))
        gathered = Gathered(tuple((path.name, Stored(str(path), Form.IMAGE)) for path in paths[1:]))
        sources = (Stored(str(paths[0]), Form.IMAGE), None, Given(1), gathered)
        return JobSpec("k", unit, Recipe("p", None, (), (), (), "d"), (), sources, str(survey), {})  # type: ignore[arg-type]

    areas = {"local": str(survey), "archive": str(archive), "attic": str(attic)}
    place = near(areas, {"local": ["head"], "archive": ["node1", "node2"]})
    assert place(spec(survey / "bias")) == ("head",)
    assert place(spec(survey / "bias", archive / "raw")) == ("node1", "node2")
    assert place(spec(survey / "bias", attic / "old")) is None, "most lies in an area that is near to nobody"
    assert place(spec(tmp_path / "elsewhere")) is None


def test_a_scheduler_that_does_not_answer_is_a_fault_of_the_order() -> None:
    with pytest.raises(SetupFault) as caught:
        Dask(address="tcp://127.0.0.1:1", patience=0.5)
    assert caught.value.code == "order.invalid"
