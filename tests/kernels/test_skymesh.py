"""The sky under dense fields, large objects, steps and holes: truth, laws, sep and photutils as independent peers."""

import numpy as np
import pytest
import sep
from astropy.stats import SigmaClip
from photutils.background import Background2D, MedianBackground
from scipy import ndimage

from spica.kernels.background import expand_grid, filter_grid
from spica.kernels.compiled import Float32
from spica.kernels.draw import Psf, add_stars
from spica.kernels.skymesh import SkyMesh, sky_mesh

LEVEL, NOISE = 900.0, 30.0
SIDE = 512


def noise(seed: int, shape: tuple[int, int] = (SIDE, SIDE)) -> Float32:
    return np.random.default_rng(seed).normal(LEVEL, NOISE, shape).astype(np.float32)


def dense(seed: int, density: float, shape: tuple[int, int] = (SIDE, SIDE)) -> Float32:
    """Light of stars, counts growing as 10^(0.25 m) down to a tenth of what can be detected."""
    rng = np.random.default_rng(seed)
    number = round(density * shape[0] * shape[1] / 1e6)
    x, y = rng.uniform(0, shape[1], number), rng.uniform(0, shape[0], number)
    flux = 100.0 * rng.uniform(3000.0**-0.625, 1.0, number) ** -1.6
    image = np.zeros(shape, dtype=np.float32)
    add_stars(image, x, y, flux, Psf(np.full(number, 3.8), np.zeros(number), np.zeros(number), 3.0), 0.5)
    return image


def filled(mesh: SkyMesh, shape: tuple[int, int]) -> Float32:
    return expand_grid(filter_grid(mesh.level), shape)


def galaxy(radius: float, height: float, shape: tuple[int, int]) -> Float32:
    """An exponential disc in the middle of the image."""
    y, x = np.indices(shape)
    r = np.hypot(x - shape[1] / 2 + 20, y - shape[0] / 2 - 13)
    return np.asarray(height * np.exp(-r / radius), dtype=np.float32)


def test_an_empty_sky() -> None:
    mesh = sky_mesh(noise(1))
    assert mesh.level.shape == (8, 8)
    assert abs(mesh.level.mean() - LEVEL) < 0.01 * NOISE
    # The mean of 4096 pixels scatters by 1/64 of their noise; the mask of noise peaks takes a third of them.
    assert np.std(mesh.level) < 1.5 * NOISE / 64
    assert mesh.rms.mean() == pytest.approx(NOISE, rel=0.005)
    assert mesh.correlation.mean() == pytest.approx(1.0, abs=0.02)


def test_a_dense_field_does_not_lift_it_as_it_lifts_the_peers() -> None:
    image = noise(2) + dense(3, 1700)
    mesh = sky_mesh(image)
    lift = (filled(mesh, image.shape).mean() - LEVEL) / NOISE
    assert abs(lift) < 0.03
    assert mesh.rms[np.isfinite(mesh.rms)].mean() == pytest.approx(NOISE, rel=0.01)
    peer = (sep.Background(image, bw=64, bh=64, fw=3, fh=3).back().mean() - LEVEL) / NOISE
    other = Background2D(
        image, 64, filter_size=3, sigma_clip=SigmaClip(3.0), bkg_estimator=MedianBackground()
    ).background
    assert min(peer, (other.mean() - LEVEL) / NOISE) > 2 * abs(lift)


def test_it_agrees_with_photutils_where_the_sources_are_masked_by_their_truth() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    light = dense(4, 600)
    image = (noise(5) + light + 0.05 * x - 0.1 * y).astype(np.float32)
    known = ndimage.binary_dilation(light > 0.05 * NOISE)
    peer = Background2D(image, 64, mask=known, filter_size=3, exclude_percentile=90).background
    # Its filter pulls tilts flat at the edges.
    inner = (slice(64, -64), slice(64, -64))
    assert np.std((filled(sky_mesh(image), image.shape) - peer)[inner]) < 0.04 * NOISE


def test_a_real_frame_against_sep(real_image: Float32) -> None:
    peer = sep.Background(real_image, bw=64, bh=64, fw=3, fh=3)
    ours = filled(sky_mesh(real_image), real_image.shape)
    assert np.median(np.abs(ours - peer.back())) < 0.25 * peer.globalrms
    # Its level holds light of sources, ours less of it.
    assert np.mean(ours) < np.mean(peer.back())


def test_adding_and_scaling() -> None:
    image = noise(6) + dense(7, 1700)
    plain = sky_mesh(image)
    other = sky_mesh(np.float32(4) * image - np.float32(8192))
    np.testing.assert_allclose(other.level, 4 * plain.level - 8192, atol=2e-3 * NOISE)
    np.testing.assert_allclose(other.rms, 4 * plain.rms, rtol=1e-3)


def test_a_negative_sky_is_a_sky() -> None:
    mesh = sky_mesh(noise(8) - np.float32(2 * LEVEL))
    assert abs(mesh.level.mean() + LEVEL) < 0.01 * NOISE


@pytest.mark.parametrize("axis", [0, 1])
def test_a_turned_image_has_a_turned_sky(axis: int) -> None:
    image = noise(9) + dense(10, 1700) + galaxy(30, 300, (SIDE, SIDE))
    plain, turned = sky_mesh(image), sky_mesh(np.flip(image, axis))
    np.testing.assert_allclose(np.flip(turned.level, axis), plain.level, rtol=1e-5)
    np.testing.assert_allclose(np.flip(turned.rms, axis), plain.rms, rtol=1e-4)


