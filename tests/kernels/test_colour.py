"""Colour composites: hue kept, sky dark, white reached, levels sane whatever the units."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels.colour import Channel, Levels, automatic, composite, grey, shades


def field(seed: int = 1, colours: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> list[np.ndarray]:
    """Stars of many brightnesses and hues around the given one, on skies with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:200, 0:220]
    bands = [rng.normal(100 * (k + 1), 2.0, y.shape) for k in range(3)]
    for _ in range(60):
        x0, y0 = rng.uniform(0, 220), rng.uniform(0, 200)
        light = 10 ** rng.uniform(1.5, 4) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 8)
        hue = np.exp(rng.normal(0, 0.2, 3))
        for k in range(3):
            bands[k] += light * hue[k] * colours[k]
    return [band.astype(np.float32) for band in bands]


LEVELS = Levels((Channel(100.0, 1.0),) * 3, 1.0, 0.0, 1000.0, 3.0)


def test_hue_is_kept_at_every_brightness() -> None:
    light = np.geomspace(1, 1e6, 50, dtype=np.float32)[None]
    bands = [(100 + part * light).astype(np.float32) for part in (0.5, 1.0, 1.5)]
    picture, good = composite(bands, LEVELS)
    assert good.all()
    assert picture[..., 0] / picture[..., 2] == pytest.approx(1 / 3, rel=2e-4)
    assert picture[..., 1] / picture[..., 2] == pytest.approx(2 / 3, rel=2e-4)
    assert picture.max() == 1.0
    assert np.all(np.diff(picture.sum(axis=2)[0]) >= 0)


def test_the_scale_is_that_of_lupton() -> None:
    from astropy.visualization.lupton_rgb import AsinhMapping as Peer

    bands = [band - np.float32(100 * (k + 1)) + np.float32(3) for k, band in enumerate(field())]
    softness, stretch = 8.0, 40.0
    theirs = Peer(0.0, stretch, softness).make_rgb_image(*(band.copy() for band in bands))
    # astropy: f(I) = asinh(Q I / stretch) / asinh(Q / 10) / 10; so our softening is stretch / Q, white where f is 1.
    beta = stretch / softness
    white = beta * np.sinh(np.arcsinh(0.1 * softness) / 0.1)
    levels = Levels((Channel(0.0, 1.0),) * 3, 1.0, 0.0, float(white), beta)
    ours = shades(composite(bands, levels)[0])
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_levels_do_not_depend_on_the_units() -> None:
    bands = field(2)
    picture, _ = composite(bands, automatic(bands, (30.0, 30.0, 30.0)))
    scaled = [bands[0], bands[1] * np.float32(10**0.4), bands[2] * np.float32(10**-0.8)]
    again, _ = composite(scaled, automatic(scaled, (30.0, 31.0, 28.0)))
    assert np.abs(picture - again).max() < 2e-3


def test_sky_is_dark_and_stars_reach_white() -> None:
    bands = field(3)
    levels = automatic(bands, (0.0, 0.0, 0.0))
    picture, _ = composite(bands, levels)
    assert 0.02 < np.median(picture) < 0.2
    assert picture.max() > 0.95
    assert [channel.sky for channel in levels.channels] == pytest.approx([100, 200, 300], abs=1.0)


def test_the_middle_colour_is_white_but_within_reason() -> None:
    bands = field(4, (1.5, 1.0, 0.6))
    factors = [channel.factor for channel in automatic(bands, (0.0, 0.0, 0.0)).channels]
    assert np.array(factors) * (1.5, 1.0, 0.6) / factors[1] == pytest.approx([1, 1, 1], rel=0.1)
    bands = field(4, (30.0, 1.0, 0.6))
    factors = [channel.factor for channel in automatic(bands, (0.0, 0.0, 0.0)).channels]
    assert max(factors) / min(factors) <= 6.0 + 1e-9
    given = automatic(bands, (0.0, 0.0, 0.0), weights=(1.0, 2.0, 3.0))
    assert [channel.factor for channel in given.channels] == [1.0, 2.0, 3.0]


def test_an_empty_sky_is_grey_noise() -> None:
    rng = np.random.default_rng(5)
    bands = [rng.normal(10, 1, (100, 100)).astype(np.float32) for _ in range(3)]
    levels = automatic(bands, (0.0, 0.0, 0.0))
    assert [channel.factor for channel in levels.channels] == [1.0, 1.0, 1.0]
    assert levels.white >= 30 * levels.sigma
    assert composite(bands, levels)[0].mean() < 0.2


def test_a_flat_image_is_no_error() -> None:
    bands = [np.full((20, 20), 5.0, np.float32)] * 3
    picture, good = composite(bands, automatic(bands, (0.0, 0.0, 0.0)))
    assert good.all()
    assert np.isfinite(picture).all()


def test_no_value_is_black_and_told() -> None:
    bands = field(6)
    bands[1][:, :30] = np.nan
    bands[0][5] = np.inf
    picture, good = composite(bands, automatic(bands, (0.0, 0.0, 0.0)))
    assert not good[:, :30].any()
    assert not good[5].any()
    assert good[6:, 30:].all()
    assert np.all(picture[~good] == 0)
    with pytest.raises(ValueError, match="no pixel"):
        automatic([bands[0], np.full_like(bands[0], np.nan), bands[2]], (0.0, 0.0, 0.0))
    picture, good = grey(np.full((5, 5), np.nan, np.float32))
    assert not good.any()
    assert not picture.any()


def test_grey_is_colour_of_three_equal_bands() -> None:
    band = field(7)[0]
    picture, _ = grey(band)
    three, _ = composite([band] * 3, automatic([band] * 3, (0, 0, 0), weights=(1, 1, 1)))
    assert np.array_equal(picture, three[..., 0])
    assert shades(picture, 16).dtype == np.uint16
    assert shades(picture, 16).max() > 60000
