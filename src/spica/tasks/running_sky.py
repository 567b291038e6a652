"""Running sky: the near-infrared sky of an exposure from those that were dithered around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.streams import Rows
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.robust import robust_statistics

Floats = npt.NDArray[np.float32]

_HALF_PI = np.pi / 2.0


class RunningSkySettings(Settings):
    """How the sky is made of the neighbours."""

    rows: int = setting(256, "rows in hand at a time; the result does not depend on it", ge=1)
    least: int = setting(3, "fewest neighbours that see a pixel of the sky", ge=1)
    kappa: float = setting(4.0, "clipping limit of a frame's level", "sigma", gt=0)


def running_sky(
    settings: RunningSkySettings,
    image: Image,
    neighbours: tuple[Member, ...],
    objects: tuple[Member, ...] | None,
    own: Image | None,
) -> Products:
    """Subtract the median of the neighbours, each scaled to one level, objects left out where they are known.

    Parameters
    ----------
    image : the detrended exposure [electron].
    neighbours : `Rows` of the detrended exposures around it in time, on the same pixels of the detector.
    objects, own : `Rows` of what `object_mask` gives of each, and that of the exposure itself; None in the first pass.

    Returns
    -------
    science : image less sky [electron]; the variance holds that of the sky. Pixels that too few neighbours see are
        NO_DATA.
    sky_figures : `sky_level` [electron], `sky_frames`, `sky_scatter`: relative scatter of the neighbours' levels.

    Raises
    ------
    DataFault
        ``data.quorum`` for too few neighbours with a level; ``data.bad-value`` where their shapes differ.
    """
    masks = {member.unit: member.value for member in objects or ()}
    for member in neighbours:
        if member.value.shape != image.shape:
            raise DataFault(
                "data.bad-value",
                f"{member.unit} has the shape {member.value.shape}, not {image.shape}",
                unit=member.unit,
            )
    frames = [(each.value, masks.get(each.unit)) for each in neighbours if objects is None or each.unit in masks]
    used = _levelled(settings, frames, len(neighbours))
    good = _good(image.pixels, _plane(image.mask, image.shape), None if own is None else own.pixels)
    sky = _whole(settings, used, image.shape)
    level = _ratio(settings, image.pixels, good, sky.pixels)
    seen = sky.seen >= settings.least
    science = image.pixels - np.where(seen, sky.pixels * np.float32(level), 0).astype(np.float32)
    variance = np.zeros(image.shape, np.float32) if image.variance is None else image.variance
    variance = variance + np.where(seen, sky.variance * np.float32(level) ** 2, 0).astype(np.float32)
    mask = _plane(image.mask, image.shape).copy()
    mask[~seen] |= np.int32(Mask.NO_DATA)
    told = np.array([level for _, level in used])
    figures = {
        "sky_level": Measured(level, "electron"),
        "sky_frames": Measured(float(len(used)), ""),
        "sky_scatter": Measured(float(told.std() / told.mean()), ""),
    }
    return {"science": Image(science, variance, mask, image.header), "sky_figures": figures}


def _plane(mask: npt.NDArray[np.int32] | None, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    return np.zeros(shape, np.int32) if mask is None else mask


def _good(pixels: Floats, mask: npt.NDArray[np.int32], objects: Floats | None) -> npt.NDArray[np.bool_]:
    good = np.isfinite(pixels) & (mask & int(Mask.unusable()) == 0)
    return np.asarray(good if objects is None else good & (objects < 0.5))


def _read(rows: Rows, objects: Rows | None, band: slice) -> tuple[Floats, npt.NDArray[np.bool_]]:
    pixels = np.asarray(rows.read(band.start, band.stop), dtype=np.float32)
    mask = np.asarray(rows.read(band.start, band.stop, "mask"), dtype=np.int32)
    seen = None if objects is None else np.asarray(objects.read(band.start, band.stop), dtype=np.float32)
    return pixels, _good(pixels, mask, seen)


class _Sky(NamedTuple):
    """Sky of unit level, its variance, and how many frames see each pixel."""

    pixels: Floats
    variance: Floats
    seen: npt.NDArray[np.int64]


Frame = tuple[Rows, Rows | None]


def _levelled(settings: RunningSkySettings, frames: Sequence[Frame], wanted: int) -> list[tuple[Frame, float]]:
    """Frames with their levels: their ratios to the sky that they make if their medians are taken for levels.

    The medians alone would not do: masks leave each frame another part of the sky's pattern.
    """
    used = [(frame, level) for frame in frames if (level := _ratio(settings, *_read(*frame, _all(frame)))) > 0.0]
    if len(used) < settings.least:
        raise DataFault(
            "data.quorum",
            f"{len(used)} of {wanted} neighbours tell of the sky, {settings.least} are needed",
            there=len(used),
            wanted=settings.least,
        )
    sky = _whole(settings, used, used[0][0][0].shape)
    return [(frame, _ratio(settings, *_read(*frame, _all(frame)), sky.pixels)) for frame, _ in used]


def _all(frame: Frame) -> slice:
    return slice(0, frame[0].shape[0])


def _ratio(
    settings: RunningSkySettings, pixels: Floats, good: npt.NDArray[np.bool_], sky: Floats | None = None
) -> float:
    """Median of good pixels, over the sky's where it is given; 0 where there is none."""
    here = good if sky is None else good & (sky > 0.0)
    if not here.any():
        return 0.0
    values = pixels[here] if sky is None else pixels[here] / sky[here]
    return float(robust_statistics(values, kappa=settings.kappa).median)


