"""The compiled kernels: whether they are there, and compiling them with progress."""

from __future__ import annotations

from pathlib import Path

from spica.services.progress import Step, Watcher


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    from numba.core import config

    import spica.kernels

    named = str(getattr(config, "CACHE_DIR", "") or "")
    return Path(named) if named else Path(spica.kernels.__path__[0]) / "__pycache__"


def cached(folder: Path) -> int:
    """How many compiled functions the folder holds."""
    return len(list(folder.rglob("*.nbi"))) if folder.is_dir() else 0


def compile_all(watcher: Watcher) -> float:
    """Compile what is not compiled yet and load the rest; seconds that it took."""
    from spica.kernels import warm

    return warm.compile_all(lambda done, total, name: watcher(Step("compiling kernels", done, total, name)))


def prepare(watcher: Watcher) -> float:
    """Compile everything if nothing is compiled yet, so that workers do not all do it at once; seconds that it took."""
    return 0.0 if cached(cache_folder()) else compile_all(watcher)
