"""Two snaps of a visit: cosmic rays found by comparison, what moved told, variance and masks right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.task import Member
from spica.tasks.snaps import TASK

SIDE, SKY, NOISE = 220, 300.0, 5.0
Floats = np.ndarray[Any, np.dtype[np.float64]]


def scene(seed: int, shift: tuple[float, float] = (0.0, 0.0), width: float = 1.6) -> Floats:
    """Sky and stars [electron], moved by `shift` (x, y)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    light = np.full((SIDE, SIDE), SKY)
    for u, v, power in rng.uniform((8, 8, 2.5), (SIDE - 8, SIDE - 8, 5.0), (60, 3)):
        r2 = (x - u - shift[0]) ** 2 + (y - v - shift[1]) ** 2
        light += 10.0**power * np.exp(-r2 / (2.0 * width**2)) / (2.0 * np.pi * width**2)
    return light


def snap(light: Floats, seed: int, hits: Floats | None = None) -> Image:
    rng = np.random.default_rng(seed)
    pixels = rng.poisson(light) + rng.normal(0.0, NOISE, light.shape)
    if hits is not None:
        pixels = pixels + hits
    variance = np.maximum(pixels, 0.0) + NOISE**2
    header = {"EXPTIME": 15.0, "SATURATE": 100000.0}
    return Image(pixels.astype(np.float32), variance.astype(np.float32), np.zeros(light.shape, np.int32), header)


