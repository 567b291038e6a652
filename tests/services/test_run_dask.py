"""A run on a Dask cluster that the survey's settings name, pinned to the workers near the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from spica.core.faults import SetupFault
from spica.engine.executors.dask import Dask, Place
from spica.engine.executors.near import near as near_areas
from spica.engine.spec import JobSpec
from spica.files.survey import FILE_NAME
from spica.services import run
from spica.services.run import Order
from tests.support.survey import SCIENCE, Small

UNITS = 6 * len(SCIENCE)
"""Two detectors of each science exposure, their verdicts, its merged catalogue and its summary."""
ANYWHERE = 2 * len(SCIENCE)
"""Of these the verdicts: made of values in the registry, they read no file that lies anywhere."""


def set_up(small: Small, engine: str) -> None:
    path = small.folder / FILE_NAME
    path.write_text(f"{path.read_text()}\n[engine.dask]\n{engine}\n")


def executed(dask_worker: Any) -> int:
    """How many jobs a worker has carried out (Dask hands itself to an argument of this name)."""
    count: int = dask_worker.state.executed_count
    return count


@pytest.mark.slow
def test_the_cluster_at_the_address_works_where_the_data_lie(
    done: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Sequence[str] | None] = []

    def watched(areas: Mapping[str, str], workers: Mapping[str, Sequence[str]]) -> Place:
        place = near_areas(areas, workers)

        def tell(spec: JobSpec) -> Sequence[str] | None:
            told.append(place(spec))
            return told[-1]

        return tell

    monkeypatch.setattr("spica.engine.executors.near.near", watched)
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        near, other = sorted(client.run(executed))
        set_up(done, f'address = "{cluster.scheduler_address}"\nnear = {{ local = ["{near}"] }}')
        order = Order("reduce", settings={"detect.threshold": "7"}, executor="dask")
        production = run.run(order, done.folder)
        assert (production.done, production.complete) == (UNITS, True)
        counts = client.run(executed)
        assert counts[near] + counts[other] == UNITS
        assert counts[other] <= ANYWHERE
        assert (told.count((near,)), told.count(None)) == (UNITS - ANYWHERE, ANYWHERE)
    assert run.run(Order("reduce", settings=order.settings, executor="inprocess"), done.folder).skipped == UNITS


def test_an_area_that_nobody_knows_is_refused(done: Small) -> None:
    set_up(done, 'near = { attic = ["node1"] }')
    with pytest.raises(SetupFault, match="attic") as caught:
        run.run(Order("reduce", settings={"detect.threshold": "8"}, executor="dask"), done.folder)
    assert caught.value.code == "survey.invalid"


def test_a_scheduler_that_is_away_is_said(done: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Dask.__init__.__kwdefaults__ or {}
    monkeypatch.setattr(Dask.__init__, "__kwdefaults__", {**defaults, "patience": 0.5})
    set_up(done, 'address = "tcp://127.0.0.1:1"')
    with pytest.raises(SetupFault, match="no Dask scheduler answers"):
        run.run(Order("reduce", settings={"detect.threshold": "8"}, executor="dask"), done.folder)
