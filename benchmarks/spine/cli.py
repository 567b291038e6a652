"""What a person waits for: compiling and loading the kernels, and the whole demonstration."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import run_program

SPICA = Path(sys.executable).with_name("spica")
LOAD = "import spica.kernels.warm as warm; warm.compile_all()"
IMPORT = "import numba, numpy"


def figures() -> Iterator[Figure]:
    """Compiling within 90 s and loading within 1 s (beyond importing numba itself); the demonstration within 300 s."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = {"NUMBA_CACHE_DIR": str(folder / "kernels")}
        python = [sys.executable, "-c"]
        bare = min(run_program([*python, IMPORT], env=cache).wall for _ in range(3))
        compiling = run_program([*python, LOAD], env=cache).wall - bare
        yield figure("kernels, compile all", compiling, "s", at_most(90.0))
        loading = min(run_program([*python, LOAD], env=cache).wall for _ in range(3)) - bare
        yield figure("kernels, load all from the cache", loading, "s", at_most(1.0))
        fresh = {"NUMBA_CACHE_DIR": str(folder / "fresh")}
        demonstration = run_program([SPICA, "demo", folder / "demo"], env=fresh)
        yield figure("spica demo, compiling included", demonstration.wall, "s", at_most(300.0))
        report = json.loads((folder / "demo" / "report" / "report.json").read_text())
        good = [finding["good"] for finding in report["findings"]]
        yield figure("spica demo, findings as expected", sum(good) / len(good), "fraction", at_least(1.0))
