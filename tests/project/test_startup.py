"""Commands that people wait for import nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("numba", "astropy", "scipy", "pyarrow", "duckdb", "matplotlib", "dask", "distributed", "galsim")
ASK = """
import sys
from typer.testing import CliRunner
from spica.cli.main import app

result = CliRunner().invoke(app, sys.argv[1:])
assert result.exit_code == 0, result.output
print(sorted(name for name in sys.modules if name in {heavy}))
"""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["status"], ["faults"], ["run", "--help"], ["camera", "list"]],
    ids=" ".join,
)
def test_quick_commands_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    spica = Path(sys.executable).with_name("spica")
    subprocess.run([spica, "init", "survey"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", ASK.replace("{heavy}", repr(set(HEAVY))), *words],
        cwd=tmp_path / "survey",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
