"""Every promise has a test or a benchmark that shows it, and each one that is named exists."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tests.support.groups import ROOT

PROMISES = {
    f"{section}: {name}": shown
    for section, entries in tomllib.loads((ROOT / "tests" / "requirements.toml").read_text()).items()
    for name, shown in entries.items()
}


def functions(path: Path) -> set[str]:
    """Tests of a file, also those of its classes; figures of a benchmark."""
    found = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
    return {name for name in found if name.startswith("test_") or name == "figures"}


def missing(shown: list[str], root: Path = ROOT) -> list[str]:
    """What is named but not there."""
    lost = []
    for entry in shown:
        file, _, function = entry.partition("::")
        there = functions(root / file) if (root / file).is_file() else set()
        if not there or (function and function not in there):
            lost.append(entry)
    return lost


@pytest.mark.parametrize("promise", PROMISES)
def test_promise_is_shown(promise: str) -> None:
    assert PROMISES[promise]
    assert missing(PROMISES[promise]) == []


def test_a_test_that_is_gone_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class TestAll:\n    def test_one(self): ...\n")
    (tmp_path / "empty.py").write_text("def helper(): ...\n")
    shown = ["a.py", "a.py::test_one", "a.py::test_two", "empty.py", "gone.py"]
    assert missing(shown, tmp_path) == ["a.py::test_two", "empty.py", "gone.py"]
