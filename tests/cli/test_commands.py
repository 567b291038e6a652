"""The commands as a person types them: what they print, as tables and as JSON, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from spica.cli.main import app
from spica.pipelines import catalogue
from spica.registry.version import SCHEMA
from tests.support.survey import EXPOSURES, NIGHT_UNITS, SCIENCE, Small

RUNNER = CliRunner()
SPICA = Path(sys.executable).with_name("spica")


def spica(*words: str | Path) -> Result:
    return RUNNER.invoke(app, [str(word) for word in words])


def answer(*words: str | Path, code: int = 0) -> Any:
    """The one JSON document of a command."""
    done = spica(*words, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_the_whole_way(empty: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty.folder)
    taken = spica("ingest", empty.sky / "raw")
    assert taken.exit_code == 0
    assert f"{EXPOSURES} files" in taken.stdout
    foreseen = spica("run", "night", "--dry-run")
    assert f"night: {NIGHT_UNITS} units to run, 0 done already, 0 cannot run" in foreseen.stdout
    made = spica("run", "night", "--executor", "inprocess")
    assert made.exit_code == 0
    assert f"{NIGHT_UNITS} done, 0 refused, 0 failed, 0 done before" in made.stdout
    again = spica("run", "night", "--executor", "inprocess")
    assert f"0 done, 0 refused, 0 failed, {NIGHT_UNITS} done before" in again.stdout
    assert "nothing is missing" in spica("inventory").stdout
    assert "no faults" in spica("faults").stdout
    assert "0 differences" in spica("check").stdout
    story = spica("why", f"{SCIENCE[0]}/1").stdout
    assert "done in night" in story
    assert "detrend.flat" in story
    assert "flux_auto" in spica("sources", f"{SCIENCE[0]}/1").stdout


def test_a_dry_run_names_what_has_changed(reduced_once: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("run", "night", "--dry-run", "--survey", reduced_once.folder)
    assert answer(*words)["reasons"] == []
    set_anew = answer(*words, "--set", "detect.threshold=7")
    assert {reason["why"] for reason in set_anew["reasons"]} == {
        "detect.threshold is 7.0, was 5.0",
        "input grade.figures changed",
        "input merge.sources changed",
        "; ".join(
            f"input {each} changed" for each in ("summary.verdict", "focal_plane.quicklook", "focal_plane.verdict")
        ),
    }
    assert "detect.threshold is 7.0, was 5.0" in spica(*words, "--set", "detect.threshold=7").stdout
    units = {unit["unit"]: unit["why"] for unit in set_anew["units"] if unit["verdict"] == "run"}
    assert f"changed: detector:{SCIENCE[0]}/1" in units[f"exposure:{SCIENCE[0]}"]
    known = dict(catalogue.tasks())
    monkeypatch.setattr(catalogue, "tasks", lambda: known | {"detect": replace(known["detect"], version=99)})
    version = known["detect"].version
    assert any(
        reason["why"] == f"task detect is version 99, was {version}" and reason["count"] == 2 * len(SCIENCE)
        for reason in answer(*words)["reasons"]
    )


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("status",), "work"),
        (("status", "--orders", "3"), "productions"),
        (("faults",), "faults"),
        (("faults", "--codes"), "codes"),
        (("check",), "differences"),
        (("check", "--deep", "--conformance"), "conformance"),
        (("inventory",), "coverage"),
        (("doctor",), "checks"),
        (("why", SCIENCE[0]), "jobs"),
        (("sources", SCIENCE[0]), "rows"),
        (("run", "night", "--dry-run"), "units"),
        (("camera", "list"), "cameras"),
        (("camera", "show", "demo"), "camera"),
        (("pipeline", "list"), "pipelines"),
        (("pipeline", "list", "--tasks"), "tasks"),
        (("pipeline", "show", "reduce"), "description"),
        (("pipeline", "check", "reduce"), "steps"),
        (("metrics", "list"), "metrics"),
        (("metrics", "list", "--where", "background > 0"), "rows"),
        (("registry", "version"), "version"),
        (("simulate", "--list"), "settings"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_answers_as_json_and_as_text(reduced_once: Small, words: tuple[str, ...], key: str) -> None:
    outside = words[0] == "simulate"
    place = () if outside else ("--survey", str(reduced_once.folder))
    assert key in answer(*words, *place)
    shown = spica(*words, *place)
    assert shown.exit_code == 0
    assert shown.stdout.strip()


def test_survey_by_environment(reduced_once: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer("status", code=2)["fault"]["code"] == "survey.missing"
    monkeypatch.setenv("SPICA_SURVEY", str(reduced_once.folder))
    assert answer("status")["files"] == EXPOSURES


def test_init_says_what_is_next(tmp_path: Path) -> None:
    made = spica("init", tmp_path / "s", "--name", "Mine")
    assert made.exit_code == 0
    assert "spica ingest" in made.stdout
    assert answer("init", tmp_path / "s", code=2)["fault"]["code"] == "survey.exists"


def test_a_bad_file_ends_with_one(empty: Small) -> None:
    bad = empty.sky / "raw" / "bad.fits"
    bad.write_bytes(b"")
    done = spica("ingest", empty.sky / "raw", "--survey", empty.folder)
    assert done.exit_code == 1
    assert "file.empty" in done.stdout
    assert "next: ask for the file again" in done.stdout
    told = answer("faults", "file.empty", "--survey", empty.folder)["faults"]
    assert [line["subject"] for line in told] == [str(bad)]


def test_exit_codes_of_orders_that_cannot_be_carried_out(reduced_once: Small, tmp_path: Path) -> None:
    place = ("--survey", reduced_once.folder)
    assert answer("run", "nihgt", *place, code=2)["fault"]["evidence"]["nearest"] == "night"
    assert answer("run", "night", "--set", "nonsense", *place, code=2)["fault"]["code"] == "order.invalid"
    assert answer("ingest", tmp_path / "none.fits", *place, code=3)["fault"]["code"] == "file.missing"
    assert answer("registry", "restore", tmp_path / "none", *place, code=3)["fault"]["code"] == "file.missing"
    assert answer("faults", "file.emty", *place, code=2)["fault"]["message"].endswith("did you mean 'file.empty'?")


def test_metrics_import_from_a_table(done: Small, tmp_path: Path) -> None:
    table = tmp_path / "probe.csv"
    table.write_text(f"exposure,humidity [percent]\n{SCIENCE[0]},31\nnobody,1\n")
    assert answer("metrics", "import", table, "--survey", done.folder, code=1)["metrics"] == 1
    assert "humidity" in spica("metrics", "list", "--survey", done.folder).stdout


def test_backup_and_restore(done: Small, tmp_path: Path) -> None:
    place = ("--survey", done.folder)
    assert answer("registry", "backup", tmp_path / "b.zip", *place)["rows"] > 0
    assert spica("registry", "restore", tmp_path / "b.zip", *place).exit_code == 0
    assert answer("registry", "upgrade", *place)["before"] == SCHEMA


def test_export(done: Small, tmp_path: Path) -> None:
    out = answer("export", SCIENCE[0], "--to", tmp_path / "out", "--kind", "quicklook", "--survey", done.folder)
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in out["paths"])


def test_simulate_outside_a_survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--set", "detectors=1", "--set", "detector_size=64,64", "--set", "bands=r", "--set", "exposures=1"]
    words += ["--set", "biases=1", "--set", "darks=0", "--set", "flats=0"]
    done = spica("simulate", "sky", *words)
    assert done.exit_code == 0
    assert "copy sky/camera.toml" in done.stdout
    assert "next: spica ingest sky/raw" in done.stdout


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SPICA, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)


def test_as_a_program(reduced_once: Small) -> None:
    done = run("status", "--json", cwd=reduced_once.folder)
    assert done.returncode == 0
    assert json.loads(done.stdout)["detectors"] == 2 * EXPOSURES
    assert done.stderr == ""
    module = subprocess.run([sys.executable, "-m", "spica", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout.startswith("spica ")
    assert run("camera", "show", "deom", cwd=reduced_once.folder).returncode == 2


def test_a_reader_that_leaves_early_is_no_error(reduced_once: Small) -> None:
    line = f"'{SPICA}' faults --codes --json | head -c 10"
    done = subprocess.run(["bash", "-c", line], cwd=reduced_once.folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_interrupted_run_goes_on_with_the_same_command(empty: Small) -> None:
    run("ingest", empty.sky / "raw", cwd=empty.folder)
    order: list[str | Path] = [SPICA, "run", "night", "--workers", "1"]
    child = subprocess.Popen(order, cwd=empty.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((empty.folder / "scratch").rglob("*.fits")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGINT)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 130, told
    assert "the same command again" in told
    assert "Traceback" not in told
    made = run("run", "night", "--workers", "1", "--json", cwd=empty.folder)
    assert made.returncode == 0, made.stderr
    ended = json.loads(made.stdout)
    assert ended["done"] + ended["skipped"] == NIGHT_UNITS
    assert ended["skipped"] >= 1