def test_masked_pixels_have_no_effect() -> None:
    image = noise(11)
    mask = (np.random.default_rng(12).random(image.shape) < 0.05).astype(np.int32) * 6
    plain = sky_mesh(image, mask, bad_bits=2)
    spoilt = image.copy()
    spoilt[mask != 0] = np.random.default_rng(13).choice([np.nan, 1e9, -1e9, np.inf], np.count_nonzero(mask))
    again = sky_mesh(spoilt, mask, bad_bits=4)
    np.testing.assert_array_equal(again.level, plain.level)
    np.testing.assert_array_equal(again.rms, plain.rms)


def test_a_gradient_is_followed_to_the_edges() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    tilt = (0.3 * x - 0.6 * y).astype(np.float32)
    mesh = sky_mesh(noise(14) + tilt)
    assert mesh.rms.mean() == pytest.approx(NOISE, rel=0.01)
    back = filled(mesh, tilt.shape) - tilt - LEVEL
    assert np.abs(back[64:-64, 64:-64]).max() < 0.1 * NOISE
    assert np.abs(back).max() < 0.2 * NOISE


def test_a_large_galaxy_is_not_taken_for_sky() -> None:
    shape = (1024, 1024)
    image = noise(15, shape) + galaxy(40, 400, shape)
    mesh = sky_mesh(image)
    ours = np.abs(filled(mesh, shape) - LEVEL).max() / NOISE
    assert ours < 0.25
    assert 0 < np.isnan(mesh.level).mean() < 0.3
    peer = np.abs(sep.Background(image, bw=64, bh=64, fw=3, fh=3).back() - LEVEL).max() / NOISE
    assert peer > 2 * ours
    assert np.isfinite(sky_mesh(image, halo=0).level).sum() > np.isfinite(mesh.level).sum()


def test_half_of_the_frame_without_data() -> None:
    image = noise(16)
    mask = np.zeros(image.shape, dtype=np.int32)
    mask[:, SIDE // 2 + 10 :] = 1
    mesh = sky_mesh(image, mask, bad_bits=1)
    assert np.isfinite(mesh.level[:, :4]).all()
    assert np.isnan(mesh.level[:, 5:]).all()
    assert np.abs(filled(mesh, image.shape) - LEVEL).max() < 0.1 * NOISE


@pytest.mark.parametrize("step", [5 * NOISE, -LEVEL])
def test_a_step_between_amplifiers_stays_where_it_is(step: float) -> None:
    image = noise(17)
    if step == -LEVEL:
        # A dead amplifier that nobody has masked.
        image[:, SIDE // 2 :] = 0.0
    else:
        image[:, SIDE // 2 :] += np.float32(step)
    mesh = sky_mesh(image)
    assert np.isfinite(mesh.level).all()
    np.testing.assert_allclose(mesh.level[:, :4], LEVEL, atol=0.1 * NOISE)
    np.testing.assert_allclose(mesh.level[:, 4:], LEVEL + step, atol=0.1 * NOISE)
    assert np.abs(filled(mesh, image.shape)[:, : SIDE // 2 - 64] - LEVEL).max() < 0.2 * max(abs(step), NOISE)


def test_correlated_noise_is_told() -> None:
    white = np.random.default_rng(18).normal(0.0, 1.0, (SIDE, SIDE))
    smooth = ndimage.uniform_filter(white, 3, mode="wrap").astype(np.float32)
    mesh = sky_mesh(smooth + 10)
    assert mesh.rms.mean() == pytest.approx(1 / 3, rel=0.02)
    blocks = smooth.reshape(SIDE // 4, 4, SIDE // 4, 4).mean((1, 3))
    assert mesh.correlation.mean() == pytest.approx(4 * blocks.std() / smooth.std(), rel=0.05)
    assert mesh.correlation.mean() > 2


def test_a_field_without_sky_falls_back_and_still_beats_the_median() -> None:
    image = noise(19) + dense(20, 30000)
    mesh = sky_mesh(image)
    assert mesh.growth < 3
    assert np.isfinite(mesh.level).mean() > 0.5
    assert np.nanmean(mesh.level) < np.median(image)


def test_a_nebula_that_fills_the_detector_is_followed() -> None:
    y, x = np.mgrid[:768, :768]
    nebula = (20 * NOISE * (1 + np.sin(x / 200.0) * np.cos(y / 180.0))).astype(np.float32)
    mesh = sky_mesh(noise(21, nebula.shape) + nebula)
    assert np.isfinite(mesh.level).mean() > 0.8
    assert np.median(np.abs(filled(mesh, nebula.shape) - nebula - LEVEL)) < 0.3 * NOISE


def test_nothing_good_is_nothing_measured() -> None:
    mesh = sky_mesh(np.full((100, 90), np.nan, dtype=np.float32))
    assert mesh.growth == -1
    assert np.isnan(mesh.level).all()
    assert np.isnan(mesh.rms).all()


@pytest.mark.parametrize("shape", [(70, 400), (33, 33), (9, 300)])
def test_any_shape_is_divided_evenly(shape: tuple[int, int]) -> None:
    mesh = sky_mesh(noise(22, shape), box=32)
    assert mesh.level.shape == tuple(max(round(n / 32), 1) for n in shape)
    np.testing.assert_allclose(mesh.level, LEVEL, atol=0.4 * NOISE)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="mask of shape"):
        sky_mesh(noise(23), np.zeros((3, 3), dtype=np.int32))
    with pytest.raises(ValueError, match="less than two blocks"):
        sky_mesh(noise(23), box=7)
