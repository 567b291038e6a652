"""Planning: keys, reasons, association, refusals, quorum."""

from __future__ import annotations

from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.core.records import FrameType
from spica.core.where import parse
from spica.engine.plan import Plan, Standing
from spica.engine.selection import for_frames, render
from spica.instruments import tables
from tests.engine.ground import Ground, exposure, make_ground, record
from tests.engine.tiny import PIPELINE


def keys(plan: Plan) -> dict[str, str]:
    return {f"{job.recipe.chain.label} {job.unit}": job.key for job in plan.jobs}


def running(plan: Plan) -> set[str]:
    return {job.recipe.chain.steps[0].label for _, job in plan.standing(Standing.RUN)}


def test_a_plan_is_the_same_every_time(ground: Ground) -> None:
    assert keys(ground.plan()) == keys(ground.plan())


def test_a_changed_setting_changes_its_job_and_all_that_follow(ground: Ground) -> None:
    ground.run(ground.plan())
    assert running(ground.plan(find__threshold=6.0)) == {"draw", "count"}
    assert running(ground.plan(draw_bias__level=99.0)) == {"draw_bias", "combine_bias", "draw", "count"}


def test_a_setting_of_a_task_reaches_all_its_steps(ground: Ground) -> None:
    ground.run(ground.plan())
    assert running(ground.plan(draw__level=50.0)) == {"draw_bias", "combine_bias", "draw", "count"}
    survey = ground.survey.settings.model_copy(update={"tasks": {"level": {"level": 1.0}}})
    other = Ground(type(ground.survey)(ground.survey.root, survey), ground.registry, ground.tasks)
    assert running(other.plan()) == {"draw_bias", "combine_bias", "draw", "count"}


@pytest.mark.parametrize(
    ("setting", "nearest"), [("find.treshold", "threshold"), ("fnd.threshold", "find"), ("threshold", "")]
)
def test_an_unknown_setting_is_refused_with_the_nearest_name(ground: Ground, setting: str, nearest: str) -> None:
    with pytest.raises(SetupFault) as caught:
        ground.plan(**{setting: 1})
    assert caught.value.code in {"settings.unknown", "settings.invalid"}
    assert nearest in caught.value.message


def test_a_camera_s_setting_that_no_task_knows_is_refused_with_the_nearest_name(ground: Ground) -> None:
    """Also of a task that the pipeline has not."""
    folder = ground.survey.folder("cameras")
    folder.mkdir(exist_ok=True)
    text = tables.path_of("demo").read_text().replace("[settings.cosmics]", "[settings.cosmics]\ntreshold = 6.0")
    (folder / "demo.toml").write_text(text)
    with pytest.raises(SetupFault, match="did you mean 'threshold'") as caught:
        ground.plan()
    assert caught.value.code == "settings.unknown"


def test_an_order_that_selects_nothing_says_so(ground: Ground) -> None:
    with pytest.raises(SetupFault) as caught:
        ground.plan(None, "night = '1999-01-01'")
    assert caught.value.code == "order.nothing"


def test_frames_without_band_are_selected_with_those_of_a_band(ground: Ground) -> None:
    assert ground.plan(None, "night='2026-11-20' and band='r'").counts()["run"] == 17
    assert ground.plan(None, "not band='g'").counts()["run"] == 17


@pytest.mark.parametrize(
    "text",
    [
        "band='r'",
        "not (band in ('g', 'r') or seeing > 1.2)",
        "name like '%x''y' and mjd between 1 and 2.5",
        "ra is null",
    ],
)
def test_a_selection_survives_rendering(text: str) -> None:
    tree = parse(text)
    assert tree is not None
    assert parse(render(tree)) == tree
    relaxed = for_frames(text, [FrameType.BIAS])
    assert parse(relaxed) is not None
    assert for_frames(text, [FrameType.FLAT]) == text


def test_an_order_for_some_detectors_leaves_whole_exposures_alone(ground: Ground) -> None:
    some = ground.plan(None, "detector = 1")
    assert running(some) == {"draw_bias", "combine_bias", "draw"}
    assert some.counts()["run"] == 3 + 1 + 3
    assert running(ground.plan(None, "night = '2026-11-20'")) == {"draw_bias", "combine_bias", "draw", "count"}


