"""Any executable from a TOML file: in the lists, in a survey's run, refused with the place of what is wrong."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spica.core.faults import SetupFault
from spica.core.records import Grain, Unit
from spica.engine.executors.inprocess import InProcess
from spica.files.images import read_image
from spica.pipelines import catalogue
from spica.wrappers import generic
from tests.engine.ground import Ground, make_ground

TOOL = r"""#!/bin/sh
if [ "$1" = --version ]; then echo "twice 1.2"; exit 0; fi
cp "$2" out.fits
echo "{\"factor\": [$1, \"\"], \"files\": $(ls | wc -l)}" > told.json
"""
TEXT = r"""
name = "twice"
grain = "detector"
meaning = "Copies an image and tells how often."
command = ["./twice", "{factor}", "{science}"]
[program]
least = "1.0"
[[need]]
name = "science"
[[give]]
name = "copied"
form = "image"
file = "out.fits"
[[give]]
name = "twice_told"
form = "metrics"
file = "told.json"
[settings.factor]
default = 2.0
meaning = "how often"
gt = 0
"""
PIPELINE = """
name = "mine"
extends = "tiny"
[[step]]
task = "twice"
frames = ["object"]
"""


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = make_ground(tmp_path / "survey", objects=1)
    folder = made.survey.folder("wrappers")
    (folder / "twice").write_text(TOOL)
    (folder / "twice").chmod(0o755)
    (folder / "twice.toml").write_text(TEXT)
    yield made
    made.registry.close()


def test_a_survey_runs_an_executable_of_its_own(ground: Ground) -> None:
    task = catalogue.tasks_of([ground.survey.folder("pipelines")])["twice"]
    assert task.summary == "Copies an image and tells how often."
    ground.tasks = {**ground.tasks, "twice": task}
    pipeline = ground.pipeline("mine", mine=PIPELINE)
    ended = ground.run(ground.plan(pipeline), InProcess())
    assert (ended.failed, ended.refused) == (0, 0)
    unit = Unit(Grain.DETECTOR, ("demo-20261120-00100", "1"))
    made = {record.name: record for record in ground.registry.products_of(unit)}
    copied, science = (read_image(ground.survey.path_of(made[name].path)) for name in ("copied", "science"))
    np.testing.assert_allclose(copied.pixels, science.pixels, atol=1)
    metrics = {metric.name: metric.value for metric in ground.registry.metrics_of(unit)}
    assert metrics["factor"] == 2
    keys = {job.key for job in ground.plan(pipeline).jobs}
    assert {job.key for job in ground.plan(pipeline, twice__factor=3.0).jobs} != keys
    tool = ground.survey.folder("wrappers") / "twice"
    tool.write_text(TOOL.replace("1.2", "1.3.1"))
    assert {job.key for job in ground.plan(pipeline).jobs} != keys
    tool.unlink()
    with pytest.raises(SetupFault, match="twice") as caught:
        ground.plan(pipeline)
    assert caught.value.code == "program.missing"


def test_a_task_of_a_file_travels_to_workers() -> None:
    task = generic.declared(TEXT, "/somewhere/twice.toml")
    back = pickle.loads(pickle.dumps(task))  # noqa: S301 - a task travels to workers
    assert (back.name, back.needs, back.gives) == (task.name, task.needs, task.gives)
    assert back.settings().model_dump() == task.settings().model_dump()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"{science}"]', '"{sience}"]', r"\{sience\} is neither a setting nor a need"),
        ("grain", "grane", "grain"),
        ('form = "image"', 'form = "song"', "give.0.form"),
        ("gt = 0", "gtt = 0", "settings.factor.gtt: no such key"),
        ("[settings.factor]", "[settings.science]", "taken twice|neither"),
        ('least = "1.0"', 'pattern = "("', "program.pattern"),
        ("= 2.0", "= ", "line"),
        ("default = 2.0", 'default = "a"', "only numbers have limits"),
    ],
)
def test_a_file_that_has_no_sense_is_refused_with_its_place(old: str, new: str, what: str) -> None:
    with pytest.raises(SetupFault, match=what) as caught:
        generic.declared(TEXT.replace(old, new), "twice.toml")
    assert caught.value.code == "wrapper.invalid"
    assert "twice.toml" in caught.value.message


def test_a_file_is_called_as_its_task_and_no_name_is_taken_twice(tmp_path: Path) -> None:
    folder = tmp_path / "wrappers"
    folder.mkdir()
    (folder / "thrice.toml").write_text(TEXT)
    with pytest.raises(SetupFault, match="'twice' inside, 'thrice' outside"):
        catalogue.tasks_of([tmp_path / "pipelines"])
    (folder / "thrice.toml").rename(folder / "measure.toml")
    (folder / "measure.toml").write_text(TEXT.replace('"twice"', '"measure"'))
    with pytest.raises(SetupFault, match="two tasks are called 'measure'"):
        catalogue.tasks_of([tmp_path / "pipelines"])
