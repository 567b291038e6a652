"""Modules of the older kind: configuration and inputs in XML, `run()` without arguments, outputs registered in XML."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from spica.core.faults import DataFault, SetupFault
from spica.core.images import Image
from spica.core.task import Task
from spica.wrappers import generic

MODULE = """
import json
import shutil
import xml.etree.ElementTree as ET


class Doubler:
    def run(self):
        config = {one.get("name"): one for one in ET.parse("config.xml").getroot().iter("parameter")}
        inputs = {one.get("need"): one.get("path") for one in ET.parse("inputs.xml").getroot().iter("file")}
        if float(config["factor"].text) > 9:
            raise ValueError("the factor is too large")
        if float(config["factor"].text) > 8:
            return
        shutil.copy(inputs["science"], "doubled.fits")
        with open("told.json", "w") as stream:
            json.dump({"factor": [float(config["factor"].text), config["factor"].get("unit")]}, stream)
        out = ET.Element("outputs")
        ET.SubElement(out, "file", give="doubled", path="doubled.fits")
        where = "told.json" if float(config["factor"].text) < 8 else "../told.json"
        ET.SubElement(out, "file", give="told", path=where)
        ET.ElementTree(out).write("outputs.xml")
"""
TEXT = """
name = "doubler"
grain = "detector"
meaning = "Doubles."
module = "doubler.py:Doubler"
[[need]]
name = "science"
[[give]]
name = "doubled"
form = "image"
[[give]]
name = "told"
form = "metrics"
[settings.factor]
default = 2.0
meaning = "how often"
unit = "pixel"
"""


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "doubler.py").write_text(MODULE)
    (tmp_path / "doubler.toml").write_text(TEXT)
    return generic.read_file(tmp_path / "doubler.toml")


def science() -> Image:
    return Image(np.arange(12, dtype=np.float32).reshape(3, 4))


def test_a_module_runs_in_its_directory_and_registers_what_it_made(task: Task) -> None:
    again = pickle.loads(pickle.dumps(task))  # noqa: S301 - a task travels to workers
    made = again.run(again.settings(), science=science())
    np.testing.assert_array_equal(made["doubled"].pixels, science().pixels)
    assert (made["told"]["factor"].value, made["told"]["factor"].units) == (2.0, "pixel")


@pytest.mark.parametrize(
    ("factor", "code", "words"),
    [
        (9.5, "program.failed", "ValueError: the factor is too large"),
        (8.5, "program.no-output", "outputs.xml"),
        (8.0, "program.no-output", "told.json"),
    ],
)
def test_an_exception_or_nothing_registered_is_a_failure(task: Task, factor: float, code: str, words: str) -> None:
    with pytest.raises(DataFault, match=words) as caught:
        task.run(task.settings(factor=factor), science=science())  # type: ignore[call-arg]
    assert caught.value.code == code


def test_the_modules_bytes_are_its_version(task: Task, tmp_path: Path) -> None:
    assert task.external is not None
    before = task.external.version()
    (tmp_path / "doubler.py").write_text(MODULE + "\n")
    assert task.external.version() != before
    (tmp_path / "doubler.py").unlink()
    with pytest.raises(SetupFault, match="is not there") as caught:
        task.external.version()
    assert caught.value.code == "program.missing"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('module = "doubler.py:Doubler"', "", "either 'command' or 'module'"),
        ('module = "doubler.py:Doubler"', 'command = ["a"]', "'file' is missing"),
        ("doubler.py:Doubler", "doubler", "module"),
    ],
)
def test_a_declaration_without_sense_is_refused(old: str, new: str, what: str) -> None:
    with pytest.raises(SetupFault, match=what) as caught:
        generic.declared(TEXT.replace(old, new), "doubler.toml")
    assert caught.value.code == "wrapper.invalid"
