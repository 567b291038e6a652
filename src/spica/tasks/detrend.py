"""Detrend: raw amplifiers to one assembled image in electrons, with variance and mask, in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spica.core.camera import AmplifierSpec, Section
from spica.core.faults import DataFault
from spica.core.images import Image, RawDetector
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.detrend import Box, Masters, Readout, detrend_amplifier, empty_planes, overscan_rows

Level = npt.NDArray[np.float32] | float


class DetrendSettings(Settings):
    """How raw pixels become electrons."""

    overscan: Literal["row", "constant", "none"] = setting("row", "overscan level per row, one per amplifier, or none")
    overscan_method: Literal["median", "mean"] = setting("median", "estimate of a row's level after clipping")
    overscan_required: bool = setting(True, "an amplifier without usable overscan is a fault (else no level is taken)")
    overscan_skip: int = setting(2, "columns next to the data left out: they carry trailed charge", "pixel", ge=0)
    flat_minimum: float = setting(0.2, "a smaller flat marks the pixel as a defect", ge=0)


def detrend(
    settings: DetrendSettings,
    raw: RawDetector,
    bias: Image | None,
    dark: Image | None,
    flat: Image | None,
    defects: Image | None,
) -> Products:
    """Overscan, gain, bias, dark, flat, assembly, saturation and defect masks.

    Parameters
    ----------
    raw : pixels as read out [ADU].
    bias : ``(ny, nx)`` [electron], dark [electron per second], flat [about 1], defects (mask bits); None where the
        pipeline leaves them out.

    Returns
    -------
    science : Image [electron], variance [electron²] of photons and read noise, mask.

    Raises
    ------
    DataFault
        ``calibration.shape``, ``data.no-overscan``, ``header.bad-geometry``, ``data.no-pixels``.
    """
    shape = (raw.ny, raw.nx)
    for name, master in (("bias", bias), ("dark", dark), ("flat", flat), ("defects", defects)):
        _same_shape(name, master, shape)
    masters = Masters(
        None if bias is None else bias.pixels,
        None if dark is None else dark.pixels,
        None if flat is None else flat.pixels,
        _defect_plane(settings, flat, defects),
    )
    planes = empty_planes(shape, int(Mask.NO_DATA))
    levels: dict[str, float] = {}
    for pixels, amplifier in zip(raw.pixels, raw.amplifiers, strict=True):
        _inside(amplifier, pixels.shape)
        level = overscan_level(settings, pixels, amplifier)
        levels[amplifier.name] = float(np.mean(level))
        detrend_amplifier(
            pixels,
            _readout(amplifier),
            planes,
            levels=level,
            masters=masters,
            dark_seconds=float(raw.header.get("dark_time") or 0.0),
            saturated_bit=int(Mask.SATURATED),
            no_data_bit=int(Mask.NO_DATA),
        )
    if not np.any(planes.mask & int(Mask.NO_DATA | Mask.BAD) == 0):
        raise DataFault("data.no-pixels", "no pixel is left after detrending", nx=raw.nx, ny=raw.ny)
    return {"science": Image(planes.science, planes.variance, planes.mask, _cards(raw, levels))}


def overscan_level(settings: DetrendSettings, pixels: npt.NDArray[Any], amplifier: AmplifierSpec) -> Level:
    """Level to subtract from an amplifier's data [ADU]: per data row, or one number.

    Raises
    ------
    DataFault
        ``data.no-overscan`` where the section is missing, saturated or not finite and the settings require it.
    """
    if settings.overscan == "none":
        return 0.0
    section = amplifier.overscan
    problem = "has no overscan section"
    if section is not None:
        x0, x1, y0, y1 = _without_trail(section, amplifier.data, settings.overscan_skip)
        d0, d1 = amplifier.data[2:]
        if y0 > d0 or y1 < d1:
            problem = "has an overscan that does not reach along all its rows"
        else:
            rows = overscan_rows(pixels[d0:d1, x0:x1], method=settings.overscan_method)
            if bool(np.all(np.isfinite(rows))) and float(np.median(rows)) < amplifier.saturation:
                return rows if settings.overscan == "row" else float(np.median(rows))
            problem = "has a saturated or undefined overscan"
    if settings.overscan_required:
        raise DataFault("data.no-overscan", f"amplifier {amplifier.name} {problem}", amplifier=amplifier.name)
    return 0.0


def _without_trail(section: Section, data: Section, skip: int) -> Section:
    """The overscan without the columns next to the data, unless too little would be left."""
    x0, x1, y0, y1 = section
    if x1 - x0 <= 2 * skip:
        return section
    return (x0 + skip, x1, y0, y1) if x0 >= data[1] else (x0, x1 - skip, y0, y1)


def _readout(amplifier: AmplifierSpec) -> Readout:
    return Readout(
        _box(amplifier.data),
        _box(amplifier.detector),
        amplifier.flip_x,
        amplifier.flip_y,
        amplifier.gain,
        amplifier.read_noise,
        amplifier.saturation,
    )


def _box(section: Section) -> Box:
    x0, x1, y0, y1 = section
    return Box(y0, y1, x0, x1)


def _inside(amplifier: AmplifierSpec, shape: tuple[int, ...]) -> None:
    """The amplifier's sections must lie inside of the pixels that were read."""
    for section in (amplifier.data, amplifier.overscan):
        if section is not None and (section[1] > shape[-1] or section[3] > shape[0] or min(section) < 0):
            raise DataFault(
                "header.bad-geometry",
                f"amplifier {amplifier.name}: section {section} lies outside of the {shape[-1]} × {shape[0]} pixels read",
                amplifier=amplifier.name,
                nx=shape[-1],
                ny=shape[0],
            )


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


def _defect_plane(settings: DetrendSettings, flat: Image | None, defects: Image | None) -> npt.NDArray[np.int32] | None:
    """Defect bits from the defect mask and from pixels that the flat shows to be dead."""
    bits = None if defects is None else defects.mask
    if flat is None or settings.flat_minimum == 0:
        return bits
    dead = np.where(flat.pixels < settings.flat_minimum, np.int32(Mask.BAD), np.int32(0))
    return dead if bits is None else bits | dead


def _cards(raw: RawDetector, levels: Mapping[str, float]) -> dict[str, Scalar]:
    """Header cards of the assembled image: mean gain and noise, the levels that were taken off, the exposure's values."""
    gains = [amplifier.gain for amplifier in raw.amplifiers]
    cards: dict[str, Scalar] = {
        "BUNIT": "electron",
        "GAIN": 1.0,
        "GAINRAW": float(np.mean(gains)),
        "RDNOISE": float(np.mean([amplifier.read_noise for amplifier in raw.amplifiers])),
        "SATURATE": float(min(amplifier.saturation * amplifier.gain for amplifier in raw.amplifiers)),
    }
    for number, level in enumerate(levels.values()):
        cards[f"OVSC{number:02d}"] = round(level, 4)
    for card, name in (("EXPTIME", "exposure_time"), ("DARKTIME", "dark_time")):
        if raw.header.get(name) is not None:
            cards[card] = raw.header[name]
    return cards


TASK = Task(
    name="detrend",
    version=2,
    grain=Grain.DETECTOR,
    settings=DetrendSettings,
    needs=(
        Need("raw", source="raw"),
        Need("bias", source="master", optional=True),
        Need("dark", source="master", optional=True),
        Need("flat", source="master", optional=True),
        Need("defects", source="master", optional=True),
    ),
    gives=(Give("science", Form.IMAGE, meaning="assembled image in electrons with variance and mask"),),
    run=detrend,
)
