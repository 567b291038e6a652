"""Image products made small: read by bands of rows, each square of pixels becoming one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from spica.core.images import Image
from spica.core.mask import Mask
from spica.files.images import FileRows
from spica.files.maps import weights
from spica.files.pictures import read_png
from spica.kernels.cells import bin_mean
from spica.kernels.compiled import Float32
from spica.services.thumbnails.looks import MASK, PIXELS, WEIGHT, Look

Value = TypeVar("Value", bound=np.generic)
Pixels = npt.NDArray[np.generic]
_BAND = 256
"""Rows that are read at once, about."""
_MORE = ("number", "time", "epoch")


def planes_of(rows: FileRows) -> tuple[str, ...]:
    """The planes of an image that can be shown: its pixels, then weight, mask and those of a stack where it has them."""
    there = {WEIGHT: "variance", MASK: "mask", **{name: name for name in _MORE}}
    return (PIXELS, *(name for name, source in there.items() if source in rows.planes))


def step_for(shape: tuple[int, int], size: int) -> int:
    """Side of a square such that the longest side of the picture has `size` pixels at most."""
    return max(1, -(-max(shape) // size))


def small(rows: FileRows, plane: str, look: Look, step: int) -> Float32:
    """Squares of pixels as numbers.

    Parameters
    ----------
    plane : as `planes_of` gives them, no mask.
    step : side of a square [pixel]; those at the upper and right edge may be smaller.

    Returns
    -------
    (ceil(ny / step), ceil(nx / step)) float32
        Means of what has a value, NaN where nothing has; of weights 0 where half of the pixels or more weigh nothing;
        of flags and labels the largest.
    """
    parts = []
    for y0, y1 in _bands(rows.shape[0], step):
        values, bad = _values(rows, plane, look, y0, y1)
        values, bad = _padded(values, step, 0), _padded(bad, step, 1)
        if look in {Look.FLAGS, Look.LABELS}:
            parts.append(_squares(np.where(bad != 0, 0, values), step).max(axis=(1, 3)).astype(np.float32))
            continue
        mean = bin_mean(values, bad, bad_bits=1, step=step)
        if look is Look.WEIGHT:
            mean[bin_mean((values <= 0).astype(np.float32), bad, bad_bits=1, step=step) >= 0.5] = 0.0
        parts.append(mean.astype(np.float32))
    return np.concatenate(parts)


def small_bits(rows: FileRows, step: int) -> npt.NDArray[np.int32]:
    """Every bit that is set anywhere in a square of the mask, (ceil(ny / step), ceil(nx / step)) int32."""
    parts = [
        np.bitwise_or.reduce(
            _squares(_padded(np.asarray(rows.read(y0, y1, "mask"), np.int32), step, 0), step), axis=(1, 3)
        )
        for y0, y1 in _bands(rows.shape[0], step)
    ]
    return np.concatenate(parts)


def small_picture(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """A picture product, means of squares, (h, w, 3) uint8, row 0 at the bottom.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.corrupt``.
    """
    picture = read_png(path)
    if picture.ndim == 2:
        picture = picture[..., None]
    step = step_for(picture.shape[:2], size)
    good = np.zeros(_padded(picture[..., 0], step, 0).shape, np.int32)
    good[picture.shape[0] :], good[:, picture.shape[1] :] = 1, 1
    layers = [
        bin_mean(
            _padded(picture[..., number % picture.shape[2]].astype(np.float32), step, 0), good, bad_bits=1, step=step
        )
        for number in range(3)
    ]
    return np.rint(np.stack(layers, axis=2)).astype(np.uint8)


def _bands(ny: int, step: int) -> Iterator[tuple[int, int]]:
    high = step * max(1, _BAND // step)
    for y0 in range(0, ny, high):
        yield y0, min(y0 + high, ny)


def _values(rows: FileRows, plane: str, look: Look, y0: int, y1: int) -> tuple[Float32, npt.NDArray[np.int32]]:
    """Rows of a plane as numbers, and 1 where they have no value."""
    mask = np.asarray(rows.read(y0, y1, "mask"), np.int32) if "mask" in rows.planes else None
    pixels = np.asarray(rows.read(y0, y1, "science" if plane in {PIXELS, WEIGHT} else plane), np.float32)
    if plane == WEIGHT:
        variance = np.asarray(rows.read(y0, y1, "variance"), np.float32)
        return weights(Image(pixels, variance, mask)), np.zeros(pixels.shape, np.int32)
    bad = ~np.isfinite(pixels)
    if mask is not None and look is not Look.FLAGS:
        bad |= mask & int(Mask.NO_DATA) != 0
    return pixels, bad.astype(np.int32)


def _padded(band: npt.NDArray[Value], step: int, value: int) -> npt.NDArray[Value]:
    """Filled up to whole squares."""
    more = [(0, -side % step) for side in band.shape]
    return np.pad(band, more, constant_values=value) if any(after for _, after in more) else band


def _squares(band: Pixels, step: int) -> Pixels:
    return band.reshape(band.shape[0] // step, step, band.shape[1] // step, step)
