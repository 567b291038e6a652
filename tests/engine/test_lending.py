"""Rungs that look at other units: taken in a later wave, with lenders that follow from the plan alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, Outcome, SetupFault
from spica.core.images import Image
from spica.core.jobs import JobReport
from spica.core.records import Exposure, Grain, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Keep, Measured, Member, Need, Products, Task
from spica.engine.executors.inprocess import InProcess
from spica.engine.executors.local import Local
from spica.engine.plan import Plan, PlannedJob, Standing
from spica.engine.run import Result
from spica.engine.spec import Lost
from spica.engine.why import explain
from tests.engine.ground import Ground, make_ground
from tests.engine.tiny import TASKS


class Shape(Settings):
    poor: str = setting("", "units that have too few stars, by parts of their text, or the file that tells them")
    fallback: str = setting("none", "what is taken then")
    scale: float = setting(1.0, "what the mean is multiplied by")


def shape(settings: Shape, science: Image, unit: Unit, shape: tuple[Member, ...] | None) -> Products:
    """The mean of a frame, or what others lend."""
    own = settings.scale * float(science.pixels.mean(dtype=np.float64))
    made, found = "stars", [own]
    poor = Path(settings.poor).read_text() if settings.poor.startswith("/") else settings.poor
    if any(part in str(unit) for part in poor.split()):
        if settings.fallback == "none" or (settings.fallback == "lent" and not shape):
            raise DataFault("psf.too-few-stars", "too few", stars=0)
        made, found = "round", [0.0]
        if settings.fallback == "lent":
            made, found = "lent", [float(each.value["x"][0]) for each in shape or ()]
    value = {"made": made, "lenders": [each.unit[-7:] for each in shape or ()], "mean": float(np.mean(found))}
    return {
        "shape": Catalogue({"x": np.full(1, value["mean"])}),
        "told": {"lent": Measured(len(found))},
        "story": value,
    }


def together(settings: Shape, shape: tuple[Member, ...]) -> Products:
    """The means of an exposure."""
    return {"means": {member.unit: float(member.value["x"][0]) for member in shape}}


def guide(settings: Shape, exposure: Exposure, guide: tuple[Member, ...] | None) -> Products:
    """Something that an exposure has of itself, or of a neighbour."""
    if any(part in exposure.name for part in settings.poor.split()) and not guide:
        raise DataFault("pointing.no-match", "lost")
    return {"guide": {"mjd": exposure.mjd, "of": [each.value["of"][0] for each in guide or ()] or [exposure.name]}}


LENT = Need("shape", "lent", optional=True, late=True)
MORE = {
    task.name: task
    for task in (
        Task("shape", 1, Grain.DETECTOR, Shape, (Need("science"), Need("unit", "unit"), LENT), (Give("shape", Form.CATALOGUE), Give("told", Form.METRICS), Give("story", Form.VALUE)), shape),
        Task("together", 1, Grain.EXPOSURE, Shape, (Need("shape"),), (Give("means", Form.VALUE),), together),
        Task("guide", 1, Grain.EXPOSURE, Shape, (Need("exposure", "exposure"), Need("guide", "lent", optional=True, late=True)), (Give("guide", Form.VALUE),), guide),
    )
}  # fmt: skip

STEPS = """
name = "lending"
extends = "tiny"
[[step]]
task = "shape"
after = "find"
frames = ["object"]
[[step]]
task = "together"
frames = ["object"]
"""
RUNG = """
[[rescue]]
after = "psf.too-few-stars"
step = "shape"
borrow = "{}"
settings = {{ fallback = "{}" }}
"""
LADDER = STEPS + RUNG.format("exposure", "lent") + RUNG.format("night", "lent") + RUNG.format("", "round")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = lending(tmp_path / "survey")
    yield made
    made.registry.close()


def lending(root: Path) -> Ground:
    """Three biases and three exposures of three detectors."""
    return replace(make_ground(root, detectors=3), tasks=TASKS | MORE)


def plan(ground: Ground, poor: str, text: str = LADDER, **overrides: Any) -> Plan:
    return ground.plan(ground.pipeline("lending", lending=text), "", shape__poor=poor, **overrides)


def jobs(made: Plan, label: str = "shape") -> dict[str, PlannedJob]:
    """The jobs of a chain by the end of their units' names."""
    found = [job for job in made.jobs if label in [step.label for step in job.recipe.chain.steps]]
    return {str(job.unit).partition("demo-20261120-")[2]: job for job in found}


def shapes(ground: Ground, result: Result) -> dict[str, tuple[str, list[str], float]]:
    """Of each detector: what it is made of, its lenders and its mean."""
    found = {}
    for unit, job in jobs(result.plan).items():
        report = ground.registry.job(job.key)
        if report.outcome is Outcome.DONE:
            value = next(each.value for each in report.products if each.name == "story")
            found[unit] = (value["made"], value["lenders"], value["mean"])
    return found


