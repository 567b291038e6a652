"""Pipelines: inheritance, fusing, and refusals that name both culprits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.core.records import FrameType, Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Keep, Member, Need, Products, Task
from spica.pipelines.catalogue import load, names
from spica.pipelines.graph import chains, describe
from spica.pipelines.model import Pipeline


class Sum(Settings):
    factor: float = setting(1.0, "factor", ge=0)


def make(settings: Sum, raw: object) -> Products:
    return {"frame": raw}


def add(settings: Sum, frame: object) -> Products:
    return {"sum": frame}


def gather(settings: Sum, sums: tuple[Member, ...]) -> Products:
    return {"master": {}}


def spread(settings: Sum, master: object) -> Products:
    return {"final": {}}


def look(settings: Sum, frame: object) -> Products:
    return {"picture": frame}


TASKS = {
    task.name: task
    for task in (
        Task("make", 1, Grain.DETECTOR, Sum, (Need("raw", "raw"),), (Give("frame", Form.VALUE, Keep.NEVER),), make),
        Task("add", 1, Grain.DETECTOR, Sum, (Need("frame"),), (Give("sum", Form.VALUE),), add),
        Task("gather", 1, Grain.CALIBRATION, Sum, (Need("sums"),), (Give("master", Form.VALUE, master=True),), gather),
        Task("spread", 1, Grain.DETECTOR, Sum, (Need("master", optional=True),), (Give("final", Form.VALUE),), spread),
        Task("look", 1, Grain.DETECTOR, Sum, (Need("frame"),), (Give("picture", Form.MEMORY),), look),
    )
}
PLAIN = """
name = "plain"
[[step]]
task = "make"
frames = ["bias"]
[[step]]
task = "add"
frames = ["bias"]
[[step]]
task = "gather"
frames = ["bias"]
rename = { sums = "sum", master = "bias" }
"""


def read(folder: Path, **texts: str) -> Pipeline:
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return load(next(reversed(texts)), [folder], TASKS)


def labels(pipeline: Pipeline) -> list[str]:
    return [step.label for step in pipeline.steps]


def test_steps_of_one_grain_and_selection_are_one_job(tmp_path: Path) -> None:
    linked = chains(read(tmp_path, plain=PLAIN))
    assert [chain.label for chain in linked] == ["make + add", "gather"]
    (fan_in,) = linked[1].outside
    assert (fan_in.product, fan_in.chain, fan_in.gathers, fan_in.grain) == ("sum", 0, True, Grain.DETECTOR)
    assert [each.need.source for each in linked[0].outside] == ["raw"]


def test_apart_begins_a_new_job_and_keeps_what_flows_between(tmp_path: Path) -> None:
    apart = PLAIN.replace('task = "add"', 'task = "add"\napart = true')
    linked = chains(read(tmp_path, plain=apart))
    assert [chain.label for chain in linked] == ["make", "add", "gather"]
    assert linked[0].output("frame").keep is Keep.SCRATCH
    assert chains(read(tmp_path, plain=PLAIN))[0].output("frame").keep is Keep.NEVER


def test_a_child_overrides_inserts_and_removes(tmp_path: Path) -> None:
    child = """
name = "child"
extends = "plain"
remove = ["gather"]
[[step]]
as = "add"
settings = { factor = 2.0 }
keep = { sum = "scratch" }
[[step]]
as = "first"
task = "spread"
before = "make"
frames = ["bias"]
[[step]]
as = "add_more"
task = "add"
after = "make"
frames = ["bias"]
rename = { sum = "more" }
"""
    pipeline = read(tmp_path, plain=PLAIN, child=child)
    assert labels(pipeline) == ["first", "make", "add_more", "add"]
    assert pipeline.step("add").settings == {"factor": 2.0}
    assert pipeline.step("add").keep == {"sum": Keep.SCRATCH}
    assert pipeline.step("add").frames == (FrameType.BIAS,)
    assert labels(load("plain", [tmp_path], TASKS)) == ["make", "add", "gather"]


def test_two_parents_come_one_after_the_other(tmp_path: Path) -> None:
    other = 'name = "other"\n[[step]]\ntask = "spread"\n'
    both = 'name = "both"\nextends = ["plain", "other"]\n'
    assert labels(read(tmp_path, plain=PLAIN, other=other, both=both)) == ["make", "add", "gather", "spread"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (('task = "add"', 'task = "ad"'), "task.unknown", ("'ad'", "'add'")),
        (('sums = "sum"', 'sum = "sum"'), "pipeline.invalid", ("'gather'", "'sum'", "'sums'")),
        (('sums = "sum"', 'sums = "summ"'), "pipeline.invalid", ("'gather'", "'summ'", "'sum'", "'add'")),
        (('master = "bias"', 'master = "frame"'), "pipeline.invalid", ("two makers", "'make'", "'gather'")),
        (('task = "add"', 'task = "add"\nsettings = {facto = 1}'), "settings.unknown", ("add", "'facto'", "'factor'")),
        (('task = "add"', 'task = "add"\nsettings = {factor = -1}'), "settings.invalid", ("add.factor",)),
        (('task = "add"', 'task = "add"\nfrmes = ["bias"]'), "pipeline.invalid", ("frmes", "'frames'")),
        (('task = "add"', 'task = "add"\nwhere = "night ="'), "where.invalid", ("night =",)),
        (('task = "add"', 'task = "add"\nwithout = ["frame"]'), "pipeline.invalid", ("without", "'frame'", "'add'")),
        (('task = "add"', 'task = "add"\nkeep = {som = "never"}'), "pipeline.invalid", ("keep", "'som'", "'sum'")),
        (('task = "add"', 'task = "look"'), "pipeline.invalid", ("'gather'", "'sum'")),
        (('name = "plain"', 'name = "plane"'), "pipeline.invalid", ("'plane'", "'plain'")),
        (('name = "plain"', 'name = "plain"\nextends = "plain"'), "pipeline.invalid", ("circle", "plain → plain")),
        (('name = "plain"', 'name = "plain"\nextends = "nigt"'), "pipeline.unknown", ("'nigt'", "'night'")),
        (('name = "plain"', 'name = "plain"\nremove = ["mak"]'), "pipeline.invalid", ("'mak'",)),
        (('name = "plain"', "name = plain"), "pipeline.invalid", ("plain.toml",)),
        (('frames = ["bias"]\n[[step]]\ntask = "add"', '[[step]]\nas = "x"'), "pipeline.invalid", ("'x'",)),
    ],
)
def test_a_faulty_pipeline_is_refused_with_names(
    tmp_path: Path, change: tuple[str, str], code: str, words: tuple[str, ...]
) -> None:
    assert change[0] in PLAIN
    with pytest.raises(SetupFault) as caught:
        read(tmp_path, plain=PLAIN.replace(*change, 1))
    assert caught.value.code == code
    assert all(word in caught.value.message for word in words), caught.value.message


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[[step]]\ntask = "spread"\nrename = {master = "bias"}', ("'spread'", "'gather'", "source 'master'")),
        ('[[step]]\ntask = "look"\nframes = ["flat"]', ("'look'", "'make'", "different frames")),
        (
            """
