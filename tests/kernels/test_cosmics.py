"""Cosmic rays: no light is taken for one, rays are found, and what must not matter does not."""

import numpy as np
import pytest

from spica.kernels.coarse import CoarseSky
from spica.kernels.cosmics import Barred, Cosmics, Limits, find_cosmics
from spica.kernels.draw import Psf, add_stars
from spica.kernels.draw_marks import add_track
from spica.kernels.sharpness import peak_widths, sharpness

SIDE = 256
SKY = 400.0
BARRED = Barred(bad=1, full=2)
HIT = 8


def flat_sky(level: float = SKY, side: int = SIDE) -> CoarseSky:
    cells = np.full((-(-side // 128),) * 2, level)
    return CoarseSky(cells, np.sqrt(cells), cells - 1.2816 * np.sqrt(cells), 128)


def stars(fwhm: float, *, number: int = 300, brightest: float = 1e6, seed: int = 1) -> np.ndarray:
    """Many stars of any brightness, at any place in a pixel, without noise."""
    rng = np.random.default_rng(seed)
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    flux = brightest * 10.0 ** rng.uniform(-4, 0, number)
    psf = Psf(np.full(number, fwhm), np.full(number, 0.03), np.full(number, -0.02), 3.0)
    add_stars(image, rng.uniform(0, SIDE, number), rng.uniform(0, SIDE, number), flux, psf, 0.01)
    return image


def find(image: np.ndarray, variance: np.ndarray, mask: np.ndarray | None = None, fwhm: float = 2.5) -> Cosmics:
    bits = np.zeros(image.shape, dtype=np.int32) if mask is None else mask
    return find_cosmics(image, variance, bits, flat_sky(), fwhm, barred=BARRED, cosmic_bit=HIT)


def noisy(light: np.ndarray, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Photon noise and 5 electrons of read noise; the variance as detrending writes it."""
    rng = np.random.default_rng(seed)
    image = rng.poisson(light + SKY) + rng.normal(0, 5.0, light.shape)
    return image.astype(np.float32), (np.maximum(image, 0) + 25.0).astype(np.float32)


def rays(number: int = 60, charge: float = 900.0) -> np.ndarray:
    rng = np.random.default_rng(7)
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    for x, y, angle, length in zip(*rng.uniform(0, 1, (4, number)), strict=True):
        start = 10 + x * (SIDE - 20), 10 + y * (SIDE - 20)
        turn = 2 * np.pi * angle
        end = start[0] + 12 * length * np.cos(turn), start[1] + 12 * length * np.sin(turn)
        add_track(image, start, end, charge, 0.45)
    return image


@pytest.mark.parametrize("fwhm", [1.3, 2.0, 3.0, 4.5, 6.0])
def test_no_light_breaks_the_bound(fwhm: float) -> None:
    # A thousandth of the photons' variance: what is tested is the bound itself, at signals of 10⁵ sigma.
    light = stars(fwhm)
    found = find(light + np.float32(SKY), 1e-3 * (light + SKY).astype(np.float32), fwhm=0.9 * fwhm)
    assert (found.hits, found.pixels) == (0, 0)


@pytest.mark.parametrize("fwhm", [2.0, 3.0, 4.5, 6.0])
def test_stars_lose_no_flux_in_noise(fwhm: float) -> None:
    light = stars(fwhm)
    image, variance = noisy(light)
    found = find(image, variance, fwhm=0.9 * fwhm)
    assert not np.any((found.mask != 0) & (light > 5 * np.sqrt(SKY)))
    assert found.pixels <= 5


def test_rays_are_found_and_little_else() -> None:
    charge = rays()
    image, variance = noisy(stars(3.5, number=60) + charge)
    found = find(image, variance, fwhm=3.0)
    marked = found.mask & HIT != 0
    noise = np.sqrt(np.maximum(variance - charge, SKY))
    deep = charge > 5 * noise
    assert np.count_nonzero(marked & deep) > 0.96 * np.count_nonzero(deep)
    assert np.count_nonzero(marked & (charge > noise)) > 0.95 * np.count_nonzero(marked)
    assert np.count_nonzero(marked) == found.pixels
    # Some of the 60 cross.
    assert 50 <= found.hits <= 62


def test_a_ray_on_a_star_is_found_and_the_star_stays() -> None:
    light = np.zeros((SIDE, SIDE), dtype=np.float32)
    psf = Psf(np.full(1, 4.0), np.zeros(1), np.zeros(1), 3.0)
    add_stars(light, np.full(1, 100.0), np.full(1, 100.0), np.full(1, 30000.0), psf, 0.01)
    charge = np.zeros_like(light)
    charge[102, 101] = 3000.0
    image, variance = noisy(light + charge)
    found = find(image, variance, fwhm=3.4)
    assert found.mask[102, 101] == HIT
    assert found.pixels <= 2


def test_faint_tracks_are_found_together() -> None:
    charge = np.zeros((SIDE, SIDE), dtype=np.float32)
    add_track(charge, (60.0, 60.0), (90.0, 78.0), 120.0, 0.45)
    image, variance = noisy(charge)
    together = find(image, variance)
    alone = find_cosmics(
        image, variance, np.zeros(image.shape, dtype=np.int32), flat_sky(), 2.5, barred=BARRED, cosmic_bit=HIT,
        limits=Limits(track=1e9),
    )  # fmt: skip
    core = charge > 2.0 * np.sqrt(SKY)
    assert np.mean(together.mask[core] == HIT) > 0.25
    assert np.mean(alone.mask[core] == HIT) < 0.1


@pytest.mark.parametrize("factor", [0.25, 2.0, 64.0])
def test_a_change_of_unit_changes_nothing(factor: float) -> None:
    image, variance = noisy(stars(3.5) + rays())
    first = find(image, variance)
    again = find_cosmics(
        np.float32(factor) * image, np.float32(factor**2) * variance, np.zeros(image.shape, dtype=np.int32),
        flat_sky(factor * SKY), 2.5, barred=BARRED, cosmic_bit=HIT,
    )  # fmt: skip
    assert np.array_equal(first.mask, again.mask)


def test_a_turned_image_has_turned_rays() -> None:
    image, variance = noisy(stars(3.5) + rays())
    sharp = find(image, variance).mask != 0
    turned = find(image[::-1].copy(), variance[::-1].copy()).mask[::-1] != 0
    mirrored = find(image.T.copy(), variance.T.copy()).mask.T != 0
    # The starting pixels are the same; growing asks the pixels in order, and early ones count as company.
    for other in (turned, mirrored):
        assert np.count_nonzero(sharp ^ other) < 0.03 * np.count_nonzero(sharp)


def test_known_bad_pixels_neither_start_nor_join() -> None:
    image, variance = noisy(np.zeros((SIDE, SIDE), dtype=np.float32))
    mask = np.zeros((SIDE, SIDE), dtype=np.int32)
    image[50, 50] += 5000
    mask[50, 50] = 1
    image[80:120, 90] = 9e4
    mask[80:120, 90] = 2
    image[120, 90] += 3000  # beside a full pixel: charge that ran over
    image[200, :] = np.nan
    variance[201, 7] = 0.0
    image[201, 7] = 1e6
    found = find(image, variance, mask)
    assert found.pixels == 0
    assert np.array_equal(found.mask, mask)
    image[30, 30] += 5000
    image[0, 40] += 5000
    image[SIDE - 1, 17] += 5000
    found = find(image, variance, mask)
    assert found.hits == 3
    assert found.mask[30, 30] == found.mask[0, 40] == found.mask[SIDE - 1, 17] == HIT
    assert not np.any(mask & HIT)


def test_too_many_are_an_overflow() -> None:
    image, variance = noisy(rays())
    bits = np.zeros(image.shape, dtype=np.int32)
    found = find_cosmics(image, variance, bits, flat_sky(), 2.5, barred=BARRED, cosmic_bit=HIT, most=20)
    assert found.overflow
    assert not np.any(found.mask)


def test_shapes_and_sky_are_checked() -> None:
    image, variance = noisy(rays())
    with pytest.raises(ValueError, match="differ in shape"):
        find(image, variance[1:])
    broken = flat_sky()._replace(level=np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="not finite"):
        find_cosmics(image, variance, np.zeros(image.shape), broken, 2.5, barred=BARRED, cosmic_bit=HIT)


def test_sharpness_is_the_profile_beside_the_centre() -> None:
    straight, diagonal = sharpness(2.0)
    assert straight == pytest.approx(0.5)
    assert diagonal == pytest.approx(0.25)
    image = np.zeros((33, 33), dtype=np.float32)
    add_stars(
        image,
        np.full(1, 16.0),
        np.full(1, 16.0),
        np.full(1, 1e5),
        Psf(np.full(1, 3.0), np.zeros(1), np.zeros(1), 3.0),
        0.01,
    )
    assert image[16, 17] / image[16, 16] == pytest.approx(sharpness(3.0)[0], abs=0.02)


@pytest.mark.parametrize("fwhm", [1.5, 2.5, 4.0, 6.0])
def test_widths_of_peaks_begin_at_the_seeing(fwhm: float) -> None:
    image, variance = noisy(stars(fwhm, number=150))
    widths = peak_widths(image, variance, np.zeros(image.shape, dtype=np.int32), flat_sky(), bad_bits=3)
    assert widths.size > 20
    assert 0.75 < float(np.percentile(widths, 10)) / fwhm < 1.1


def test_no_more_widths_than_asked_for() -> None:
    image, variance = noisy(stars(3.0))
    bits = np.zeros(image.shape, dtype=np.int32)
    assert peak_widths(image, variance, bits, flat_sky(), bad_bits=3, most=5).size == 5
