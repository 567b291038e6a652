"""The background task: methods, metrics, and frames on which there is no sky to measure."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.tasks.background import BackgroundSettings, background

NY, NX, LEVEL, NOISE = 320, 256, 500.0, 20.0


def frame(slope: float = 0.0, mask: int = 0, *, part: tuple[slice, slice] = (slice(None), slice(None))) -> Image:
    """Sky with a slope along x, part of it (or all) marked with `mask`."""
    marked = np.zeros((NY, NX), np.int32)
    marked[part] = mask
    pixels = np.random.default_rng(1).normal(LEVEL, NOISE, (NY, NX)) + slope * (np.arange(NX) - (NX - 1) / 2)
    return Image(pixels.astype(np.float32), None, marked)


def test_a_mesh_gives_level_and_variance_at_every_pixel() -> None:
    made = background(BackgroundSettings(), frame(0.4))
    sky = made["background"]
    assert sky.pixels.shape == sky.variance.shape == (NY, NX)
    assert sky.pixels.dtype == sky.variance.dtype == np.float32
    truth = LEVEL + 0.4 * (np.arange(NX) - (NX - 1) / 2)
    assert np.abs(sky.pixels - truth).max() < 0.2 * NOISE
    np.testing.assert_allclose(sky.variance, NOISE**2, rtol=0.1)


def test_metrics() -> None:
    image = frame(0.4, int(Mask.BAD), part=np.s_[:64, :64])
    figures = background(BackgroundSettings(), image)["background_level"]
    assert figures["background"].value == pytest.approx(LEVEL, abs=0.2 * NOISE)
    assert figures["background_rms"].value == pytest.approx(NOISE, rel=0.02)
    assert figures["background_gradient"].value == pytest.approx(0.4 * NX, rel=0.1)
    assert figures["background_range"].value == pytest.approx(0.4 * NX * 3 / 4, rel=0.15)
    assert figures["background_lost"].value == pytest.approx(1 / 20)
    assert figures["background_correlation"].value == pytest.approx(1.0, abs=0.05)


def test_one_level_or_none() -> None:
    constant = background(BackgroundSettings(method="constant"), frame(0.4))["background"]
    assert np.ptp(constant.pixels) == 0.0
    assert constant.pixels[0, 0] == pytest.approx(LEVEL, abs=0.2 * NOISE)
    none = background(BackgroundSettings(method="none"), frame())
    assert not none["background"].pixels.any()
    np.testing.assert_allclose(none["background"].variance, NOISE**2, rtol=0.1)
    assert none["background_level"]["background"].value == pytest.approx(LEVEL, abs=0.1 * NOISE)


def test_input_stays_as_it_is() -> None:
    image = frame()
    before = image.pixels.copy()
    background(BackgroundSettings(), image)
    np.testing.assert_array_equal(image.pixels, before)


@pytest.mark.parametrize("bits", [Mask.SATURATED, Mask.NO_DATA, Mask.COSMIC | Mask.BAD])
def test_a_frame_without_a_good_pixel_is_a_fault(bits: Mask) -> None:
    with pytest.raises(DataFault, match="none of the 20 cells") as caught:
        background(BackgroundSettings(), frame(mask=int(bits)))
    assert caught.value.code == "data.no-pixels"
    assert caught.value.evidence["cells"] == 20


def test_a_frame_of_nan_is_a_fault() -> None:
    image = Image(np.full((NY, NX), np.nan, np.float32), None, None)
    with pytest.raises(DataFault, match="none of the 20 cells"):
        background(BackgroundSettings(), image)


def test_a_dead_amplifier_leaves_the_others_alone() -> None:
    image = frame(mask=int(Mask.NO_DATA), part=np.s_[:, NX // 2 :])
    image.pixels[:, NX // 2 :] = 0.0
    made = background(BackgroundSettings(), image)
    assert np.abs(made["background"].pixels - LEVEL).max() < 0.15 * NOISE
    assert made["background_level"]["background_lost"].value == pytest.approx(0.5)


def test_a_steep_step_of_noise_never_makes_its_variance_negative() -> None:
    image = frame()
    image.pixels[:, NX // 2 :] = LEVEL + 50 * (image.pixels[:, NX // 2 :] - LEVEL)
    variance = background(BackgroundSettings(), image)["background"].variance
    assert variance.min() > 0.8 * NOISE**2
