"""Detrending against the simulator's truth, and against implementations of other make, on the same frames."""

from __future__ import annotations

import warnings

import astropy.units as u
import ccdproc
import numpy as np
import numpy.typing as npt
import pytest
from astropy.nddata import CCDData

from spica.core.camera import AmplifierSpec
from spica.core.images import Image, RawDetector
from spica.core.mask import Mask
from spica.core.records import FrameType
from spica.instruments import tables
from spica.simulate.settings import Effects, SimulationSettings
from spica.tasks.detrend import DetrendSettings, detrend
from tests.support.detrending import Bench, agreement

ORDER = SimulationSettings(
    seed=5, detectors=(1,), biases=8, darks=5, flats=8, exposures=2, bands=("r",), density=300.0, detector_size=(384, 320)
)  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Bench:
    """A detector of the demonstration camera, with crosstalk, non-linearity and every other effect, and its masters."""
    made = Bench.set_up(ORDER, tables.load("demo"))
    assert made.spec.crosstalk
    assert all(amplifier.linearity for amplifier in made.spec.amplifiers)
    made.make_masters()
    return made


def test_pixels_agree_with_the_noiseless_truth_to_their_noise(bench: Bench) -> None:
    for shot in bench.of(FrameType.OBJECT):
        found = agreement(bench, shot)
        assert found.pixels > 80_000
        assert found.chi2 == pytest.approx(1.0, abs=0.02)


def test_the_scatter_of_a_dark_frame_is_the_stated_one(bench: Bench) -> None:
    # Another seed's frames of the same detector: these masters know nothing of them.
    shot = bench.of(FrameType.DARK)[0]
    fresh = Bench.set_up(ORDER.model_copy(update={"first": 500}), tables.load("demo"))
    found = bench.detrended(fresh.raw(next(s for s in fresh.shots if s.frame_type is FrameType.DARK)))
    assert found.variance is not None
    assert found.mask is not None
    good = (found.mask == 0) & ~bench.made.cell(1).defects
    off = found.pixels[good] / np.sqrt(found.variance[good])
    off = off[np.abs(off) < 5]
    assert shot.exposure_time > 100
    assert np.mean(off**2) == pytest.approx(1.0, abs=0.12)


def test_the_response_is_taken_out_with_the_steps_between_amplifiers(bench: Bench) -> None:
    shot = bench.of(FrameType.OBJECT)[0]
    sky, sources = bench.truth(shot)
    raw = bench.raw(shot)
    flat, without = (
        bench.detrended(raw),
        detrend(DetrendSettings(match_amplifiers=False), raw, bench.bias, bench.dark, None, None, None),
    )
    good = (sources < 0.5) & (flat.mask == 0)

    def step(image: Image) -> float:
        ratio = np.where(good, image.pixels / sky, np.nan)
        left, right = (np.nanmedian(ratio[:, side]) for side in (slice(160, 192), slice(192, 224)))
        return float(left / right - 1.0)

    assert abs(step(without["science"])) > 0.005
    assert abs(step(flat)) < 0.0015


def test_light_is_linear_up_to_saturation() -> None:
    """Flats from a tenth of the well to nearly full: their ratios are those of the light, and are not without."""
    effects = Effects.none().model_copy(update={"nonlinearity": True, "crosstalk": True})
    levels, with_it, without = (8_000.0, 40_000.0, 75_000.0), [], []
    for level in levels:
        order = ORDER.model_copy(update={"effects": effects, "flat_level": level, "flats": 1})
        bench = Bench.set_up(order, tables.load("demo"))
        raw = bench.raw(bench.of(FrameType.FLAT)[0])
        light = bench.of(FrameType.FLAT)[0].conditions.sky
        with_it.append(float(bench.detrended(raw).pixels.mean(dtype=float)) / light)
        bent = bench.with_settings(DetrendSettings(linearity=False))
        without.append(float(bent.detrended(raw).pixels.mean(dtype=float)) / light)
    assert np.ptp(with_it) < 1e-4
    assert np.mean(with_it) == pytest.approx(1.0, abs=1e-4)
    assert np.ptp(without) > 3e-3


