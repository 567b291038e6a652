"""Records to JSON and tables; typed values to settings; progress to lines."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from spica.cli import watching
from spica.cli.options import pairs
from spica.cli.render import duration, facts, plain, print_json, say, show_table, size
from spica.core.faults import SetupFault
from spica.services.progress import Step


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    path: Path
    value: float


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    colour: Colour
    table: dict[int, str]


def test_json_is_one_document_of_plain_things(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(Outer((Inner(Path("a/b"), math.nan), Inner(Path("c"), 1.5)), Colour.RED, {1: "x"}))
    assert json.loads(capsys.readouterr().out) == {
        "inner": [{"path": "a/b", "value": None}, {"path": "c", "value": 1.5}],
        "colour": "red",
        "table": {"1": "x"},
    }


def test_infinity_is_null() -> None:
    assert plain([math.inf, -math.inf, 2.0]) == [None, None, 2.0]


def test_tables_keep_long_names_whole(capsys: pytest.CaptureFixture[str]) -> None:
    name = "demo-" + "x" * 70
    show_table("title", ("name", "count"), [(name, 3), ("[bold]", 12)])
    out = capsys.readouterr().out
    assert name in out
    assert "[bold]" in out
    assert out.splitlines()[-1].endswith("12 ")


def test_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("title", ("name",), [], "nothing here")
    assert capsys.readouterr().out == "nothing here\n"
    show_table("title", ("name",), [])
    assert capsys.readouterr().out == ""


def test_facts_leave_out_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    facts({"one": 1, "nothing": None, "empty": "", "three": [1, 2]})
    assert capsys.readouterr().out == "one    1\nthree  [1, 2]\n"


def test_text_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    say("a [red]b[/red] " + "c" * 200)
    assert capsys.readouterr().out == "a [red]b[/red] " + "c" * 200 + "\n"


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_200_000, "3.2 MB"), (5e12, "5.0 TB")]
)
def test_sizes(count: float, told: str) -> None:
    assert size(count) == told


@pytest.mark.parametrize(("seconds", "told"), [(4.25, "4.2 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_pairs() -> None:
    assert pairs(["a.b=1", "c = x=y "]) == {"a.b": "1", "c": "x=y"}
    assert pairs(None) == {}
    with pytest.raises(SetupFault, match="expected name=value") as caught:
        pairs(["a.b"])
    assert caught.value.code == "order.invalid"


def test_progress_without_a_terminal_is_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with watching.watching() as watcher:
        for done in range(4):
            watcher(Step("ingest", done, 3))
        watcher(Step("ingest", 3, 3))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("ingest: 3/3") == 1
    assert len(captured.err.splitlines()) == 1


def test_a_long_stage_gives_signs_of_life(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LINE_EVERY", 0.0)
    with watching.watching() as watcher:
        watcher(Step("reduce", 1, 4, "demo/3"))
    assert "reduce: 1/4" in capsys.readouterr().err
