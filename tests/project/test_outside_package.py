"""An outside package adds a task, a camera and a pipeline by being installed, as the author's guide says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.groups import ROOT
from tests.support.installs import Site, build_wheel
from tests.support.pages import blocks

GUIDE = ROOT / "docs" / "authors-guide.md"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel of the example package."""
    return build_wheel(ROOT / "examples" / "outside_package", tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def outside(wheel: Path, example: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Site with spica and the example package."""
    site = Site(tmp_path_factory.mktemp("outside"))
    site.install(wheel)
    site.install(example)
    return site


@pytest.fixture(scope="module")
def beside(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Site with the example package alone: spica is this checkout's, whose kernels are compiled already."""
    site = Site(tmp_path_factory.mktemp("beside"))
    site.install(example)
    return site


def test_task_is_found(outside: Site, tmp_path: Path) -> None:
    code = "from spica.pipelines.catalogue import tasks; print(tasks()['crowding'].run.__module__)"
    assert outside.python(code, tmp_path).strip() == "spica_outside.crowding"


def test_camera_is_found_and_valid(outside: Site, tmp_path: Path) -> None:
    code = (
        "from spica.instruments.tables import load, names\n"
        "assert 'twin' in names()\n"
        "print([d.name for d in load('twin').detectors], load('twin').band_of('r.twin'))"
    )
    assert outside.python(code, tmp_path).strip() == "['WEST', 'EAST'] r"


def test_pipeline_is_found_and_sound(outside: Site, tmp_path: Path) -> None:
    code = (
        "from spica.pipelines.catalogue import load\n"
        "crowded, reduce = ([step.label for step in load(name).steps] for name in ('crowded', 'reduce'))\n"
        "assert crowded == [*reduce, 'crowding'], crowded\n"
        "print(load('crowded').step('crowding').settings['minimum'])"
    )
    assert outside.python(code, tmp_path).strip() == "5"


def test_nothing_of_it_is_there_without_it(site: Site, tmp_path: Path) -> None:
    code = "from spica.pipelines.catalogue import names, tasks; print('crowded' in names(), 'crowding' in tasks())"
    assert site.python(code, tmp_path).strip() == "False False"


def test_code_of_the_guide_runs(outside: Site, tmp_path: Path) -> None:
    found = blocks(GUIDE, "python")
    assert len(found) == 2
    outside.python("\n".join(block.code for block in found), tmp_path)


def test_commands_of_the_guide_run(outside: Site, tmp_path: Path) -> None:
    (block,) = blocks(GUIDE, "bash")
    environment = outside.environment()
    environment["PATH"] = f"{outside.folder / 'bin'}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", block.code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [word for word in block.expected if word not in done.stdout] == []


def test_its_camera_feeds_its_pipeline_with_its_task(beside: Site, tmp_path: Path) -> None:
    beside.spica("init", "survey", cwd=tmp_path)
    survey = tmp_path / "survey"
    few = [word for name in ("exposures=1", "biases=3", "darks=3", "flats=3") for word in ("--set", name)]
    beside.spica("simulate", "../sky", "--camera", "twin", "--set", "density=2000", *few, cwd=survey)
    beside.spica("ingest", "../sky/raw", cwd=survey)
    beside.spica("run", "calibrations", "--executor", "inprocess", cwd=survey)
    beside.spica("run", "crowded", "--executor", "inprocess", cwd=survey)
    story = json.loads(beside.spica("why", "twin-20261120-00010/1", "--json", cwd=survey))
    metrics = {metric["name"]: metric for metric in story["metrics"]}
    density = metrics["sources"]["value"] / 256**2
    # Within a factor of two of sources strewn at random: few sources scatter, and close pairs are found as one.
    expected = (0.693 / (3.1416 * density)) ** 0.5
    assert metrics["nearest_neighbour"]["units"] == "pixel"
    assert 0.5 < metrics["nearest_neighbour"]["value"] / expected < 2
    assert metrics["nearest_neighbour"]["source"] == "crowding"
