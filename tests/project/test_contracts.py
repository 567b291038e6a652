"""Data flows one way: the import contracts of pyproject.toml hold, and would notice a violation."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.groups import ROOT


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    # A process of its own: the linter imports the package it looks at from the folder that it is given.
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'src'); {command}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_contracts_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/planted.py", "import spica.files", "Data flows one way"),
        ("core/planted.py", "def late() -> None:\n    import spica.engine", "Data flows one way"),
        ("tasks/planted.py", "import sqlalchemy", "Tasks touch no disk"),
        ("engine/planted.py", "import sqlite3", "Only the registry knows SQL"),
        ("cli/planted.py", "import spica.registry", "Portal and command line"),
        ("engine/worker.py", "import spica.registry", "What runs in a worker"),
        ("stray/__init__.py", "", "Data flows one way"),
    ],
)
def test_planted_violation_is_found(tmp_path: Path, module: str, line: str, contract: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for room in (path for path in (ROOT / "src" / "spica").iterdir() if (path / "__init__.py").exists()):
        (tmp_path / "src" / "spica" / room.name).mkdir(parents=True)
        (tmp_path / "src" / "spica" / room.name / "__init__.py").touch()
    (tmp_path / "src" / "spica" / "__init__.py").touch()
    worker = tmp_path / "src" / "spica" / "engine" / "worker.py"
    worker.touch()
    planted = tmp_path / "src" / "spica" / module
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(line + "\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    broken = [row for row in done.stdout.splitlines() if row.endswith("BROKEN")]
    complaint = "\n".join(broken) or done.stdout
    assert contract in complaint, done.stdout + done.stderr
