"""The background task against sep and source-extractor: CPU, level under a dense field, noise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sep

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing, run_program
from benchmarks.single_frames._peers import BOX, PROGRAM, write_inputs
from benchmarks.single_frames._scene import Scene, scenes
from spica.tasks.background import BackgroundSettings, background

REPEATS = 5
Float32 = npt.NDArray[np.float32]


def figures() -> Iterator[Figure]:
    """Mpix per CPU-second; level against the truth and its scatter; noise against the truth."""
    scene = scenes((1.0,))[0]
    image, mask, pixels = scene.image, scene.image.mask != 0, scene.sky.size / 1e6
    background(BackgroundSettings(), image)
    with costing() as ours:
        for _ in range(REPEATS):
            sky = background(BackgroundSettings(), image)["background"]
    with costing() as theirs:
        for _ in range(REPEATS):
            peer = sep.Background(image.pixels, mask=mask, bw=BOX, bh=BOX, fw=3, fh=3)
            peer_level, peer_rms = peer.back(), peer.rms()
    rate, peer_rate = (REPEATS * pixels / cost.cpu for cost in (ours, theirs))
    yield figure(
        "background, level and noise of every pixel",
        *(rate, "Mpix per CPU s", at_least(1, of_peer=True)),
        peer="sep",
        peer_value=peer_rate,
    )
    yield figure(
        "background alone against mesh, subtraction and filter, nothing detected",
        *(rate, "Mpix per CPU s", at_least(4.5, of_peer=True)),
        peer=PROGRAM,
        peer_value=pixels / nothing_detected(scene),
    )
    level, peer_value = (lift(scene, made) for made in (sky.pixels, peer_level))
    goal = at_most(0.03)
    yield figure(
        "background, lifted by 1700 sources per Mpix",
        abs(level[0]),
        "sigma",
        goal,
        peer="sep",
        peer_value=abs(peer_value[0]),
    )
    goal = at_most(1, of_peer=True)
    yield figure("background, scatter about the sky", level[1], "sigma", goal, peer="sep", peer_value=peer_value[1])
    noise, peer_noise = (abs(float(np.median(rms / scene.noise)) - 1.0) for rms in (np.sqrt(sky.variance), peer_rms))
    yield figure("background, noise off the truth", noise, "fraction", at_most(0.01), peer="sep", peer_value=peer_noise)


def lift(scene: Scene, made: Float32) -> tuple[float, float]:
    """Mean and standard deviation of a level minus the true sky, in the sky's noise."""
    difference = (made - scene.sky) / scene.noise
    return float(np.mean(difference, dtype=float)), float(np.std(difference, dtype=float))


def nothing_detected(scene: Scene) -> float:
    """CPU seconds of source-extractor with a threshold that nothing reaches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(scene, folder)
        command: list[str | Path] = [
            PROGRAM,
            folder / "image.fits",
            "-c",
            folder / "run.sex",
            "-CATALOG_NAME",
            folder / "made.fits",
        ]
        return run_program([*command, "-DETECT_THRESH", "1e9", "-ANALYSIS_THRESH", "1e9"], cwd=folder).cpu
