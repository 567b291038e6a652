"""A task of an outside package that raises, hangs, eats memory, dies: it fails by name, alone, and can be mended."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spica.pipelines import catalogue
from tests.drills.ground import Field, Program, name_of
from tests.drills.mischief import install, tell
from tests.support.survey import NIGHT_UNITS, SCIENCE

UNITS = (f"{name_of(10)}/1", f"{name_of(10)}/2", f"{name_of(11)}/1")
LOST = 2 * len(UNITS) + 2
"""Units that do not get done: these, their verdicts, and what the exposure that has none left would have of them."""

TOGETHER = ("exposure_sources/", "focal_plane/")
"""Folders of what an exposure's detectors make together: of those that are left it is another product."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the outside package."""
    return install(tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, for this process and the workers that it starts."""
    monkeypatch.syspath_prepend(str(site))
    catalogue.tasks.cache_clear()
    yield
    catalogue.tasks.cache_clear()
    sys.modules.pop("spica_mischief", None)


@pytest.fixture(scope="module")
def well_behaved(taken_once: Field, site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Products of a night in which the task behaves."""
    field = taken_once.copy(tmp_path_factory.mktemp("behaved"))
    tell(field)
    Program(field.folder, {"PYTHONPATH": str(site)}).order("run", "mischief", "--executor", "inprocess")
    return field.contents()


def fault_of(field: Field, unit: str) -> dict[str, Any]:
    """The fault that `spica why` tells, with the traceback."""
    story = field.ask("why", unit)
    job, _ = (each for each in story["jobs"] if each["fault"])
    assert job["outcome"] == "failed"
    assert job["fault"]["advice"] in story["todo"]
    return {**job["fault"], "traceback": job["traceback"], "attempts": job["attempts"]}


def engine(field: Field, **settings: float) -> None:
    """Settings of the engine in survey.toml."""
    path = field.folder / "survey.toml"
    text = path.read_text().split("[engine]")[0]
    path.write_text(text + "[engine]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))


@pytest.mark.parametrize(
    ("executor", "deeds"),
    [
        ("local", {"hangs": "worker.timeout", "eats": "worker.memory", "kills_itself": "worker.killed"}),
        pytest.param(
            "local",
            {"crashes": "worker.killed", "leaves": "worker.killed", "hangs_deaf": "worker.timeout"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "local",
            {"raises": "internal.error", "exits": "internal.error", "recurses": "internal.error"},
            marks=pytest.mark.slow,
        ),
        ("inprocess", {"raises": "internal.error", "exits": "internal.error", "interrupts": "internal.error"}),
        (
            "inprocess",
            {
                "gives_rubbish": "internal.bad-return",
                "gives_nothing": "internal.bad-return",
                "undeclared": "internal.undeclared-code",
            },
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else value,
)
def test_a_task_that_misbehaves(
    taken: Field,
    well_behaved: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
    deeds: dict[str, str],
) -> None:
    monkeypatch.chdir(taken.folder)
    # Long enough for a busy machine: only the one that hangs shall be told so.
    engine(taken, timeout=8.0, memory=0.7)
    tell(taken, dict(zip(UNITS, deeds, strict=True)))
    order = ("run", "mischief", "--executor", executor, "--workers", "2")
    made = taken.ask(*order, code=1)
    assert (made["failed"], made["refused"], made["left"]) == (len(UNITS), len(UNITS) + 2, 0)
    assert made["done"] == NIGHT_UNITS - LOST, "the neighbours"
    for unit, code in zip(UNITS, deeds.values(), strict=True):
        fault = fault_of(taken, unit)
        assert fault["code"] == code
        assert unit in fault["message"]
        assert fault["attempts"] == (2 if code in {"worker.killed", "worker.timeout"} else 1)
    assert {line["code"] for line in taken.ask("faults")["faults"]} == {*deeds.values(), "data.quorum"}
    left = {name for name in taken.contents() if not name.startswith(TOGETHER)}
    assert left < set(well_behaved), "nothing of the failed units, all of the others"
    tell(taken)
    again = taken.ask(*order)
    assert (again["done"], again["skipped"]) == (LOST + 2, NIGHT_UNITS - LOST - 2), (
        "and catalogue and summary of the other"
    )
    assert well_behaved.items() <= taken.contents().items(), "beside those of what was left of an exposure"
    assert taken.ask("faults")["faults"] == []
    assert taken.ask("check", "--deep")["differences"] == []


def test_the_traceback_is_kept_for_the_author(taken: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(taken.folder)
    tell(taken, {UNITS[0]: "raises"})
    taken.order("run", "mischief", "--executor", "inprocess", code=1)
    fault = fault_of(taken, UNITS[0])
    assert "nothing to divide" in fault["message"]
    assert "mischief" in fault["message"], "the step"
    assert "spica_mischief.py" in fault["traceback"]
    assert "traceback" in fault["advice"]
    assert "spica_mischief.py" in taken.order("why", UNITS[0])


@pytest.mark.slow
def test_a_task_that_dies_once_is_tried_again(
    taken: Field, well_behaved: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(taken.folder)
    tell(taken, {UNITS[0]: "kills_itself", UNITS[2]: "leaves"}, once=True)
    assert taken.ask("run", "mischief", "--workers", "2")["done"] == NIGHT_UNITS
    assert [job["attempts"] for job in taken.ask("why", UNITS[0])["jobs"]] == [2, 1]
    assert taken.contents() == well_behaved


@pytest.mark.parametrize("executor", ["inprocess", pytest.param("local", marks=pytest.mark.slow)])
def test_what_a_task_prints_does_not_spoil_the_answer(taken: Field, site: Path, executor: str) -> None:
    tell(taken, {UNITS[0]: "prints"})
    program = Program(taken.folder, {"PYTHONPATH": str(site)})
    ended = program.order("run", "mischief", "--executor", executor, "--workers", "1", "--json")
    assert ended.answer["done"] == NIGHT_UNITS


def test_figures_that_are_no_numbers(taken: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(taken.folder)
    tell(taken, {UNITS[0]: "gives_nan"})
    taken.ask("run", "mischief", "--executor", "inprocess")
    metrics = {line["name"]: line["value"] for line in taken.ask("why", f"{SCIENCE[0]}/1")["metrics"]}
    assert "count" in metrics
