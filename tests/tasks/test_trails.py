"""Trails of satellites: found to the sky's noise, and nothing else taken for one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.kernels.draw_marks import add_track
from spica.tasks.trails import TrailsSettings, trails
from tests.support.frames import Frame, Order, draw

SIDE = 1024
SIGMA = 2.0
"""Of a trail's cross-section [pixel]: the seeing's."""


@pytest.fixture(scope="module")
def frame() -> Frame:
    return draw(Order(size=(SIDE, SIDE)))


def empty(seed: int = 1, level: float = 400.0) -> Image:
    pixels = np.random.default_rng(seed).poisson(level, (SIDE, SIDE)).astype(np.float32)
    return Image(pixels, np.full((SIDE, SIDE), level, np.float32), np.zeros((SIDE, SIDE), np.int32))


def noise_of(image: Image) -> float:
    assert image.variance is not None
    return float(np.sqrt(np.median(image.variance)))


def crossed(
    image: Image, light: float, start: tuple[float, float], end: tuple[float, float]
) -> tuple[Image, np.ndarray]:
    """The image with a trail of so many sigma in the middle, and the trail's own light in sigma."""
    assert image.variance is not None
    track = np.zeros(image.shape, np.float32)
    add_track(track, start, end, light * noise_of(image) * SIGMA * np.sqrt(2 * np.pi), SIGMA)
    drawn = np.random.default_rng(2).poisson(track).astype(np.float32)
    lit = dataclasses.replace(image, pixels=image.pixels + drawn, variance=image.variance + track)
    return lit, track / noise_of(image)


def marked(image: Image, settings: TrailsSettings | None = None) -> np.ndarray:
    found = trails(settings or TrailsSettings(), image)["science"]
    return np.asarray(found.mask & int(Mask.TRAIL) != 0)


@pytest.mark.parametrize(
    ("start", "end"),
    [((-50, 100), (1100, 900)), ((300, -50), (360, 1100)), ((-50, 700), (1100, 690)), ((900, -50), (-50, 820))],
)
def test_a_trail_of_the_noise_itself_is_found_in_a_dense_field(
    frame: Frame, start: tuple[float, float], end: tuple[float, float]
) -> None:
    image, light = crossed(frame.image, 1.2, start, end)
    mask = marked(image)
    # A galaxy or a halo beside it may hide a part.
    assert np.mean(mask[light > 0.5]) > 0.7
    assert np.mean(mask[light < 0.01]) < 0.003


def test_bright_trails_that_cross_and_end_are_listed() -> None:
    image, first = crossed(empty(), 6.0, (-50, 100), (1100, 900))
    image, second = crossed(image, 3.0, (200, 1100), (640, 300))
    found = trails(TrailsSettings(), image)
    mask = found["science"].mask & int(Mask.TRAIL) != 0
    assert np.mean(mask[(first > 0.5) | (second > 0.5)]) > 0.97
    assert np.mean(mask[(first < 0.01) & (second < 0.01)]) < 0.002
    assert found["trails"]["trails"].value == 2
    assert found["trails"]["trail_masked"].value == pytest.approx(mask.mean())
    bright, faint = found["trail_list"]["trails"]
    # In units of the noise, its own photons' included.
    assert bright["light"] == pytest.approx(6.0 * 20 / np.sqrt(400 + 6.0 * 20), rel=0.1)
    # A Gaussian's light over its peak.
    assert bright["width"] == pytest.approx(SIGMA * np.sqrt(2 * np.pi), rel=0.1)
    length = np.hypot(faint["x1"] - faint["x0"], faint["y1"] - faint["y0"])
    assert length == pytest.approx(np.hypot(200 + 42 - 640, 1023 - 300), abs=100)
    assert found["trails"]["trail_light"].value == pytest.approx(bright["light"], abs=1e-3)


