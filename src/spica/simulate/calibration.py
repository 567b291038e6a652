"""What each detector is like: bias structure, dark current, response, fringes, defects. The truth of calibrations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.core.camera import AmplifierSpec, Camera, DetectorSpec
from spica.kernels.compiled import Float32, Float64
from spica.kernels.draw_scene import dust_into, fringes_into, vignette_into
from spica.kernels.noise import Chain, Pedestal, fill_normal_into
from spica.simulate.optics import field_radius
from spica.simulate.random import pixel_stream, stream
from spica.simulate.settings import SimulationSettings

BIAS_LEVEL = 1000.0
"""Nominal bias of every amplifier, ADU; amplifiers differ by some tens, nights by a few."""
WELL_MARGIN = 1.02
"""Full wells lie this far above the table's saturation, so that noise never takes a full pixel below it."""
DARK_RATE = 0.02
VIGNETTING = 0.18
RESPONSE_SPREAD = 0.006
RED = 700.0
"""Fringes are seen at this wavelength (nm) and beyond."""
EVEN: Float32 = np.ones((1, 1), dtype=np.float32)
"""Stands for a plane that is absent in `spica.kernels.draw_scene`."""


@dataclass(frozen=True, eq=False)
class Amplifier:
    """One amplifier's truth: the table's values and its bias (ADU, raw order)."""

    spec: AmplifierSpec
    chain: Chain
    pedestal: Pedestal


@dataclass(frozen=True, eq=False)
class Cell:
    """One detector's truth, the same in all exposures.

    Attributes
    ----------
    dark : ``(ny, nx)`` float32 dark current [electron/s], hot pixels included.
    defects : ``(ny, nx)`` bool, hot and dead pixels and columns.
    response : ``(ny, nx)`` float32 response in white light: pixels, amplifiers, defects; no vignetting, no dust.
    dust : (x, y, inner, outer, depth) of each shadow.
    """

    spec: DetectorSpec
    amplifiers: tuple[Amplifier, ...]
    dark: Float32
    defects: npt.NDArray[np.bool_]
    response: Float32
    dust: tuple[tuple[float, float, float, float, float], ...]


def cell(settings: SimulationSettings, camera: Camera, spec: DetectorSpec) -> Cell:
    """Make a detector of the camera; it depends on seed, camera and detector alone."""
    shape = (spec.ny, spec.nx)
    rng = stream(settings.seed, camera.name, "detector", spec.id)
    amplifiers = tuple(_amplifier(settings, camera, spec, number) for number in range(len(spec.amplifiers)))
    dark, response, defects = EVEN * 0, np.ones(shape, dtype=np.float32), np.zeros(shape, dtype=bool)
    if settings.effects.dark:
        dark = _dark(spec)
    if settings.effects.response:
        fill_normal_into(
            response.reshape(-1), pixel_stream(settings.seed, camera.name, "response", spec.id), 1.0, RESPONSE_SPREAD
        )
    if settings.effects.amp_steps:
        response *= np.float32(1.0 + 0.02 * rng.normal())
        for amp in spec.amplifiers:
            x0, x1, y0, y1 = amp.detector
            response[y0:y1, x0:x1] *= np.float32(1.0 + 0.01 * rng.normal())
    if settings.effects.defects:
        dark = np.array(np.broadcast_to(dark, shape))
        _defects_into(stream(settings.seed, camera.name, "defects", spec.id), dark, response, defects)
    return Cell(spec, amplifiers, dark, defects, response, _dust(settings, camera, spec))


def _amplifier(settings: SimulationSettings, camera: Camera, spec: DetectorSpec, number: int) -> Amplifier:
    amp = spec.amplifiers[number]
    rng = stream(settings.seed, camera.name, "amplifier", spec.id, number)
    nx, ny = amp.data[1] - amp.data[0], amp.data[3] - amp.data[2]
    effects = settings.effects
    level = BIAS_LEVEL + (40.0 * float(rng.normal()) if effects.bias else 0.0)
    columns = 0.8 * rng.normal(size=nx) + 1.5 * np.cos(np.linspace(0.0, 3.0, nx))
    glow_x, glow_y = np.exp(-np.arange(nx) / max(0.04 * nx, 2.0)), 6.0 * np.exp(-np.arange(ny) / max(0.06 * ny, 2.0))
    on = float(effects.bias)
    pedestal = Pedestal(level, np.zeros(ny), on * columns, on * glow_y, glow_x)
    linear = (*amp.linearity, 0.0, 0.0, 0.0) if effects.nonlinearity else (0.0, 0.0, 0.0)
    full_well = amp.saturation * amp.gain * WELL_MARGIN if effects.saturation else 1e12
    noise = amp.read_noise if effects.noise else 0.0
    return Amplifier(amp, Chain(amp.gain, noise, full_well, linear[0], linear[1], linear[2], effects.noise), pedestal)


def _dark(spec: DetectorSpec) -> Float32:
    """Even dark current with a warm edge."""
    y = np.arange(spec.ny, dtype=np.float32)[:, None] / spec.ny
    line = DARK_RATE * (1.0 + 2.0 * np.exp(-y / 0.05))
    return np.repeat(line.astype(np.float32), spec.nx, axis=1)


