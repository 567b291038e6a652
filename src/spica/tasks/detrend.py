"""Detrend: raw amplifiers to one assembled image in electrons, with variance and mask, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spica.core.camera import AmplifierSpec, Section
from spica.core.faults import DataFault
from spica.core.images import Image, Int32, RawDetector
from spica.core.mask import Mask
from spica.core.records import FrameType, Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.bleeding import grow_marks, mark_bleeding
from spica.kernels.crosstalk import add_fraction, crosstalk_inverse, mark_touched
from spica.kernels.detrend import (
    Amplifier,
    Bits,
    Box,
    Masters,
    Planes,
    Readout,
    all_alike,
    detrend_amplifiers,
    median_light,
    planes_for,
)
from spica.kernels.overscan import Levels, fit_levels, overscan_rows, without_trail
from spica.kernels.seams import match_places

LIT = 20.0
"""An amplifier can only be found dark where the others' light is this many times their read noise."""
_BITS = Bits(int(Mask.SATURATED), int(Mask.SUSPECT), int(Mask.NO_DATA), int(Mask.BAD))


class DetrendSettings(Settings):
    """How raw pixels become electrons."""

    overscan: Literal["row", "spline", "polynomial", "running", "constant", "none"] = setting(
        "row", "overscan level: of each row, fitted along the rows, their running median, one per amplifier, or none"
    )
    overscan_method: Literal["mean", "median"] = setting("mean", "estimate of a row's level after clipping")
    overscan_order: int = setting(5, "pieces of the spline, degree of the polynomial", ge=1)
    overscan_window: int = setting(51, "of the running median, odd", "row", ge=3)
    overscan_required: bool = setting(
        True, "an amplifier without usable overscan has no data (else no level is taken off)"
    )
    overscan_skip: int = setting(2, "columns next to the data left out: they carry trailed charge", "pixel", ge=0)
    crosstalk: bool = setting(True, "take off the crosstalk that the camera table tells")
    linearity: bool = setting(True, "undo the non-linearity that the camera table tells")
    flat_minimum: float = setting(0.2, "a smaller flat marks the pixel as a defect", ge=0)
    dead_fraction: float = setting(
        0.05, "an amplifier with less than this fraction of the others' light is dead", ge=0, lt=1
    )
    match_amplifiers: bool = setting(True, "object frames without a flat: the sky goes on across amplifiers' seams")
    bleed_excess: int = setting(2, "a saturated run so much longer than the star's core has bled", "pixel", ge=1)
    bleed_grow: int = setting(2, "marked beyond both ends of a bleed trail", "pixel", ge=0)
    saturation_grow: int = setting(0, "marked as bled around every saturated pixel", "pixel", ge=0)


@dataclass(eq=False)
class _Amplifier:
    """One amplifier on its way: as read, its level, and why it has no data ('' where it has)."""

    spec: AmplifierSpec
    pixels: npt.NDArray[Any]
    levels: Levels | None = None
    factor: float = 1.0
    scatter: float = 0.0
    dead: str = ""

    @property
    def level(self) -> float:
        """Mean level that is taken off [ADU]."""
        return 0.0 if self.levels is None else float(np.mean(self.levels.level))