def tracks(seed: int, number: int = 30) -> Floats:
    """Cosmic rays: short sharp tracks of some hundred to thousands of electrons a pixel."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((SIDE, SIDE))
    for _ in range(number):
        x, y, angle = rng.uniform(5, SIDE - 5), rng.uniform(5, SIDE - 5), rng.uniform(0, np.pi)
        for step in np.arange(0.0, rng.uniform(1, 12), 0.7):
            u, v = int(x + step * np.cos(angle)), int(y + step * np.sin(angle))
            if 0 <= u < SIDE and 0 <= v < SIDE:
                plane[v, u] = rng.uniform(300, 4000)
    return plane


def combine(first: Image, second: Image | None = None, **settings: Any) -> tuple[Image, dict[str, float]]:
    members = tuple(Member(f"v-{n}/1", each) for n, each in enumerate((first, second)) if each is not None)
    made = TASK.run(TASK.settings(**settings), frames=members)
    return made["science"], {name: each.value for name, each in made["snap_figures"].items()}


def test_the_sum_has_the_light_and_the_variance_of_both() -> None:
    light = scene(1)
    science, figures = combine(snap(light, 2), snap(light, 3))
    assert science.variance is not None
    pull = (science.pixels - 2.0 * light) / np.sqrt(2.0 * light + 2.0 * NOISE**2)
    assert pull.std() == pytest.approx(1.0, abs=0.01)
    assert pull.mean() == pytest.approx(0.0, abs=0.02)
    assert np.median(science.variance) == pytest.approx(2.0 * (SKY + NOISE**2), rel=0.01)
    assert figures["snaps_used"] == 2.0
    assert science.header["EXPTIME"] == 30.0
    assert science.header["SATURATE"] == 200000.0
    assert figures["snap_hits"] < 30


def test_cosmic_rays_are_taken_from_the_other_snap() -> None:
    light = scene(4)
    hits = [tracks(5), tracks(6)]
    science, figures = combine(snap(light, 7, hits[0]), snap(light, 8, hits[1]))
    assert science.variance is not None
    struck = (hits[0] > 0) ^ (hits[1] > 0)
    dark = light < 1.2 * SKY
    pull = (science.pixels - 2.0 * light) / np.sqrt(science.variance)
    # On the sky: hardly any is left, and the pixels that took their place are right with their larger variance.
    assert np.mean(np.abs(pull[struck & dark]) > 6.0) < 0.01
    assert pull[struck & dark].std() == pytest.approx(1.0, abs=0.15)
    assert np.median(science.variance[struck & dark]) == pytest.approx(4.0 * (SKY + NOISE**2), rel=0.05)
    # Everywhere, stars included.
    assert np.mean(np.abs(pull[struck]) > 8.0) < 0.1
    assert figures["snap_hits"] > 0.95 * struck.sum()
    assert figures["snap_hits"] < 1.3 * struck.sum()
    assert figures["snap_movers"] == 0.0


def test_a_pixel_hit_in_both_is_masked() -> None:
    light = np.full((SIDE, SIDE), SKY)
    first, second = snap(light, 9), snap(light, 10)
    bad = np.int32(Mask.BAD)
    first.mask[10, 10:20] = second.mask[10, 10:15] = bad  # type: ignore[index]
    second.mask[30, 30] = np.int32(Mask.SATURATED)  # type: ignore[index]
    science, _ = combine(first, second)
    assert science.mask is not None
    assert np.all(science.mask[10, 10:15] & int(Mask.BAD))
    assert not np.any(science.mask[10, 15:20])
    assert science.mask[30, 30] == 0
    assert science.pixels[10, 17] == pytest.approx(2.0 * second.pixels[10, 17])


def test_other_seeing_and_clouds_make_no_hits_of_stars() -> None:
    light = scene(11)
    worse = 0.95 * scene(11, width=1.75)
    science, figures = combine(snap(light, 12), snap(worse, 13))
    assert figures["snap_hits"] + 10 * figures["snap_movers"] < 60
    assert figures["snap_ratio"] == pytest.approx(0.95, abs=0.01)
    assert science.header["NSNAPS"] == 2


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.2), (2.4, 1.6), (-7.0, 3.0)])
def test_motion_between_snaps_is_measured(shift: tuple[float, float]) -> None:
    first, second = snap(scene(14), 15, tracks(16)), snap(scene(14, shift), 17, tracks(18))
    science, figures = combine(first, second)
    assert figures["snap_shift_x"] == pytest.approx(shift[0], abs=0.1)
    assert figures["snap_shift_y"] == pytest.approx(shift[1], abs=0.1)
    near = np.hypot(*shift) < 0.5
    assert figures["snaps_used"] == (2.0 if near else 1.0)
    assert (science is first) is not near


def test_a_source_that_moved_is_told_and_kept() -> None:
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)

    def mover(u: float, v: float) -> Floats:
        return np.asarray(400.0 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2.0 * 1.6**2)))

    light = scene(18)
    light[80:125, 80:130] = SKY
    hits = tracks(19, 10)
    first, second = snap(light + mover(100.0, 100.0), 20, hits), snap(light + mover(109.0, 104.0), 21)
    science, figures = combine(first, second)
    assert figures["snap_movers"] == 1.0
    assert science.mask is not None
    for u, v in ((100, 100), (109, 104)):
        assert science.mask[v, u] & int(Mask.SUSPECT)
        assert science.pixels[v, u] == pytest.approx(2 * SKY + 400.0, abs=6.0 * np.sqrt(2 * SKY + 400))
    assert figures["snap_hits"] > 0.9 * np.sum(hits > 0)


def test_the_first_alone_where_asked_for_or_where_there_is_one() -> None:
    first, second = snap(scene(22), 23), snap(scene(22), 24)
    for made in (combine(first, second, first_only=True), combine(first)):
        assert made[0] is first
        assert made[1] == {"snaps_used": 1.0}


def test_snaps_change_none_of_their_inputs() -> None:
    first, second = snap(scene(25), 26, tracks(27)), snap(scene(25), 28)
    before = [plane.copy() for each in (first, second) for plane in (each.pixels, each.variance, each.mask)]  # type: ignore[union-attr]
    combine(first, second)
    after = [plane for each in (first, second) for plane in (each.pixels, each.variance, each.mask)]
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(before, after, strict=True))


def test_snaps_without_a_star_or_a_good_pixel() -> None:
    dark = np.full((SIDE, SIDE), SKY)
    science, figures = combine(snap(dark, 29), snap(dark, 30))
    assert figures["snaps_used"] == 2.0
    assert np.isfinite(science.pixels).all()
    lost = snap(dark, 31)
    lost.mask[:] = np.int32(Mask.NO_DATA)  # type: ignore[index]
    science, _ = combine(lost, lost)
    assert science.mask is not None
    assert np.all(science.mask & int(Mask.NO_DATA))


def test_snaps_that_do_not_fit_are_refused() -> None:
    first = snap(scene(32), 33)
    small = Image(first.pixels[:50], None, None)
    for frames in ((first, small), (first, first, first)):
        with pytest.raises(DataFault) as refused:
            TASK.run(TASK.settings(), frames=tuple(Member(str(n), each) for n, each in enumerate(frames)))
        assert refused.value.code == "data.bad-value"
