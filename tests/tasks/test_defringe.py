"""Defringe: the amplitude that was put in comes out, sources or not; nothing happens where there is nothing to do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import FrameType
from spica.instruments import tables
from spica.kernels.pattern import pattern_amplitude, sampled
from spica.simulate.settings import Effects, SimulationSettings
from spica.tasks.defringe import DefringeSettings, defringe
from tests.support.detrending import Bench

NY, NX = 320, 400
SKY, SIGMA = 900.0, 30.0


def pattern() -> np.ndarray:
    v, u = np.mgrid[:NY, :NX]
    return np.asarray(0.02 * np.sin(2 * np.pi * (u + 0.4 * v) / 33.0 + 2 * np.sin(v / 90.0)), np.float32)


def frame(amplitude: float, *, seed: int = 1, sources: int = 0) -> Image:
    """A sloping sky with fringes of an amplitude, noise, and sources that cover a good part of it."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:NY, :NX]
    pixels = SKY * (1 + 0.1 * u / NX - 0.05 * v / NY) + amplitude * pattern() + rng.normal(0, SIGMA, (NY, NX))
    for x, y, flux in rng.uniform((16, 16, 3), (NX - 16, NY - 16, 6), (sources, 3)):
        near = np.s_[int(y) - 15 : int(y) + 16, int(x) - 15 : int(x) + 16]
        pixels[near] += 10**flux / 50 / (1 + ((u[near] - x) ** 2 + (v[near] - y) ** 2) / 9.0) ** 2.5
    return Image(pixels.astype(np.float32), np.full((NY, NX), SIGMA**2, np.float32), np.zeros((NY, NX), np.int32))


MASTER = Image(pattern(), np.full((NY, NX), 1e-8, np.float32), np.zeros((NY, NX), np.int32))


@pytest.mark.parametrize("amplitude", [300.0, 900.0, 5000.0])
@pytest.mark.parametrize("sources", [0, 150])
def test_the_amplitude_comes_back_within_its_error(amplitude: float, sources: int) -> None:
    offs = []
    for seed in range(4):
        found = defringe(DefringeSettings(), frame(amplitude, seed=seed, sources=sources), MASTER)["fringing"]
        error = found["fringe_amplitude_error"].value
        assert 0 < error < 25
        offs.append((found["fringe_amplitude"].value - amplitude) / error)
    assert np.max(np.abs(offs)) < 4
    assert np.sqrt(np.mean(np.square(offs))) < 2


def test_what_is_left_is_nothing_and_the_variance_knows_of_it() -> None:
    products = defringe(DefringeSettings(sample=NX * NY // 4), frame(2000.0, sources=60), MASTER)
    image, found = products["science"], products["fringing"]
    assert abs(found["fringe_residual"].value) < 4 * found["fringe_amplitude_error"].value
    assert found["fringe_rms"].value == pytest.approx(2000.0 * np.std(MASTER.pixels), rel=0.05)
    assert image.header["FRNGAMP"] == pytest.approx(found["fringe_amplitude"].value, abs=1e-3)
    added = image.variance - SIGMA**2
    expected = 2000.0**2 * 1e-8 + (found["fringe_amplitude_error"].value * MASTER.pixels) ** 2
    np.testing.assert_allclose(added, expected, rtol=0.05, atol=1e-3)


def test_without_a_master_the_image_passes_through() -> None:
    image = frame(500.0)
    products = defringe(DefringeSettings(), image, None)
    assert products["science"] is image
    assert products["fringing"] == {}


def test_without_fringes_the_image_passes_through_and_the_figure_says_so() -> None:
    image = frame(0.0)
    products = defringe(DefringeSettings(), image, MASTER)
    assert products["science"] is image
    found = products["fringing"]
    assert abs(found["fringe_amplitude"].value) < 4 * found["fringe_amplitude_error"].value
    assert found["fringe_rms"].value == 0


def test_marked_and_undefined_pixels_take_no_part() -> None:
    image = frame(1500.0)
    pixels, mask = image.pixels.copy(), np.zeros((NY, NX), np.int32)
    pixels[50:150, 50:250] += 1500 * (MASTER.pixels[50:150, 50:250] * -3)
    mask[50:150, 50:250] = Mask.BLEED
    fringe = MASTER.pixels.copy()
    fringe[200:210] = np.nan
    spoilt = dataclasses.replace(image, pixels=pixels, mask=mask)
    products = defringe(DefringeSettings(), spoilt, Image(fringe))
    assert products["fringing"]["fringe_amplitude"].value == pytest.approx(1500.0, abs=80)
    np.testing.assert_array_equal(products["science"].pixels[200:210], pixels[200:210])


def test_inputs_stay_as_they_are() -> None:
    image = frame(1500.0)
    before = image.pixels.copy()
    defringe(DefringeSettings(), image, MASTER)
    np.testing.assert_array_equal(image.pixels, before)


def test_a_fringe_of_another_shape_is_refused() -> None:
    with pytest.raises(DataFault, match="fringe has 10 × 12") as caught:
        defringe(DefringeSettings(), frame(0.0), Image(np.zeros((12, 10), np.float32)))
    assert caught.value.code == "calibration.shape"


def test_an_image_without_pixels_that_count_has_no_amplitude() -> None:
    nothing = np.zeros((40, 40), bool)
    found = pattern_amplitude(sampled(np.ones((40, 40)), np.ones((40, 40)), nothing, 16))
    assert (found.value, found.error, found.cells) == (0.0, np.inf, 0)


def test_the_simulators_fringes_go() -> None:
    """A frame of a red band, its pattern known: what is left of the fringes is below the noise of the sky by far."""
    effects = Effects.none().model_copy(update={"noise": True, "fringes": True, "sky_gradient": True})
    order = SimulationSettings(
        seed=3,
        detectors=(2,),
        biases=0,
        darks=0,
        flats=0,
        exposures=1,
        bands=("z",),
        effects=effects,
        density=800.0,
        detector_size=(320, 320),
    )
    bench = Bench.set_up(order, tables.load("demo"))
    shot = bench.of(FrameType.OBJECT)[0]
    optics = bench.made.optics(bench.spec.id, "z", "object")
    image = bench.detrended(bench.raw(shot))
    master = Image(optics.fringes * np.float32(optics.fringe_strength))
    products = defringe(DefringeSettings(), image, master)
    sky = shot.conditions.sky * shot.exposure_time
    found = products["fringing"]
    assert found["fringe_amplitude"].value == pytest.approx(sky, rel=0.03)
    assert abs(found["fringe_residual"].value) < 0.02 * sky
    assert found["fringe_rms"].value > 5
