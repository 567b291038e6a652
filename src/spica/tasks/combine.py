"""Combine: calibration frames to a master, by bands of rows, so that memory grows neither with detector nor frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar, Unit
from spica.core.settings import Settings, setting
from spica.core.streams import Band, Banded, Rows
from spica.core.task import Form, Give, Member, Need, Products, Task
from spica.kernels.combine import Combined, take
from spica.kernels.combine import combine as combine_band

_BESIDE = 64
"""Bytes per pixel of a band beside the stack itself: one frame's rows as they are read, sums, and what comes out."""
_JUDGED = 5
"""Fewest values of a pixel from which its scatter says something."""
_CLIPPED = 1 / 3
"""A pixel of which more values are clipped has no level of its own."""
_ALIKE = 64
"""Neighbours along a row that have one variance, unless theirs is another altogether."""


class CombineSettings(Settings):
    """How frames become a master."""

    method: Literal["clipped", "median", "mean"] = setting("clipped", "estimate of each pixel")
    kappa: float = setting(4.0, "clipping limit", "sigma", gt=0)
    iterations: int = setting(3, "upper limit of clipping passes", ge=0)
    minimum: int = setting(3, "fewest frames that make a master", ge=1)
    unstable: float = setting(
        8.0, "a pixel whose scatter is by so much beyond its noise, and twice it, is marked as unstable", "sigma", gt=0
    )
    memory: int = setting(64, "for the rows in hand; the result does not depend on it", "MiB", gt=0)


@dataclass(frozen=True)
class _Frame:
    unit: str
    rows: Rows
    scale: float


def combine(settings: CombineSettings, frames: tuple[Member, ...], choice: Mapping[str, Any], unit: Unit) -> Products:
    """Robust mean of frames of one detector, with its variance.

    Parameters
    ----------
    frames : one `Rows` per exposure [electron].
    choice : what `compare` found: which frames, by which factors they are scaled, and why others are left out.
    unit : the calibration unit that is made.

    Returns
    -------
    master : Banded [electron; electron per second or 1 where scaled], variance, mask: NO_DATA where no frame was good
        or a flat is not positive, SUSPECT where the frames (not flats) scatter by more than their noise.

    Raises
    ------
    DataFault
        ``calibration.too-few``, ``calibration.shape``.
    """
    factors, left_out = choice["factors"], choice["left_out"]
    used = [
        _Frame(member.unit, member.value, float(factors[member.unit])) for member in frames if member.unit in factors
    ]
    if len(used) < settings.minimum:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DataFault(
            "calibration.too-few",
            f"{unit}: {len(used)} of {len(frames)} frames can be used, {settings.minimum} are needed"
            + (f" ({reasons})" if reasons else ""),
            usable=len(used),
            frames=len(frames),
            minimum=settings.minimum,
        )
    shape = used[0].rows.shape
    for frame in used:
        if frame.rows.shape != shape:
            raise DataFault(
                "calibration.shape",
                f"{frame.unit} has the shape {frame.rows.shape}, {used[0].unit} {shape}",
                unit=frame.unit,
                first=used[0].unit,
            )
    positive = choice["scale"] == "level"
    bands = _bands(settings, used, shape, positive=positive)
    return {"master": Banded(shape, bands, _cards(settings, len(used), choice))}


