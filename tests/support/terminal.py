"""The command line as a user meets it, in this process: quick enough for many small surveys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from spica.cli.main import app


@dataclass(frozen=True)
class Terminal:
    """A terminal whose survey is `folder`."""

    folder: Path

    def order(self, *words: str | Path, code: int = 0) -> str:
        """Give an order that must end with this exit code; what it said on both streams."""
        done = CliRunner().invoke(app, [str(word) for word in words], env={"SPICA_SURVEY": str(self.folder)})
        said = done.stdout + done.stderr
        assert done.exit_code == code, f"spica {' '.join(map(str, words))} ended with {done.exit_code}:\n{said}"
        return said

    def ask(self, *words: str | Path, code: int = 0) -> Any:
        """The same with ``--json``: the one document that it prints."""
        done = CliRunner().invoke(app, [*map(str, words), "--json"], env={"SPICA_SURVEY": str(self.folder)})
        said = done.stdout + done.stderr
        assert done.exit_code == code, f"spica {' '.join(map(str, words))} ended with {done.exit_code}:\n{said}"
        return json.loads(done.stdout)

    def product(self, unit: str, name: str) -> Path:
        """Path of the newest product of this name of a unit."""
        story = self.ask("why", unit)
        found = [product for job in story["jobs"] for product in job["products"] if product["name"] == name]
        assert found, f"{unit} has no product {name!r}: {story['verdict']}"
        return self.folder / str(found[-1]["path"])


def new_survey(folder: Path) -> Terminal:
    """Make a survey, as ``spica init`` does."""
    terminal = Terminal(folder)
    terminal.order("init", folder)
    return terminal
