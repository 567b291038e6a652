"""Means of several read-outs: their noise, and what is measured on them, are those of as many read-outs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spica.core.camera import AmplifierSpec
from spica.core.faults import DataFault
from spica.core.images import Image, RawDetector
from spica.core.mask import Mask
from spica.core.records import FrameType, Grain, Unit
from spica.core.task import Member
from spica.instruments import tables
from spica.simulate.settings import SimulationSettings
from spica.tasks import combine, compare, cosmics, detrend, level
from tests.support.detrending import Bench, agreement
from tests.tasks.test_camera_measure import GAINS, NOISE, noise_of, raw, transfer_of
from tests.tasks.test_golden import MemoryRows

# Many biases: noise that master bias and master flat have in common leaves what it is said to leave only in part.
ORDER = SimulationSettings(
    seed=8, detectors=(1,), biases=60, darks=8, flats=20, exposures=2, bands=("J",), density=300.0, mag_bright=13.0,
    mag_faint=19.0, exposure_time=20.0, detector_size=(288, 256),
)  # fmt: skip


def mean(*frames: RawDetector) -> RawDetector:
    """Frames as slices of one cube."""
    pixels = zip(*(frame.pixels for frame in frames), strict=True)
    means = tuple(np.stack(each).astype(np.float64).mean(axis=0).astype(np.float32) for each in pixels)
    return replace(frames[0], pixels=means, slices=len(frames))


@pytest.mark.parametrize("slices", [1, 4])
def test_pixels_agree_with_the_noiseless_truth_to_their_noise(slices: int) -> None:
    camera = tables.load("wircam").model_copy(update={"slices": slices})
    bench = Bench.set_up(ORDER, camera).with_settings(detrend.DetrendSettings(overscan="none"))
    bench.make_masters()
    for shot in bench.of(FrameType.OBJECT):
        found = agreement(bench, shot)
        assert found.pixels > 35_000
        assert np.sqrt(found.chi2) == pytest.approx(1.0, abs=0.02)


def detrended(
    pixels: np.ndarray[Any, Any],
    slices: int,
    bias: Image | None = None,
    dark: Image | None = None,
    flat: Image | None = None,
) -> Image:
    ny, nx = pixels.shape
    whole = (0, nx, 0, ny)
    spec = AmplifierSpec(name="A", data=whole, detector=whole, gain=2.0, read_noise=12.0, saturation=60000.0)
    given = RawDetector((pixels,), (spec,), nx, ny, {"exposure_time": 20.0, "dark_time": 20.0}, slices)
    settings = detrend.DetrendSettings(overscan="none")
    made = detrend.detrend(settings, given, bias, dark, flat, None, None)["science"]
    assert isinstance(made, Image)
    return made


@pytest.mark.parametrize("slices", [1, 4, 9])
def test_photons_and_read_noise_count_over_the_slices_masters_do_not(slices: int) -> None:
    rng = np.random.default_rng(slices)
    pixels = rng.uniform(500.0, 3000.0, (24, 32)).astype(np.float32)
    bias, dark, flat = (
        Image(np.full(pixels.shape, value, np.float32), np.full(pixels.shape, error, np.float32))
        for value, error in ((100.0, 3.0), (2.0, 0.01), (0.9, 1e-4))
    )
    made = detrended(pixels, slices, bias, dark, flat)
    electrons = pixels.astype(float) * 2.0 - 100.0
    science = (electrons - 40.0) / 0.9
    expected = (electrons + 12.0**2) / slices + 3.0 + 400.0 * 0.01 + science**2 * 1e-4
    np.testing.assert_allclose(made.pixels, science, rtol=1e-5)
    assert made.variance is not None
    np.testing.assert_allclose(made.variance, expected / 0.81, rtol=1e-5)


def test_the_header_tells_the_slices_and_keeps_the_time_of_one() -> None:
    pixels = np.random.default_rng(1).uniform(500.0, 3000.0, (24, 32)).astype(np.float32)
    one, four = (detrended(pixels, slices).header for slices in (1, 4))
    assert "NSLICES" not in one
    assert four["NSLICES"] == 4
    assert (one["GAIN"], four["GAIN"]) == (1.0, 4.0)
    assert one["EXPTIME"] == four["EXPTIME"] == 20.0
    assert one["RDNOISE"] == four["RDNOISE"] == 12.0


def test_noise_of_the_overscan_is_that_of_a_read_out() -> None:
    frames = [raw(300.0, 5.0, seed) for seed in range(4)]
    told = []
    for given in (frames[0], mean(*frames)):
        made = detrend.detrend(detrend.DetrendSettings(), given, None, None, None, None, None)["detrending"]
        told.append(made["overscan_noise"].value)
    assert told == pytest.approx([max(NOISE), max(NOISE)], rel=0.1)


@pytest.mark.parametrize("overscan", [True, False])
def test_gain_and_read_noise_are_those_of_one_read_out(*, overscan: bool) -> None:
    def cube(electrons: float, seconds: float, seed: int) -> RawDetector:
        return mean(*(raw(electrons, seconds, 1000 + 4 * seed + n, overscan=overscan) for n in range(4)))

    noise = noise_of([cube(0.0, 0.0, seed) for seed in range(6)])
    assert [each["step"] for each in noise["amplifiers"]] == [1.0, 1.0]
    levels = np.repeat([1500.0, 5000.0, 12000.0, 30000.0, 60000.0], 2)
    flats = [cube(light, light / 1000.0, 20 + n) for n, light in enumerate(levels)]
    made = transfer_of(flats, noise)
    for each, gain, drawn in zip(made["transfer"]["amplifiers"], GAINS, NOISE, strict=True):
        assert each["gain"][0] == pytest.approx(gain, abs=4.0 * each["gain"][1])
        assert each["gain"][1] / gain < 0.02
        assert each["read_noise"][0] == pytest.approx(drawn, abs=4.0 * each["read_noise"][1])
        assert each["a10"][0] == pytest.approx(0.0, abs=4.0 * each["a10"][1])


def test_frames_of_different_depth_tell_one_read_noise() -> None:
    bias = [raw(0.0, 0.0, seed) for seed in range(30)]
    mixed = [bias[0], mean(*bias[1:5]), mean(*bias[5:9]), bias[9], mean(*bias[10:18]), mean(*bias[18:20])]
    for each, gain, drawn in zip(noise_of(mixed)["amplifiers"], GAINS, NOISE, strict=True):
        variance = each["variance"] - each["step"] ** 2 / 12.0
        assert variance == pytest.approx((drawn / gain) ** 2, abs=4.0 * each["variance_error"])


def test_flats_are_paired_with_those_of_their_depth() -> None:
    noise = noise_of([raw(0.0, 0.0, seed) for seed in range(4)])
    single = [raw(9000.0, 9.0, seed) for seed in (30, 31)]
    deep = [mean(*(raw(9000.0, 9.0, seed) for seed in range(first, first + 4))) for first in (40, 50)]
    made = transfer_of([*single, *deep], noise)
    for each, gain in zip(made["transfer"]["amplifiers"], GAINS, strict=True):
        assert each["gain"][0] == pytest.approx(gain, abs=4.0 * each["gain"][1])
    with pytest.raises(DataFault) as refused:
        transfer_of([single[0], deep[0]], noise)
    assert refused.value.code == "calibration.too-few"


def test_the_step_of_a_converter_is_seen_through_the_mean() -> None:
    frames = [raw(50000.0, 1.0, seed) for seed in range(5)]
    coarse = [
        replace(frame, pixels=tuple((hdu // 16 * 16).astype(np.uint16) for hdu in frame.pixels)) for frame in frames
    ]
    noise = noise_of([mean(*coarse), mean(*coarse)])
    assert [each["step"] for each in noise["amplifiers"]] == [16.0, 16.0]
    floats = [replace(frame, pixels=tuple(1.0001 * np.asarray(hdu, float) for hdu in frame.pixels)) for frame in frames]
    noise = noise_of([mean(*floats), mean(*floats)])
    assert [each["step"] for each in noise["amplifiers"]] == [0.0, 0.0]


def frame(slices: int, seed: int, light: float = 0.0) -> Image:
    """A calibration frame: fixed responses, photons and read noise of the mean of so many read-outs."""
    response = np.random.default_rng(0).normal(1.0, 0.002, (128, 128))
    variance = np.full(response.shape, (light + 100.0) / slices)
    pixels = light * response + np.random.default_rng(seed).normal(0.0, np.sqrt(variance))
    header = {"EXPTIME": 5.0, "GAINRAW": 2.0, **({"NSLICES": slices} if slices > 1 else {})}
    return Image(pixels.astype(np.float32), variance.astype(np.float32), np.zeros(response.shape, np.int32), header)


@pytest.mark.parametrize(("light", "scale"), [(0.0, "none"), (20000.0, "level")])
def test_a_master_of_frames_of_any_depth(light: float, scale: str) -> None:
    frames = [frame(slices, seed, light) for seed, slices in enumerate((4, 4, 1, 4, 8, 4, 4))]
    told = [level.TASK.run(level.TASK.settings(), frame=each)["level"] for each in frames]
    members = tuple(Member(f"detector:{n}/1", each) for n, each in enumerate(told))
    settings = compare.TASK.settings.model_validate({"scale": scale})
    choice = compare.TASK.run(settings, levels=members)["choice"]
    assert not choice["left_out"]
    # One that is too noisy for its depth is left out still.
    loud = {**told[0], "noise": 2.5 * told[0]["noise"]}
    again = compare.TASK.run(settings, levels=(*members, Member("detector:9/1", loud)))["choice"]
    assert list(again["left_out"]) == ["detector:9/1"]
    unit = Unit(Grain.CALIBRATION, ("demo", "1", "", "b"))
    rows = tuple(Member(f"detector:{n}/1", MemoryRows(each)) for n, each in enumerate(frames))
    made = combine.TASK.run(combine.TASK.settings(), frames=rows, choice=choice, unit=unit)["master"]
    planes = [band.planes for band in made.bands]
    pixels, variance = (np.concatenate([each[name] for each in planes]) for name in ("science", "variance"))
    response = np.random.default_rng(0).normal(1.0, 0.002, (128, 128)) if light else np.zeros((128, 128))
    pull = (pixels - response) / np.sqrt(variance)
    assert pull.std() == pytest.approx(1.0, abs=0.05)


def test_cosmic_rays_are_counted_over_the_time_of_all_slices() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.normal(100.0, 10.0, (256, 256)).astype(np.float32)
    for x, y in rng.integers(10, 246, (20, 2)):
        pixels[y, x] += 3000.0
    plane, mask = np.full(pixels.shape, 100.0, np.float32), np.zeros(pixels.shape, np.int32)
    rates = []
    for cards in ({}, {"NSLICES": 4}):
        image = Image(pixels, plane, mask, {"EXPTIME": 20.0, **cards})
        made = cosmics.TASK.run(cosmics.TASK.settings(), image=image)
        assert np.any(made["science"].mask & int(Mask.COSMIC))
        rates.append(made["cosmics"]["cosmic_rate"].value)
    assert rates[0] == pytest.approx(4.0 * rates[1])
