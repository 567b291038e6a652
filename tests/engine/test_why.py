"""A plan says what changed since a unit was done."""

from __future__ import annotations

from dataclasses import replace

from spica.core.records import FrameType
from spica.engine.plan import Plan, Standing
from spica.engine.why import explain
from tests.engine.ground import Ground, exposure, record


def reasons(ground: Ground, plan: Plan) -> dict[str, str]:
    explain(plan, ground.registry)
    return {job.recipe.chain.steps[0].label: job.reason for _, job in plan.standing(Standing.RUN)}


def test_a_changed_setting_is_named_with_both_values(ground: Ground) -> None:
    ground.run(ground.plan())
    found = reasons(ground, ground.plan(find__threshold=6.0))
    assert found["draw"] == "find.threshold is 6.0, was 5.0"
    assert found["count"].startswith("input count.sources changed: detector:demo-20261120-0010")


def test_a_changed_input_is_named(ground: Ground) -> None:
    ground.run(ground.plan())
    ground.registry.add_many([record(exposure(50, FrameType.BIAS), 2)])
    found = reasons(ground, ground.plan())
    assert found["draw_bias"] == "never made"
    assert "input combine_bias.frames changed: detector:demo-20261120-00050/" in found["combine_bias"]
    assert found["draw"].startswith("input subtract.bias changed: calibration:demo/")


def test_a_new_version_of_a_task_is_named(ground: Ground) -> None:
    ground.run(ground.plan())
    newer = Ground(ground.survey, ground.registry, {**ground.tasks, "find": replace(ground.tasks["find"], version=2)})
    found = reasons(newer, newer.plan())
    assert found["draw"] == "task find is version 2, was 1"
    assert set(found) == {"draw", "count"}
