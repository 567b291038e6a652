"""Detrending a detector in memory: speed against numpy and ccdproc, agreement with the noiseless truth."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import astropy.units as u
import ccdproc
import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from spica.core.camera import AmplifierSpec
from spica.core.images import Float32, Image, RawDetector
from spica.core.mask import Mask
from spica.core.records import FrameType, Scalar
from spica.engine.executors.heap import keep_freed_memory
from spica.instruments import tables
from spica.kernels.detrend import Amplifier, Bits, Box, Masters, Readout, detrend_amplifiers, planes_for
from spica.kernels.overscan import overscan_rows
from spica.simulate.settings import SimulationSettings
from spica.tasks.detrend import DetrendSettings, detrend
from tests.support.detrending import Bench, agreement

NX, NY, BLIND = 2048, 4096, 64
MPIX = NX * NY / 1e6
CROSSTALK: Mapping[str, Any] = {"amplifiers": ["A", "B"], "matrix": [[0.0, 2e-4], [1e-4, 0.0]]}
SETTINGS = DetrendSettings()


def detector(linearity: tuple[float, ...] = ()) -> RawDetector:
    """2048 x 4096 pixels read through two amplifiers, the second mirrored, each with an overscan of 64 columns."""
    half = NX // 2
    rng = np.random.default_rng(1)
    pixels = rng.normal(1900.0, 25.0, (NY, NX + 2 * BLIND)).astype(np.uint16)
    pixels[:, half : half + 2 * BLIND] = rng.normal(1000.0, 4.0, (NY, 2 * BLIND)).astype(np.uint16)
    # A few saturated stars that bleed: their trails have to be found too.
    for x, y in rng.integers((100, 500), (half - 100, NY - 500), (8, 2)):
        pixels[y - 8 : y + 8, x - 8 : x + 8] = 65535
        pixels[y - 120 : y + 120, x - 2 : x + 2] = 65535
    common = {"gain": 1.6, "read_noise": 5.0, "saturation": 60000.0, "linearity": linearity}
    first = AmplifierSpec(
        name="A", data=(0, half, 0, NY), overscan=(half, half + BLIND, 0, NY), detector=(0, half, 0, NY), **common
    )
    second = AmplifierSpec(
        name="B", data=(half + 2 * BLIND, NX + 2 * BLIND, 0, NY), overscan=(half + BLIND, half + 2 * BLIND, 0, NY),
        detector=(half, NX, 0, NY), flip_x=True, **common,
    )  # fmt: skip
    header: dict[str, Scalar] = {"exposure_time": 60.0, "dark_time": 60.0, "frame_type": "object"}
    return RawDetector((pixels, pixels), (first, second), NX, NY, header)


def masters() -> dict[str, Image]:
    """Bias, dark, flat with their variances, and a mask of defects."""
    rng = np.random.default_rng(2)

    def plane(mean: float, sigma: float) -> np.ndarray:
        return rng.normal(mean, sigma, (NY, NX)).astype(np.float32)

    nothing = np.zeros((NY, NX), np.int32)
    bad = nothing.copy()
    bad[rng.random((NY, NX)) < 1e-3] = int(Mask.BAD)
    return {
        "bias": Image(plane(0.0, 2.0), plane(5.0, 0.2), nothing),
        "dark": Image(plane(0.02, 0.004), plane(1e-4, 1e-6), nothing),
        "flat": Image(plane(1.0, 0.01), plane(1e-5, 1e-7), nothing),
        "defects": Image(bad.astype(np.float32), None, bad),
    }


def in_numpy(raw: RawDetector, given: Mapping[str, Image]) -> Image:
    """The same in numpy, in float32, as one writes it: overscan per row, masters, mask, variance with their noise."""
    science: Float32 = np.empty((NY, NX), np.float32)
    variance: Float32 = np.empty((NY, NX), np.float32)
    saturated = np.zeros((NY, NX), bool)
    for amplifier, read in zip(raw.amplifiers, raw.pixels, strict=True):
        pixels = np.asarray(read, np.uint16)
        x0, x1 = amplifier.data[:2]
        assert amplifier.overscan is not None
        level = np.median(pixels[:, amplifier.overscan[0] : amplifier.overscan[1]], axis=1).astype(np.float32)
        step = -1 if amplifier.flip_x else 1
        place = np.s_[:, amplifier.detector[0] : amplifier.detector[1]]
        data = pixels[:, x0:x1][:, ::step]
        science[place] = (data - level[:, None]) * np.float32(amplifier.gain)
        variance[place] = np.float32(amplifier.read_noise**2)
        saturated[place] = data >= amplifier.saturation
    bias, dark, flat, defects = given["bias"], given["dark"], given["flat"], given["defects"].mask
    assert bias.variance is not None
    assert dark.variance is not None
    assert flat.variance is not None
    assert defects is not None
    science -= bias.pixels
    seconds = np.float32(60.0)
    variance += np.maximum(science, 0) + bias.variance + seconds**2 * dark.variance
    science -= seconds * dark.pixels
    science /= flat.pixels
    variance += science**2 * flat.variance
    variance /= flat.pixels**2
    mask = defects | np.where(saturated, np.int32(Mask.SATURATED), np.int32(0))
    mask[flat.pixels < 0.2] |= np.int32(Mask.BAD)
    mask[~np.isfinite(science)] |= np.int32(Mask.NO_DATA)
    return Image(science, variance, mask)


def in_ccdproc(raw: RawDetector, given: Mapping[str, Image]) -> list[CCDData]:
    """The same in ccdproc, an amplifier at a time; its uncertainties hold the noise of bias and flat."""
    done = []
    for amplifier, pixels in zip(raw.amplifiers, raw.pixels, strict=True):
        (d0, d1), (o0, o1) = amplifier.data[:2], (amplifier.overscan or amplifier.data)[:2]
        place = np.s_[:, amplifier.detector[0] : amplifier.detector[1]]

        def master(name: str, unit: u.UnitBase, place: Any = place) -> CCDData:
            image = given[name]
            assert image.variance is not None
            error = StdDevUncertainty(np.sqrt(image.variance[place]))
            return CCDData(image.pixels[place], unit=unit, uncertainty=error)

        frame = CCDData(pixels.astype(np.float32), unit=u.adu)
        frame = ccdproc.create_deviation(
            frame, gain=amplifier.gain * u.electron / u.adu, readnoise=amplifier.read_noise * u.electron
        )
        frame = ccdproc.subtract_overscan(frame, overscan=frame[:, o0:o1], overscan_axis=1, median=True)
        frame = ccdproc.gain_correct(ccdproc.trim_image(frame[:, d0:d1]), amplifier.gain * u.electron / u.adu)
        frame = ccdproc.subtract_bias(frame, master("bias", u.electron))
        dark = master("dark", u.electron).multiply(60.0)
        frame = ccdproc.subtract_dark(frame, dark, dark_exposure=60 * u.s, data_exposure=60 * u.s)
        done.append(ccdproc.flat_correct(frame, master("flat", u.dimensionless_unscaled), norm_value=1.0))
    return done


def best(deed: Callable[[], object], times: int = 7) -> float:
    """Mpix per CPU-second of the quickest of several runs, after one that is not counted."""
    deed()
    costs = []
    for _ in range(times):
        with costing() as cost:
            deed()
        costs.append(cost.cpu)
    return MPIX / min(costs)


def pass_alone(raw: RawDetector, given: Mapping[str, Image]) -> Callable[[], object]:
    """Overscan and the fused pass into planes that are at hand, without what only looks at a few pixels."""
    planes = planes_for([], (NY, NX), int(Mask.NO_DATA))
    images = [given[name] for name in ("bias", "dark", "flat")]
    calibrations = Masters(
        images[0].pixels, images[1].pixels, images[2].pixels, images[0].variance, images[1].variance,
        images[2].variance, given["defects"].mask,
    )  # fmt: skip
    bits = Bits(int(Mask.SATURATED), int(Mask.SUSPECT), int(Mask.NO_DATA), int(Mask.BAD))

    def deed() -> None:
        reads = []
        for amplifier, pixels in zip(raw.amplifiers, raw.pixels, strict=True):
            (x0, x1, y0, y1), place = amplifier.data, amplifier.detector
            assert amplifier.overscan is not None
            rows = overscan_rows(pixels[:, slice(*amplifier.overscan[:2])])
            readout = Readout(
                Box(y0, y1, x0, x1), Box(place[2], place[3], place[0], place[1]), amplifier.flip_x, amplifier.flip_y,
                amplifier.gain, amplifier.read_noise, amplifier.saturation,
            )  # fmt: skip
            reads.append(Amplifier(readout, rows.level, rows.variance))
        detrend_amplifiers(
            raw.pixels[0], reads, planes, masters=calibrations, dark_seconds=60.0, least_response=0.2, bits=bits
        )

    return deed


def figures() -> Iterator[Figure]:
    """Mpix per CPU-second of the fused pass, of the whole task, of the peers; χ² per pixel against the truth."""
    keep_freed_memory()  # as every worker does, and to the peers' good too
    raw, given = detector(), masters()
    plain = {name: Image(image.pixels, None, image.mask) for name, image in given.items()}

    def ours(raw: RawDetector, given: Mapping[str, Image], crosstalk: Mapping[str, Any] | None = None) -> float:
        return best(lambda: detrend(SETTINGS, raw, **given, crosstalk=crosstalk))

    numpy_rate = best(lambda: in_numpy(raw, given), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ccdproc_rate = best(lambda: in_ccdproc(raw, given), 1)
    unit, against_numpy = "Mpix per CPU s", partial(figure, peer="numpy", peer_value=numpy_rate)
    name = "detrend: overscan, bias, dark, flat, defects, mask, variance, fused"
    yield against_numpy(name, best(pass_alone(raw, plain)), unit, at_least(300))
    yield against_numpy(f"{name}, masters' noise", best(pass_alone(raw, given)), unit)
    whole = ours(raw, given)
    yield against_numpy("detrend: whole task, planes of its own", whole, unit, at_least(2, of_peer=True))
    yield figure(
        "detrend: whole task", whole, unit, at_least(10, of_peer=True), peer="ccdproc", peer_value=ccdproc_rate
    )
    bent = ours(detector((1e-7, 1e-13)), given)
    yield figure("detrend: whole task with non-linearity", bent, unit, peer="without", peer_value=whole)
    crossed = ours(raw, given, CROSSTALK)
    yield figure("detrend: whole task with crosstalk", crossed, unit, peer="without", peer_value=whole)
    order = SimulationSettings(seed=5, biases=10, darks=6, flats=8, exposures=2, bands=("r",), density=300.0)
    worst = 0.0
    for number in (1, 4):
        bench = Bench.set_up(order.model_copy(update={"detectors": (number,)}), tables.load("demo"))
        bench.make_masters()
        for shot in bench.of(FrameType.OBJECT):
            worst = max(worst, abs(agreement(bench, shot).chi2 - 1.0))
    yield figure("detrend: worst |chi2 per pixel - 1| against the truth, off sources", worst, "", at_most(0.02))
