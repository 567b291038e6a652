"""The coarse sky against known noise; what sources and bad pixels do to it."""

import numpy as np
import pytest

from spica.kernels.coarse import coarse_sky, level_at, level_line

SHAPE = (700, 500)
NONE = np.zeros(SHAPE, dtype=np.int32)


def sky_of(level: float, sigma: float) -> np.ndarray:
    return np.random.default_rng(3).normal(level, sigma, SHAPE).astype(np.float32)


def test_level_noise_and_lowest_tenth_of_pure_noise() -> None:
    sky = coarse_sky(sky_of(500.0, 20.0), NONE, bad_bits=1)
    assert sky.level.shape == (6, 4)
    # A whole cell holds 1024 samples: the median is known to 0.8, the noise to 3 %.
    assert np.max(np.abs(sky.level - 500.0)) < 4.0
    assert abs(float(np.mean(sky.sigma)) / 20.0 - 1) < 0.02
    assert abs(float(np.mean(sky.low)) - (500.0 - 1.2816 * 20.0)) < 1.0


def test_it_scales_and_shifts_with_the_image() -> None:
    image = sky_of(100.0, 8.0)
    one, two = coarse_sky(image, NONE, bad_bits=1), coarse_sky(4 * image + 32, NONE, bad_bits=1)
    for field in ("level", "low"):
        assert np.allclose(getattr(two, field), 4 * getattr(one, field) + 32, rtol=1e-5)
    assert np.allclose(two.sigma, 4 * one.sigma, rtol=1e-3)


def test_light_of_sources_hardly_raises_it() -> None:
    image = sky_of(500.0, 20.0)
    rng = np.random.default_rng(5)
    lit = rng.uniform(size=SHAPE) < 0.2
    image[lit] += rng.exponential(2000.0, np.count_nonzero(lit)).astype(np.float32)
    sky = coarse_sky(image, NONE, bad_bits=1)
    assert abs(float(np.mean(sky.level)) - 500.0) < 0.25 * 20.0
    assert 0.0 <= float(np.mean(sky.low)) - (500.0 - 1.2816 * 20.0) < 0.2 * 20.0


def test_bad_and_undefined_pixels_take_no_part_and_empty_cells_are_nan() -> None:
    image, mask = sky_of(500.0, 20.0), NONE.copy()
    image[:, ::3] = np.nan
    image[:, 1::3] = 1e6
    mask[:, 1::3] = 2
    mask[:130, :130] = 2
    sky = coarse_sky(image, mask, bad_bits=2, step=1)
    assert np.isnan(sky.level[0, 0])
    assert np.isnan(sky.sigma[0, 0])
    assert np.nanmax(np.abs(sky.level - 500.0)) < 6.0


def test_a_plane_comes_out_between_the_cells() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = (100.0 + 0.3 * x + 0.2 * y).astype(np.float32)
    sky = coarse_sky(image, NONE, bad_bits=1, box=100, step=2)
    line = np.empty(SHAPE[1], dtype=np.float32)
    for row in (0, 49, 50, 333, 699):
        level_line(sky.level, sky.box, row, line)
        assert [level_at(sky.level, sky.box, row, column) for column in (0, 49, 50, 251, 499)] == pytest.approx(
            line[[0, 49, 50, 251, 499]], rel=1e-5
        )
        if 50 <= row < 650:
            assert np.max(np.abs(line - image[row])[50:450]) < 1.0


def test_shapes_and_steps_are_checked() -> None:
    with pytest.raises(ValueError, match="mask of shape"):
        coarse_sky(sky_of(1.0, 1.0), np.zeros((3, 3), dtype=np.int32), bad_bits=1)
    with pytest.raises(ValueError, match="cannot be sampled"):
        coarse_sky(sky_of(1.0, 1.0), NONE, bad_bits=1, box=8, step=9)
