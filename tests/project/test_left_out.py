"""Nothing is left out in silence: absent programs are named, and everything else that skips is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.groups import GROUPS, ROOT

SUITE = """
import pytest

@pytest.mark.fitsverify
def test_needs_a_program() -> None:
    pass

def test_needs_nothing() -> None:
    pass
"""
SILENT = """
import pytest

def test_skips() -> None:
    pytest.skip("not today")
"""
SILENT_FILE = """
import pytest

pytest.importorskip("a_module_that_is_not_there")
"""


def run_suite(folder: Path, source: str, *, path: str, require_all: bool) -> subprocess.CompletedProcess[str]:
    """Run one file of tests below our own conftest, with programs looked for in `path` only."""
    (folder / "tests").mkdir()
    (folder / "tests" / "support").symlink_to(ROOT / "tests" / "support")
    (folder / "tests" / "conftest.py").symlink_to(ROOT / "tests" / "conftest.py")
    (folder / "pyproject.toml").symlink_to(ROOT / "pyproject.toml")
    (folder / "tests" / "test_planted.py").write_text(source)
    environment = {**os.environ, "PATH": path, "SPICA_REQUIRE_ALL": "1" if require_all else ""}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "tests/test_planted.py",
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_absent_program_is_named(tmp_path: Path) -> None:
    done = run_suite(tmp_path, SUITE, path=str(tmp_path), require_all=False)
    assert done.returncode == 0, done.stdout
    assert "LEFT OUT" in done.stdout
    assert "1 tests of group fitsverify: install `fitsverify`" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_absent_program_is_a_failure_where_all_is_required(tmp_path: Path) -> None:
    done = run_suite(tmp_path, SUITE, path=str(tmp_path), require_all=True)
    assert done.returncode == 1
    assert "fitsverify" in done.stdout
    assert "1 passed, 1 error" in done.stdout


def test_present_program_is_not_mentioned(tmp_path: Path) -> None:
    program = tmp_path / "fitsverify"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = run_suite(tmp_path, SUITE, path=str(tmp_path), require_all=True)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert "LEFT OUT" not in done.stdout


@pytest.mark.parametrize("source", [SILENT, SILENT_FILE])
@pytest.mark.parametrize("require_all", [False, True])
def test_any_other_skip_is_a_failure(tmp_path: Path, source: str, *, require_all: bool) -> None:
    done = run_suite(tmp_path, source, path=str(tmp_path), require_all=require_all)
    assert done.returncode != 0
    assert "was left out" in done.stdout


def test_every_group_is_a_marker(pytestconfig: pytest.Config) -> None:
    declared = {str(line).partition(":")[0] for line in pytestconfig.getini("markers")}
    assert {group.name for group in GROUPS} <= declared