def _bands(
    settings: CombineSettings, frames: list[_Frame], shape: tuple[int, int], *, positive: bool
) -> Iterator[Band]:
    """Bands of the master; each holds the same rows of all frames in memory once."""
    ny, nx = shape
    per_row = nx * (len(frames) * np.dtype(np.float32).itemsize + _BESIDE)
    height = int(min(ny, max(1, settings.memory * 2**20 // per_row)))
    room = np.empty(len(frames) * height * nx, np.float32)
    for y0 in range(0, ny, height):
        y1 = min(y0 + height, ny)
        band = room[: len(frames) * (y1 - y0) * nx].reshape(len(frames), y1 - y0, nx)
        noise = np.zeros((y1 - y0, nx), np.float64)
        good = np.zeros((y1 - y0, nx), np.int32)
        for out, frame in zip(band, frames, strict=True):
            planes = (frame.rows.read(y0, y1, plane) for plane in ("science", "variance", "mask"))
            take(*planes, bad_bits=int(Mask.unusable()), scale=frame.scale, out=out, noise=noise, good=good)
        each = (noise / np.maximum(good, 1)).astype(np.float32)
        found = combine_band(
            band,
            method=settings.method,
            kappa=(settings.kappa, settings.kappa),
            iterations=settings.iterations,
            floor=np.sqrt(each),
        )
        # The light of flats changes from frame to frame by more than their noise.
        unstable = np.zeros(found.used.shape, np.bool_) if positive else _unstable(settings, found, each, good)
        mask = np.where(unstable, np.int32(Mask.SUSPECT), np.int32(0))
        mask[found.used == 0] = np.int32(Mask.NO_DATA)
        if positive:
            mask[found.mean <= 0] |= np.int32(Mask.NO_DATA)
        yield Band(
            y0, {"science": found.mean, "variance": _variance(settings, _smoothed(each), found.used), "mask": mask}
        )


def _smoothed(each: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mean variance of the frames, ``(rows, nx)``, shared by neighbours where it is alike.

    A frame's variance is told by its own electrons: of a few frames it scatters with their noise, in step with the
    pixels. Pixels beyond twice or half their neighbours' (hot, dead, vignetted) keep what is theirs.
    """
    smooth = each.copy()
    for x0 in range(0, each.shape[1], _ALIKE):
        part = each[:, x0 : x0 + _ALIKE]
        middle = np.median(part, axis=1, keepdims=True)
        alike = (part >= 0.5 * middle) & (part <= 2.0 * middle) & (part > 0)
        number = alike.sum(axis=1, keepdims=True)
        mean = np.where(alike, part, 0).sum(axis=1, keepdims=True, dtype=np.float64) / np.maximum(number, 1)
        smooth[:, x0 : x0 + _ALIKE] = np.where(alike, mean, part)
    return smooth


def _variance(
    settings: CombineSettings, each: npt.NDArray[np.float32], used: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Variance of the combination from the mean variance of its frames; 0 where no frame was good.

    The scatter of a few clipped values would say too little: five of them come out 15 % too calm. The variance of
    a median of n normal values is π/2 / (n + π/2 - 1) of theirs: exact for 1 and many, good to 2 % for odd numbers.
    """
    factor = np.pi / 2 / (used + np.pi / 2 - 1) if settings.method == "median" else 1 / np.maximum(used, 1)
    return np.where(used > 0, factor * each, 0.0).astype(np.float32)


def _unstable(
    settings: CombineSettings, found: Combined, each: npt.NDArray[np.float32], good: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Pixels that do not repeat: χ² of the values about their mean, or too many of them far from the others."""
    used = found.used
    share = np.pi / 2 if settings.method == "median" else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        chi_square = found.variance * used / share / each
        limit = np.maximum(4.0, 1.0 + settings.unstable * np.sqrt(2.0 / np.maximum(used - 1, 1)))
        scattered = (used >= _JUDGED) & (chi_square > limit)
        return np.asarray(scattered | ((good >= _JUDGED) & (good - used > _CLIPPED * good)))


def _cards(settings: CombineSettings, used: int, choice: Mapping[str, Any]) -> dict[str, Scalar]:
    middle, least, most = choice["level"]
    cards: dict[str, Scalar] = {
        "BUNIT": {"none": "electron", "level": "", "dark_time": "electron/s"}[choice["scale"]],
        "NCOMBINE": used,
        "NLEFTOUT": len(choice["left_out"]),
        "COMBINE": settings.method,
        "LEVEL": middle,
        "LEVELMIN": least,
        "LEVELMAX": most,
    }
    if choice["norm"]:
        cards |= {"FLATNORM": choice["norm"], "RELSENS": choice["sensitivity"]}
    return cards


TASK = Task(
    name="combine",
    version=3,
    grain=Grain.CALIBRATION,
    settings=CombineSettings,
    needs=(
        Need("frames", grain=Grain.DETECTOR, stream=True, quorum=1),
        Need("choice"),
        Need("unit", source="unit"),
    ),
    gives=(Give("master", Form.IMAGE, master=True, stream=True, meaning="robust mean of the frames"),),
    run=combine,
)
