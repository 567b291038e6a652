"""What stacks cost against the number of their inputs: CPU seconds of 8 to 64, memory of 8 and 80, all over the same pixels."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.deep_sky._stack_folder import write_exposures
from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import Usage, run_program

SIDE = 2048
NUMBERS = (8, 16, 32, 64)
MANY = 80
REPEATS = 2


def _folder(base: Path, number: int) -> Path:
    """A folder of so many inputs: the eight exposures under other names, again and again."""
    folder = base / f"of{number}"
    folder.mkdir()
    made = sorted(base.glob("*.prod.fits"))
    for n in range(number):
        (folder / f"e{n:03d}.prod.fits").symlink_to(made[n % len(made)])
    (folder / "tile.json").write_text((base / "tile.json").read_text())
    return folder


def _stack(folder: Path, method: str, repeats: int = 1) -> Usage:
    order = [sys.executable, "-m", "benchmarks.deep_sky._stack_folder", str(folder), method, str(folder / "out.fits")]
    runs = [run_program(order) for _ in range(repeats)]
    (folder / "out.fits").unlink()
    return min(runs, key=lambda each: each.cpu)


def figures() -> Iterator[Figure]:
    """CPU seconds beside the straight line through them, and the most memory held."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        tile = write_exposures(base, NUMBERS[0], (SIDE, SIDE), lossless=True)
        (base / "tile.json").write_text(json.dumps(tile))
        folders = {number: _folder(base, number) for number in (*NUMBERS, MANY)}
        for method in ("mean", "clipped"):
            # What was not compiled yet is now.
            _stack(folders[NUMBERS[0]], method)
            costs = np.array([_stack(folders[number], method, REPEATS).cpu for number in NUMBERS])
            # Relative deviations count: each cost by its own size.
            line = np.polyfit(NUMBERS, costs, 1, w=1.0 / costs)
            for number, cost in zip(NUMBERS, costs, strict=True):
                yield figure(f"{method} of {number}, CPU", float(cost), "s")
            off = float(np.abs(costs / np.polyval(line, NUMBERS) - 1.0).max())
            yield figure(f"{method}, CPU from a straight line, 8 to 64 inputs", off, "", at_most(0.1))
            few, many = (_stack(folders[number], method).peak / 2**30 for number in (NUMBERS[0], MANY))
            limit = at_most(1.1, of_peer=True) if method == "mean" else at_most(1.0)
            yield figure(f"{method} of {MANY}, memory", many, "GiB", limit, peer="of 8", peer_value=few)
