"""The files of the repository, as its tests read them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.groups import ROOT

# What .gitignore names: a checkout without git is searched the same way.
_BUILT = {".git", ".hypothesis", ".venv", "build", "dist", "shared", "__pycache__"}


def repository_files() -> list[Path]:
    """All files of the checkout, less what was built."""
    found: list[Path] = []
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name not in _BUILT and not name.endswith("_cache")]
        # In a second work tree of the repository .git is a file.
        found.extend(Path(folder, name) for name in names if name not in _BUILT)
    return sorted(found)


def python_sources() -> list[Path]:
    """All modules of the package itself."""
    return sorted((ROOT / "src" / "spica").rglob("*.py"))
