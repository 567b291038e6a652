"""Lines: sums along them against plain sampling, their symmetries, cross-sections, marks."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels.coarse import CoarseSky
from spica.kernels.compiled import Float32, Numbers
from spica.kernels.trails import Line, best_line, binned, mark, profiles

SIDE = 4


def lit(shape: tuple[int, int], start: tuple[float, float], end: tuple[float, float], light: float = 3.0) -> Float32:
    """Noise with a line of light, one cell wide."""
    rng = np.random.default_rng(5)
    plane = rng.normal(0, 1, shape)
    for t in np.linspace(0, 1, 4 * max(shape)):
        x, y = (round(a + t * (b - a)) for a, b in zip(start, end, strict=True))
        plane[y, x] = light
    return plane.astype(np.float32)


def along(plane: Numbers, line: Line) -> float:
    """Mean of a line's cells by the root of their number, sampled."""
    ny, nx = plane.shape
    steps = round(max(abs(line.x1 - line.x0), abs(line.y1 - line.y0)) / SIDE)
    t = np.linspace(0, 1, steps + 1)
    x, y = ((a + t * (b - a) + 0.5) / SIDE - 0.5 for a, b in ((line.x0, line.x1), (line.y0, line.y1)))
    u, v = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (u >= 0) & (u < nx) & (v >= 0) & (v < ny)
    return float(plane[v[inside], u[inside]].sum() / np.sqrt(inside.sum()))


def distance(line: Line, x: float, y: float) -> float:
    """Of a pixel from a line."""
    dx, dy = line.x1 - line.x0, line.y1 - line.y0
    return abs((x - line.x0) * dy - (y - line.y0) * dx) / float(np.hypot(dx, dy))


@pytest.mark.parametrize(
    ("start", "end"),
    [((3, 0), (40, 63)), ((0, 60), (47, 55)), ((20, 0), (20, 63)), ((47, 10), (5, 63)), ((0, 30), (47, 31))],
)
def test_the_brightest_line_is_found(start: tuple[float, float], end: tuple[float, float]) -> None:
    plane = lit((64, 48), start, end)
    line = best_line(plane, SIDE, least=20)
    assert line is not None
    for x, y in (start, end):
        assert distance(line, SIDE * (x + 0.5) - 0.5, SIDE * (y + 0.5) - 0.5) < 1.5 * SIDE
    # Discrete lines may leave the straight one by a cell.
    assert line.snr == pytest.approx(along(plane, line), rel=0.25)
    assert line.snr > 12


def test_a_frame_turned_or_flipped_has_its_line_turned_or_flipped() -> None:
    plane = lit((64, 48), (3, 5), (40, 60))
    line = best_line(plane, SIDE, least=20)
    turned = best_line(np.ascontiguousarray(plane.T), SIDE, least=20)
    flipped = best_line(np.ascontiguousarray(plane[:, ::-1]), SIDE, least=20)
    assert line is not None
    assert turned is not None
    assert flipped is not None
    assert (turned.y0, turned.x0, turned.y1, turned.x1) == line[1:]
    assert turned.snr == line.snr == flipped.snr
    wide = SIDE * plane.shape[1] - 1
    assert (wide - flipped.x0, flipped.y0, wide - flipped.x1, flipped.y1) == line[1:]


def test_half_a_line_is_found_and_short_ones_are_none() -> None:
    plane = lit((64, 64), (5, 0), (20, 31), light=5.0)
    line = best_line(plane, SIDE, least=20)
    assert line is not None
    assert abs(line.y1 - line.y0) < 40 * SIDE
    assert best_line(plane, SIDE, least=200) is None


def test_noise_has_no_line_beyond_chance() -> None:
    rng = np.random.default_rng(7)
    line = best_line(rng.normal(0, 1, (128, 128)).astype(np.float32), SIDE, least=16)
    assert line is not None
    assert line.snr < 6


def flat_sky(level: float) -> CoarseSky:
    grid = np.full((2, 2), level)
    return CoarseSky(grid, grid, grid, 64)


def test_cells_are_in_units_of_their_noise_and_stars_count_little() -> None:
    rng = np.random.default_rng(9)
    image = rng.normal(100, 5, (512, 512)).astype(np.float32)
    ones = np.full(image.shape, 25.0)
    mask = np.zeros(image.shape, np.int32)
    plain = binned(image, ones, mask, flat_sky(100.0), bad_bits=1, side=8, cap=1.5)
    assert plain.shape == (64, 64)
    assert abs(float(plain.mean())) < 0.01
    assert float(plain.std()) == pytest.approx(1.0, abs=1e-3)
    image[100:106, 200:206] += 1e6
    image[300:302] = np.nan
    starry = binned(image, ones, mask, flat_sky(100.0), bad_bits=1, side=8, cap=1.5)
    assert float(starry.max()) < 1.5 * float(plain.max())
    mask[:, :64] = 1
    assert np.all(binned(image, ones, mask, flat_sky(100.0), bad_bits=1, side=8, cap=1.5)[:, :7] == 0)
    nothing = binned(image, ones, mask | 1, flat_sky(100.0), bad_bits=1, side=8, cap=1.5)
    assert not np.any(nothing)


def test_cross_sections_are_what_was_drawn() -> None:
    v, u = np.mgrid[:200, :200]
    angle = 0.4
    across = (v - 100) * np.cos(angle) - (u - 100) * np.sin(angle)
    image = (50 + 8.0 * np.exp(-0.5 * (across / 2.0) ** 2)).astype(np.float32)
    mask = np.zeros(image.shape, np.int32)
    t = np.arange(-60.0, 60.0)
    path = np.stack(
        [100 + t * np.cos(angle), 100 + t * np.sin(angle), np.full(120, np.cos(angle)), np.full(120, np.sin(angle))]
    )
    order = {"bad_bits": 1, "half": 6, "piece": 40}
    found = profiles(image, np.full(image.shape, 4.0), mask, flat_sky(50.0), path, **order)
    assert found.shape == (3, 13)
    np.testing.assert_allclose(found.mean(axis=0), 4.0 * np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2), atol=0.35)
    mask[:, :100] = 1
    masked = profiles(image, np.full(image.shape, 4.0), mask, flat_sky(50.0), path, **order)
    assert np.all(np.isnan(masked[0]))
    assert np.all(np.isfinite(masked[2]))


def test_a_mark_has_no_holes_at_any_angle() -> None:
    for angle in np.linspace(0, np.pi, 23):
        mask = np.zeros((80, 80), np.int32)
        t = np.arange(-30.0, 30.0)
        c, s = np.full(60, np.cos(angle)), np.full(60, np.sin(angle))
        mark(mask, np.stack([40 + t * c, 40 + t * s, c, s]), -4.0, 4.0, bit=4)
        v, u = np.mgrid[:80, :80] - 40.0
        across, along = v * c[0] - u * s[0], u * c[0] + v * s[0]
        assert np.all(mask[(np.abs(across) < 3.5) & (np.abs(along) < 29)] == 4), angle


def test_a_mark_is_as_wide_as_asked() -> None:
    mask = np.zeros((40, 60), np.int32)
    path = np.stack([np.arange(10.0, 50.0), np.full(40, 20.0), np.ones(40), np.zeros(40)])
    # Steps of half a pixel: one column more.
    assert mark(mask, path, -3.0, 2.0, bit=4) == 41 * 6
    assert np.all(mask[17:23, 10:51] == 4)
    assert np.count_nonzero(mask) == 246
    assert mark(mask, path, -3.0, 2.0, bit=4) == 0
