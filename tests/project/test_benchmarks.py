"""The benchmark runner reports what was measured, judges it rightly, and measures cost rightly."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing, run_program
from benchmarks.run import discover, main, merge

KEYS = {"group", "figure", "value", "unit", "peer", "peer_value", "ratio", "goal", "met"}


def test_figure_has_exactly_the_keys() -> None:
    assert set(figure("speed", 3.0, "Mpix/s").plain()) == KEYS


@pytest.mark.parametrize(
    ("measured", "ratio", "goal", "met"),
    [
        (figure("a", 4.0, "s"), None, None, None),
        (figure("a", 4.0, "s", at_least(4)), None, ">= 4", True),
        (figure("a", 3.9, "s", at_least(4)), None, ">= 4", False),
        (figure("a", 4.1, "s", at_most(4)), None, "<= 4", False),
        (figure("a", float("nan"), "s", at_most(4)), None, "<= 4", False),
        (figure("a", 4.0, "s", at_least(2, of_peer=True), peer="b", peer_value=2.0), 2.0, ">= 2 x peer", True),
        (figure("a", 4.0, "s", at_most(1, of_peer=True), peer="b", peer_value=2.0), 2.0, "<= 1 x peer", False),
    ],
)
def test_verdict(measured: Figure, ratio: float | None, goal: str | None, *, met: bool | None) -> None:
    assert (measured.ratio, measured.goal, measured.met) == (ratio, goal, met)


def test_numbers_of_numpy_are_written_too() -> None:
    told = figure("time", np.float64(0.5), "s", at_most(1, of_peer=True), peer="other", peer_value=np.float64(2.0))
    assert json.loads(json.dumps(told.plain()))["met"] is True


def test_a_goal_against_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="no peer"):
        figure("a", 1.0, "s", at_least(2, of_peer=True))
    with pytest.raises(ValueError, match="positive"):
        figure("a", 1.0, "s", peer="b", peer_value=0.0)


def test_groups_are_folders(tmp_path: Path) -> None:
    (tmp_path / "single_frames").mkdir()
    for name in ("__init__.py", "psf.py", "detect.py"):
        (tmp_path / "single_frames" / name).touch()
    assert discover(tmp_path) == {
        "single-frames": [f"{tmp_path.name}.single_frames.detect", f"{tmp_path.name}.single_frames.psf"]
    }
    assert "spine" in discover()


def test_a_group_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    rows = [{"group": "spine", "figure": name} for name in ("old", "gone")]
    merge(path, ["spine", "portal"], [*rows, {"group": "portal", "figure": "pages"}])
    merge(path, ["spine"], [{"group": "spine", "figure": "new"}])
    assert [(row["group"], row["figure"]) for row in json.loads(path.read_text())] == [
        ("portal", "pages"),
        ("spine", "new"),
    ]


def test_unknown_group_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["no-such-group"])
    assert "spine" in capsys.readouterr().err


def test_program_is_measured_with_its_children() -> None:
    hungry = "held = bytearray(120_000_000); import time; time.sleep(0.3)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{hungry}'], check=True); print('fed')"
    usage = run_program([sys.executable, "-c", parent])
    assert usage.output == "fed\n"
    assert 120e6 < usage.peak < 400e6
    assert usage.wall > 0.3
    assert 0 < usage.cpu < usage.wall + 1


def test_program_that_fails_is_no_figure() -> None:
    with pytest.raises(RuntimeError, match="nothing works"):
        run_program([sys.executable, "-c", "raise SystemExit('nothing works')"])


def test_cost_counts_work_not_sleep() -> None:
    with costing() as idle:
        time.sleep(0.2)
    with costing() as busy:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
    assert idle.wall >= 0.2
    assert idle.cpu < 0.1
    assert busy.cpu >= 0.19