[[step]]
task = "look"
frames = ["bias"]
after = "add"
[[step]]
as = "b"
task = "add"
rename = { frame = "picture", sum = "s" }
""",
            ("'b'", "'picture'", "memory", "'look'"),
        ),
        ('[[rescue]]\nafter = "data.no-pixel"\nstep = "add"\nsettings = {}', ("'data.no-pixel'", "'data.no-pixels'")),
        ('[[rescue]]\nafter = "data.no-pixels"\nstep = "ad"\nsettings = {}', ("'ad'", "'add'")),
        (
            """
[[step]]
as = "late"
task = "make"
before = "make"
rename = { frame = "x" }
[[step]]
as = "early"
task = "add"
before = "late"
rename = { frame = "x", sum = "y" }
""",
            ("'early'", "'x'", "later step 'late'"),
        ),
    ],
)
def test_what_cannot_meet_is_refused_with_both_names(tmp_path: Path, more: str, words: tuple[str, ...]) -> None:
    child = f'name = "child"\nextends = "plain"\n{more}\n'
    with pytest.raises(SetupFault) as caught:
        read(tmp_path, plain=PLAIN, child=child)
    assert caught.value.code == "pipeline.invalid"
    assert all(word in caught.value.message for word in words), caught.value.message


def test_another_pipeline_takes_the_place_of_one_that_is_extended(tmp_path: Path) -> None:
    other = PLAIN.replace('name = "plain"', 'name = "other"').replace(
        'task = "add"', 'task = "add"\nsettings = { factor = 3.0 }'
    )
    middle = 'name = "middle"\nextends = "plain"\n'
    child = 'name = "child"\nextends = "middle"\ninstead = { plain = "other" }\n'
    made = read(tmp_path, plain=PLAIN, other=other, middle=middle, child=child)
    assert made.step("add").settings == {"factor": 3.0}
    circle = child.replace('"other"', '"child"')
    with pytest.raises(SetupFault) as caught:
        read(tmp_path, plain=PLAIN, middle=middle, child=circle)
    assert caught.value.code == "pipeline.invalid"


def test_the_description_is_plain_data(tmp_path: Path) -> None:
    told = describe(read(tmp_path, plain=PLAIN))
    assert json.loads(json.dumps(told)) == told
    assert {"from": "add", "to": "gather", "product": "sum", "how": "product"} in told["edges"]
    assert told["steps"][0]["schema"]["properties"]["factor"]["description"] == "factor"
    assert [job["steps"] for job in told["jobs"]] == ["make + add", "gather"]


def test_every_shipped_pipeline_loads() -> None:
    assert {"calibrations", "reduce", "night", "catalogue", "null"} <= set(names())
    for name in names():
        assert load(name).title, name


def test_night_is_calibrations_then_reduce_as_the_same_jobs() -> None:
    night, parts = load("night"), (load("calibrations"), load("reduce"))
    assert labels(night) == [label for part in parts for label in labels(part)]
    together = [chain.label for part in parts for chain in chains(part)]
    assert [chain.label for chain in chains(night)] == together


def test_tie_does_to_delivered_frames_what_calibrate_does_to_raw_ones() -> None:
    tie, calibrate = load("tie"), load("calibrate")
    own = [step for step in tie.steps if step.label not in labels(load("catalogue"))]
    assert own == [step for step in calibrate.steps if step.label not in labels(load("reduce"))]
    assert tie.rescues == calibrate.rescues
