"""Compare: the odd frame among siblings is left out with its reason, and no good one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.task import Member
from spica.tasks.compare import CompareSettings, compare
from spica.tasks.level import LevelSettings, level
from spica.tasks.plane import TASK as PLANE

SHAPE = (256, 320)
BIAS, DARK, FLAT = CompareSettings(), CompareSettings(scale="dark_time"), CompareSettings(scale="level")
Spoil = Callable[[Image], Image | None]


def frame(kind: str, seed: int, mean: float = 30000.0, time: float = 300.0) -> Image:
    """A frame of a detector with a vignetted, structured response, two amplifiers and read noise of 5 electrons."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / 320.0
    own = np.random.default_rng(1)
    response = (1 - 0.3 * ((x - 0.5) ** 2 + (y - 0.4) ** 2)) * own.normal(1, 0.006, SHAPE)
    rate = 0.02 * (1 + 2 * np.exp(-y / 0.05)) + 20.0 * (own.uniform(size=SHAPE) < 3e-4)
    light = {"bias": 0.0 * x, "dark": rate * time, "flat": mean * response}[kind]
    pixels = rng.poisson(np.maximum(light, 0)) + rng.normal(0, 5, SHAPE) + 4 * (x > 0.5) * (kind == "bias")
    header = {"EXPTIME": time, "DARKTIME": time, "GAINRAW": 1.5}
    return Image(pixels.astype(np.float32), np.full(SHAPE, 25, np.float32), np.zeros(SHAPE, np.int32), header)


def choice(frames: list[Image], settings: CompareSettings, planes: list[float] | None = None) -> Mapping[str, Any]:
    levels = tuple(Member(f"detector:e{n}/1", level(LevelSettings(), each)["level"]) for n, each in enumerate(frames))
    whole = tuple(Member(f"exposure:e{n}", {"level": value}) for n, value in enumerate(planes or ()))
    found: Mapping[str, Any] = compare(settings, levels, whole)["choice"]
    return found


def left_out(frames: list[Image], settings: CompareSettings, planes: list[float] | None = None) -> dict[str, str]:
    return dict(choice(frames, settings, planes)["left_out"])


def lose_an_amplifier(image: Image) -> None:
    image.pixels[:, 160:] = np.random.default_rng(5).normal(0, 5, (SHAPE[0], 160))


def leak(image: Image) -> None:
    image.pixels[...] += 400 * np.exp(-(((np.mgrid[: SHAPE[0], : SHAPE[1]] - 60.0) / 50) ** 2).sum(axis=0)).astype(
        np.float32
    )


def shine(image: Image) -> None:
    image.pixels[...] += np.float32(300)


def saturate(image: Image) -> None:
    assert image.mask is not None
    image.mask[:, :64] = Mask.SATURATED


def trail(image: Image) -> None:
    rng = np.random.default_rng(9)
    for y, x, length in rng.integers((0, 0, 60), (SHAPE[0], SHAPE[1] - 130, 130), (60, 3)):
        image.pixels[y : y + 2, x : x + length] *= np.float32(1.4)


def hum(image: Image) -> None:
    image.pixels[...] += (25 * np.sin(2 * np.pi * np.arange(SHAPE[1]) / 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "settings", "spoil", "reason"),
    [
        ("bias", BIAS, shine, "its level is 30"),
        ("bias", BIAS, leak, "of its area differs from its siblings"),
        ("bias", BIAS, hum, "its noise is"),
        ("dark", DARK, leak, "of its area differs from its siblings"),
        ("flat", FLAT, lose_an_amplifier, "of its area differs from its siblings"),
        ("flat", FLAT, saturate, "20.0% of its pixels are saturated"),
        ("flat", FLAT, trail, "more bright pixels than its siblings"),
    ],
)
@pytest.mark.parametrize("number", [3, 7])
def test_the_bad_one_is_left_out_and_no_other(
    kind: str, settings: CompareSettings, spoil: Spoil, reason: str, number: int
) -> None:
    frames = [frame(kind, 10 + n) for n in range(number)]
    assert left_out(frames, settings) == {}
    spoil(frames[1])
    found = left_out(frames, settings)
    assert list(found) == ["detector:e1/1"]
    assert reason in found["detector:e1/1"]


def test_flats_of_many_levels_are_siblings() -> None:
    assert left_out([frame("flat", n, mean) for n, mean in enumerate((3e3, 9e3, 2e4, 4e4, 6e4, 5e3))], FLAT) == {}


def test_darks_of_many_times_are_siblings() -> None:
    frames = [frame("dark", n, time=time) for n, time in enumerate((10.0, 10.0, 100.0, 100.0, 300.0, 300.0))]
    found = choice(frames, DARK)
    assert found["left_out"] == {}
    assert found["factors"]["detector:e2/1"] == pytest.approx(0.01)


def test_two_frames_cannot_judge_each_other() -> None:
    frames = [frame("bias", 1), frame("bias", 2)]
    shine(frames[0])
    assert left_out(frames, BIAS) == {}


def test_a_frame_of_another_gain_is_told() -> None:
    frames = [frame("bias", n) for n in range(4)]
    frames[2] = Image(frames[2].pixels, frames[2].variance, frames[2].mask, {"GAINRAW": 3.0})
    assert left_out(frames, BIAS) == {"detector:e2/1": "its gain is 3, that of most frames 1.5 electron/ADU"}


def test_a_dark_without_time_and_a_flat_without_light_are_told() -> None:
    frames = [frame("dark", n) for n in range(3)] + [frame("dark", 3, time=0.0)]
    assert left_out(frames, DARK) == {"detector:e3/1": "it has no dark time"}
    zeros = Image(np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.int32))
    assert left_out([frame("flat", 1), zeros], FLAT) == {"detector:e1/1": "level 0 is not positive"}


def test_a_detector_keeps_its_sensitivity_relative_to_the_focal_plane() -> None:
    means = (2e4, 3e4, 2.5e4)
    frames = [frame("flat", n, mean) for n, mean in enumerate(means)]
    own = choice(frames, FLAT)
    assert (own["norm"], own["sensitivity"]) == ("detector", pytest.approx(1.0))
    medians = [level(LevelSettings(), each)["level"]["median"] for each in frames]
    whole = choice(frames, FLAT, [median / 0.8 for median in medians])
    assert (whole["norm"], whole["sensitivity"]) == ("focal plane", pytest.approx(0.8))


def test_a_detector_that_was_shaded_once_is_told() -> None:
    frames = [frame("flat", n, 2e4) for n in range(4)]
    planes = [2e4, 2e4, 4e4, 2e4]
    assert "relative to the focal plane is" in left_out(frames, FLAT, planes)["detector:e2/1"]


def test_the_level_of_a_focal_plane_is_the_median_of_its_detectors() -> None:
    levels = tuple(Member(f"detector:e/{n}", {"median": value}) for n, value in enumerate((-1.0, 3.0, 5.0, 9.0)))
    assert PLANE.run(PLANE.settings(), levels=levels) == {"plane": {"level": 5.0, "detectors": 3}}
    with pytest.raises(DataFault) as caught:
        PLANE.run(PLANE.settings(), levels=levels[:1])
    assert caught.value.code == "data.no-pixels"
