"""Detrend: truth in, truth out, on a detector of two amplifiers."""

from __future__ import annotations

import dataclasses
from typing import Any

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
    return RawDetector(
        (raw, raw), amplifiers(), 2 * NX, NY, {"exposure_time": 30.0, "dark_time": 31.0, "frame_type": "object"}
    )


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(1).uniform(100, 5000, (NY, 2 * NX))


LEVEL = 1000 + np.arange(NY) * 0.5


def run(
    raw: RawDetector,
    settings: DetrendSettings | None = None,
    crosstalk: dict[str, object] | None = None,
    **masters: Image | None,
) -> Image:
    names = ("bias", "dark", "flat", "defects")
    found = detrend(
        settings or DetrendSettings(),
        raw,
        **{name: masters.get(name) for name in names},
        crosstalk=crosstalk,
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


def spoilt(raw: RawDetector, bad: str, which: tuple[int, ...]) -> RawDetector:
    """The same exposure with the overscan of some amplifiers missing, saturated or undefined, or their pixels stuck."""
    pixels = raw.pixels[0].copy()
    amps = list(raw.amplifiers)
    for n in which:
        if bad == "missing":
            amps[n] = amps[n].model_copy(update={"overscan": None})
        elif bad == "stuck":
            pixels[:, amps[n].data[0] : amps[n].data[1]] = 0
        else:
            x0, x1 = (NX, NX + OVERSCAN) if n == 0 else (NX + OVERSCAN, NX + 2 * OVERSCAN)
            pixels[:, x0:x1] = 65535 if bad == "saturated" else np.nan
    return dataclasses.replace(raw, pixels=(pixels, pixels), amplifiers=tuple(amps))


@pytest.mark.parametrize("bad", ["missing", "saturated", "undefined", "stuck"])
def test_an_amplifier_without_data_is_named_and_the_others_are_kept(truth: np.ndarray, bad: str) -> None:
    raw = spoilt(expose(truth, LEVEL), bad, (0,))
    products = detrend(DetrendSettings(), raw, None, None, None, None, None)
    found = products["science"]
    assert products["detrending"]["dead_amplifiers"].value == 1
    assert str(found.header["DEAD00"]).startswith("L: every pixel reads 0" if bad == "stuck" else "L: ")
    assert "OVSC00" not in found.header
    assert "OVSC01" in found.header
    assert np.all(found.mask[:, :NX] == Mask.NO_DATA)
    assert np.all(found.variance[:, :NX] == 0)
    assert not found.mask[:, NX:].any()
    np.testing.assert_allclose(found.pixels[:, NX:], truth[:, NX:], rtol=2e-5, atol=2e-3)


@pytest.mark.parametrize("bad", ["missing", "saturated", "undefined"])
def test_without_any_usable_overscan_the_detector_is_refused(truth: np.ndarray, bad: str) -> None:
    raw = spoilt(expose(truth, LEVEL), bad, (0, 1))
    with pytest.raises(DataFault, match=r"amplifier L: .*amplifier R: ") as caught:
        run(raw)
    assert caught.value.code == "data.no-overscan"
    lenient = run(raw, DetrendSettings(overscan_required=False))
    np.testing.assert_allclose(lenient.pixels[:, NX:], truth[:, NX:] + GAIN[1] * LEVEL[:, None], rtol=1e-4)


def test_a_detector_of_dead_amplifiers_is_refused_with_each_reason(truth: np.ndarray) -> None:
    with pytest.raises(DataFault, match="L: every pixel reads 0; amplifier R: every pixel reads 0") as caught:
        run(spoilt(expose(truth, LEVEL), "stuck", (0, 1)))
    assert caught.value.code == "data.no-pixels"


def test_an_amplifier_that_saw_no_light_is_dead_in_frames_of_light_only(truth: np.ndarray) -> None:
    dark = truth.copy()
    dark[:, :NX] = np.random.default_rng(3).normal(0, NOISE, (NY, NX))
    found = run(expose(dark, LEVEL))
    assert "L: no light" in str(found.header["DEAD00"])
    assert found.mask is not None
    assert np.all(found.mask[:, :NX] == Mask.NO_DATA)
    raw = expose(dark, LEVEL)
    kept = run(dataclasses.replace(raw, header={**raw.header, "frame_type": "dark"}))
    assert kept.mask is not None
    assert not kept.mask.any()


def test_some_bad_rows_of_overscan_are_bridged(truth: np.ndarray) -> None:
    raw = expose(truth, LEVEL)
    pixels = raw.pixels[0].copy()
    pixels[5:8, NX : NX + OVERSCAN] = 65535
    found = run(dataclasses.replace(raw, pixels=(pixels, pixels)))
    np.testing.assert_allclose(found.pixels, truth, rtol=2e-5, atol=2e-3)


@pytest.mark.parametrize("how", ["spline", "polynomial", "running"])
def test_overscan_may_be_fitted_along_the_rows(truth: np.ndarray, how: Any) -> None:
    found = run(expose(truth, LEVEL), DetrendSettings(overscan=how, overscan_window=3))
    np.testing.assert_allclose(found.pixels[1:-1], truth[1:-1], rtol=2e-5, atol=5e-3)


def test_overscan_can_be_left_alone(truth: np.ndarray) -> None:
    found = run(expose(truth, LEVEL), DetrendSettings(overscan="none"))
    np.testing.assert_allclose(found.pixels[:, :NX], truth[:, :NX] + GAIN[0] * LEVEL[:, None], rtol=2e-5)


CROSSTALK = {"amplifiers": ["L", "R"], "matrix": [[0.0, 2e-3], [1e-3, 0.0]]}


def crossed(electrons: np.ndarray) -> RawDetector:
    """The exposure with crosstalk between both amplifiers: what is read at the same moment, in raw order."""
    raw = expose(electrons, LEVEL)
    pixels = raw.pixels[0].astype(np.float64)
    clean = pixels - LEVEL[:, None]
    left, right = slice(0, NX), slice(NX + 2 * OVERSCAN, None)
    pixels[:, left] += 2e-3 * clean[:, right]
    pixels[:, right] += 1e-3 * clean[:, left]
    pixels = pixels.astype(np.float32)
    return dataclasses.replace(raw, pixels=(pixels, pixels))


def test_crosstalk_is_taken_off(truth: np.ndarray) -> None:
    truth = truth.copy()
    truth[3, 5], truth[9, 20] = 90_000.0, 150_000.0
    raw = crossed(truth)
    found = run(raw, crosstalk=CROSSTALK)
    np.testing.assert_allclose(found.pixels, truth, rtol=3e-5, atol=5e-3)
    left = run(raw, DetrendSettings(crosstalk=False), crosstalk=CROSSTALK)
    assert np.max(np.abs(left.pixels - truth)) > 100


def test_what_a_saturated_star_touches_by_crosstalk_is_marked(truth: np.ndarray) -> None:
    truth = truth.copy()
    truth[3, 5] = (SATURATION + 5000) * GAIN[0]
    found = run(crossed(truth), crosstalk=CROSSTALK)
    assert found.mask is not None
    # The fifth pixel that is read of both: the right half is mirrored.
    assert np.argwhere(found.mask & int(Mask.CROSSTALK)).tolist() == [[3, 2 * NX - 1 - 5]]
    plain, none = run(expose(truth, LEVEL)), run(expose(truth, LEVEL), crosstalk={"amplifiers": [], "matrix": []})
    np.testing.assert_array_equal(plain.pixels, none.pixels)


def test_linearity_is_undone_and_its_end_marked(truth: np.ndarray) -> None:
    raw = expose(truth, LEVEL)
    curve, limit = (4e-6, 1e-11), 2500.0
    bent = tuple(a.model_copy(update={"linearity": curve, "linear_limit": limit}) for a in raw.amplifiers)
    found = run(dataclasses.replace(raw, amplifiers=bent))
    x = truth / np.repeat(GAIN, NX)
    np.testing.assert_allclose(found.pixels, truth * (1 + curve[0] * x + curve[1] * x**2), rtol=2e-5, atol=5e-3)
    assert found.mask is not None
    np.testing.assert_array_equal(found.mask == Mask.SUSPECT, x + LEVEL[:, None] > limit)
    straight = run(dataclasses.replace(raw, amplifiers=bent), DetrendSettings(linearity=False))
    np.testing.assert_allclose(straight.pixels, truth, rtol=2e-5, atol=2e-3)


def test_a_negative_sky_stays_negative_with_positive_variance() -> None:
    dark = np.random.default_rng(4).normal(-30.0, NOISE, (NY, 2 * NX))
    found = run(expose(dark, LEVEL))
    np.testing.assert_allclose(found.pixels, dark, atol=5e-3)
    assert found.variance is not None
    assert np.all(found.variance > 0)
    assert found.mask is not None
    assert not found.mask.any()


def test_a_bleeding_star_is_marked_and_can_be_grown(truth: np.ndarray) -> None:
    truth = truth.copy()
    truth[4:20, 6] = SATURATION * GAIN[0] * 1.1
    truth[11:13, 5:8] = SATURATION * GAIN[0] * 1.1
    products = detrend(DetrendSettings(saturation_grow=1), expose(truth, LEVEL), None, None, None, None, None)
    mask = products["science"].mask
    full = int(Mask.SATURATED | Mask.BLEED)
    assert np.all(mask[4:9, 6] == full)
    assert np.all(mask[11:13, 6] == Mask.SATURATED)
    assert np.all(mask[2:4, 6] == Mask.BLEED)
    assert np.all(mask[4:20, 5] & full != 0)
    assert products["detrending"]["bleed_fraction"].value == np.count_nonzero(mask & Mask.BLEED) / mask.size


def test_a_bias_pixel_without_value_has_no_data(truth: np.ndarray) -> None:
    unknown = np.zeros(truth.shape, np.int32)
    unknown[2, 3] = Mask.NO_DATA
    found = run(expose(truth, LEVEL), bias=Image(np.zeros(truth.shape, np.float32), None, unknown))
    assert found.mask is not None
    assert np.argwhere(found.mask).tolist() == [[2, 3]]


def test_amplifiers_are_matched_only_without_a_flat_and_where_asked() -> None:
    rng = np.random.default_rng(7)
    # Long enough for a seam: the same two halves, higher.
    tall = [
        a.model_copy(
            update={
                "data": (*a.data[:2], 0, 80),
                "overscan": (*a.overscan[:2], 0, 80),
                "detector": (*a.detector[:2], 0, 80),
            }
        )
        for a in amplifiers()
        if a.overscan
    ]
    pixels = np.full((80, 2 * NX + 2 * OVERSCAN), 1000.0, np.float32)
    sky = rng.normal(3000.0, 20.0, (80, 2 * NX))
    pixels[:, :NX] += sky[:, :NX] / GAIN[0] * 1.02
    pixels[:, NX + 2 * OVERSCAN :] += sky[:, NX:][:, ::-1] / GAIN[1]
    raw = RawDetector((pixels, pixels), tuple(tall), 2 * NX, 80, {"frame_type": "object"})
    flat = Image(np.ones((80, 2 * NX), np.float32))

    def step(image: Image) -> float:
        return float(np.median(image.pixels[:, :NX]) / np.median(image.pixels[:, NX:]) - 1)

    matched = run(raw)
    assert abs(step(matched)) < 0.004
    assert float(matched.header["AMPFAC01"] or 0) / float(matched.header["AMPFAC00"] or 1) == pytest.approx(
        1.02, abs=0.004
    )
    for other in (run(raw, DetrendSettings(match_amplifiers=False)), run(raw, flat=flat)):
        assert step(other) == pytest.approx(0.02, abs=0.002)
        assert "AMPFAC00" not in other.header


def test_overscan_figures_are_metrics(truth: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    raw = expose(truth, LEVEL)
    pixels = (raw.pixels[0].astype(np.float64) + rng.normal(0, 3.0, raw.pixels[0].shape)).astype(np.float32)
    raw = dataclasses.replace(raw, pixels=(pixels, pixels))
    found = detrend(DetrendSettings(), raw, None, None, None, None, None)["detrending"]
    assert found["overscan_level"].value == pytest.approx(np.mean(LEVEL), abs=0.5)
    assert found["overscan_drift"].value == pytest.approx(0.9 * np.ptp(LEVEL), abs=3)
    assert found["overscan_noise"].value == pytest.approx(3.0 * max(GAIN), rel=0.3)
    assert found["dead_amplifiers"].value == 0


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
