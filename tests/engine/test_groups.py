"""Joint solutions: one unit for all exposures that have something in common, and its answer back to each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue, Column
from spica.core.faults import SetupFault
from spica.core.records import Exposure, FrameType, Grain, Unit
from spica.core.task import Form, Give, Keep, Measured, Member, Need, Products, Task
from spica.engine.plan import Standing
from spica.files.catalogues import read_catalogue
from spica.services.why import why
from tests.engine.ground import Ground, exposure, make_ground, record
from tests.engine.tiny import TASKS, Count

LEVEL = Column("mean", "f8", "electron", "phot.count", "mean of a frame")


def join(settings: Count, level: tuple[Member, ...], unit: Unit) -> Products:
    """The means of all frames together."""
    mean = np.array([member.value["mean"] for member in level])
    return {
        "joint": Catalogue({"mean": mean}, {"unit": str(unit)}, {"mean": LEVEL}),
        "common": {"mean": float(mean.mean()), "units": [member.unit for member in level]},
        "figures": {"frames": Measured(len(mean))},
    }


def apply(settings: Count, level: dict[str, Any], common: dict[str, Any], joint: Catalogue) -> Products:
    """Each frame against all of them."""
    return {"off": {"off": Measured(level["mean"] - common["mean"]), "rows": Measured(len(joint))}}


GROUPED = TASKS | {
    "join": Task("join", 1, Grain.GROUP, Count, (Need("level", quorum=2), Need("unit", "unit")), (Give("joint", Form.CATALOGUE), Give("common", Form.VALUE), Give("figures", Form.METRICS)), join),
    "apply": Task("apply", 1, Grain.DETECTOR, Count, (Need("level"), Need("common"), Need("joint")), (Give("off", Form.METRICS, Keep.NEVER),), apply),
}  # fmt: skip
PIPELINE = """
name = "grouped"
[[step]]
task = "draw"
frames = ["object"]
[[step]]
task = "level"
frames = ["object"]
[[step]]
task = "join"
frames = ["object"]
group = ["band"]
[[step]]
task = "apply"
frames = ["object"]
"""


@pytest.fixture
def grouped(tmp_path: Path) -> Ground:
    made = make_ground(tmp_path / "survey", objects=5, bands="rg")
    return Ground(made.survey, made.registry, GROUPED)


def test_a_group_knows_the_records_and_first_solutions_of_all_its_exposures(tmp_path: Path) -> None:
    def look(
        settings: Count, level: tuple[Member, ...], exposures: tuple[Exposure, ...], wcs: dict[str, Any]
    ) -> Products:
        names = [record.name for record in exposures]
        return {
            "common": {"names": names, "places": sorted(wcs), "wide": [wcs[place]["NAXIS1"] for place in sorted(wcs)]}
        }

    needs = (Need("level"), Need("exposures", "exposures"), Need("wcs", "wcs"))
    task = Task("join", 1, Grain.GROUP, Count, needs, (Give("common", Form.VALUE),), look)
    text = PIPELINE[: PIPELINE.index('[[step]]\ntask = "apply"')]
    made = make_ground(tmp_path / "survey", objects=3, bands="r")
    ground = Ground(made.survey, made.registry, TASKS | {"join": task})
    plan = ground.plan(ground.pipeline("grouped", grouped=text))
    assert ground.run(plan).complete
    [job] = [job for job in plan.jobs if job.unit.grain is Grain.GROUP]
    told = ground.registry.products([f"{job.key}/common"])[f"{job.key}/common"].value
    assert len(told["names"]) == 3
    assert told["places"] == [f"{name}/{detector}" for name in told["names"] for detector in (1, 2)]
    assert min(told["wide"]) > 0


def units(plan: Any) -> list[str]:
    return [str(job.unit) for job in plan.jobs if job.unit.grain is Grain.GROUP]


def test_one_unit_for_all_that_have_the_band_in_common(grouped: Ground) -> None:
    plan = grouped.plan(grouped.pipeline("grouped", grouped=PIPELINE))
    assert units(plan) == ["group:demo~g", "group:demo~r"]
    assert grouped.run(plan).complete
    [job] = [job for job in plan.jobs if str(job.unit) == "group:demo~r"]
    products = grouped.registry.products([f"{job.key}/common", f"{job.key}/joint"])
    value = products[f"{job.key}/common"].value
    assert [unit.rpartition("-")[2] for unit in value["units"]] == [
        f"{100 + n:05d}/{d}" for n in (0, 2, 4) for d in (1, 2)
    ]
    joint = read_catalogue(grouped.survey.path_of(products[f"{job.key}/joint"].path))
    assert len(joint) == 6
    assert np.mean(joint["mean"]) == pytest.approx(value["mean"])
    assert sum(each.recipe.chain.steps[0].label == "apply" for each in plan.jobs) == 10
    assert grouped.plan(plan.order.pipeline).counts()["run"] == 0, "what is done is done"


@pytest.mark.parametrize(
    ("common", "expected"),
    [
        ('["night", "band"]', ["group:demo~2026-11-20~g", "group:demo~2026-11-20~r"]),
        ('["field"]', ["group:demo~W1-m", "group:demo~none"]),
        ("[]", ["group:demo"]),
    ],
)
def test_what_exposures_have_in_common_is_the_pipeline_s_word(
    grouped: Ground, common: str, expected: list[str]
) -> None:
    if "field" in common:
        taken = replace(exposure(200, FrameType.OBJECT, band="r"), field="W1/m")
        grouped.registry.add_many([record(taken, 2)])
    text = PIPELINE.replace('["band"]', common)
    assert units(grouped.plan(grouped.pipeline("grouped", grouped=text))) == expected


def test_a_new_exposure_is_a_new_solution_of_its_group_alone(grouped: Ground) -> None:
    pipeline = grouped.pipeline("grouped", grouped=PIPELINE)
    assert grouped.run(grouped.plan(pipeline)).complete
    grouped.registry.add_many([record(exposure(200, FrameType.OBJECT, band="g"), 2)])
    plan = grouped.plan(pipeline)
    assert [str(job.unit) for _, job in plan.standing(Standing.RUN) if job.unit.grain is Grain.GROUP] == [
        "group:demo~g"
    ]


def test_a_lost_exposure_is_left_out_and_a_quorum_decides(grouped: Ground) -> None:
    pipeline = grouped.pipeline("grouped", grouped=PIPELINE)
    bad = {"draw__misbehave": "fault", "draw__units": "00101"}
    plan = grouped.plan(pipeline, "", **bad)
    grouped.run(plan)
    final = grouped.plan(pipeline, "", **bad)
    [job] = [job for job in final.jobs if str(job.unit) == "group:demo~g"]
    value = grouped.registry.products([f"{job.key}/common"])[f"{job.key}/common"].value
    assert len(value["units"]) == 2, "the two detectors of the other exposure"
    assert "group:demo~g" in str(why(str(job.unit), grouped.survey.root))


def test_an_order_for_some_detectors_solves_no_group(grouped: Ground) -> None:
    plan = grouped.plan(grouped.pipeline("grouped", grouped=PIPELINE), "detector = 1")
    assert units(plan) == []


def test_an_unknown_property_is_refused(grouped: Ground) -> None:
    with pytest.raises(SetupFault, match="group"):
        grouped.pipeline("grouped", grouped=PIPELINE.replace('["band"]', '["moon"]'))
