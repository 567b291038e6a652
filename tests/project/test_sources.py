"""Small files, small functions, a word at the head of each module, and no trace of anybody's machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.groups import ROOT
from tests.support.sources import python_sources, repository_files

LONGEST_FILE = 400
LONGEST_FUNCTION = 60

# Written in halves, so that this file does not name what it looks for.
_FOLDERS = "|".join(("wo" + "rk", "ro" + "ot", "t" + "mp", "ho" + "me/[a-z]+"))
MACHINE_PATH = re.compile(rf"(?<![\w.$}})~*-])/(?:{_FOLDERS})/")
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".cfg",
    ".ini",
    ".sh",
    ".yml",
    ".yaml",
    ".txt",
    ".sql",
    ".mako",
    ".html",
    ".js",
    ".css",
    "",
}


def length_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last one, the docstring's left out."""
    length = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        length -= (first.end_lineno or 0) - first.lineno + 1
    return length


def long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = length_without_docstring(node)
            if length > LONGEST_FUNCTION:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines"


def test_the_ruler_measures() -> None:
    source = 'def f():\n    """Two\n\n    lines."""\n    x = 1\n    return x\n'
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    assert length_without_docstring(function) == 3


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in python_sources()}
    assert lengths
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    assert [line for path in python_sources() for line in long_functions(path)] == []


def test_every_module_says_what_it_is() -> None:
    mute = [path for path in python_sources() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert mute == []


def test_repository_names_no_machine_path() -> None:
    found = []
    for path in repository_files():
        if path.suffix not in TEXT:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def test_the_search_for_machine_paths_finds_one() -> None:
    planted = "/".join(("", "wo" + "rk", "x"))
    assert MACHINE_PATH.search(f"open('{planted}')")
    assert not MACHINE_PATH.search("survey/wo" + "rk/x")