def test_the_poor_borrow_of_the_others_of_their_exposure(ground: Ground) -> None:
    result = ground.run(plan(ground, "00101/2 00102/1 00102/3"))
    assert result.complete
    assert result.done == len(result.plan.jobs), "those that failed by themselves are not counted twice"
    assert (result.failed, result.left) == (0, 0)
    found = shapes(ground, result)
    assert found["00101/2"][:2] == ("lent", ["00101/1", "00101/3"])
    assert found["00101/2"][2] == pytest.approx(np.mean([found["00101/1"][2], found["00101/3"][2]]))
    assert found["00102/1"][:2] == found["00102/3"][:2] == ("lent", ["00102/2"]), "the poor lend nothing"
    assert {found[each][0] for each in ("00100/1", "00101/1", "00102/2")} == {"stars"}
    job = jobs(result.plan)["00101/2"]
    report = ground.registry.job(job.key)
    assert report.rungs == (
        "after psf.too-few-stars: shape with fallback=lent, lent by the exposure's other detectors",
    )
    assert report.steps[-1].sources["fallback"] == "rescue"
    assert [(each.unit[-7:], each.how) for each in report.inputs if each.need == "shape.shape"] == [
        ("00101/1", "lent"), ("00101/3", "lent"),
    ]  # fmt: skip
    assert not ground.registry.faults(), "the unit is done: its fault is no open one"
    first, last = (row.outcome for row in ground.registry.jobs_of(job.unit))
    assert (first, last) == (Outcome.FAILED, Outcome.DONE)
    again = plan(ground, "00101/2 00102/1 00102/3")
    assert again.counts() == {"run": 0, "done": len(again.jobs), "failed": 0, "refused": 0}


def test_the_rich_have_the_same_bytes_whoever_is_poor(tmp_path: Path) -> None:
    told = tmp_path / "poor"
    contents = []
    for name, poor in (("none", ""), ("some", "00101/2")):
        told.write_text(poor)
        ground = lending(tmp_path / name)
        assert ground.run(plan(ground, str(told))).complete
        contents.append({path: data for path, data in ground.contents().items() if "00101_2" not in path})
        ground.registry.close()
    assert len(contents[0]) > 16
    assert contents[0] == contents[1]


def test_without_lenders_in_the_exposure_the_nearest_of_the_night_lends(ground: Ground) -> None:
    found = shapes(ground, ground.run(plan(ground, "00100/ 00102/2")))
    assert found["00100/1"][:2] == ("lent", ["00101/1"])
    assert found["00100/2"][:2] == ("lent", ["00101/2"])
    assert found["00102/2"][:2] == ("lent", ["00102/1", "00102/3"])
    found = shapes(ground, ground.run(plan(ground, "00101/")))
    assert found["00101/2"][:2] == ("lent", ["00100/2"]), "of two as near the earlier one"


def test_without_any_lender_the_ladder_goes_on_or_ends(ground: Ground) -> None:
    result = ground.run(plan(ground, "demo"))
    assert result.complete
    assert {made for made, _, _ in shapes(ground, result).values()} == {"round"}
    short = LADDER.rpartition("[[rescue]]")[0]
    result = ground.run(plan(ground, "demo", short))
    assert (result.done, result.failed, result.refused, result.left) == (0, 9, 3, 0)
    assert {job.standing for job in jobs(result.plan).values()} == {Standing.FAILED}
    assert ground.run(plan(ground, "demo", short)).failed_before == 9


def test_what_is_lent_may_not_do_either(ground: Ground) -> None:
    """The job that has borrowed climbs on; once only it borrows."""
    text = STEPS + RUNG.format("exposure", "none") + RUNG.format("night", "lent") + RUNG.format("", "round")
    result = ground.run(plan(ground, "00101/2", text))
    assert result.complete
    assert shapes(ground, result)["00101/2"][:2] == ("round", ["00101/1", "00101/3"])


def test_a_lender_that_fails_is_not_waited_for_and_one_that_comes_later_counts(ground: Ground, tmp_path: Path) -> None:
    overrides = {"draw__misbehave": "raise", "draw__units": "00101/3", "draw__marker": str(tmp_path / "once")}
    first = ground.run(plan(ground, "00101/2", **overrides))
    assert (first.failed, first.refused, first.left) == (1, 1, 0), "one detector, and the exposure that lacks it"
    assert shapes(ground, first)["00101/2"][:2] == ("lent", ["00101/1"])
    later = plan(ground, "00101/2", **overrides)
    waiting = jobs(later)
    assert waiting["00101/3"].standing is waiting["00101/2"].standing is Standing.RUN
    assert waiting["00101/2"].reason.startswith("failed by itself: after psf.too-few-stars: shape with fallback=lent")
    explain(later, ground.registry)
    assert waiting["00101/2"].reason == "input shape.shape changed"
    assert waiting["00101/2"].detail == "input shape.shape changed: detector:demo-20261120-00101/3"
    second = ground.run(later)
    assert second.complete
    assert shapes(ground, second)["00101/2"][:2] == ("lent", ["00101/1", "00101/3"])