def test_without_masters_units_are_refused_with_the_reason(tmp_path: Path) -> None:
    ground = make_ground(tmp_path / "s", biases=0)
    plan = ground.plan()
    assert plan.counts() == {"run": 0, "done": 0, "failed": 0, "refused": 6 + 3}
    codes = {each.recipe.chain.steps[0].label: each.fault.code for each in plan.refusals}
    assert codes == {"draw": "calibration.missing", "count": "data.quorum"}
    assert "detector 1" in plan.refusals[0].fault.message
    result = ground.run(plan)
    assert (result.refused, result.complete) == (9, False)
    assert len(ground.registry.faults()) == 9
    ground.run(ground.plan())
    assert len(ground.registry.faults()) == 9, "the same refusal is not recorded twice"
    ground.registry.close()


def test_the_nearest_valid_master_is_taken_and_the_same_night_first(tmp_path: Path) -> None:
    ground = make_ground(tmp_path / "s", objects=0, detectors=1)
    nights = {"2026-11-20": 0.0, "2026-11-21": 1.0, "2026-12-30": 40.0, "2027-06-01": 200.0}
    for night, offset in nights.items():
        mjd = 61365.0 + offset
        frames = [] if offset in {0.0, 200.0} else [exposure(n, FrameType.BIAS, night=night, mjd=mjd) for n in range(2)]
        # Objects long after midnight: the next night's biases are nearer in time.
        frames.append(exposure(100, FrameType.OBJECT, night=night, band="r", mjd=mjd + 0.7))
        ground.registry.add_many([record(each, 1) for each in frames])
    plan = ground.plan()
    found = {
        job.target.block: next(
            link.unit.rpartition("/")[2] for links in job.inputs for link in links if "master" in link.how
        )
        for job in plan.jobs
        if job.recipe.chain.steps[0].label == "draw"
    }
    assert found == {night: night for night in list(nights)[:3]}
    assert [each.fault.code for each in plan.refusals][:1] == ["calibration.expired"]
    ground.registry.close()


def test_a_registered_master_serves_a_pipeline_that_makes_none(ground: Ground) -> None:
    ground.run(ground.plan())
    only = 'name = "only"\nextends = "tiny"\nremove = ["draw_bias", "level_bias", "combine_bias"]\n'
    assert ground.plan(ground.pipeline("only", only=only)).counts()["done"] == 6 + 3, "the same work has the same key"


def test_masters_of_another_band_shape_or_readout_do_not_serve(ground: Ground) -> None:
    flats = PIPELINE.replace('frames = ["bias"]', 'frames = ["flat"]').replace('name = "tiny"', 'name = "flats"')
    taken = [exposure(200 + n, FrameType.FLAT, band="g") for n in range(2)]
    ground.registry.add_many([record(each, 2) for each in taken])
    plan = ground.plan(ground.pipeline("flats", flats=flats))
    assert {each.fault.code for each in plan.refusals} == {"calibration.band", "data.quorum"}


def test_a_failed_member_is_left_out_where_a_quorum_allows(ground: Ground) -> None:
    pipeline = ground.pipeline()
    misbehave = {"draw_bias.misbehave": "fault", "draw_bias.units": "00001/1"}
    result = ground.run(ground.plan(pipeline, "", **misbehave))
    assert (result.failed, result.refused, result.left) == (1, 0, 0)
    assert result.done == 5 + 2 + 6 + 3
    again = ground.plan(pipeline, "", **misbehave)
    assert again.counts() == {"run": 0, "done": 16, "failed": 1, "refused": 0}, "a resumed order knows"
    joined = [job for job in again.jobs if job.recipe.chain.label == "combine_bias"]
    assert sorted(len(job.inputs[0]) for job in joined) == [2, 3]


def test_what_needs_a_failed_unit_is_refused_and_neighbours_go_on(ground: Ground) -> None:
    misbehave = {"draw_bias.misbehave": "fault", "draw_bias.units": "/1"}
    result = ground.run(ground.plan(None, "", **misbehave))
    assert (result.failed, result.refused) == (3, 1 + 3)
    assert result.done == 3 + 1 + 3 + 3, "detector 2 is untouched, and half of the detectors make an exposure's count"
    codes = sorted(each.fault.code for each in result.plan.refusals)
    assert codes == ["data.quorum"] + ["data.upstream"] * 3


def test_a_lost_product_is_made_again_with_the_same_bytes(ground: Ground) -> None:
    ground.run(ground.plan())
    before = ground.contents()
    path = next(path for path in before if "masters" in path)
    (ground.survey.root / path).unlink()
    plan = ground.plan()
    assert running(plan) == {"draw_bias", "combine_bias"}
    ground.run(plan)
    assert ground.contents() == before
