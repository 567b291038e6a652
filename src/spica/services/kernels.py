"""The compiled kernels: whether they are there, and compiling them with progress."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from spica.core.faults import ResourceFault
from spica.core.keys import digest
from spica.files import atomic
from spica.services.progress import Step, Watcher

CPU = Path("/proc/cpuinfo")


def cache_folder() -> Path:
    """Where compiled kernels are kept (numba's own setting, else beside the sources), without loading numba."""
    import spica.kernels

    named = os.environ.get("NUMBA_CACHE_DIR", "")
    return Path(named) if named else Path(spica.kernels.__path__[0]) / "__pycache__"


def cached(folder: Path) -> int:
    """How many compiled functions the folder holds."""
    return len(list(folder.rglob("*.nbi"))) if folder.is_dir() else 0


def ready() -> bool:
    """Whether all kernels were compiled for these sources, this machine and these versions, and are still there.

    Other commands compile what they need themselves: that some are there says nothing of the rest.
    """
    folder = cache_folder()
    try:
        count = json.loads(_note(folder).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(count, int) and 0 < count <= cached(folder)


def compile_all(watcher: Watcher) -> float:
    """Compile what is not compiled yet and load the rest; seconds that it took. A note of it is left with them."""
    from spica.kernels import warm

    seconds = warm.compile_all(lambda done, total, name: watcher(Step("compiling kernels", done, total, name)))
    folder = cache_folder()
    try:
        atomic.write_bytes(_note(folder), json.dumps(cached(folder)).encode(), durable=False)
    except (ResourceFault, OSError) as error:
        # An installation of somebody else's, say: numba keeps them elsewhere then, and `prepare` loads them to see.
        watcher(Step("compiling kernels", 1, 1, f"not noted: {error}"))
    return seconds


def prepare(watcher: Watcher) -> float:
    """Compile what is not compiled yet, so that workers do not all do it, silently; seconds that it took."""
    return 0.0 if ready() else compile_all(watcher)


def _note(folder: Path) -> Path:
    """Where it is noted that all are compiled: its name stands for all that decides whether numba takes them."""
    import spica.kernels

    sources = sorted(Path(spica.kernels.__path__[0]).glob("*.py"))
    states = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in sources]
    made_by = [sys.version, version("numba"), version("numpy"), _cpu()]
    return folder / f"spica-kernels-{digest([states, made_by])[:16]}.ready"


def _cpu() -> str:
    """The processor's model and abilities: code compiled for another one is not taken."""
    try:
        lines = CPU.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features"))))
