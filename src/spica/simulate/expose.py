"""One detector in one shot: from the sky to raw numbers, with the truth about every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.camera import Camera, DetectorSpec, Section
from spica.core.mask import Mask
from spica.core.records import FrameType
from spica.kernels.compiled import Float32, Int32
from spica.kernels.detrend import Box
from spica.kernels.draw_marks import bleed, runs
from spica.kernels.draw_scene import expose_into
from spica.kernels.noise import (
    UInt64,
    add_crosstalk_into,
    collect_into,
    digitise_into,
    fill_normal_into,
    read_blind_into,
    read_data_into,
)
from spica.simulate.calibration import EVEN, Amplifier, Cell, focal_axes, row_drift
from spica.simulate.marks import cosmics_into, trails_into
from spica.simulate.optics import Misplacement, Plate, plate
from spica.simulate.random import pixel_stream, slice_words, stream
from spica.simulate.scene import Placed, light, locate
from spica.simulate.schedule import Shot
from spica.simulate.settings import SimulationSettings
from spica.simulate.sky import Finder, Sky

SIXTEEN_BITS = 65535
"""Largest number of a 16-bit converter."""
EIGHTEEN_BITS = (1 << 18) - 1
"""The same for cameras whose saturation is beyond 16 bits: their raw files hold 32-bit integers."""

BRIGHTER_FATTER = (3.0e-7, 5.0e-7)
"""Relative change of a pixel's area per electron more than its neighbour in x, in y: a10 and a01 [1/electron]."""
COLLECTING_STEPS = 6

Raw = npt.NDArray[np.uint16] | npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Drawn:
    """One detector of one shot.

    Attributes
    ----------
    hdus : raw arrays, one per HDU of the detector, ``(ny_raw, nx_raw)`` uint16 or int32 [ADU]; a cube ``(slices,
        ny_raw, nx_raw)`` of the camera takes several read-outs.
    plate : true sky solution of science exposures.
    placed : true places and light of the sources.
    runs : ``(n, 4)`` int32 runs of true mask bits: row, first column, column after the last, bits (assembled pixels).
    levels : bias level of each amplifier in this shot [ADU], the mean of all read-outs.
    cosmics, trails : how many hit the detector, in all read-outs.
    """

    hdus: tuple[Raw, ...]
    plate: Plate | None
    placed: Placed | None
    runs: Int32
    levels: tuple[float, ...]
    cosmics: int = 0
    trails: int = 0


class Optics(NamedTuple):
    """What light passes on its way to one detector in one band: response, fringes and their strength."""

    response: Float32 = EVEN
    fringes: Float32 = EVEN
    fringe_strength: float = 0.0


def expose(
    settings: SimulationSettings, camera: Camera, truth: Cell, optics: Optics, heavens: tuple[Sky, Finder], shot: Shot
) -> Drawn:
    """Draw one detector of one shot; the same arguments give the same numbers."""
    sky, finder = heavens
    spec, conditions = truth.spec, shot.conditions
    mask = np.zeros((spec.ny, spec.nx), dtype=np.int32)
    axes = focal_axes(camera, spec)
    image, solution, placed, trails = np.zeros((spec.ny, spec.nx), dtype=np.float32), None, None, 0
    if shot.frame_type is FrameType.OBJECT:
        solution = true_plate(settings, camera, spec, shot)
        placed = locate(sky, finder, shot, solution, (spec.ny, spec.nx))
        image = light(settings, camera, shot, spec, (sky, placed, solution), axes)
        trails = trails_into(image, mask, settings, camera, shot, spec, axes)
    # A flat's `sky` is its level in the exposure, a science exposure's a rate.
    level = conditions.sky * (shot.exposure_time if shot.frame_type is FrameType.OBJECT else 1.0)
    strength = optics.fringe_strength if shot.frame_type is FrameType.OBJECT else 0.0
    expose_into(
        image,
        _plane(level, conditions.gradient, axes),
        optics.response,
        optics.fringes if strength else EVEN,
        level * strength,
        truth.dark,
        shot.exposure_time,
    )
    cosmics, read = 0, []
    for number in range(camera.slices):
        wells = image.copy() if camera.slices > 1 else image
        cosmics += cosmics_into(wells, mask, settings, camera, shot, spec, number)
        if settings.effects.saturation:
            for amplifier in truth.amplifiers:
                place = _box(amplifier.spec.detector)
                bleed(wells, place, amplifier.chain.full_well, mask, int(Mask.SATURATED), int(Mask.BLEED))
        read.append(read_out(settings, camera, truth, wells, shot, number))
    hdus, levels = _stacked(read)
    return Drawn(hdus, solution, placed, runs(mask), levels, cosmics, trails)


def _stacked(read: Sequence[tuple[tuple[Raw, ...], tuple[float, ...]]]) -> tuple[tuple[Raw, ...], tuple[float, ...]]:
    """Several read-outs as cubes, and the mean of their levels; one as it is."""
    if len(read) == 1:
        return read[0]
    hdus = zip(*(hdus for hdus, _ in read), strict=True)
    levels = np.mean([levels for _, levels in read], axis=0)
    return tuple(np.stack(slices) for slices in hdus), tuple(float(level) for level in levels)


def true_plate(settings: SimulationSettings, camera: Camera, spec: DetectorSpec, shot: Shot) -> Plate:
    """The true sky solution: where the telescope looked, with the detector's own misplacement."""
    misplaced, stretch = Misplacement(), 1.0
    if settings.effects.rotation:
        rng = stream(settings.seed, camera.name, "misplaced", spec.id)
        dx, dy, turn = rng.normal(size=3)
        misplaced = Misplacement(1.5 * float(dx), 1.5 * float(dy), 0.01 * float(turn))
    if settings.effects.distortion:
        stretch = 1.0 + 0.02 * float(stream(settings.seed, camera.name, "distortion").normal())
    flat = (
        camera if settings.effects.distortion else camera.model_copy(update={"distortion": type(camera.distortion)()})
    )
    return plate(flat, spec, shot.conditions.true_pointing, misplaced, stretch)


