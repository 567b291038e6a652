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
WARM = """
import time, numba, numpy
began = time.perf_counter()
import spica.kernels.warm
spica.kernels.warm.compile_all()
print(time.perf_counter() - began)
"""


def warm_seconds(cache: Path) -> float:
    """Seconds until every kernel is ready, numba itself being imported, and modules as installed: with bytecode."""
    environment = {"NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": ""}
    return float(run_program([sys.executable, "-c", WARM], env=environment).output.split()[-1])


def figures() -> Iterator[Figure]:
    """Compiling within 90 s and loading within 1 s (numba itself being imported); the demonstration within 300 s."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield figure("kernels, compile all", warm_seconds(folder / "kernels"), "s", at_most(90.0))
        loading = min(warm_seconds(folder / "kernels") for _ in range(5))
        yield figure("kernels, load all from the cache", loading, "s", at_most(1.0))
        fresh = {"NUMBA_CACHE_DIR": str(folder / "fresh")}
        demonstration = run_program([SPICA, "demo", folder / "demo"], env=fresh)
        yield figure("spica demo, compiling included", demonstration.wall, "s", at_most(300.0))
        report = json.loads((folder / "demo" / "report" / "report.json").read_text())
        good = [finding["good"] for finding in report["findings"]]
        yield figure("spica demo, findings as expected", sum(good) / len(good), "fraction", at_least(1.0))
