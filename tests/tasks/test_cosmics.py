"""The task cosmics: against truth and astroscrappy on simulated detectors, and what odd frames do to it."""

from __future__ import annotations

import dataclasses

import astroscrappy
import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.tasks.cosmics import CosmicsSettings, cosmics
from tests.support.frames import Frame, Order, draw

ORDER = Order(size=(1024, 1024), exposure_time=120.0)


@pytest.fixture(scope="module")
def frame() -> Frame:
    return draw(ORDER)


def found(image: Image, **settings: object) -> np.ndarray:
    """Pixels with the bit COSMIC."""
    products = cosmics(CosmicsSettings.model_validate(settings), image)
    mask = products["science"].mask
    return np.zeros(image.shape, bool) if mask is None else np.asarray(mask & int(Mask.COSMIC) != 0)


def scores(frame: Frame, marked: np.ndarray) -> tuple[float, float]:
    """Completeness of pixels with more than 5σ of a ray, and how many of the marked ones hold more than 1σ."""
    deep, touched = frame.hit(5.0), frame.hit(1.0)
    return float(np.mean(marked[deep])), float(np.mean(touched[marked]))


def test_complete_and_pure_and_better_than_astroscrappy(frame: Frame) -> None:
    ours = scores(frame, found(frame.image))
    peer, _ = astroscrappy.detect_cosmics(
        frame.image.pixels, inmask=frame.image.mask != 0, invar=frame.image.variance, satlevel=np.inf, niter=4
    )
    theirs = scores(frame, peer)
    assert ours[0] > 0.95
    assert ours[1] > 0.9
    assert ours[0] > theirs[0]
    assert ours[1] > theirs[1]


def test_only_the_mask_changes_and_the_input_does_not(frame: Frame) -> None:
    before = np.array(frame.image.mask)
    products = cosmics(CosmicsSettings(), frame.image)
    image = products["science"]
    assert image.pixels is frame.image.pixels
    assert image.variance is frame.image.variance
    assert frame.image.mask is not None
    assert np.array_equal(before, frame.image.mask)
    assert not np.any((image.mask & ~int(Mask.COSMIC)) != before)


def test_rate_and_width_are_told(frame: Frame) -> None:
    figures = cosmics(CosmicsSettings(), frame.image)["cosmics"]
    # Drawn are 0.08 per square centimetre and second, a pixel being 15 µm, with 10 s of read-out in the dark.
    expected = 0.08 * 1e6 * (15e-4) ** 2 * (ORDER.exposure_time + 10) / ORDER.exposure_time
    assert figures["cosmic_rate"].value == pytest.approx(expected, rel=0.5)
    assert figures["cosmic_fraction"].value == figures["cosmic_pixels"].value / 1024**2
    assert 0.7 * frame.fwhm < figures["cosmic_sharpest"].value < frame.fwhm


@pytest.mark.parametrize("seeing", [0.5, 0.8, 1.6])
def test_stars_keep_their_flux(seeing: float) -> None:
    # 1.9 to 6 pixels.
    order = Order(size=(512, 512), seeing=seeing, density=3000.0, exposure_time=120.0)
    clean = draw(order._replace(effects=order.effects.model_copy(update={"cosmics": False})))
    marked = found(clean.image)
    assert clean.image.variance is not None
    noise = np.sqrt(clean.image.variance)
    bright = (clean.image.pixels - np.median(clean.image.pixels)) > 10 * noise
    assert np.count_nonzero(bright) > 500
    assert not np.any(marked & bright)
    assert np.count_nonzero(marked) <= 6


def test_undersampled_stars_are_not_eaten() -> None:
    clean = draw(
        Order(
            camera="huntsman",
            size=(800, 800),
            seeing=2.0,
            effects=Order().effects.model_copy(update={"cosmics": False}),
        )
    )
    assert clean.fwhm < 2.0
    assert np.count_nonzero(found(clean.image, sharpest=1.2)) <= 3


def test_nothing_found_gives_the_same_object(frame: Frame) -> None:
    flat = Image(np.full((64, 64), 100, np.float32), np.full((64, 64), 100, np.float32), np.zeros((64, 64), np.int32))
    assert cosmics(CosmicsSettings(), flat)["science"] is flat
    assert cosmics(CosmicsSettings(search=False), frame.image) == {"science": frame.image, "cosmics": {}}


def test_frames_without_a_good_pixel_pass() -> None:
    nothing = np.full((256, 256), np.nan, np.float32)
    for image in (
        Image(nothing, nothing, np.zeros((256, 256), np.int32)),
        Image(nothing * 0 + 9e4, nothing * 0 + 9e4, np.full((256, 256), int(Mask.SATURATED), np.int32)),
        Image(
            np.full((256, 256), 9e4, np.float32), np.full((256, 256), 9e4, np.float32), np.full((256, 256), 2, np.int32)
        ),
    ):
        products = cosmics(CosmicsSettings(), image)
        assert products["science"] is image
        assert products["cosmics"]["cosmic_pixels"].value == 0


def test_a_negative_sky_is_a_sky(frame: Frame) -> None:
    lower = dataclasses.replace(frame.image, pixels=frame.image.pixels - np.float32(3e4))
    assert np.mean(found(lower) == found(frame.image)) > 0.99999


def test_noise_beyond_the_variance_is_no_ray(frame: Frame) -> None:
    assert frame.image.variance is not None
    doubtful = dataclasses.replace(frame.image, variance=frame.image.variance / np.float32(4))
    assert np.count_nonzero(found(doubtful)) < 2 * np.count_nonzero(found(frame.image))


def test_a_trailed_frame_keeps_its_stars() -> None:
    order = Order(size=(512, 512), density=1500.0, effects=Order().effects.model_copy(update={"cosmics": False}))
    still = draw(order).image
    assert still.variance is not None
    # The light of 25 steps along a diagonal: noise is drawn anew.
    level = np.float32(np.median(still.pixels))
    streaks = np.mean([np.roll(still.pixels - level, (step, step), (0, 1)) for step in range(25)], axis=0)
    rng = np.random.default_rng(4)
    pixels = rng.poisson(np.maximum(streaks + level, 1)).astype(np.float32)
    trailed = Image(pixels, np.maximum(pixels, 1), np.zeros(still.shape, np.int32))
    assert np.count_nonzero(found(trailed)) <= 6


def test_an_image_without_variance_is_refused_by_name(frame: Frame) -> None:
    with pytest.raises(DataFault) as caught:
        cosmics(CosmicsSettings(), Image(frame.image.pixels))
    assert caught.value.code == "data.bad-value"


def test_a_frame_full_of_spikes_is_a_fault() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.normal(100, 10, (256, 256)).astype(np.float32)
    pixels[::3, ::3] += 1000
    image = Image(pixels, np.full((256, 256), 100, np.float32), np.zeros((256, 256), np.int32))
    with pytest.raises(DataFault) as caught:
        cosmics(CosmicsSettings(), image)
    assert caught.value.code == "data.too-many-cosmics"
