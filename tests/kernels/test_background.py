"""Mesh background: truth, laws, and sep as the independent implementation."""

import numpy as np
import pytest
import sep
from scipy.interpolate import CubicSpline

from spica.kernels.background import expand_grid, filter_grid, mesh_statistics
from spica.kernels.compiled import Float32


def test_level_and_noise_of_a_flat_sky() -> None:
    sky = np.random.default_rng(9).normal(250.0, 12.0, (512, 384)).astype(np.float32)
    level, rms = mesh_statistics(sky, box=64)
    assert level.shape == (8, 6)
    # 2.5 median - 1.5 mean of 4096 normal values scatters by 0.040 sigma.
    assert np.std(level) == pytest.approx(0.040 * 12, rel=0.4)
    assert abs(level.mean() - 250.0) < 0.3
    assert rms.mean() == pytest.approx(12.0, rel=0.03)


def test_it_agrees_with_sep_on_a_real_frame(real_image: Float32) -> None:
    image = real_image
    peer = sep.Background(image, bw=64, bh=64, fw=3, fh=3)
    level, rms = (filter_grid(grid) for grid in mesh_statistics(image, box=64))
    back, noise = (expand_grid(grid, image.shape, 64) for grid in (level, rms))
    assert np.median(np.abs(back - peer.back())) < 0.03 * peer.globalrms
    assert np.max(np.abs(back - peer.back())) < 0.2 * peer.globalrms
    assert np.median(noise / peer.rms()) == pytest.approx(1.0, abs=0.02)


def test_stars_and_masked_pixels_do_not_lift_the_level() -> None:
    rng = np.random.default_rng(10)
    sky = rng.normal(100.0, 5.0, (128, 128)).astype(np.float32)
    plain, _ = mesh_statistics(sky)
    spoiled = sky.copy()
    spoiled[20:24, 20:24] += 30_000.0
    mask = np.zeros(sky.shape, dtype=np.int32)
    mask[64:80, 64:80] = 1
    spoiled[64:80, 64:80] = np.nan
    level, _ = mesh_statistics(spoiled, mask, bad_bits=1)
    np.testing.assert_allclose(level, plain, atol=0.4)


def test_scaling_and_offset() -> None:
    sky = np.random.default_rng(11).normal(0.0, 1.0, (100, 130)).astype(np.float32)
    level, rms = mesh_statistics(sky, box=(50, 65))
    scaled, scaled_rms = mesh_statistics(8 * sky + 64, box=(50, 65))
    np.testing.assert_allclose(scaled, 8 * level + 64, atol=1e-4)
    np.testing.assert_allclose(scaled_rms, 8 * rms, rtol=1e-5)


def test_cells_without_enough_pixels_are_filled_from_the_nearest() -> None:
    sky = np.random.default_rng(12).normal(10.0, 1.0, (96, 96)).astype(np.float32)
    mask = np.zeros(sky.shape, dtype=np.int32)
    mask[32:64, 32:60] = 2
    level, _ = mesh_statistics(sky, mask, bad_bits=2, box=32)
    assert np.isnan(level[1, 1])
    assert np.isfinite(level).sum() == 8
    filled = filter_grid(level, 1)
    assert filled[1, 1] == pytest.approx(np.mean([level[0, 1], level[1, 0], level[1, 2], level[2, 1]]))
    with pytest.raises(ValueError, match="none of the 4 cells"):
        filter_grid(np.full((2, 2), np.nan))


def test_median_filter_removes_a_lonely_cell() -> None:
    grid = np.ones((5, 6))
    grid[2, 3] = 50.0
    np.testing.assert_array_equal(filter_grid(grid, 3), np.ones((5, 6)))


def test_expansion_is_the_natural_spline_of_scipy() -> None:
    grid = np.random.default_rng(13).normal(0.0, 1.0, (5, 7))
    image = expand_grid(grid, (100, 133), (20, 19))
    y = (np.arange(100) + 0.5) / 20 - 0.5
    x = (np.arange(133) + 0.5) / 19 - 0.5
    rows = CubicSpline(np.arange(5), grid, bc_type="natural")(y)
    expected = CubicSpline(np.arange(7), rows, axis=1, bc_type="natural")(x)
    np.testing.assert_allclose(image, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
def test_a_constant_grid_is_a_constant_image(shape: tuple[int, int]) -> None:
    size = (shape[0] * 10 - 3, shape[1] * 10)
    np.testing.assert_allclose(expand_grid(np.full(shape, 3.5), size, 10), 3.5, rtol=1e-6)


def test_a_plane_stays_a_plane() -> None:
    y, x = np.mgrid[:120, :160]
    image = expand_grid((0.5 + np.arange(6)[:, None]) * 20 + 3 * (0.5 + np.arange(8)) * 20, (120, 160), 20)
    np.testing.assert_allclose(image, (y + 0.5) + 3 * (x + 0.5), rtol=1e-5)


def test_a_grid_that_does_not_cover_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="does not cover"):
        expand_grid(np.zeros((3, 3)), (64, 64), 64)
