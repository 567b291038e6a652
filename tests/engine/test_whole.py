"""The whole way: plan, run, record; and again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from spica.core.faults import Outcome
from spica.core.records import Unit
from spica.engine.executors.local import Local
from tests.engine.ground import Ground, make_ground


def test_a_fresh_order_runs_to_its_end(ground: Ground) -> None:
    plan = ground.plan()
    assert plan.counts() == {"run": 6 + 2 + 6 + 3, "done": 0, "failed": 0, "refused": 0}
    result = ground.run(plan)
    assert (result.done, result.complete, result.left) == (17, True, 0), ground.registry.faults()
    kinds = sorted({path.split("/")[1] for path in ground.contents()})
    assert kinds == ["masters", "picture", "science", "sources"], "scratch is deleted after its last consumer"
    (total,) = ground.registry.metrics_of(Unit.parse("exposure:demo-20261120-00100"))
    assert total.name == "total"
    assert total.value > 0
    (master,) = ground.registry.masters(kind="bias")[:1]
    assert (master.shape, master.block) == ((32, 48), "2026-11-20")


def test_a_second_order_finds_all_done(ground: Ground) -> None:
    ground.run(ground.plan())
    before = ground.contents()
    plan = ground.plan()
    assert plan.counts() == {"run": 0, "done": 17, "failed": 0, "refused": 0}
    result = ground.run(plan)
    assert (result.done, result.already, result.complete) == (0, 17, True)
    assert ground.contents() == before


def test_every_job_is_recorded_in_full(ground: Ground) -> None:
    plan = ground.plan()
    ground.run(plan)
    job = next(job for job in plan.jobs if job.recipe.chain.steps[0].label == "draw")
    report = ground.registry.job(job.key)
    assert report.outcome is Outcome.DONE
    assert [step.label for step in report.steps] == ["draw", "subtract", "find"]
    assert report.steps[0].settings["level"] == 70.0
    assert report.steps[0].sources["level"] == "pipeline tiny"
    assert {each.need for each in report.inputs} == {"draw.unit", "draw.exposure", "subtract.bias"}
    assert report.cost.wall > 0
    assert report.cost.peak_memory > 0
    assert report.cost.bytes_written == sum(product.size for product in report.products)
    assert set(report.versions) >= {"spica", "numpy", "numba"}


def test_the_same_on_postgresql(postgres_database: Callable[[], str], tmp_path: Path) -> None:
    here, there = make_ground(tmp_path / "here"), make_ground(tmp_path / "there", url=postgres_database())
    assert here.run(here.plan()).complete
    assert there.run(there.plan(), Local(workers=2)).complete
    assert here.contents() == there.contents()
    assert there.plan().counts() == {"run": 0, "done": 17, "failed": 0, "refused": 0}
    here.registry.close()
    there.registry.close()


def test_what_runs_in_workers_knows_no_registry() -> None:
    names = "sqlalchemy", "spica.registry", "alembic", "duckdb", "spica.instruments"
    program = (
        "import sys, spica.engine.worker, spica.engine.executors.child, spica.files.images, spica.files.catalogues;"
        f"print([name for name in {names!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_local_workers_give_the_same_bytes(ground: Ground) -> None:
    ground.run(ground.plan())
    here = ground.contents()
    for path in list(here):
        (ground.survey.root / path).unlink()
    again = ground.plan()
    assert again.counts() == {"run": 14, "done": 3, "failed": 0, "refused": 0}  # figures are in the registry
    result = ground.run(again, Local(workers=3))
    assert result.complete
    assert ground.contents() == here


def test_what_was_done_is_lost_and_cannot_be_made_again_is_a_fault(tmp_path: Path) -> None:
    ground, marker = make_ground(tmp_path / "survey"), tmp_path / "marker"
    text = 'name = "kept"\n[[step]]\ntask = "draw"\nframes = ["object"]\nkeep = { frame = "always" }\n'
    options = {"draw__misbehave": "fault", "draw__units": "00101/1", "draw__marker": str(marker)}
    marker.touch()
    pipeline = ground.pipeline("kept", kept=text)
    assert ground.run(ground.plan(pipeline, **options)).complete
    [lost] = (ground.survey.root / "products").rglob("*00101_1_frame*")
    lost.unlink()
    marker.unlink()
    result = ground.run(ground.plan(pipeline, **options))
    assert (result.failed, result.left) == (1, 0)
    [told] = ground.registry.faults()
    assert (told.fault.code, str(told.unit)) == ("data.no-pixels", "detector:demo-20261120-00101/1")
    # Made again it is a fault no more.
    marker.touch()
    assert ground.run(ground.plan(pipeline, **options)).complete
    assert ground.registry.faults() == []
