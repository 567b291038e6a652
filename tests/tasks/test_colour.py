"""Pictures of tiles: colours by band, sizes, what is missing, thumbnails."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.task import Member
from spica.tasks import colour, thumbnail


def stack(seed: int, factor: float = 1.0, zero: float = 30.0, shape: tuple[int, int] = (120, 160)) -> Image:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    pixels = rng.normal(0, 1, shape)
    places = np.random.default_rng(9)
    for _ in range(30):
        x0, y0 = places.uniform(0, shape[1]), places.uniform(0, shape[0])
        pixels += factor * 10 ** places.uniform(2, 3.5) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 8)
    scale = 10 ** (0.4 * (zero - 30.0))
    return Image((pixels * scale).astype(np.float32), None, np.zeros(shape, np.int32), {"MAGZERO": zero})


def drawn(images: dict[str, Image], **settings: object) -> np.ndarray:
    members = tuple(Member(f"tile-band:W3/{band}", image) for band, image in images.items())
    made = colour.colour(colour.ColourSettings.model_validate(settings), members)
    picture: np.ndarray = made["colour"]
    return picture


def test_bands_are_drawn_by_their_waves() -> None:
    images = {"g": stack(1, 0.4), "z": stack(2, 2.0), "r": stack(3, 1.0)}
    picture = drawn(images, balance=False)
    assert picture.shape == (120, 160, 3)
    assert picture.dtype == np.uint8
    bright = picture[picture.max(axis=2) > 200].astype(float).mean(axis=0)
    assert bright[0] > bright[1] > bright[2]
    other = drawn(images, balance=False, red="g", blue="z")
    assert np.array_equal(other, picture[..., ::-1])
    white = drawn(images)
    bright = white[white.max(axis=2) > 200].astype(float).mean(axis=0)
    assert bright.max() / bright.min() < 1.15


def test_zero_points_of_the_bands_are_heeded() -> None:
    one = drawn({"g": stack(1), "r": stack(2), "i": stack(3)}, balance=False)
    other = drawn({"g": stack(1, zero=28.0), "r": stack(2), "i": stack(3, zero=31.5)}, balance=False)
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_one_and_two_bands() -> None:
    grey = drawn({"r": stack(1)})
    assert np.array_equal(grey[..., 0], grey[..., 1])
    assert np.array_equal(grey[..., 0], grey[..., 2])
    two = drawn({"g": stack(1), "i": stack(2, 3.0)}, balance=False).astype(float)
    bright = two[two.max(axis=2) > 200].mean(axis=0)
    assert bright[0] > bright[1] > bright[2]
    assert bright[1] == pytest.approx((bright[0] + bright[2]) / 2, abs=3)


def test_large_tiles_are_binned_and_no_data_is_black() -> None:
    images = {"g": stack(1), "r": stack(2), "i": stack(3)}
    mask = np.zeros((120, 160), np.int32)
    mask[:, :40] = int(Mask.NO_DATA)
    images["r"] = Image(images["r"].pixels, None, mask, {"MAGZERO": 30.0})
    picture = drawn(images, size=40)
    assert picture.shape == (30, 40, 3)
    assert not picture[:, :10].any()
    assert picture[:, 10:].any(axis=2).mean() > 0.9


def test_what_cannot_be_drawn_is_named() -> None:
    images = {"g": stack(1), "r": stack(2)}
    with pytest.raises(DataFault) as caught:
        drawn(images, red="i")
    assert caught.value.code == "data.no-pixels"
    with pytest.raises(DataFault) as caught:
        drawn(images | {"i": stack(3, shape=(100, 160))})
    assert caught.value.code == "data.bad-value"
    empty = Image(np.full((120, 160), np.nan, np.float32), None, None, {})
    with pytest.raises(DataFault) as caught:
        drawn(images | {"i": empty})
    assert caught.value.code == "data.no-pixels"


def test_a_thumbnail_shows_the_stack() -> None:
    image = stack(4, shape=(300, 500))
    made = thumbnail.thumbnail(thumbnail.ThumbnailSettings(size=100), image)["thumbnail"]
    assert made.shape == (60, 100)
    assert made.max() > 240
    assert 5 < np.median(made) < 60
    nothing = Image(np.full((300, 500), np.nan, np.float32), None, None, {})
    assert not thumbnail.thumbnail(thumbnail.ThumbnailSettings(), nothing)["thumbnail"].any()
