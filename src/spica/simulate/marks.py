"""Cosmic rays and satellite trails: drawn, and marked in the true mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spica.core.camera import Camera, DetectorSpec
from spica.core.mask import Mask
from spica.kernels.compiled import Float32, Int32
from spica.kernels.draw_marks import add_track
from spica.simulate.random import slice_words, stream
from spica.simulate.schedule import Shot
from spica.simulate.settings import SimulationSettings

Axes = tuple[tuple[float, float], ...]

SEEN = 5.0
"""Pixels with at least this many electrons of a cosmic ray are marked."""


def cosmics_into(
    image: Float32,
    mask: Int32,
    settings: SimulationSettings,
    camera: Camera,
    shot: Shot,
    spec: DetectorSpec,
    number: int = 0,
) -> int:
    """Add the cosmic rays of one read-out of a detector to the wells, and mark their pixels; returns how many they are.

    Tracks of some pixels' length with charges of some thousand electrons, narrow against the seeing.
    """
    if not settings.effects.cosmics:
        return 0
    rng = stream(settings.seed, "cosmics", shot.night, shot.sequence, spec.id, *slice_words(number))
    area = spec.nx * spec.ny * (camera.pixel_size * 1e-4) ** 2
    hits = int(rng.poisson(settings.cosmic_rate * area * (shot.exposure_time + 10.0)))
    for _ in range(hits):
        x, y, angle = float(rng.uniform(0, spec.nx)), float(rng.uniform(0, spec.ny)), float(rng.uniform(0, 2 * np.pi))
        length = min(0.6 + float(rng.exponential(6.0)), 80.0)
        charge = float(np.exp(rng.normal(6.2, 0.7)))
        end = (x + length * np.cos(angle), y + length * np.sin(angle))
        x0, y0 = max(0, int(min(x, end[0])) - 4), max(0, int(min(y, end[1])) - 4)
        x1, y1 = min(spec.nx, int(max(x, end[0])) + 6), min(spec.ny, int(max(y, end[1])) + 6)
        if x0 >= x1 or y0 >= y1:
            continue
        patch = np.zeros((y1 - y0, x1 - x0), dtype=np.float32)
        add_track(patch, (x - x0, y - y0), (end[0] - x0, end[1] - y0), charge, float(rng.uniform(0.35, 0.55)))
        image[y0:y1, x0:x1] += patch
        mask[y0:y1, x0:x1] |= np.where(patch > SEEN, np.int32(Mask.COSMIC), np.int32(0))
    return hits


def trails_into(
    image: Float32,
    mask: Int32,
    settings: SimulationSettings,
    camera: Camera,
    shot: Shot,
    spec: DetectorSpec,
    axes: Axes,
) -> int:
    """Add the shot's satellite trails to the light on one detector and mark them; returns how many cross it.

    A trail crosses the whole field in a straight line of the focal plane, as wide as the seeing. Marked is what is above
    half of the sky's noise in the mean of all read-outs.
    """
    if not settings.effects.trails:
        return 0
    rng = stream(settings.seed, "trails", shot.night, shot.sequence)
    crossing = 0
    threshold = 0.5 * float(np.sqrt(shot.conditions.sky * shot.exposure_time + spec.amplifiers[0].read_noise ** 2))
    threshold /= camera.slices**0.5
    for _ in range(int(rng.poisson(settings.trail_rate))):
        through, angle = rng.uniform(-0.6, 0.6, size=2), float(rng.uniform(0, np.pi))
        charge = 10.0 ** float(rng.uniform(2.0, 3.5))
        along = np.array([np.cos(angle), np.sin(angle)])
        start, end = (_pixel(through + side * 3.0 * along, axes) for side in (-1.0, 1.0))
        light = np.zeros_like(image)
        add_track(light, start, end, charge, 0.5 * shot.conditions.seeing / camera.pixel_scale)
        marked = light > threshold
        if np.any(marked):
            crossing += 1
            image += light
            mask |= np.where(marked, np.int32(Mask.TRAIL), np.int32(0))
    return crossing


def _pixel(place: npt.NDArray[np.float64], axes: Axes) -> tuple[float, float]:
    """Pixel of a place in the focal plane (in field radii)."""
    origin, dx, dy = axes
    x, y = np.linalg.solve(np.column_stack([dx, dy]), place - np.array(origin))
    return float(x), float(y)