def by_hand(bench: Bench, raw: RawDetector) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Science and variance in double precision, an amplifier at a time, crosstalk by solving equations."""
    assert bench.bias is not None
    assert bench.dark is not None
    assert bench.flat is not None
    signals, noises = [], []
    for amplifier, pixels in zip(raw.amplifiers, raw.pixels, strict=True):
        x0, x1, y0, y1 = amplifier.data
        assert amplifier.overscan is not None
        o0, o1 = amplifier.overscan[:2]
        blind = pixels[y0:y1, o0 + 2 : o1].astype(float) if o0 >= x1 else pixels[y0:y1, o0 : o1 - 2].astype(float)
        level = blind.mean(axis=1)
        signals.append(pixels[y0:y1, x0:x1] - level[:, None])
        noises.append(np.mean(blind.var(axis=1, ddof=1)) / blind.shape[1])
    crossed = np.linalg.solve(np.eye(2) + np.array(bench.spec.crosstalk), np.array(signals).reshape(2, -1))
    electrons, variance = np.zeros((raw.ny, raw.nx)), np.zeros((raw.ny, raw.nx))
    for amplifier, signal, noise in zip(raw.amplifiers, crossed.reshape(2, *signals[0].shape), noises, strict=True):
        x0, x1, y0, y1 = amplifier.detector
        place = np.s_[y0:y1, x0:x1]
        step = -1 if amplifier.flip_x else 1
        adu = signal[:, ::step] - bench.bias.pixels[place] / amplifier.gain
        electrons[place] = amplifier.gain * sum(c * adu ** (k + 1) for k, c in enumerate((1.0, *amplifier.linearity)))
        variance[place] = electrons[place] + amplifier.read_noise**2 + noise * amplifier.gain**2
    seconds = float(raw.header["dark_time"] or 0.0)
    science = (electrons - seconds * bench.dark.pixels) / bench.flat.pixels
    masters = [image.variance for image in (bench.bias, bench.dark, bench.flat)]
    assert masters[0] is not None
    assert masters[1] is not None
    assert masters[2] is not None
    variance += masters[0] + seconds**2 * masters[1] + science**2 * masters[2]
    return science, variance / bench.flat.pixels**2


def test_it_is_what_plain_arithmetic_gives(bench: Bench) -> None:
    raw = bench.raw(bench.of(FrameType.OBJECT)[1])
    found = bench.detrended(raw)
    science, variance = by_hand(bench, raw)
    assert found.mask is not None
    assert found.variance is not None
    good = found.mask & int(Mask.SATURATED | Mask.NO_DATA | Mask.BAD | Mask.CROSSTALK) == 0
    # A clipped pixel of the overscan moves its row by less than an electron.
    np.testing.assert_allclose(found.pixels[good], science[good], rtol=1e-4, atol=1.5)
    assert np.median(np.abs(found.pixels - science)[good]) < 5e-3
    bright = good & (science > 100)
    np.testing.assert_allclose(found.variance[bright], variance[bright], rtol=5e-3)


def test_it_is_what_ccdproc_gives(bench: Bench) -> None:
    straight = tuple(a.model_copy(update={"linearity": ()}) for a in bench.spec.amplifiers)
    raw = bench.raw(bench.of(FrameType.OBJECT)[0])
    raw = RawDetector(raw.pixels, straight, raw.nx, raw.ny, raw.header)
    settings = DetrendSettings(overscan_skip=0, overscan_method="mean")
    found = detrend(settings, raw, bench.bias, bench.dark, bench.flat, None, None)["science"]
    for amplifier, pixels in zip(straight, raw.pixels, strict=True):
        theirs = _ccdproc(bench, amplifier, pixels, float(raw.header["dark_time"] or 0.0))
        x0, x1, y0, y1 = amplifier.detector
        ours = found.pixels[y0:y1, x0:x1]
        good = found.mask[y0:y1, x0:x1] & int(Mask.NO_DATA | Mask.BAD) == 0
        np.testing.assert_allclose(ours[good], theirs[good], rtol=1e-4, atol=1.5)
        assert np.median(np.abs(ours - theirs)[good]) < 5e-3


def _ccdproc(
    bench: Bench, amplifier: AmplifierSpec, pixels: npt.NDArray[np.generic], seconds: float
) -> npt.NDArray[np.float64]:
    """One amplifier through ccdproc: overscan, trimming, gain, bias, dark, flat (as it is, not normalised again)."""
    x0, x1, y0, y1 = amplifier.detector
    place, step = np.s_[y0:y1, x0:x1], -1 if amplifier.flip_x else 1

    def master(image: Image | None, unit: u.UnitBase) -> CCDData:
        assert image is not None
        return CCDData(image.pixels[place][:, ::step].astype(float), unit=unit)

    d0, d1, e0, e1 = amplifier.data
    assert amplifier.overscan is not None
    o0, o1, p0, p1 = amplifier.overscan
    frame = CCDData(pixels.astype(float), unit=u.adu)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = ccdproc.subtract_overscan(frame, overscan=frame[p0:p1, o0:o1], overscan_axis=1)
        frame = ccdproc.trim_image(frame[e0:e1, d0:d1])
        frame = ccdproc.gain_correct(frame, amplifier.gain * u.electron / u.adu)
        frame = ccdproc.subtract_bias(frame, master(bench.bias, u.electron))
        dark = master(bench.dark, u.electron).multiply(seconds)
        frame = ccdproc.subtract_dark(frame, dark, dark_exposure=1 * u.s, data_exposure=1 * u.s, scale=False)
        frame = ccdproc.flat_correct(frame, master(bench.flat, u.dimensionless_unscaled), norm_value=1.0)
    return np.asarray(frame.data[:, ::step])