def detrend(
    settings: DetrendSettings,
    raw: RawDetector,
    bias: Image | None,
    dark: Image | None,
    flat: Image | None,
    defects: Image | None,
    crosstalk: Mapping[str, Any] | None,
) -> Products:
    """Overscan, crosstalk, gain, bias, linearity, dark, flat, assembly; masks of saturation, bleeding and defects.

    An amplifier that gives no signal, or has no usable overscan, is left without data and named in the header; the
    others are of use.

    Parameters
    ----------
    raw : pixels as read out [ADU], or the mean of several read-outs.
    bias : ``(ny, nx)`` [electron], dark [electron per second], flat [about 1], defects (mask bits); None where the
        pipeline leaves them out.
    crosstalk : the camera table's: names of the `amplifiers`, `matrix` of victims by sources (empty: none).

    Returns
    -------
    science : Image [electron], variance [electron²] of photons, dark, read noise, overscan and masters, mask.
    detrending : metrics: overscan's level, drift and noise; dead amplifiers; pixels marked by bleeding and crosstalk.

    Raises
    ------
    DataFault
        ``calibration.shape``, ``data.no-overscan``, ``header.bad-geometry``, ``data.no-pixels``.
    """
    shape = (raw.ny, raw.nx)
    for name, master in (("bias", bias), ("dark", dark), ("flat", flat), ("defects", defects)):
        _same_shape(name, master, shape)
    amplifiers = [_Amplifier(spec, pixels) for spec, pixels in zip(raw.amplifiers, raw.pixels, strict=True)]
    for amplifier in amplifiers:
        _inside(amplifier.spec, amplifier.pixels.shape)
        _level(settings, amplifier)
    _any_alive(amplifiers)
    matrix = _matrix(amplifiers, crosstalk) if settings.crosstalk else None
    cleaned = _without_crosstalk(amplifiers, matrix)
    planes = planes_for([_box(amplifier.spec.detector) for amplifier in amplifiers], shape, _BITS.no_data)
    masters = _masters(bias, dark, flat, defects)
    full = np.zeros(raw.ny, np.int32)
    for pixels in {id(each): each for each in cleaned}.values():
        together = [
            Amplifier(_readout(settings, amplifier.spec), *amplifier.levels)
            for amplifier, held in zip(amplifiers, cleaned, strict=True)
            if held is pixels and not amplifier.dead and amplifier.levels is not None
        ]
        detrend_amplifiers(
            pixels,
            together,
            planes,
            masters=masters,
            slices=raw.slices,
            dark_seconds=float(raw.header.get("dark_time") or 0.0),
            least_response=settings.flat_minimum,
            bits=_BITS,
            full_rows=full,
        )
    if raw.header.get("frame_type") in {FrameType.OBJECT.value, FrameType.FLAT.value}:
        _find_unlit(settings, amplifiers, planes)
    for amplifier in amplifiers:
        if amplifier.dead:
            x0, x1, y0, y1 = amplifier.spec.detector
            for plane, value in zip(planes, (0, 0, _BITS.no_data), strict=True):
                plane[y0:y1, x0:x1] = value
    _any_alive(amplifiers)
    unflattened = flat is None and raw.header.get("frame_type") == FrameType.OBJECT.value
    _match(amplifiers, planes, wanted=settings.match_amplifiers and unflattened)
    marked = _marks(settings, amplifiers, matrix, planes.mask, np.flatnonzero(full))
    usable = int(Mask.NO_DATA | Mask.BAD)
    if not any(np.any(row & usable == 0) for row in planes.mask):
        raise DataFault("data.no-pixels", "no pixel is left after detrending", nx=raw.nx, ny=raw.ny)
    image = Image(planes.science, planes.variance, planes.mask, _cards(raw, amplifiers, bias))
    return {"science": image, "detrending": _metrics(raw, amplifiers, marked)}


def _level(settings: DetrendSettings, amplifier: _Amplifier) -> None:
    """Find the level to take off each row of an amplifier's data, or why it cannot be had."""
    x0, x1, y0, y1 = amplifier.spec.data
    nothing = np.zeros(y1 - y0, np.float32)
    amplifier.levels = Levels(nothing, nothing)
    data = amplifier.pixels[y0:y1, x0:x1]
    if all_alike(data) and not 0 < data[0, 0] < amplifier.spec.saturation:
        amplifier.dead = f"every pixel reads {data[0, 0]:g}"
    elif settings.overscan != "none":
        problem = _measure_overscan(settings, amplifier)
        amplifier.dead = problem if settings.overscan_required else ""


