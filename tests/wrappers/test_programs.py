"""Programs outside of spica: found, asked for their version, run, stopped; their failures have names."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.task import Form, Give, Need, Products, Task
from spica.engine.recipes import RecipeBook
from spica.pipelines.model import Pipeline, Step
from spica.wrappers import configuration, psfex, results, scamp, sextractor
from spica.wrappers.form import Paths, ProgramSettings, wrapped
from spica.wrappers.materials import materialise
from spica.wrappers.programs import Program, call

pytestmark = pytest.mark.astromatic


def script(folder: Path, text: str, name: str = "tool") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def tool(path: str, least: str = "", below: str = "") -> Program:
    return Program("Tool", (path,), least=least, below=below)


def copy(settings: ProgramSettings, paths: Paths, folder: Path) -> Products:
    """Copies its image."""
    command = [os.environ["SPICA_TEST_TOOL"], str(paths["science"]), "out.fits"]
    call("Tool", command, folder, settings.time_limit)
    return {"copied": results.read_image("Tool", folder / "out.fits")}


def copying(program: Program) -> Task:
    return wrapped(
        name="copy",
        version=1,
        grain=Grain.DETECTOR,
        settings=ProgramSettings,
        program=program,
        needs=(Need("science"),),
        gives=(Give("copied", Form.IMAGE),),
        run=copy,
    )


def image() -> Image:
    pixels = np.arange(12, dtype=np.float32).reshape(3, 4)
    mask = np.zeros((3, 4), np.int32)
    mask[0, 1] = int(Mask.BAD)
    return Image(pixels, np.full((3, 4), 4, np.float32), mask, {"BUNIT": "electron", "CTYPE1": "RA---TAN"})


def test_a_version_in_its_range_is_told_others_are_refused(tmp_path: Path) -> None:
    path = script(tmp_path, "echo Tool version 2.10.1")
    assert tool(path, least="2.9", below="3").version() == "2.10.1"
    for bounds in ({"least": "2.11"}, {"below": "2.10"}):
        with pytest.raises(SetupFault, match=r"2\.10\.1 is installed") as caught:
            tool(path, **bounds).version()
        assert caught.value.code == "program.version"
    with pytest.raises(SetupFault, match="does not tell") as caught:
        tool(script(tmp_path, "echo hello", "mute")).version()
    assert caught.value.code == "program.version"


def test_a_program_that_changes_is_asked_anew_and_makes_another_recipe(tmp_path: Path) -> None:
    def version() -> str:
        return tool(path).version()

    path = script(tmp_path, "echo version 1.0")
    assert version() == "1.0"
    script(tmp_path, "echo version 1.1")
    os.utime(path, ns=(1, 1))
    assert version() == "1.1"


def test_all_absent_programs_are_named_before_anything_starts() -> None:
    steps = [Step(name, copying(Program(name, (f"/nowhere/{name}",)))) for name in ("Alpha", "Beta")]
    with pytest.raises(SetupFault, match=r"Alpha .*Beta") as caught:
        RecipeBook(
            Pipeline("mine", "", tuple(steps), (), "here"), lambda _: pytest.fail("no camera is asked for"), {}, {}
        )
    assert caught.value.code == "program.missing"
    assert caught.value.evidence["programs"] == "Alpha, Beta"


def test_an_image_goes_through_plain_files_and_the_folder_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    path = script(tmp_path, 'cp "$1" "$2"')
    monkeypatch.setenv("SPICA_TEST_TOOL", path)
    task = pickle.loads(pickle.dumps(copying(tool(path))))  # noqa: S301 - a task travels to workers
    assert task.summary == "Copies its image."
    copied = task.run(ProgramSettings(), science=image())["copied"]
    np.testing.assert_array_equal(copied.pixels, image().pixels)
    assert copied.header == image().header
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("echo oh no >&2; exit 3", "program.failed"),
        ("kill -9 $$", "program.failed"),
        ("exit 0", "program.no-output"),
        ('echo rubbish > "$2"', "program.no-output"),
        ("sleep 60", "program.timeout"),
    ],
)
def test_failures_have_names_and_the_folder_is_kept_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    path = script(tmp_path, text)
    monkeypatch.setenv("SPICA_TEST_TOOL", path)
    task = copying(tool(path))
    for keep in (False, True):
        with pytest.raises(DataFault) as caught:
            task.run(ProgramSettings(time_limit=0.3, keep_folder=keep), science=image())
        assert caught.value.code == code
        kept = [str(each) for each in (tmp_path / "work").iterdir()]
        assert kept == ([caught.value.evidence["folder"]] if keep else [])
    if "oh no" in text:
        assert caught.value.evidence["exit"] == 3
        assert caught.value.evidence["lines"] == "oh no"


def test_a_program_does_not_outlive_its_worker(tmp_path: Path) -> None:
    path = script(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 60")
    worker = os.fork()
    if worker == 0:
        call("Tool", [path], tmp_path, 60)
        os._exit(0)
    deadline = time.monotonic() + 10
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child = int((tmp_path / "pid").read_text())
    os.kill(worker, 9)
    os.waitpid(worker, 0)
    while Path(f"/proc/{child}").exists() and " Z " not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_weights_are_inverse_variances_without_bad_pixels(tmp_path: Path) -> None:
    paths = materialise((Need("science"),), {"science": image()}, tmp_path)
    weight = results.read_image("Tool", paths["science.weight"]).pixels
    assert weight[0, 1] == 0
    assert np.unique(weight).tolist() == [0, 0.25]
    assert results.read_image("Tool", paths["science.mask"]).pixels[0, 1] == int(Mask.BAD)


@pytest.mark.parametrize("task", [sextractor.TASK, psfex.TASK, scamp.TASK], ids=lambda task: task.name)
def test_settings_become_lines_of_a_configuration(task: Task) -> None:
    assert issubclass(task.settings, ProgramSettings)
    settings = task.settings.model_validate({"more": {"verbose": False}})
    text = configuration.configuration(settings, XML_NAME="out.xml")
    lines = {line.split()[0]: line.split()[1] for line in text.splitlines()}
    assert lines["VERBOSE"] == "N"
    assert lines["XML_NAME"] == "out.xml"
    assert "TIME_LIMIT" not in lines
    with pytest.raises(SetupFault, match="XML_NAME is set by the task") as caught:
        configuration.configuration(task.settings.model_validate({"more": {"xml_name": "x"}}), XML_NAME="out.xml")
    assert caught.value.code == "settings.invalid"


def test_heads_and_tables_of_programs_come_back_in_our_words(tmp_path: Path) -> None:
    head = tmp_path / "a.head"
    head.write_text("CRVAL1  = 1.5 / a\nEND     \nCRVAL1  = 2.5\nEND     \n")
    assert results.read_heads("Tool", head) == [{"CRVAL1": 1.5}, {"CRVAL1": 2.5}]
    sources = Catalogue({"x": np.array([1.0, 2.0]), "flags": np.array([0, 4], np.int32)})
    path = materialise((Need("sources"),), {"sources": sources}, tmp_path)["sources"]
    back = results.read_catalogue("Tool", path)
    np.testing.assert_array_equal(back["x"], sources["x"])
    np.testing.assert_array_equal(back["flags"], sources["flags"])
    with pytest.raises(DataFault, match="is no XML") as caught:
        results.read_metrics("Tool", head)
    assert caught.value.code == "program.no-output"
