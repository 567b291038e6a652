"""Masters from 20, 200 and 1000 frames: CPU seconds and memory, and against ccdproc's `combine` on the same files.

Frames of 2048 × 512 pixels, as the engine keeps them between its jobs: 20 of them, taken again where there are to be more.
Both sides read the files, clip at 4σ about the median with the MAD as scatter, take the mean, and write the result;
ours reads variance and mask too and gives them with the master.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing, run_program
from spica.core.images import Image
from spica.files.images import write_image

SHAPE = (512, 2048)
MPIX = SHAPE[0] * SHAPE[1] / 1e6
DISTINCT = 20
MANY = (20, 200, 1000)
PEER = (20, 200)


def _draw(folder: Path) -> None:
    for number in range(DISTINCT):
        rng = np.random.default_rng(number)
        pixels = rng.normal(300, 5, SHAPE).astype(np.float32)
        pixels[rng.uniform(size=SHAPE) < 1e-4] += 5000
        image = Image(pixels, np.full(SHAPE, 25, np.float32), np.zeros(SHAPE, np.int32), {"BUNIT": "electron"})
        write_image(folder / f"frame{number:03d}.fits", image, {}, lossless=True)


def _ours(folder: Path, number: int) -> tuple[float, float]:
    """CPU seconds and peak memory [MiB]."""
    used = run_program([sys.executable, "-m", "benchmarks.single_frames._masters", folder, str(number)])
    told = json.loads(used.output.splitlines()[-1])
    return float(told["cpu"]), float(told["peak"]) / 2**20


def _theirs(folder: Path, number: int) -> float:
    """CPU seconds of ccdproc."""
    import ccdproc
    from astropy.stats import mad_std

    files = [str(path) for path in islice(cycle(sorted(folder.glob("frame*.fits"))), number)]
    with costing() as cost, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ccdproc.combine(
            files,
            method="average",
            sigma_clip=True,
            sigma_clip_low_thresh=4,
            sigma_clip_high_thresh=4,
            sigma_clip_func=np.ma.median,
            sigma_clip_dev_func=mad_std,
            mem_limit=64 * 2**20,
            dtype=np.float32,
            unit="electron",
            hdu=1,
            output_file=str(folder / f"ccdproc{number}.fits"),
            overwrite_output=True,
        )
    return cost.cpu


def figures() -> Iterator[Figure]:
    """CPU milliseconds per frame and Mpix, peak memory, and ratios to ccdproc."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _draw(folder)
        costs = {number: _ours(folder, number) for number in MANY}
        few = MANY[0]
        for number, (cpu, peak) in costs.items():
            each = {"CPU per frame": (cpu / number / MPIX * 1e3, "ms/Mpix"), "peak memory": (peak, "MiB")}
            first = {"CPU per frame": costs[few][0] / few / MPIX * 1e3, "peak memory": costs[few][1]}
            for name, (value, unit) in each.items():
                told = f"masters, {number} frames: {name}"
                if number == few:
                    yield figure(told, value, unit)
                else:
                    yield figure(
                        told, value, unit, at_most(1.1, of_peer=True), peer=f"{few} frames", peer_value=first[name]
                    )
        for number in PEER:
            yield figure(
                f"masters, {number} frames, files to file",
                number * MPIX / costs[number][0],
                "Mpix per CPU s",
                at_least(3, of_peer=True),
                peer="ccdproc",
                peer_value=number * MPIX / _theirs(folder, number),
            )
