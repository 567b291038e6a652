"""Combine: calibration frames to a master, by bands of rows, so that memory does not grow with the detector."""

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
from spica.kernels.combine import combine as combine_band


class CombineSettings(Settings):
    """How frames become a master."""

    method: Literal["clipped", "median", "mean"] = setting("clipped", "estimate of each pixel")
    kappa: float = setting(4.0, "clipping limit", "sigma", gt=0)
    iterations: int = setting(3, "upper limit of clipping passes", ge=0)
    minimum: int = setting(3, "fewest frames that make a master", ge=1)
    scale: Literal["none", "level", "dark_time"] = setting(
        "none", "frames are divided by their level (flat: the master is about 1) or dark time (dark: per second)"
    )
    least_level: float | None = setting(None, "frames below this level are left out", "electron")
    most_level: float | None = setting(None, "frames above this level are left out", "electron")
    most_saturated: float = setting(0.05, "frames with a larger saturated fraction are left out", ge=0, le=1)
    memory: int = setting(128, "for the rows in hand; the result does not depend on it", "MiB", gt=0)


@dataclass(frozen=True)
class _Frame:
    unit: str
    rows: Rows
    scale: float


def combine(
    settings: CombineSettings,
    frames: tuple[Member, ...],
    levels: tuple[Member, ...],
    unit: Unit,
) -> Products:
    """Robust mean of frames of one detector, with its variance.

    Parameters
    ----------
    frames : one `Rows` per exposure [electron].
    levels : what `level` found, per exposure.
    unit : the calibration unit that is made.

    Returns
    -------
    master : Banded [electron; electron per second or 1 where scaled], variance, mask: NO_DATA where no frame was good.

    Raises
    ------
    DataFault
        ``calibration.too-few``, ``calibration.shape``.
    """
    known = {member.unit: member.value for member in levels}
    used: list[_Frame] = []
    left_out: list[str] = []
    for member in frames:
        reason = _unfit(settings, known.get(member.unit))
        if reason:
            left_out.append(f"{member.unit}: {reason}")
        else:
            used.append(_Frame(member.unit, member.value, _scale(settings, known[member.unit])))
    if len(used) < settings.minimum:
        raise DataFault(
            "calibration.too-few",
            f"{unit}: {len(used)} of {len(frames)} frames can be used, {settings.minimum} are needed"
            + (f" ({'; '.join(left_out)})" if left_out else ""),
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
    return {"master": Banded(shape, _bands(settings, used, shape), _cards(settings, used, left_out, known))}


def _unfit(settings: CombineSettings, level: Mapping[str, Any] | None) -> str:
    """Why a frame cannot be used; '' where it can."""
    if level is None:
        return "no level"
    median, saturated, dark_time = (float(level[name]) for name in ("median", "saturated", "dark_time"))
    tests = (
        (settings.least_level is not None and median < settings.least_level, f"level {median:.6g} is too low"),
        (settings.most_level is not None and median > settings.most_level, f"level {median:.6g} is too high"),
        (saturated > settings.most_saturated, f"{saturated:.1%} of its pixels are saturated"),
        (settings.scale == "level" and not median > 0, f"level {median:.6g} is not positive"),
        (settings.scale == "dark_time" and not dark_time > 0, "it has no dark time"),
    )
    return next((reason for is_so, reason in tests if is_so), "")


def _scale(settings: CombineSettings, level: Mapping[str, Any]) -> float:
    return {
        "none": 1.0,
        "level": 1.0 / (float(level["median"]) or 1.0),
        "dark_time": 1.0 / (float(level["dark_time"]) or 1.0),
    }[settings.scale]


def _bands(settings: CombineSettings, frames: list[_Frame], shape: tuple[int, int]) -> Iterator[Band]:
    """Bands of the master; each holds the same rows of all frames in memory once."""
    ny, nx = shape
    per_row = len(frames) * nx * (np.dtype(np.float32).itemsize + np.dtype(np.int32).itemsize)
    height = int(min(ny, max(1, settings.memory * 2**20 // per_row)))
    scales = np.array([frame.scale for frame in frames], np.float32)
    stack = np.empty((len(frames), height, nx), np.float32)
    masks = np.empty((len(frames), height, nx), np.int32)
    for y0 in range(0, ny, height):
        y1 = min(y0 + height, ny)
        noise = np.zeros((y1 - y0, nx), np.float64)
        for n, frame in enumerate(frames):
            stack[n, : y1 - y0] = frame.rows.read(y0, y1)
            masks[n, : y1 - y0] = frame.rows.read(y0, y1, "mask")
            noise += np.asarray(frame.rows.read(y0, y1, "variance"), np.float32) * frame.scale**2
        found = combine_band(
            stack[:, : y1 - y0],
            masks[:, : y1 - y0],
            bad_bits=int(Mask.unusable()),
            scales=scales,
            method=settings.method,
            kappa=(settings.kappa, settings.kappa),
            iterations=settings.iterations,
        )
        mask: npt.NDArray[np.int32] = np.where(found.used == 0, np.int32(Mask.NO_DATA), np.int32(0))
        variance = _variance(settings, noise / len(frames), found.used)
        yield Band(y0, {"science": found.mean, "variance": variance, "mask": mask})


def _variance(
    settings: CombineSettings, noise: npt.NDArray[np.float64], used: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Variance of the combination from the frames' own variance planes; 0 where no frame was good.

    The scatter of a few clipped values would say too little: five of them come out 15 % too calm. The variance of
    a median of n normal values is π/2 / (n + π/2 - 1) of theirs: exact for 1 and many, good to 2 % for odd numbers.
    """
    factor = np.pi / 2 / (used + np.pi / 2 - 1) if settings.method == "median" else 1 / np.maximum(used, 1)
    return np.where(used > 0, factor * noise, 0.0).astype(np.float32)


def _cards(
    settings: CombineSettings, used: list[_Frame], left_out: list[str], levels: Mapping[str, Mapping[str, Any]]
) -> dict[str, Scalar]:
    medians = [float(levels[frame.unit]["median"]) for frame in used]
    return {
        "BUNIT": {"none": "electron", "level": "", "dark_time": "electron/s"}[settings.scale],
        "NCOMBINE": len(used),
        "NLEFTOUT": len(left_out),
        "COMBINE": settings.method,
        "LEVEL": float(np.median(medians)),
        "LEVELMIN": min(medians),
        "LEVELMAX": max(medians),
    }


TASK = Task(
    name="combine",
    version=1,
    grain=Grain.CALIBRATION,
    settings=CombineSettings,
    needs=(
        Need("frames", grain=Grain.DETECTOR, stream=True, quorum=1),
        Need("levels", grain=Grain.DETECTOR, quorum=1),
        Need("unit", source="unit"),
    ),
    gives=(Give("master", Form.IMAGE, master=True, stream=True, meaning="robust mean of the frames"),),
    run=combine,
)
