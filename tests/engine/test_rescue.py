"""The rescue ladder: the same unit again with other settings, each rung recorded."""

from __future__ import annotations

from spica.core.faults import Outcome
from spica.engine.plan import Standing
from tests.engine.ground import Ground

LADDER = """
name = "ladder"
extends = "tiny"
[[step]]
as = "find"
settings = { threshold = -100.0 }
[[rescue]]
after = "data.no-pixels"
step = "find"
settings = { threshold = 1000.0 }
[[rescue]]
after = "data.too-many-sources"
step = "find"
settings = { threshold = -50.0 }
[[rescue]]
after = "data.too-many-sources"
step = "find"
settings = { threshold = 5.0 }
"""


def test_rungs_are_taken_in_order_and_recorded(ground: Ground) -> None:
    plan = ground.plan(ground.pipeline("ladder", ladder=LADDER))
    assert ground.run(plan).complete
    job = next(job for job in plan.jobs if job.recipe.chain.steps[-1].label == "find")
    report = ground.registry.job(job.key)
    assert report.rungs == (
        "after data.too-many-sources: find with threshold=-50.0",
        "after data.too-many-sources: find with threshold=5.0",
    )
    assert report.steps[-1].settings["threshold"] == 5.0, "the settings that were used in the end"
    assert report.steps[-1].sources["threshold"] == "rescue"
    assert ground.plan(plan.order.pipeline).counts()["run"] == 0


def test_at_the_end_of_the_ladder_the_unit_fails(ground: Ground) -> None:
    short = LADDER.rpartition("[[rescue]]")[0]
    result = ground.run(ground.plan(ground.pipeline("short", short=short.replace('"ladder"', '"short"'))))
    failed = [job.key for _, job in result.plan.standing(Standing.FAILED)]
    reports = [ground.registry.job(key) for key in failed]
    assert (result.failed, len(reports)) == (6, 6)
    assert all(report.outcome is Outcome.FAILED and len(report.rungs) == 1 for report in reports)


def test_another_ladder_is_other_work_for_its_own_chain_only(ground: Ground) -> None:
    ground.run(ground.plan())
    plan = ground.plan(ground.pipeline("ladder", ladder=LADDER))
    assert {job.recipe.chain.steps[0].label for _, job in plan.standing(Standing.RUN)} == {"draw", "count"}
