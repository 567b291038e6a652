"""How the joint solution grows: 64 to 512 exposures of 4 detectors that tile the sky, from lists drawn directly."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.calibration import _lists
from benchmarks.calibration.joint import ONE_THREAD
from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import run_program
from tests.support.joint_field import Plan, draw

SIZES = tuple(int(word) for word in os.environ.get("SPICA_BENCH_SCALING", "64 128 256 512").split())
PLAN = Plan(stars=8_000.0, faint=21.5, limit=21.5, reference=0.5, clouds=0.2)
"""Bright, clean, thinned: as many sources as the solution needs, some 300 in a detector."""
_FULL = 10_000, 60
"""Exposures and detectors of a survey, to which cost is extrapolated."""
_FOR_ONE = 100
"""Detections of each of its detectors: enough for a polynomial of degree 3, thinned."""


class Run(NamedTuple):
    """One solution: exposures, detections, CPU seconds of the solving alone, peak memory [byte], error [mas]."""

    exposures: int
    detections: int
    cpu: float
    peak: int
    error: float


def figures() -> Iterator[Figure]:
    """Growth of time, memory, accuracy."""
    runs = [_run(count) for count in SIZES]
    for run in runs:
        name = f"joint solution of {run.exposures} exposures of 4 detectors"
        yield figure(f"{name}, {run.detections} detections, solving", run.cpu, "CPU s")
        yield figure(f"{name}, peak memory", run.peak / 1e6, "MB")
        yield figure(f"{name}, sky against truth, rms per coordinate", run.error, "mas")
    exposures, cpu = (np.log([getattr(run, name) for run in runs]) for name in ("exposures", "cpu"))
    yield figure(
        "joint solution, exponent of time against exposures", float(np.polyfit(exposures, cpu, 1)[0]), "", at_most(1.15)
    )
    first, last = runs[0], runs[-1]
    more = last.detections - first.detections
    each, bytes_each = (last.cpu - first.cpu) / more, (last.peak - first.peak) / more
    total = _FULL[0] * _FULL[1] * _FOR_ONE
    label = (
        f"joint solution, extrapolated to {_FULL[0]} exposures of {_FULL[1]} detectors with {_FOR_ONE} detections each"
    )
    yield figure(f"{label}, solving", each * total / 3600, "CPU h")
    shared, own = 10 * _FULL[1], 3 * _FULL[0]
    equations = 16.0 * (shared**2 + 4 * shared * own + 9 * 30 * _FULL[0])
    yield figure(f"{label}, memory", (bytes_each * total + equations) / 1e9, "GB")


def _run(count: int) -> Run:
    """Draw, write and solve."""
    plan = replace(PLAN, centres=_tiles(count))
    field = draw(plan)
    seen = sum(each.x.size for lists in field.detections for each in lists)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lists.write_lists(field, folder)
        words: list[str | Path] = [
            sys.executable,
            "-m",
            "benchmarks.calibration._solve_folder",
            folder,
            json.dumps({"search": 20.0}),
        ]
        used = run_program(words, env=ONE_THREAD)
        cpu = float(json.loads((folder / "solving.json").read_text())["cpu"])
        return Run(count, seen, cpu, used.peak, _lists.our_errors(field, folder).sky)


def _tiles(count: int) -> tuple[tuple[float, float], ...]:
    """Pointings half a mosaic apart: every place is seen four times or so."""
    rng = np.random.default_rng(3)
    wide, high = (0.5 * PLAN.scale / 3600.0 * size for size in (PLAN.nx * PLAN.detectors, PLAN.ny))
    columns = int(np.ceil(np.sqrt(count * high / wide)))
    places = [(150.0 + wide * (k % columns), high * (k // columns)) for k in range(count)]
    shifts = 0.1 * high * rng.uniform(-1, 1, (count, 2))
    return tuple((ra + float(a), dec + float(b)) for (ra, dec), (a, b) in zip(places, shifts, strict=True))


if __name__ == "__main__":
    for each in figures():
        print(each)