def test_without_a_trail_the_very_image_comes_back(frame: Frame) -> None:
    for image in (frame.image, empty(), empty(3, 5.0)):
        found = trails(TrailsSettings(), image)
        assert found["science"] is image
        assert found["trails"]["trails"].value == 0
        assert found["trail_list"] == {"trails": []}
    assert trails(TrailsSettings(search=False), frame.image)["science"] is frame.image


def test_a_flipped_and_turned_frame_has_the_trail_there() -> None:
    image, _ = crossed(empty(), 2.0, (-50, 200), (1100, 780))
    mask = marked(image)

    def same(turn: Callable[[np.ndarray], np.ndarray]) -> float:
        assert image.variance is not None
        assert image.mask is not None
        planes = (np.ascontiguousarray(turn(plane)) for plane in (image.pixels, image.variance, image.mask))
        pixels, variance, flags = planes
        return float(np.mean(marked(Image(pixels, variance, flags)) == turn(mask)))

    assert same(np.flipud) > 0.995
    assert same(np.transpose) > 0.995


def test_columns_spikes_and_rows_of_stars_are_no_trails() -> None:
    column = empty(4)
    column.pixels[:, 300] += 60.0
    assert not marked(column).any()
    v, u = np.mgrid[:SIDE, :SIDE] - 512.0
    for angle in (0.3, 0.0):
        # A bright star with four spikes that fall off as they do behind a strut.
        star = 3e5 * (1 + (u**2 + v**2) / 9.0) ** -2.0
        for turn in (angle, angle + np.pi / 2):
            across = v * np.cos(turn) - u * np.sin(turn)
            away = np.abs(u * np.cos(turn) + v * np.sin(turn))
            star += 3e4 / (1 + away / 3.0) ** 1.5 * np.exp(-0.5 * (across / 2.0) ** 2)
        image = empty(5)
        full = star > 6e4
        image = Image(
            image.pixels + np.random.default_rng(6).poisson(star).astype(np.float32),
            (400 + star).astype(np.float32),
            np.where(full, np.int32(Mask.SATURATED), np.int32(0)),
        )
        assert np.mean(marked(image)) < 0.002
    row = empty(7)
    for x in range(40, 1000, 60):
        y = 200 + 0.5 * x
        near = np.exp(-0.5 * ((u + 512 - x) ** 2 + (v + 512 - y) ** 2) / SIGMA**2)
        row.pixels[:] += (3000.0 * near).astype(np.float32)
    assert not marked(row).any()


def test_a_frame_whose_stars_are_trails_keeps_them() -> None:
    image = empty(8)
    rng = np.random.default_rng(9)
    track = np.zeros(image.shape, np.float32)
    for x, y in rng.uniform(0, SIDE, (400, 2)):
        add_track(track, (x, y), (x + 45, y + 20), 400.0, SIGMA)
    assert image.variance is not None
    lit = dataclasses.replace(image, pixels=image.pixels + track, variance=image.variance + track)
    assert np.mean(marked(lit)) < 0.002


def test_too_much_is_no_trail_and_nothing_is_marked() -> None:
    image, _ = crossed(empty(), 5.0, (-50, 100), (1100, 900))
    found = trails(TrailsSettings(most_masked=0.001), image)
    assert found["science"] is image
    assert found["trails"]["trails_refused"].value == 1
    assert found["trails"]["trails"].value == 0


def test_odd_frames_pass() -> None:
    image = empty()
    for pixels in (np.full((SIDE, SIDE), np.nan, np.float32), np.zeros((SIDE, SIDE), np.float32)):
        odd = dataclasses.replace(image, pixels=pixels)
        assert trails(TrailsSettings(), odd)["science"] is odd
    corner = empty()
    assert corner.variance is not None
    assert corner.mask is not None
    small = Image(corner.pixels[:40, :60].copy(), corner.variance[:40, :60].copy(), corner.mask[:40, :60].copy())
    assert trails(TrailsSettings(), small)["science"] is small
    with pytest.raises(DataFault) as fault:
        trails(TrailsSettings(), dataclasses.replace(image, variance=None))
    assert fault.value.code == "data.bad-value"