def _plane(
    level: float, gradient: tuple[float, float], axes: Sequence[tuple[float, float]]
) -> tuple[float, float, float]:
    """A sky that is `level` at the field's centre as a plane over the detector: value at (0, 0), slopes per pixel."""
    origin, dx, dy = axes
    start = 1.0 + gradient[0] * origin[0] + gradient[1] * origin[1]
    return (
        level * start,
        level * (gradient[0] * dx[0] + gradient[1] * dx[1]),
        level * (gradient[0] * dy[0] + gradient[1] * dy[1]),
    )


def read_out(
    settings: SimulationSettings, camera: Camera, truth: Cell, electrons: Float32, shot: Shot, number: int = 0
) -> tuple[tuple[Raw, ...], tuple[float, ...]]:
    """Read a detector's wells: one raw array per HDU, and the bias level of each amplifier in this shot [ADU].

    `number` counts the read-outs of a shot, each with noise and levels of its own.
    """
    words = ("read-out", shot.sequence, truth.spec.id, *slice_words(number))
    state = pixel_stream(settings.seed, camera.name, *words)
    raws = [np.zeros(shape, dtype=np.float32) for shape in hdu_shapes(truth.spec)]
    collected = settings.effects.brighter_fatter and settings.effects.noise
    wells = _collected(electrons, state) if collected else electrons
    levels = []
    night = float(stream(settings.seed, camera.name, "bias", shot.night).normal())
    for place, amplifier in enumerate(truth.amplifiers):
        rng = stream(settings.seed, camera.name, *words, place)
        level, rows = amplifier.pedestal.level, np.zeros(raws[amplifier.spec.hdu].shape[0])
        if settings.effects.bias:
            level += 2.0 * night + float(rng.normal())
            rows = row_drift(rng, rows.size, 0.8)
        levels.append(level)
        raw, chain, amp = raws[amplifier.spec.hdu], amplifier.chain, amplifier.spec
        noise = chain.read_noise / chain.gain
        for section in (amp.prescan, amp.overscan):
            if section is not None:
                read_blind_into(raw, _box(section), level, rows, noise, state)
        pedestal = amplifier.pedestal._replace(level=level, rows=rows[amp.data[2] : amp.data[3]])
        flips = (amp.flip_x, amp.flip_y)
        if collected:
            # The wells hold their shot noise: what is left to draw is that of the read-out.
            chain, read = chain._replace(noisy=False), wells[slice(*amp.detector[2:]), slice(*amp.detector[:2])]
            read += np.float32(chain.read_noise) * _normal(state, read.shape)
        read_data_into(raw, _box(amp.data), wells, _box(amp.detector), flips, chain, pedestal, state)
    if settings.effects.crosstalk:
        _crosstalk_into(raws, truth.amplifiers, truth.spec, levels)
    return tuple(_digitised(raw, truth.spec) for raw in raws), tuple(levels)


def _collected(electrons: Float32, state: UInt64) -> Float32:
    """Electrons of one exposure that have repelled each other while they gathered."""
    wells = np.zeros_like(electrons)
    collect_into(wells, electrons, COLLECTING_STEPS, *BRIGHTER_FATTER, state)
    return wells


def _normal(state: UInt64, shape: tuple[int, ...]) -> Float32:
    drawn = np.empty(shape, dtype=np.float32)
    fill_normal_into(drawn.reshape(-1), state, 0.0, 1.0)
    return drawn


def hdu_shapes(spec: DetectorSpec) -> list[tuple[int, int]]:
    """(ny, nx) of each raw HDU of a detector: what its amplifiers' sections reach."""
    count = 1 + max(amp.hdu for amp in spec.amplifiers)
    shapes = [(0, 0)] * count
    for amp in spec.amplifiers:
        sections = [s for s in (amp.data, amp.overscan, amp.prescan) if s is not None]
        ny, nx = shapes[amp.hdu]
        shapes[amp.hdu] = max([ny, *(s[3] for s in sections)]), max([nx, *(s[1] for s in sections)])
    return shapes


def _crosstalk_into(
    raws: list[Float32], amplifiers: tuple[Amplifier, ...], spec: DetectorSpec, levels: list[float]
) -> None:
    """Add to each amplifier a fraction of the others' signal.

    Pixels that meet are those at the same place of the data sections in raw order: amplifiers are read together.
    """
    if not spec.crosstalk:
        return
    clean = [raw.copy() for raw in raws]
    for victim, fractions in zip(amplifiers, spec.crosstalk, strict=True):
        to = victim.spec
        for source, level, fraction in zip(amplifiers, levels, fractions, strict=True):
            if fraction:
                of = source.spec
                add_crosstalk_into(raws[to.hdu], _box(to.data), clean[of.hdu], _box(of.data), level, fraction)


def _box(section: Section) -> Box:
    x0, x1, y0, y1 = section
    return Box(y0, y1, x0, x1)


def _digitised(raw: Float32, spec: DetectorSpec) -> Raw:
    if max(amp.saturation for amp in spec.amplifiers) > SIXTEEN_BITS:
        return np.clip(np.rint(raw), 0, EIGHTEEN_BITS).astype(np.int32)
    out = np.empty(raw.shape, dtype=np.uint16)
    digitise_into(out, raw, float(SIXTEEN_BITS))
    return out
