"""Wheels, built and installed without network into folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of a project folder with the build back end that is installed here."""
    command: list[str | Path] = [
        *_PIP,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        folder,
        project,
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Site:
    """A folder of installed packages that stands before everything else that Python sees."""

    folder: Path

    def install(self, wheel: Path) -> None:
        """Install a wheel, its dependencies are those of this environment."""
        command: list[str | Path] = [*_PIP, "install", "--no-deps", "--no-index", "--target", self.folder, wheel]
        subprocess.run(command, check=True, capture_output=True)

    def environment(self) -> dict[str, str]:
        """The environment in which this site's packages are seen and the checkout is not."""
        return {**os.environ, "PYTHONPATH": str(self.folder), "COLUMNS": "200", "NO_COLOR": "1"}

    def python(self, code: str, cwd: Path) -> str:
        """Run Python code with this site; what it prints."""
        return self._run([sys.executable, "-W", "error", "-c", code], cwd)

    def spica(self, *words: str, cwd: Path) -> str:
        """Run spica's command line with this site: the console script, where its wheel is installed; what it prints."""
        script = self.folder / "bin" / "spica"
        start = [str(script)] if script.exists() else [sys.executable, "-m", "spica"]
        return self._run([*start, *words], cwd)

    def _run(self, command: list[str], cwd: Path) -> str:
        done = subprocess.run(command, cwd=cwd, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout
