"""Detrend: truth in, truth out, on a detector of two amplifiers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spica.core.camera import AmplifierSpec
from spica.core.faults import DataFault
from spica.core.images import Image, RawDetector
from spica.core.mask import Mask
from spica.tasks.detrend import DetrendSettings, detrend

NY, NX, OVERSCAN = 24, 16, 12
GAIN, NOISE, SATURATION = (2.0, 3.0), 5.0, 60000.0


def amplifiers() -> tuple[AmplifierSpec, AmplifierSpec]:
    """Left and right half side by side in one array, overscans in the middle, the right one mirrored."""
    left = AmplifierSpec(
        name="L", data=(0, NX, 0, NY), overscan=(NX, NX + OVERSCAN, 0, NY), detector=(0, NX, 0, NY),
        gain=GAIN[0], read_noise=NOISE, saturation=SATURATION,
    )  # fmt: skip
    right = AmplifierSpec(
        name="R", data=(NX + 2 * OVERSCAN, 2 * NX + 2 * OVERSCAN, 0, NY), detector=(NX, 2 * NX, 0, NY), flip_x=True,
        overscan=(NX + OVERSCAN, NX + 2 * OVERSCAN, 0, NY), gain=GAIN[1], read_noise=NOISE, saturation=SATURATION,
    )  # fmt: skip
    return left, right


def expose(electrons: np.ndarray, level: np.ndarray) -> RawDetector:
    """Read electrons out without noise: gain, mirror, overscan with a level per row."""
    raw = np.zeros((NY, 2 * NX + 2 * OVERSCAN), np.float32)
    raw[:, :NX] = electrons[:, :NX] / GAIN[0]
    raw[:, NX + 2 * OVERSCAN :] = electrons[:, NX:][:, ::-1] / GAIN[1]
    raw += level[:, None].astype(np.float32)
    return RawDetector((raw, raw), amplifiers(), 2 * NX, NY, {"exposure_time": 30.0, "dark_time": 31.0})


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(1).uniform(100, 5000, (NY, 2 * NX))


LEVEL = 1000 + np.arange(NY) * 0.5


def run(raw: RawDetector, settings: DetrendSettings | None = None, **masters: Image | None) -> Image:
    names = ("bias", "dark", "flat", "defects")
    found = detrend(
        settings or DetrendSettings(),
        raw,
        **{name: masters.get(name) for name in names},
    )["science"]
    assert isinstance(found, Image)
    return found


def test_electrons_come_back(truth: np.ndarray) -> None:
    found = run(expose(truth, LEVEL))
    np.testing.assert_allclose(found.pixels, truth, rtol=2e-5, atol=2e-3)
    assert found.variance is not None
    np.testing.assert_allclose(found.variance, truth + NOISE**2, rtol=2e-5)
    assert found.mask is not None
    assert not found.mask.any()
    assert found.header["EXPTIME"] == 30.0


def test_every_master_is_undone(truth: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    flat = rng.uniform(0.8, 1.2, truth.shape).astype(np.float32)
    bias = rng.normal(0, 3, truth.shape).astype(np.float32)
    dark = rng.uniform(0, 0.5, truth.shape).astype(np.float32)
    raw = expose(truth * flat + bias + dark * 31.0, LEVEL)
    found = run(raw, bias=Image(bias), dark=Image(dark), flat=Image(flat))
    np.testing.assert_allclose(found.pixels, truth, rtol=1e-4, atol=5e-3)
    assert found.variance is not None
    np.testing.assert_allclose(found.variance, (truth * flat + dark * 31 + NOISE**2) / flat**2, rtol=1e-3)


def test_scaling_the_light_scales_the_image(truth: np.ndarray) -> None:
    once = run(expose(truth, LEVEL)).pixels
    thrice = run(expose(3 * truth, LEVEL)).pixels
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-4, atol=1e-2)


def test_saturation_and_defects_are_marked(truth: np.ndarray) -> None:
    truth = truth.copy()
    truth[3, 5] = SATURATION * GAIN[0]
    mask = np.zeros(truth.shape, np.int32)
    mask[7, 20] = Mask.BAD
    flat = np.ones(truth.shape, np.float32)
    flat[9, 9], flat[10, 10] = 0.1, 0.0
    defects = Image(np.zeros(truth.shape, np.float32), mask=mask)
    found = run(expose(truth, LEVEL), flat=Image(flat), defects=defects).mask
    assert found is not None
    assert {(y, x): Mask(int(found[y, x])) for y, x in zip(*np.nonzero(found), strict=True)} == {
        (3, 5): Mask.SATURATED,
        (7, 20): Mask.BAD,
        (9, 9): Mask.BAD,
        (10, 10): Mask.BAD | Mask.NO_DATA,
    }


def test_inputs_stay_as_they_are(truth: np.ndarray) -> None:
    raw = expose(truth, LEVEL)
    before = raw.pixels[0].copy()
    flat = Image(np.full(truth.shape, 0.9, np.float32))
    run(raw, flat=flat)
    assert np.array_equal(raw.pixels[0], before)
    assert np.all(flat.pixels == np.float32(0.9))


def test_a_master_of_another_shape_is_refused(truth: np.ndarray) -> None:
    with pytest.raises(DataFault, match="flat has 4") as caught:
        run(expose(truth, LEVEL), flat=Image(np.ones((3, 4), np.float32)))
    assert caught.value.code == "calibration.shape"


@pytest.mark.parametrize("bad", ["missing", "saturated", "undefined"])
def test_unusable_overscan_is_named(truth: np.ndarray, bad: str) -> None:
    raw = expose(truth, LEVEL)
    pixels = raw.pixels[0].copy()
    first = raw.amplifiers[0]
    if bad == "missing":
        first = first.model_copy(update={"overscan": None})
    else:
        pixels[:, NX : NX + OVERSCAN] = 65535 if bad == "saturated" else np.nan
    broken = dataclasses.replace(raw, pixels=(pixels, pixels), amplifiers=(first, raw.amplifiers[1]))
    with pytest.raises(DataFault, match="amplifier L") as caught:
        run(broken)
    assert caught.value.code == "data.no-overscan"
    lenient = run(broken, DetrendSettings(overscan_required=False))
    np.testing.assert_allclose(lenient.pixels[:, NX:], truth[:, NX:], rtol=2e-5, atol=2e-3)


def test_sections_outside_of_the_pixels_are_refused(truth: np.ndarray) -> None:
    raw = expose(truth, LEVEL)
    cut = raw.pixels[0][:, :-3].copy()
    with pytest.raises(DataFault) as caught:
        run(dataclasses.replace(raw, pixels=(cut, cut)))
    assert caught.value.code == "header.bad-geometry"


def test_an_exposure_of_dead_pixels_is_a_fault(truth: np.ndarray) -> None:
    with pytest.raises(DataFault) as caught:
        run(expose(truth, LEVEL), flat=Image(np.zeros(truth.shape, np.float32)))
    assert caught.value.code == "data.no-pixels"