def _defects_into(rng: np.random.Generator, dark: Float32, response: Float32, defects: npt.NDArray[np.bool_]) -> None:
    """Hot pixels (3 in 10⁴), dead pixels (1 in 10⁴), and about one hot and one dead column per 500, ending midway."""
    ny, nx = dark.shape
    hot = rng.integers(0, dark.size, size=round(3e-4 * dark.size))
    dark.reshape(-1)[hot] += 10.0 ** rng.uniform(0.5, 3.0, size=hot.size)
    dead = rng.integers(0, dark.size, size=round(1e-4 * dark.size))
    response.reshape(-1)[dead] *= rng.uniform(0.0, 0.4, size=dead.size)
    defects.reshape(-1)[hot] = True
    defects.reshape(-1)[dead] = True
    for kind in ("hot", "dead"):
        for x in rng.integers(0, nx, size=max(1, nx // 500)):
            y = int(rng.integers(0, ny))
            if kind == "hot":
                dark[y:, x] += 20.0
            else:
                response[y:, x] *= 0.05
            defects[y:, x] = True


def _dust(
    settings: SimulationSettings, camera: Camera, spec: DetectorSpec
) -> tuple[tuple[float, float, float, float, float], ...]:
    if not settings.effects.dust:
        return ()
    rng = stream(settings.seed, camera.name, "dust", spec.id)
    number = 1 + int(rng.poisson(2e-6 * spec.nx * spec.ny))
    small = min(spec.nx, spec.ny)
    rings = []
    for _ in range(number):
        outer = min(float(rng.uniform(15.0, 45.0)), 0.2 * small)
        inner, depth = outer * float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.01, 0.05))
        rings.append((float(rng.uniform(0, spec.nx)), float(rng.uniform(0, spec.ny)), inner, outer, depth))
    return tuple(rings)


def flat(settings: SimulationSettings, camera: Camera, truth: Cell, band: str) -> Float32:
    """True relative response in a band, ``(ny, nx)``: 1 on the optical axis of a perfect detector.

    Pixel response differs a little from band to band; vignetting and dust are grey.
    """
    spec = truth.spec
    response = truth.response.copy()
    if settings.effects.response:
        colour = np.empty(response.size, dtype=np.float32)
        fill_normal_into(colour, pixel_stream(settings.seed, camera.name, "response", spec.id, band), 1.0, 0.002)
        response *= colour.reshape(response.shape)
    if settings.effects.vignetting:
        origin, dx, dy = focal_axes(camera, spec)
        vignette_into(response, origin, dx, dy, VIGNETTING)
    for ring in truth.dust:
        dust_into(response, *ring)
    return response


def focal_axes(
    camera: Camera, spec: DetectorSpec
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """Place of pixel (0, 0) in the focal plane and its change per pixel along x and y, in units of the field radius."""
    millimetre = camera.pixel_size * 1e-3
    radius = field_radius(camera) * 3600.0 / camera.pixel_scale
    angle = np.radians(spec.rotation)
    side = -1.0 if spec.flip else 1.0
    dx = (side * float(np.cos(angle)) / radius, side * float(np.sin(angle)) / radius)
    dy = (-float(np.sin(angle)) / radius, float(np.cos(angle)) / radius)
    cx, cy = (spec.nx - 1) / 2.0, (spec.ny - 1) / 2.0
    origin = (
        spec.x_mm / millimetre / radius - cx * dx[0] - cy * dy[0],
        spec.y_mm / millimetre / radius - cx * dx[1] - cy * dy[1],
    )
    return origin, dx, dy


def fringes(settings: SimulationSettings, camera: Camera, spec: DetectorSpec, band: str) -> tuple[Float32, float]:
    """Fringe pattern of unit amplitude, ``(ny, nx)``, and its strength relative to the sky; ``EVEN``, 0 without."""
    wavelength = camera.band(band).wavelength
    if not settings.effects.fringes or wavelength < RED or camera.near_infrared:
        return EVEN, 0.0
    rng = stream(settings.seed, camera.name, "fringes", spec.id, band)
    image = np.empty((spec.ny, spec.nx), dtype=np.float32)
    turn, period = 2.0 * np.pi * float(rng.random()), 2.0 * np.pi / 35.0
    waves = (
        turn,
        period * float(np.cos(turn)),
        period * float(np.sin(turn)),
        4.0,
        2.0 * np.pi / (0.7 * spec.nx),
        2.0 * np.pi / (0.6 * spec.ny),
    )
    fringes_into(image, waves)
    return image, 0.01 if wavelength < 850.0 else 0.025


def bias_image(truth: Cell) -> Float32:
    """True bias of the assembled detector above the overscan [ADU], ``(ny, nx)`` float32 in detector order."""
    image = np.zeros((truth.spec.ny, truth.spec.nx), dtype=np.float32)
    for amplifier in truth.amplifiers:
        amp, pedestal = amplifier.spec, amplifier.pedestal
        pattern = pedestal.columns[None, :] + pedestal.glow_y[:, None] * pedestal.glow_x[None, :]
        x0, x1, y0, y1 = amp.detector
        image[y0:y1, x0:x1] = pattern[:: -1 if amp.flip_y else 1, :: -1 if amp.flip_x else 1]
    return image


def row_drift(rng: np.random.Generator, ny: int, spread: float) -> Float64:
    """Drift of the bias along an amplifier's rows during one read-out [ADU]: a slow wander, common to all columns."""
    steps = np.cumsum(rng.normal(size=ny)) / np.sqrt(max(ny, 1))
    return np.asarray(spread * (steps - steps.mean()))
