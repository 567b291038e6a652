"""A plan says what changed since a unit was done."""

from __future__ import annotations

from dataclasses import replace

from spica.core.records import FrameType
from spica.engine.plan import Plan, Standing
from spica.engine.why import REWIRED, explain
from tests.engine.ground import Ground, exposure, record
from tests.engine.test_rescue import LADDER
from tests.engine.tiny import PIPELINE


def reasons(ground: Ground, plan: Plan) -> dict[str, str]:
    explain(plan, ground.registry)
    return {job.recipe.chain.steps[0].label: job.reason for _, job in plan.standing(Standing.RUN)}


def details(plan: Plan) -> dict[str, str]:
    return {job.recipe.chain.steps[0].label: job.detail for _, job in plan.standing(Standing.RUN)}


def test_a_changed_setting_is_named_with_both_values(ground: Ground) -> None:
    ground.run(ground.plan())
    plan = ground.plan(find__threshold=6.0)
    found = reasons(ground, plan)
    assert found["draw"] == "find.threshold is 6.0, was 5.0"
    assert found["count"] == "input count.sources changed"
    assert details(plan)["draw"] == ""
    assert details(plan)["count"].startswith("input count.sources changed: detector:demo-20261120-0010")


def test_units_of_which_the_same_holds_share_the_words(ground: Ground) -> None:
    ground.run(ground.plan())
    plan = ground.plan(find__threshold=6.0)
    assert explain(plan, ground.registry) == plan.counts()["run"]
    drawn = [job.reason for _, job in plan.standing(Standing.RUN) if job.recipe.chain.steps[0].label == "draw"]
    assert len(drawn) > 2
    assert all(reason is drawn[0] for reason in drawn)


def test_the_last_of_several_jobs_is_compared(ground: Ground) -> None:
    ground.run(ground.plan())
    ground.run(ground.plan(find__threshold=6.0))
    assert reasons(ground, ground.plan(find__threshold=7.0))["draw"] == "find.threshold is 7.0, was 6.0"


def test_a_change_of_ways_alone_is_said(ground: Ground) -> None:
    ground.run(ground.plan())
    ladder = PIPELINE + '[[rescue]]\nafter = "data.no-pixels"\nstep = "find"\nsettings = { threshold = 1000.0 }\n'
    assert reasons(ground, ground.plan(ground.pipeline(tiny=ladder)))["draw"] == REWIRED


def test_what_a_rung_has_set_is_no_change(ground: Ground) -> None:
    ladder = ground.pipeline("ladder", ladder=LADDER)
    ground.run(ground.plan(ladder))
    found = reasons(ground, ground.plan(ladder, find__threshold=-200.0))
    assert found["draw"] == "find.threshold is -200.0, was 5.0 (set by a rescue)"
    found = reasons(ground, ground.plan(ladder, draw__level=71.0))
    assert found["draw"] == "draw.level is 71.0, was 70.0; input subtract.bias changed"


def test_a_changed_input_is_named(ground: Ground) -> None:
    ground.run(ground.plan())
    ground.registry.add_many([record(exposure(50, FrameType.BIAS), 2)])
    plan = ground.plan()
    found = reasons(ground, plan)
    assert found["draw_bias"] == "never made"
    assert "input combine_bias.frames changed" in found["combine_bias"]
    assert "input combine_bias.frames changed: detector:demo-20261120-00050/" in details(plan)["combine_bias"]
    assert found["draw"] == "input subtract.bias changed"
    assert details(plan)["draw"].startswith("input subtract.bias changed: calibration:demo/")


def test_a_new_version_of_a_task_is_named(ground: Ground) -> None:
    ground.run(ground.plan())
    newer = Ground(ground.survey, ground.registry, {**ground.tasks, "find": replace(ground.tasks["find"], version=2)})
    found = reasons(newer, newer.plan())
    assert found["draw"] == "task find is version 2, was 1"
    assert set(found) == {"draw", "count"}