def _measure_overscan(settings: DetrendSettings, amplifier: _Amplifier) -> str:
    """Measure the levels; returns what is wrong with the overscan, '' where nothing is."""
    spec = amplifier.spec
    if spec.overscan is None:
        return "no overscan section"
    data = _box(spec.data)
    blind = without_trail(_box(spec.overscan), data, settings.overscan_skip)
    if blind.y0 > data.y0 or blind.y1 < data.y1:
        return "overscan does not reach along all rows"
    rows = overscan_rows(amplifier.pixels[data.y0 : data.y1, blind.x0 : blind.x1], method=settings.overscan_method)
    known = np.isfinite(rows.level) & (np.nan_to_num(rows.level) < spec.saturation)
    if 2 * np.count_nonzero(known) <= known.size:
        return "overscan saturated or undefined"
    rows = rows._replace(level=np.where(known, rows.level, np.float32(np.nan)))
    order, window = settings.overscan_order, settings.overscan_window
    amplifier.levels = fit_levels(rows, settings.overscan, order=order, window=window)
    amplifier.scatter = rows.scatter
    return ""


def _any_alive(amplifiers: Sequence[_Amplifier]) -> None:
    """Refuse a detector of which no amplifier gives data; the fault says why of each."""
    if not all(amplifier.dead for amplifier in amplifiers):
        return
    reasons = "; ".join(f"amplifier {amplifier.spec.name}: {amplifier.dead}" for amplifier in amplifiers)
    blind = all("overscan" in amplifier.dead for amplifier in amplifiers)
    raise DataFault("data.no-overscan" if blind else "data.no-pixels", reasons, amplifiers=len(amplifiers))


def _matrix(amplifiers: Sequence[_Amplifier], crosstalk: Mapping[str, Any] | None) -> npt.NDArray[np.float64] | None:
    """Crosstalk of the amplifiers as they are here, victims by sources; None where there is none."""
    if not crosstalk or not crosstalk["matrix"]:
        return None
    named = [list(crosstalk["amplifiers"]).index(amplifier.spec.name) for amplifier in amplifiers]
    found = np.array(crosstalk["matrix"], np.float64)[np.ix_(named, named)]
    dead = [bool(amplifier.dead) for amplifier in amplifiers]
    found[dead], found[:, dead] = 0.0, 0.0
    np.fill_diagonal(found, 0.0)
    return found if np.any(found) else None


def _without_crosstalk(
    amplifiers: Sequence[_Amplifier], matrix: npt.NDArray[np.float64] | None
) -> list[npt.NDArray[Any]]:
    """Each amplifier's raw array, free of the others' signal: copies only where there is crosstalk."""
    if matrix is None:
        return [amplifier.pixels for amplifier in amplifiers]
    fractions = crosstalk_inverse(matrix)
    read = {id(a.pixels): a.pixels.astype(np.float32) for a in amplifiers}
    cleaned = {key: array.copy() for key, array in read.items()}
    for v, s in zip(*np.nonzero(fractions), strict=True):
        victim, source = amplifiers[v], amplifiers[s]
        if source.levels is not None:
            add_fraction(
                cleaned[id(victim.pixels)],
                read[id(victim.pixels)],
                _box(victim.spec.data),
                read[id(source.pixels)],
                _box(source.spec.data),
                levels=source.levels.level,
                fraction=float(fractions[v, s]),
                saturation=victim.spec.saturation,
            )
    return [cleaned[id(amplifier.pixels)] for amplifier in amplifiers]


def _masters(bias: Image | None, dark: Image | None, flat: Image | None, defects: Image | None) -> Masters:
    """The planes that the kernel takes; where no bias frame was good there is no value."""
    bits = None if defects is None else defects.mask
    if bias is not None and bias.mask is not None and bias.mask.any():
        unknown = bias.mask & np.int32(Mask.NO_DATA)
        bits = unknown if bits is None else bits | unknown
    pixels = [None if master is None else master.pixels for master in (bias, dark, flat)]
    variances = [None if master is None else master.variance for master in (bias, dark, flat)]
    return Masters(pixels[0], pixels[1], pixels[2], variances[0], variances[1], variances[2], bits)


