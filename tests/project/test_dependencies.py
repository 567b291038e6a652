"""What the sources import is declared, what is declared is imported, and the documentation says why."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.groups import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN_EXTRAS = ("postgres", "dask", "online")
BY_NAME = {"psycopg"}
"""SQLAlchemy loads it when an address begins with postgresql."""


def imported(folder: Path) -> set[str]:
    """Top-level packages that a folder's modules import, anywhere in them, less Python's own and spica."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                found |= {str(word.value).partition(".")[0] for word in node.args if isinstance(word, ast.Constant)}
    return found - sys.stdlib_module_names - {"spica", "__future__"}


def declared(*extras: str) -> set[str]:
    """Names of the distributions that pyproject.toml declares, with those of the extras named."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {str(canonicalize_name(Requirement(line).name)) for line in lines} - {"spica"}


def test_imports_of_the_sources_are_the_declared_dependencies() -> None:
    homes = importlib.metadata.packages_distributions()
    used = {str(canonicalize_name(homes[package][0])) for package in imported(ROOT / "src")}
    # The package `distributed` is what the extra of dask asks for.
    used = {"dask" if name == "distributed" else name for name in used}
    assert used | BY_NAME == declared(*RUN_EXTRAS)


def test_imports_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "import os\ndef f():\n    from heavy.part import x\n    import other.thing as o\n    import_module('late')\n"
    )
    assert imported(tmp_path) == {"heavy", "late", "other"}


def test_the_page_lists_exactly_what_is_declared() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| (.*)\|$", page, re.MULTILINE)
    assert all(len(why.strip()) > 3 for _, why in listed)
    names = [name for name, _ in listed]
    assert len(names) == len(set(names))
    assert set(names) == declared(*PROJECT["optional-dependencies"])
