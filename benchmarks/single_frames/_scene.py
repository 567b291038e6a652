"""Simulated detectors with known truth: noiseless light, one draw of noise, and where every source is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, FrameType
from spica.instruments import tables
from spica.kernels.draw import Psf
from spica.simulate.calibration import cell, focal_axes
from spica.simulate.crop import crop
from spica.simulate.expose import true_plate
from spica.simulate.scene import light, locate, psf_at
from spica.simulate.schedule import schedule
from spica.simulate.settings import Effects, SimulationSettings
from spica.simulate.sky import KINDS, Finder, sky

CAMERA = "decam"
BAND = "r"
SEEING = (0.84, 0.95, 1.06, 1.18)
"""Full widths at half maximum of the detectors, arcsec."""
DENSITY = 1700.0
EXPOSURE = 180.0
"""Seconds: of the stars of magnitude 23-24 more than half are found, so that their biases are not those of a limit."""
HOT = 20_000.0
"""What a defect reads, electrons."""
GRADIENT = (0.02, -0.03)
"""Relative change of the sky from edge to edge of a detector, along x and y."""

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scene:
    """One detector.

    Attributes
    ----------
    image : what is measured: pixels, variance and mask as detrending leaves them [electron].
    light : expected electrons of all sources, ``(ny, nx)`` float32.
    sky : true level of the sky, ``(ny, nx)`` float32 [electron].
    noise : standard deviation of the sky's noise at the middle, read-out included [electron].
    places : truth of the sources on the detector: x, y [0-based pixel], electrons, mag, star (bool).
    fwhm : of stars at the field's centre [pixel].
    profile : the true point spread function at places x, y [pixel].
    """

    image: Image
    light: Float32
    sky: Float32
    noise: float
    places: Catalogue
    fwhm: float
    exposure: Exposure
    detector: Detector
    profile: Callable[[Float64, Float64], Psf]


def order(density: float, faint: float, bright: float, stars: float, size: tuple[int, int]) -> SimulationSettings:
    """Sources that neither vary nor move, through a good telescope."""
    effects = Effects.none().model_copy(update={"psf_variation": True, "distortion": True})
    return SimulationSettings(
        seed=7,
        bands=(BAND,),
        exposures=1,
        biases=0,
        darks=0,
        flats=0,
        exposure_time=EXPOSURE,
        density=density,
        mag_bright=bright,
        mag_faint=faint,
        star_fraction=stars,
        transients_per_field=0,
        movers_per_field=0,
        detector_size=size,
        effects=effects,
    )


def scenes(
    seeing: tuple[float, ...] = SEEING,
    *,
    density: float = DENSITY,
    bright: float = 16.0,
    faint: float = 24.5,
    stars: float = 0.4,
    size: tuple[int, int] = (2048, 4096),
) -> list[Scene]:
    """Draw one detector of `size` (nx, ny) for each seeing; the same arguments give the same pixels."""
    settings = order(density, faint, bright, stars, size)
    whole = tables.load(CAMERA)
    camera = crop(whole, size, [spec.id for spec in whole.detectors[20 : 20 + len(seeing)]])
    shot = next(shot for shot in schedule(settings, camera) if shot.frame_type is FrameType.OBJECT)
    heavens = sky(settings, camera)
    finder = Finder.of(heavens)
    drawn = []
    for spec, width in zip(camera.detectors, seeing, strict=True):
        rng = np.random.default_rng([settings.seed, spec.id])
        mine = replace(shot, conditions=replace(shot.conditions, seeing=width))
        plate = true_plate(settings, camera, spec, mine)
        shape = (spec.ny, spec.nx)
        placed = locate(heavens, finder, mine, plate, shape)
        axes = focal_axes(camera, spec)
        clean = light(settings, camera, mine, spec, (heavens, placed, plate), axes)
        level = plane(shape, mine.conditions.sky * mine.exposure_time, GRADIENT)
        read_noise = max(amplifier.read_noise for amplifier in spec.amplifiers)
        spoilt = cell(settings.model_copy(update={"effects": Effects()}), camera, spec).defects
        here = (placed.x > -0.5) & (placed.y > -0.5) & (placed.x < spec.nx - 0.5) & (placed.y < spec.ny - 0.5)
        drawn.append(
            Scene(
                image=expose(clean + level, read_noise, spoilt, rng),
                light=clean,
                sky=level,
                noise=float(np.sqrt(mine.conditions.sky * mine.exposure_time + read_noise**2)),
                places=Catalogue(
                    {
                        "x": placed.x[here],
                        "y": placed.y[here],
                        "electrons": placed.flux[here],
                        "mag": placed.mag[here],
                        "star": heavens.kind[placed.rows[here]] == KINDS.index("star"),
                    }
                ),
                fwhm=width / camera.pixel_scale,
                exposure=Exposure(
                    1, f"{CAMERA}-1", CAMERA, FrameType.OBJECT, mine.night, mine.mjd_tai, EXPOSURE, band=BAND
                ),
                detector=Detector(f"{CAMERA}-1", spec.id, "", (0,), spec.amplifiers, spec.nx, spec.ny),
                profile=partial(psf_at, settings, camera, mine, axes),
            )
        )
    return drawn


def plane(shape: tuple[int, int], level: float, gradient: tuple[float, float]) -> Float32:
    """A tilted sky whose mean is `level`."""
    y, x = (np.linspace(-0.5, 0.5, n) for n in shape)
    tilt: Float32 = (level * (1.0 + gradient[0] * x[None, :] + gradient[1] * y[:, None])).astype(np.float32)
    return tilt


def expose(expected: Float32, read_noise: float, spoilt: npt.NDArray[np.bool_], rng: np.random.Generator) -> Image:
    """One draw of shot and read noise; the variance is what detrending can know: the pixel's own value."""
    pixels = rng.poisson(expected).astype(np.float32)
    pixels += rng.normal(0.0, read_noise, expected.shape).astype(np.float32)
    pixels[spoilt] = HOT
    variance = np.maximum(pixels, 0.0) + np.float32(read_noise**2)
    mask = np.where(spoilt, np.int32(Mask.BAD), np.int32(0))
    return Image(pixels, variance, mask, {"BUNIT": "electron", "GAIN": 1.0, "EXPTIME": EXPOSURE})
