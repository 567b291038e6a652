"""Completeness by injected stars beside that of the truth: three simulated stacks, 2500 stars each, 20th to 26th magnitude."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.figure import Figure, at_most, figure
from spica.kernels.recovery import recovery
from tests.support.stacks import Plan, both_completenesses

SEEDS = (1, 2, 3)


def figures() -> Iterator[Figure]:
    """Magnitudes of 80 % and 50 %, by what was put in and by what there was."""
    put, true, begun = [], [], time.process_time()
    for seed in SEEDS:
        told, magnitude, hit = both_completenesses(Plan(side=1200, seed=seed), 2500, 12)
        put.append((told["injected"]["mag"].astype(np.float64), told["injected"]["found"] > 0))
        true.append((magnitude, hit))
    curves = [recovery(*(np.concatenate(part) for part in zip(*each, strict=True))) for each in (put, true)]
    if curves[0] is None or curves[1] is None:
        raise ValueError("too few sources were found or lost")
    for part in (0.8, 0.5):
        (ours, error), (truth, spread) = (curve.limit(part) for curve in curves if curve is not None)
        yield figure(f"magnitude of {part:.0%} completeness, error", float(np.hypot(error, spread)), "mag")
        yield figure(f"magnitude of {part:.0%} completeness from the truth's", abs(ours - truth), "mag", at_most(0.05))
    yield figure("stacks of 1200 x 1200, drawn, measured, 12 passes each", time.process_time() - begun, "CPU s")
