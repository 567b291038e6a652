"""Every fault code that is declared is raised somewhere, and every one that is raised is declared."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from spica.core import faults
from spica.core.catalogue import CODES
from tests.support.groups import ROOT

SOURCES = ROOT / "src" / "spica"
RAISERS = {name for name, kind in vars(faults).items() if isinstance(kind, type) and issubclass(kind, faults.Fault)}
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*\.[a-z]+(-[a-z0-9]+)*")


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES.rglob("*.py"):
        if path.parent != SOURCES / "core" or not path.name.startswith("catalogue"):
            yield path, ast.parse(path.read_text())


def raised(tree: ast.Module) -> Iterator[ast.Constant]:
    """First arguments of the calls that make a fault, where they are written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            # The classes themselves, and what builds one of them from a code: their first argument looks like a code.
            if name in RAISERS or (isinstance(node.args[0].value, str) and node.args[0].value in CODES):
                yield node.args[0]


def mentioned(tree: ast.Module) -> set[str]:
    """Codes among the texts of a module, for those that are chosen first and raised after; comparisons do not count."""
    compared = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in compared
    }


def test_every_code_raised_is_declared() -> None:
    stray = [
        f"{path.relative_to(ROOT)}:{code.lineno} {code.value!r}"
        for path, tree in modules()
        for code in raised(tree)
        if code.value not in CODES
    ]
    assert stray == []


def test_every_code_declared_is_raised() -> None:
    used = set().union(*(mentioned(tree) for _, tree in modules()))
    assert sorted(set(CODES) - used) == []


def test_codes_are_two_words_with_meaning_and_advice() -> None:
    for code, fault in CODES.items():
        assert CODE.fullmatch(code), code
        assert fault.meaning, code
        assert fault.advice, code


def test_what_is_only_compared_is_not_raised() -> None:
    tree = ast.parse("if fault.code == 'a.b' or fault.code in {'c.d'}:\n    raise DataFault('e.f', 'words')\n")
    assert mentioned(tree) == {"e.f", "words"}
    assert [code.value for code in raised(tree)] == ["e.f"]
