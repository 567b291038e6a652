"""Satellite trails: parts of trails that are masked by their brightness, false ones, and CPU time, on dense frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from spica.core.images import Image
from spica.core.mask import Mask
from spica.kernels.draw_marks import add_track
from spica.tasks.trails import TrailsSettings, trails
from tests.support.frames import Order, draw

TIMES = (60.0, 180.0, 300.0)
"""Exposure times of the trail-free frames, 2048 x 4096 pixels with 1,700 sources per Mpix [second]."""
FRAMES = 6
LIGHTS = (0.5, 1.0, 2.0, 5.0)
"""Light of a pixel in the middle of a trail, in units of the sky's noise."""
TRAILS = 8
SIGMA = 2.0
"""Of a trail's cross-section, the seeing's [pixel]."""


def crossed(image: Image, light: float, seed: int) -> tuple[Image, np.ndarray]:
    """The image with a trail through it at a random place and angle, and where that is above half its own light."""
    assert image.variance is not None
    rng = np.random.default_rng(seed)
    ny, nx = image.shape
    angle, x, y = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8) * nx, rng.uniform(0.2, 0.8) * ny
    reach = 6000.0 * np.array([np.cos(angle), np.sin(angle)])
    noise = float(np.sqrt(np.median(image.variance)))
    track = np.zeros(image.shape, np.float32)
    charge = light * noise * SIGMA * float(np.sqrt(2 * np.pi))
    add_track(track, (x - reach[0], y - reach[1]), (x + reach[0], y + reach[1]), charge, SIGMA)
    drawn = rng.poisson(track).astype(np.float32)
    lit = dataclasses.replace(image, pixels=image.pixels + drawn, variance=image.variance + track)
    return lit, track > 0.5 * light * noise


def figures() -> Iterator[Figure]:
    """Masked parts by brightness, false trails, cost."""
    frames = [draw(Order(seed=50 + n, exposure_time=TIMES[n % len(TIMES)])).image for n in range(FRAMES)]
    trails(TrailsSettings(), frames[0])
    with costing() as cost:
        found = [trails(TrailsSettings(), image) for image in frames]
    false = sum(one["trails"]["trails"].value for one in found)
    pixels = sum(image.pixels.size for image in frames) / 1e6
    yield figure(f"trails found on {FRAMES} detectors without any", false, "trails", at_most(0))
    yield figure("search for trails where there are none", 1e3 * cost.cpu / pixels, "CPU ms per Mpix", at_most(20))
    for light in LIGHTS:
        parts, more = [], 0
        for seed in range(TRAILS):
            image, core = crossed(frames[seed % FRAMES], light, seed)
            science = trails(TrailsSettings(), image)["science"]
            parts.append(float(np.mean(science.mask[core] & int(Mask.TRAIL) != 0)))
            more += parts[-1] > 0.5
        goal = at_least(0.95) if light >= 1 else None
        yield figure(f"trails of {light:g} sigma that are found", more / TRAILS, "fraction", goal)
        yield figure(f"pixels of trails of {light:g} sigma that are masked", float(np.mean(parts)), "fraction")
