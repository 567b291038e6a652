"""Deviations of isolated stars from the truth in units of their errors, on stacks with correlated noise.

Three simulated stacks of six exposures each, brought to common pixels by Lanczos-3; stars above S/N 10, 45 pixels apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.figure import Figure, at_most, figure
from tests.support.stacks import Plan, pulls


def figures() -> Iterator[Figure]:
    """The width of each figure's pulls, and how far it is from 1."""
    gathered: dict[str, list[float]] = {}
    for seed in (11, 12, 13):
        for name, values in pulls(Plan(side=1200, seed=seed))[1].items():
            gathered.setdefault(name, []).extend(values)
    for name, off in gathered.items():
        width = float(np.std(off))
        yield figure(f"width of pulls, {name}, {len(off)} stars", width, "sigma")
        yield figure(f"width of pulls from 1, {name}", abs(width - 1.0), "sigma", at_most(0.1))
