"""Stacking our own compressed products beside decoding them: what a stack costs on top of its inputs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.deep_sky._stack_folder import stack_folder, write_exposures
from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import costing
from spica.files.images import open_rows

EXPOSURES = 8
SHAPE = (4096, 2048)
ROWS = 64
REPEATS = 3


def _decode(folder: Path) -> None:
    """All rows of all planes, as a stack takes them."""
    for path in sorted(folder.glob("*.prod.fits")):
        rows = open_rows(path)
        for y0 in range(0, rows.shape[0], ROWS):
            for plane in ("science", "variance", "mask"):
                rows.read(y0, y0 + ROWS, plane)


def figures() -> Iterator[Figure]:
    """CPU seconds of both in one process, the least of some runs by turns; compiled beforehand."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tile = write_exposures(folder, EXPOSURES, SHAPE, lossless=False)
        (folder / "tile.json").write_text(json.dumps(tile))
        out = folder / "out.fits"
        stack_folder(folder, "mean", out)
        ours, decoding = [], []
        for _ in range(REPEATS):
            with costing() as cost:
                _decode(folder)
            decoding.append(cost.cpu)
            with costing() as cost:
                stack_folder(folder, "mean", out)
            ours.append(cost.cpu)
        yield figure(
            f"mean of {EXPOSURES} compressed products, CPU",
            min(ours),
            "s",
            at_most(1.7, of_peer=True),
            peer="decoding them",
            peer_value=min(decoding),
        )
