"""Running sky: the sky of the neighbours is taken off to its noise; masked sources leave no dents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.task import Member
from spica.kernels.detect import find_segments
from spica.tasks import object_mask, running_sky
from tests.tasks.test_golden import MemoryRows

SIDE, LEVEL, NOISE = 96, 5000.0, 20.0
Floats = np.ndarray[Any, np.dtype[np.float64]]


def pattern() -> Floats:
    """The sky's shape on the detector, mean about 1."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    return np.asarray(1.0 + 0.05 * np.sin(9 * x) * np.cos(7 * y) + 0.03 * x)


def stars(dither: tuple[int, int], peak: float = 600.0) -> Floats:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    light = np.zeros((SIDE, SIDE))
    for u, v in rng.uniform(0, SIDE, (25, 2)):
        light += peak * np.exp(-((x - (u + dither[0]) % SIDE) ** 2 + (y - (v + dither[1]) % SIDE) ** 2) / 8.0)
    return light


def frames(number: int, peak: float = 600.0) -> tuple[list[Image], list[Floats]]:
    """Dithered exposures under a sky whose level wanders, and the light of their stars."""
    rng = np.random.default_rng(6)
    made, lights = [], []
    for n in range(number):
        light = stars((int(rng.integers(-25, 25)), int(rng.integers(-25, 25))), peak)
        sky = LEVEL * (1.0 + 0.1 * np.sin(n)) * pattern()
        pixels = (sky + light + rng.normal(0.0, NOISE, sky.shape)).astype(np.float32)
        made.append(Image(pixels, np.full(sky.shape, NOISE**2, np.float32), np.zeros(sky.shape, np.int32)))
        lights.append(light)
    return made, lights


def subtract(images: list[Image], objects: list[Image] | None = None, **settings: Any) -> dict[str, Any]:
    """The first image less the sky of the others."""

    def members(of: list[Image]) -> tuple[Member, ...]:
        return tuple(Member(f"e{n}/1", MemoryRows(each)) for n, each in enumerate(of[1:], 1))

    return dict(
        running_sky.TASK.run(
            running_sky.TASK.settings(**settings),
            image=images[0],
            neighbours=members(images),
            objects=None if objects is None else members(objects),
            own=None if objects is None else objects[0],
        )
    )


def masks(lights: list[Floats]) -> list[Image]:
    return [Image((light > 5.0).astype(np.float32)) for light in lights]


def test_the_sky_goes_to_its_noise() -> None:
    images, _ = frames(9, peak=0.0)
    made = subtract(images)
    science = made["science"]
    pull = science.pixels / np.sqrt(science.variance)
    assert pull.std() == pytest.approx(1.0, abs=0.05)
    # The pattern, 5 % of 5000 electrons, is gone: what is smooth is far below the noise of a pixel.
    blocks = science.pixels.reshape(8, 12, 8, 12).mean(axis=(1, 3))
    assert blocks.std() < 2.0 * NOISE * np.sqrt(1.0 + np.pi / 16) / 12
    figures = {name: each.value for name, each in made["sky_figures"].items()}
    assert figures["sky_frames"] == 8.0
    assert figures["sky_level"] == pytest.approx(LEVEL, rel=0.03)


def test_masks_take_the_bias_away_that_sources_leave() -> None:
    images, lights = frames(9)
    first, second = (subtract(images, objects)["science"] for objects in (None, masks(lights)))
    faint = (lights[0] > 30.0) & (lights[0] < 600.0) & (second.mask == 0)
    dents = [float(np.mean(each.pixels[faint] - lights[0][faint])) for each in (first, second)]
    error = NOISE * np.sqrt(1.3 / faint.sum())
    assert dents[0] < -10.0
    # The noise of the sky that pixels of one source share makes the error larger than that of white noise.
    assert abs(dents[1]) < 4.0 * error


def test_what_too_few_neighbours_see_has_no_data() -> None:
    images, _ = frames(5)
    for image in images[2:]:
        image.mask[10:20, 10:20] = np.int32(Mask.BAD)  # type: ignore[index]
    science = subtract(images)["science"]
    assert np.all(science.mask[10:20, 10:20] & int(Mask.NO_DATA))
    assert not np.any(science.mask[30:, 30:])


def test_bands_of_rows_change_nothing_and_inputs_stay_as_they_are() -> None:
    images, _ = frames(6)
    before = images[0].pixels.copy()
    one, other = subtract(images, rows=7)["science"], subtract(images, rows=500)["science"]
    assert np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(one.variance, other.variance)
    assert np.array_equal(images[0].pixels, before)


def test_too_few_neighbours_or_other_shapes_are_refused() -> None:
    images, _ = frames(5)
    with pytest.raises(DataFault) as refused:
        subtract(images[:3])
    assert refused.value.code == "data.quorum"
    small = Image(images[1].pixels[:50], images[1].variance, images[1].mask)
    with pytest.raises(DataFault) as refused:
        subtract([images[0], small, *images[2:]])
    assert refused.value.code == "data.bad-value"


def test_an_object_mask_covers_sources_and_their_wings() -> None:
    light = np.zeros((40, 40), np.float32)
    light[20, 20] = 1.0
    found = find_segments(light, 0 * light, np.ones(light.shape), 0.1, 0.5, min_area=1, max_segments=10)
    settings = object_mask.ObjectMaskSettings
    narrow = object_mask.TASK.run(settings(grow=0), segments=found)["objects"].pixels
    wide = object_mask.TASK.run(settings(grow=3), segments=found)["objects"].pixels
    assert narrow.sum() == 1.0
    assert wide[20, 23] == wide[23, 20] == 1.0
    assert wide[23, 23] == wide[20, 24] == 0.0