def _find_unlit(settings: DetrendSettings, amplifiers: Sequence[_Amplifier], planes: Planes) -> None:
    """Name amplifiers that saw no light where all the others did."""
    light = {}
    for number, amplifier in enumerate(amplifiers):
        if not amplifier.dead:
            light[number] = median_light(planes, _box(amplifier.spec.detector), int(Mask.NO_DATA | Mask.BAD))
    for number, level in light.items():
        others = [other for n, other in light.items() if n != number]
        usual = float(np.median(others)) if others else 0.0
        lit = usual > LIT * max(amplifiers[number].spec.read_noise, 1.0)
        if lit and level < settings.dead_fraction * usual:
            amplifiers[number].dead = f"no light: {level:.4g} electron, the others have {usual:.4g}"


def _match(amplifiers: Sequence[_Amplifier], planes: Planes, *, wanted: bool) -> None:
    """Scale living amplifiers to one another: their gains are rarely known to a per cent."""
    alive = [amplifier for amplifier in amplifiers if wanted and not amplifier.dead]
    places = [_box(amplifier.spec.detector) for amplifier in alive]
    for amplifier, factor in zip(alive, match_places(planes, places, int(Mask.unusable())), strict=True):
        amplifier.factor = float(factor)


def _marks(
    settings: DetrendSettings,
    amplifiers: Sequence[_Amplifier],
    matrix: npt.NDArray[np.float64] | None,
    mask: Int32,
    rows: npt.NDArray[np.intp],
) -> dict[str, int]:
    """Mark bleed trails, surroundings of saturated pixels, and what they touch by crosstalk; how many of each."""
    saturated, bled = int(Mask.SATURATED), int(Mask.BLEED)
    touched = 0
    if matrix is not None:
        for v, s in zip(*np.nonzero(matrix), strict=True):
            victim, source = (_readout(settings, amplifiers[n].spec) for n in (v, s))
            touched += mark_touched(mask, victim, source, rows, saturated, int(Mask.CROSSTALK))
    trails = mark_bleeding(mask, rows, saturated, bled, least=settings.bleed_excess, grow=settings.bleed_grow)
    grown = grow_marks(mask, rows, saturated, bled, settings.saturation_grow)
    return {"bleed": trails + grown, "crosstalk": touched}


def _readout(settings: DetrendSettings, amplifier: AmplifierSpec) -> Readout:
    return Readout(
        _box(amplifier.data),
        _box(amplifier.detector),
        amplifier.flip_x,
        amplifier.flip_y,
        amplifier.gain,
        amplifier.read_noise,
        amplifier.saturation,
        np.inf if amplifier.linear_limit is None else amplifier.linear_limit,
        amplifier.linearity if settings.linearity else (),
    )


def _box(section: Section) -> Box:
    x0, x1, y0, y1 = section
    return Box(y0, y1, x0, x1)


def _inside(amplifier: AmplifierSpec, shape: tuple[int, ...]) -> None:
    """The amplifier's sections must lie inside of the pixels that were read."""
    for section in (amplifier.data, amplifier.overscan):
        if section is not None and (section[1] > shape[-1] or section[3] > shape[0] or min(section) < 0):
            (ny, nx), name = shape, amplifier.name
            message = f"amplifier {name}: section {section} lies outside of the {nx} × {ny} pixels read"
            raise DataFault("header.bad-geometry", message, amplifier=name, nx=nx, ny=ny)


def _same_shape(name: str, master: Image | None, shape: tuple[int, int]) -> None:
    if master is not None and master.shape != shape:
        raise DataFault(
            "calibration.shape",
            f"the {name} has {master.shape[1]} × {master.shape[0]} pixels, the detector {shape[1]} × {shape[0]}",
            master=name,
            master_nx=master.shape[1],
            master_ny=master.shape[0],
            nx=shape[1],
            ny=shape[0],
        )