def _whole(settings: RunningSkySettings, used: Sequence[tuple[Frame, float]], shape: tuple[int, int]) -> _Sky:
    """The sky of all bands."""
    steps = range(0, shape[0], settings.rows)
    bands = [_sky(used, slice(y, min(y + settings.rows, shape[0]))) for y in steps]
    return _Sky(*(np.concatenate(part) for part in zip(*bands, strict=True)))


def _sky(used: Sequence[tuple[Frame, float]], band: slice) -> _Sky:
    planes, errors = [], []
    for (rows, objects), level in used:
        pixels, good = _read(rows, objects, band)
        spread = np.asarray(rows.read(band.start, band.stop, "variance"), dtype=np.float32)
        planes.append(np.where(good, pixels / np.float32(level), np.float32(np.nan)))
        errors.append(np.where(good, spread / np.float32(level) ** 2, np.float32(0.0)))
    # NaN sorts last: the median of the good ones without a warning for columns of none.
    stack = np.sort(np.stack(planes), axis=0)
    count = np.isfinite(stack).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    high = np.minimum(high, np.maximum(count - 1, 0))
    middle = 0.5 * (np.take_along_axis(stack, low[None], 0)[0] + np.take_along_axis(stack, high[None], 0)[0])
    several = np.maximum(count, 1)
    # Variance of a median of n normal deviates over that of their mean: π/2 for many, n π/2 / (n + π/2 - 1) for few.
    loss = np.where(count > 2, several * _HALF_PI / (several + _HALF_PI - 1.0), 1.0)
    error = np.stack(errors).sum(axis=0) / several**2 * loss
    return _Sky(np.where(count > 0, middle, 0).astype(np.float32), error.astype(np.float32), count)


TASK = Task(
    name="running_sky",
    version=1,
    grain=Grain.DETECTOR,
    settings=RunningSkySettings,
    needs=(
        Need("image"),
        Need("neighbours", among="dither", stream=True, quorum=3),
        Need("objects", among="dither", stream=True, quorum=3, optional=True),
        Need("own", optional=True),
    ),
    gives=(
        Give("science", Form.IMAGE, meaning="image less the sky of its neighbours"),
        Give("sky_figures", Form.METRICS, meaning="level of the sky, and how many exposures tell of it"),
    ),
    run=running_sky,
)
