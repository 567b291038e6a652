"""A simulated detector from raw frames to detrended ones, with the noiseless truth: for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from spica.core.camera import Camera, DetectorSpec
from spica.core.images import Image, RawDetector
from spica.core.mask import Mask
from spica.core.records import FrameType
from spica.instruments.sections import section
from spica.kernels.draw_scene import expose_into
from spica.simulate.calibration import EVEN, focal_axes
from spica.simulate.crop import crop
from spica.simulate.expose import Drawn, _plane, true_plate
from spica.simulate.scene import light, locate
from spica.simulate.schedule import Shot, schedule
from spica.simulate.settings import SimulationSettings
from spica.simulate.survey import Studio, studio
from spica.tasks.detrend import DetrendSettings, detrend

Plane = npt.NDArray[np.float32]


def raw_of(drawn: Drawn, spec: DetectorSpec, shot: Shot) -> RawDetector:
    """A drawn detector as the task takes it; of a cube the mean, where no slice is saturated."""
    header = {
        "exposure_time": shot.exposure_time, "dark_time": shot.exposure_time, "frame_type": shot.frame_type.value
    }  # fmt: skip
    pixels = tuple(drawn.hdus[amplifier.hdu] for amplifier in spec.amplifiers)
    if pixels[0].ndim == 2:
        return RawDetector(pixels, spec.amplifiers, spec.nx, spec.ny, header)
    means = []
    for cube, amplifier in zip(pixels, spec.amplifiers, strict=True):
        full = (cube >= amplifier.saturation).any(axis=0)
        means.append(np.where(full, cube.max(axis=0), cube.mean(axis=0)).astype(np.float32))
    return RawDetector(tuple(means), spec.amplifiers, spec.nx, spec.ny, header, len(pixels[0]))


def mean(frames: list[Image], scales: list[float]) -> Image:
    """Clipped mean of scaled frames, its variance, and no defects: plain numpy, no code of the package."""
    assert all(frame.variance is not None and frame.mask is not None for frame in frames)
    stack = np.stack([frame.pixels * scale for frame, scale in zip(frames, scales, strict=True)])
    spread = np.stack([np.asarray(frame.variance) * scale**2 for frame, scale in zip(frames, scales, strict=True)])
    off = np.abs(stack - np.median(stack, axis=0)) > 5 * np.sqrt(np.maximum(spread, 1e-12))
    off |= np.stack([np.asarray(frame.mask) != 0 for frame in frames])
    used = np.maximum((~off).sum(axis=0), 1)
    return Image(
        (np.where(off, 0, stack).sum(axis=0) / used).astype(np.float32),
        (np.where(off, 0, spread).sum(axis=0) / used**2).astype(np.float32),
    )


@dataclass
class Bench:
    """One detector of a simulated survey and its masters, made from its frames.

    Attributes
    ----------
    camera, spec : as drawn.
    made : what draws.
    shots : all of the order.
    """

    camera: Camera
    spec: DetectorSpec
    made: Studio
    shots: list[Shot]
    settings: DetrendSettings = field(default_factory=DetrendSettings)
    bias: Image | None = None
    dark: Image | None = None
    flat: Image | None = None
    defects: Image | None = None

    @classmethod
    def set_up(cls, order: SimulationSettings, camera: Camera) -> Bench:
        """Schedule an order of one detector."""
        small = crop(camera, order.detector_size, order.detectors)
        return cls(small, small.detectors[0], studio(order, small), list(schedule(order, small)))

    def of(self, kind: FrameType) -> list[Shot]:
        """The shots of a kind."""
        return [shot for shot in self.shots if shot.frame_type is kind]

    def raw(self, shot: Shot) -> RawDetector:
        """The raw frame of a shot."""
        return raw_of(self.made.draw(shot, self.spec), self.spec, shot)

    def detrended(self, raw: RawDetector) -> Image:
        """Detrended with the masters that there are, the camera's crosstalk and linearity."""
        table = section(self.camera, self.spec.id, "crosstalk")
        found = detrend(self.settings, raw, self.bias, self.dark, self.flat, self.defects, table)["science"]
        assert isinstance(found, Image)
        return found

    def make_masters(self) -> None:
        """Bias, dark and flat, each from the frames detrended with those before."""
        frames = [self.detrended(self.raw(shot)) for shot in self.of(FrameType.BIAS)]
        self.bias = mean(frames, [1.0] * len(frames))
        shots = self.of(FrameType.DARK)
        frames = [self.detrended(self.raw(shot)) for shot in shots]
        self.dark = mean(frames, [1.0 / shot.exposure_time for shot in shots])
        frames = [self.detrended(self.raw(shot)) for shot in self.of(FrameType.FLAT)]
        self.flat = mean(frames, [1.0 / float(np.median(frame.pixels)) for frame in frames])

        off = self.dark.pixels - np.median(self.dark.pixels)
        hot = off > max(8 * 1.4826 * float(np.median(np.abs(off))), 0.05)
        self.defects = Image(hot.astype(np.float32), None, np.where(hot, np.int32(Mask.BAD), np.int32(0)))

    def truth(self, shot: Shot) -> tuple[Plane, Plane]:
        """Expected electrons of the sky alone, and of the sources alone, before the detector's response."""
        shape = (self.spec.ny, self.spec.nx)
        settings, sky = self.made.settings, self.made.sky
        axes = focal_axes(self.camera, self.spec)
        solution = true_plate(settings, self.camera, self.spec, shot)
        placed = locate(sky, self.made.finder, shot, solution, shape)
        sources = light(settings, self.camera, shot, self.spec, (sky, placed, solution), axes)
        level = _plane(shot.conditions.sky * shot.exposure_time, shot.conditions.gradient, axes)
        ground = np.zeros(shape, np.float32)
        expose_into(ground, level, EVEN, EVEN, 0.0, 0 * EVEN, 0.0)
        return ground, sources

    def unmarked(self, drawn: Drawn) -> npt.NDArray[np.bool_]:
        """Pixels that the truth knows to be free of cosmic rays, trails, bleeding and defects."""
        free = ~self.made.cell(self.spec.id).defects
        for y, x0, x1, _ in drawn.runs:
            free[y, x0:x1] = False
        return free

    def with_settings(self, settings: DetrendSettings) -> Bench:
        """The same with other settings and no masters."""
        return replace(self, settings=settings, bias=None, dark=None, flat=None, defects=None)


@dataclass(frozen=True)
class Agreement:
    """How detrended pixels agree with the truth off sources: χ² per pixel, over how many, the flat's scale (fitted)."""

    chi2: float
    pixels: int
    scale: float


def agreement(bench: Bench, shot: Shot) -> Agreement:
    """χ² per pixel between a detrended frame and the noiseless truth, off sources and marked pixels."""
    drawn = bench.made.draw(shot, bench.spec)
    found = bench.detrended(raw_of(drawn, bench.spec, shot))
    assert found.variance is not None
    assert found.mask is not None
    sky, sources = bench.truth(shot)
    good = bench.unmarked(drawn) & (found.mask == 0) & (sources < 0.5)
    pixels, expected = found.pixels[good].astype(float), (sky + sources)[good].astype(float)
    scale = float(np.sum(pixels * expected) / np.sum(expected**2))
    chi2 = float(np.mean((pixels - scale * expected) ** 2 / found.variance[good]))
    return Agreement(chi2, pixels.size, scale)
