"""A team's registry on PostgreSQL, through the same commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from spica.cli.main import app
from tests.support.survey import EXPOSURES, NIGHT_UNITS, Small

RUNNER = CliRunner()


def test_the_way_on_postgresql(empty_once: Small, postgres_database: Callable[[], str], tmp_path: Path) -> None:
    folder = tmp_path / "team"

    def answer(*words: str | Path, code: int = 0) -> Any:
        done = RUNNER.invoke(app, [*map(str, words), "--json"], env={"SPICA_SURVEY": str(folder)})
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    assert answer("init", folder, "--database", postgres_database())["folder"] == str(folder)
    shutil.copy(empty_once.folder / "cameras" / "demo.toml", folder / "cameras")
    assert answer("ingest", empty_once.sky / "raw")["new"] == EXPOSURES
    assert answer("run", "night", "--executor", "inprocess")["done"] == NIGHT_UNITS
    assert answer("run", "night", "--executor", "inprocess")["skipped"] == NIGHT_UNITS
    assert answer("status")["files"] == EXPOSURES
    assert answer("check", "--deep")["differences"] == []
    assert answer("registry", "backup", tmp_path / "b.zip")["rows"] > 0
    assert answer("registry", "restore", tmp_path / "b.zip", code=2)["fault"]["code"] == "survey.exists"