def test_what_changed_is_said_without_the_loan(ground: Ground) -> None:
    """A unit that was lent something begins by itself again: it may have enough stars now."""
    ground.run(plan(ground, "00101/2"))
    changed = plan(ground, "00101/2", find__threshold=6.0)
    explain(changed, ground.registry)
    poor = jobs(changed)["00101/2"]
    assert (poor.rung, poor.reason) == (-1, "find.threshold is 6.0, was 5.0")


def test_an_order_for_a_part_keeps_what_the_others_lent(ground: Ground) -> None:
    """It plans no work for the lenders, and does not fall back to a lower rung."""
    poor = "00101/2 00102/"
    whole = ground.run(plan(ground, poor))
    assert whole.complete
    pipeline = whole.plan.order.pipeline
    one = "exposure='demo-20261120-00101' and detector={}"
    for where in (one.format(2), one.format("2 or detector=3"), "exposure='demo-20261120-00102'"):
        part = ground.plan(pipeline, f"frame_type='bias' or ({where})", shape__poor=poor)
        assert part.counts()["run"] == 0
        assert {job.key for job in jobs(part).values()} <= {job.key for job in jobs(whole.plan).values()}
    # What has changed is done again, with what the order itself can lend.
    part = ground.plan(pipeline, f"frame_type='bias' or ({one.format(2)})", shape__poor=poor, shape__scale=2.0)
    assert jobs(part)["00101/2"].rung == -1
    assert shapes(ground, ground.run(part))["00101/2"][0] == "round"


class Halting(InProcess):
    """Somebody interrupts after so many jobs."""

    def __init__(self, jobs: int) -> None:
        super().__init__()
        self.left = jobs

    def completed(self, timeout: float) -> list[JobReport | Lost]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().completed(timeout)


@pytest.mark.slow
def test_workers_interruptions_and_order_change_no_byte(tmp_path: Path) -> None:
    poor = "00101/2 00100/ 00102/1"
    calm = lending(tmp_path / "calm")
    assert calm.run(plan(calm, poor)).complete
    expected = calm.contents()
    calm.registry.close()
    wild = lending(tmp_path / "wild")
    for pieces in (13, 4, 3, 2):
        wild.run(plan(wild, poor), Halting(pieces))
    assert wild.run(plan(wild, poor)).complete
    assert wild.contents() == expected
    wild.registry.close()
    two = lending(tmp_path / "two")
    assert two.run(plan(two, poor), Local(workers=2)).complete
    assert two.contents() == expected
    two.registry.close()


def test_exposures_borrow_too(ground: Ground) -> None:
    text = STEPS + '[[step]]\ntask = "guide"\nframes = ["object"]\napart = true\n'
    text += '[[rescue]]\nafter = "pointing.no-match"\nstep = "guide"\nborrow = "night"\nsettings = {}\n'
    result = ground.run(plan(ground, "00109", text, guide__poor="00100 00101"))
    assert result.complete
    values = {
        unit: ground.registry.job(job.key).products[0].value["of"] for unit, job in jobs(result.plan, "guide").items()
    }
    assert values == {each: ["demo-20261120-00102"] for each in ("00100", "00101", "00102")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"exposure"', '"month"'), "borrow"),
        (('step = "shape"', 'step = "draw"'), "takes nothing lent"),
        (('after = "find"\n', 'after = "find"\nkeep = { shape = "scratch" }\n'), "lent, but not kept"),
    ],
)
def test_ladders_that_cannot_work_are_refused(ground: Ground, change: tuple[str, str], message: str) -> None:
    text = LADDER.replace("{ fallback", "{ level = 1.0 } #") if "draw" in change[1] else LADDER
    with pytest.raises(SetupFault, match=message):
        ground.pipeline("lending", lending=text.replace(*change))


def test_an_exposure_has_no_other_detectors_to_borrow_of(ground: Ground) -> None:
    text = STEPS + '[[step]]\ntask = "guide"\n[[rescue]]\nafter = "pointing.no-match"\nstep = "guide"\nsettings = {}\n'
    with pytest.raises(SetupFault, match="of grain exposure borrows of 'exposure'"):
        ground.pipeline("lending", lending=f'{text}borrow = "exposure"\n')


def test_needs_that_cannot_be_lent_are_refused(ground: Ground) -> None:
    for name, need in (("early", replace(LENT, late=False)), ("wanted", replace(LENT, optional=False))):
        wrong = replace(MORE["shape"], needs=(*MORE["shape"].needs[:2], need))
        with pytest.raises(SetupFault, match="late"):
            replace(ground, tasks=TASKS | MORE | {"shape": wrong}).pipeline("lending", lending=LADDER), name
    lone = replace(MORE["shape"], gives=(Give("form", Form.CATALOGUE, Keep.ALWAYS), MORE["shape"].gives[1]))
    with pytest.raises(SetupFault, match="no product of the step's own"):
        replace(ground, tasks=TASKS | MORE | {"shape": lone}).pipeline(
            "lending", lending=LADDER.replace('[[step]]\ntask = "together"\nframes = ["object"]\n', "")
        )