def _metrics(raw: RawDetector, amplifiers: Sequence[_Amplifier], marked: Mapping[str, int]) -> dict[str, Measured]:
    """What the detector's electronics did in this exposure; the noise is that of one read-out."""
    alive = [amplifier for amplifier in amplifiers if not amplifier.dead and amplifier.levels is not None]
    found = {
        "dead_amplifiers": Measured(float(len(amplifiers) - len(alive))),
        "bleed_fraction": Measured(marked["bleed"] / (raw.nx * raw.ny)),
        "crosstalk_fraction": Measured(marked["crosstalk"] / (raw.nx * raw.ny)),
    }
    measured = [amplifier for amplifier in alive if amplifier.scatter > 0]
    if measured:
        drift = [float(np.ptp(np.percentile(a.levels.level, (5, 95)))) for a in measured if a.levels is not None]
        found["overscan_level"] = Measured(float(np.mean([a.level for a in measured])), "adu")
        found["overscan_drift"] = Measured(max(drift), "adu")
        noise = max(amplifier.scatter * amplifier.spec.gain for amplifier in measured)
        found["overscan_noise"] = Measured(noise * raw.slices**0.5, "electron")
    return found


def _cards(raw: RawDetector, amplifiers: Sequence[_Amplifier], bias: Image | None) -> dict[str, Scalar]:
    """Header cards of the assembled image: mean gain and noise, the levels that were taken off, the exposure's values."""
    gains = [amplifier.gain for amplifier in raw.amplifiers]
    cards: dict[str, Scalar] = {
        "BUNIT": "electron",
        "GAIN": float(raw.slices),  # electrons gathered per electron of the mean: what tells the noise of photons
        "GAINRAW": float(np.mean(gains)),
        "RDNOISE": float(np.mean([amplifier.read_noise for amplifier in raw.amplifiers])),
        "SATURATE": float(min(amplifier.saturation * amplifier.gain for amplifier in raw.amplifiers)),
    }
    for number, amplifier in enumerate(amplifiers):
        if amplifier.dead:
            cards[f"DEAD{number:02d}"] = f"{amplifier.spec.name}: {amplifier.dead}"[:68]
        else:
            cards[f"OVSC{number:02d}"] = round(amplifier.level, 4)
        if amplifier.factor != 1.0:
            cards[f"AMPFAC{number:02d}"] = round(amplifier.factor, 6)
        x0, x1, y0, y1 = amplifier.spec.detector
        cards[f"AMPS{number:02d}"] = f"[{x0 + 1}:{x1},{y0 + 1}:{y1}]"
        then = None if bias is None else bias.header.get(f"OVSC{number:02d}")
        if isinstance(then, int | float):
            cards[f"OVMA{number:02d}"] = float(then)
    if raw.slices > 1:
        cards["NSLICES"] = raw.slices
    for card, name in (("EXPTIME", "exposure_time"), ("DARKTIME", "dark_time")):
        if raw.header.get(name) is not None:
            cards[card] = raw.header[name]
    return cards


TASK = Task(
    name="detrend",
    version=6,
    grain=Grain.DETECTOR,
    settings=DetrendSettings,
    needs=(
        Need("raw", source="raw"),
        Need("bias", source="master", optional=True),
        Need("dark", source="master", planes=("science", "variance"), optional=True),
        Need("flat", source="master", planes=("science", "variance"), optional=True),
        Need("defects", source="master", planes=("mask",), optional=True),
        Need("crosstalk", source="camera", section="crosstalk"),
    ),
    gives=(
        Give("science", Form.IMAGE, meaning="assembled image in electrons with variance and mask"),
        Give("detrending", Form.METRICS, meaning="overscan, dead amplifiers, bleeding and crosstalk"),
    ),
    run=detrend,
)
