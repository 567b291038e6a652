"""Simulated detectors as they leave detrending, with the true light of each cosmic ray and satellite trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spica.core.camera import Camera, DetectorSpec
from spica.core.images import Image, RawDetector
from spica.core.mask import Mask
from spica.core.records import FrameType
from spica.instruments import tables
from spica.simulate.calibration import focal_axes
from spica.simulate.crop import crop
from spica.simulate.marks import cosmics_into, trails_into
from spica.simulate.schedule import Shot, schedule
from spica.simulate.settings import Effects, SimulationSettings
from spica.simulate.survey import studio
from spica.tasks import detrend

IDEAL = Effects.none().model_copy(
    update=dict.fromkeys(("noise", "saturation", "cosmics", "psf_variation", "sky_gradient"), True)
)
"""What stays after perfect calibration: noise, full wells, cosmic rays, a varying point spread function."""


class Order(NamedTuple):
    """What to draw: a camera's first detector, seen once in a band."""

    camera: str = "decam"
    size: tuple[int, int] = (2048, 4096)
    density: float = 1700.0
    exposure_time: float = 60.0
    seeing: float = 1.1
    seed: int = 1
    effects: Effects = IDEAL
    trail_rate: float = 0.0
    band: str = "r"


@dataclass(frozen=True, eq=False)
class Frame:
    """A detrended frame and what was put on it.

    Attributes
    ----------
    image : science [electron], variance [electron²], mask with saturated pixels.
    charge : (ny, nx) float32, electrons of cosmic rays.
    trails : (ny, nx) float32, electrons of satellite trails.
    noise : standard deviation of a pixel of empty sky [electron].
    fwhm : seeing [pixel].
    x, y, electrons : true places and light of the sources.
    """

    image: Image
    charge: np.ndarray
    trails: np.ndarray
    noise: float
    fwhm: float
    x: np.ndarray
    y: np.ndarray
    electrons: np.ndarray

    def hit(self, sigmas: float) -> np.ndarray:
        """Pixels in which cosmic rays left more than so many times the noise that the pixel has without them.

        Saturated pixels and those of bleeding are left out: nothing can be known of them.
        """
        assert self.image.variance is not None
        assert self.image.mask is not None
        usable = self.image.mask & int(Mask.SATURATED | Mask.BLEED) == 0
        without = np.maximum(self.image.variance - self.charge, self.noise**2)
        return np.asarray((self.charge > sigmas * np.sqrt(without)) & usable)


def draw(order: Order) -> Frame:
    """Draw one detector with the simulator and detrend it with the shipped task."""
    settings = SimulationSettings(
        seed=order.seed, bands=(order.band,), exposures=1, exposure_time=order.exposure_time, density=order.density,
        seeing=order.seeing, seeing_scatter=0.0, biases=0, darks=0, flats=0, effects=order.effects,
        trail_rate=order.trail_rate,
    )  # fmt: skip
    whole = tables.load(order.camera)
    camera = crop(whole, order.size, (whole.detectors[0].id,))
    spec = camera.detectors[0]
    shot = next(shot for shot in schedule(settings, camera) if shot.frame_type is FrameType.OBJECT)
    drawn = studio(settings, camera).draw(shot, spec)
    assert drawn.placed is not None
    pixels = tuple(drawn.hdus[amplifier.hdu] for amplifier in spec.amplifiers)
    raw = RawDetector(pixels, spec.amplifiers, spec.nx, spec.ny, {"exposure_time": order.exposure_time})
    charge, trails = _marks(settings, camera, shot, spec)
    sky = shot.conditions.sky * shot.exposure_time
    return Frame(
        _detrended(raw), charge, trails,
        float(np.sqrt(sky + spec.amplifiers[0].read_noise ** 2)), shot.conditions.seeing / camera.pixel_scale,
        drawn.placed.x, drawn.placed.y, drawn.placed.flux,
    )  # fmt: skip


def _detrended(raw: RawDetector) -> Image:
    overscan = "constant" if all(amplifier.overscan for amplifier in raw.amplifiers) else "none"
    nothing = dict.fromkeys(("bias", "dark", "flat", "defects", "crosstalk"))
    settings = detrend.DetrendSettings.model_validate({"overscan": overscan})
    image = detrend.TASK.run(settings, raw=raw, **nothing)["science"]
    assert isinstance(image, Image)
    return image


def _marks(
    settings: SimulationSettings, camera: Camera, shot: Shot, spec: DetectorSpec
) -> tuple[np.ndarray, np.ndarray]:
    """The light of cosmic rays and of trails alone: drawn anew from the same random numbers."""
    planes = np.zeros((2, spec.ny, spec.nx), dtype=np.float32)
    bits = np.zeros((spec.ny, spec.nx), dtype=np.int32)
    cosmics_into(planes[0], bits, settings, camera, shot, spec)
    trails_into(planes[1], bits, settings, camera, shot, spec, focal_axes(camera, spec))
    return planes[0], planes[1]
