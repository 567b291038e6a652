"""Cosmic rays against astroscrappy: completeness and purity of pixels, and Mpix per CPU-second, on the same frames.

A pixel is hit if a ray left more than 5σ in it (σ: its noise without the ray); a marked pixel is false if less than 1σ.
"""

from __future__ import annotations

from collections.abc import Iterator

import astroscrappy
import numpy as np

from benchmarks.figure import Figure, at_least, figure
from benchmarks.measure import costing
from spica.core.images import Image
from spica.core.mask import Mask
from spica.tasks.cosmics import CosmicsSettings, cosmics
from tests.support.frames import Frame, Order, draw

ORDERS = {"60 s": Order(), "300 s": Order(exposure_time=300.0, seed=2)}
"""2048 x 4096 pixels of a wide-field camera, 1,700 sources per Mpix, seeing 4.7 pixels."""
REPEATS = 3


def ours(image: Image) -> tuple[np.ndarray, float]:
    """Marked pixels, and Mpix per CPU-second of the task."""
    cosmics(CosmicsSettings(), image)
    with costing() as cost:
        for _ in range(REPEATS):
            marked = cosmics(CosmicsSettings(), image)["science"].mask & int(Mask.COSMIC) != 0
    return marked, REPEATS * image.pixels.size / 1e6 / cost.cpu


def theirs(image: Image) -> tuple[np.ndarray, float]:
    """The same of astroscrappy: 4 iterations, told the variance and the bad pixels."""
    with costing() as cost:
        marked, _ = astroscrappy.detect_cosmics(
            image.pixels, inmask=image.mask != 0, invar=image.variance, satlevel=np.inf, niter=4
        )
    return marked, image.pixels.size / 1e6 / cost.cpu


def scores(frame: Frame, marked: np.ndarray) -> dict[str, float]:
    """Completeness and purity as defined above, and with one level, 3σ, for both."""
    deep, level, touched = (frame.hit(sigmas) for sigmas in (5.0, 3.0, 1.0))
    return {
        "completeness of pixels": float(np.mean(marked[deep])),
        "purity of pixels": float(np.mean(touched[marked])),
        "completeness, one level of 3 sigma": float(np.mean(marked[level])),
        "purity, one level of 3 sigma": float(np.mean(level[marked])),
    }


def figures() -> Iterator[Figure]:
    """Completeness, purity and speed, ours and astroscrappy's."""
    goals = {"completeness of pixels": at_least(0.965), "purity of pixels": at_least(0.90)}
    for name, order in ORDERS.items():
        frame = draw(order)
        (marked, rate), (peer, peer_rate) = ours(frame.image), theirs(frame.image)
        peer_scores = scores(frame, peer)
        for what, value in scores(frame, marked).items():
            goal = goals.get(what)
            yield figure(
                f"cosmic rays, {name}: {what}",
                value,
                "fraction",
                goal,
                peer="astroscrappy",
                peer_value=peer_scores[what],
            )
        goal = at_least(40, of_peer=True)
        yield figure(
            f"cosmic rays, {name}: speed", rate, "Mpix per CPU s", goal, peer="astroscrappy", peer_value=peer_rate
        )
