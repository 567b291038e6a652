"""How small pictures are shaded: the sky in an asinh scale, masters linearly, weights, flags and bits in colours."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from spica.core.jobs import ProductRecord
from spica.core.mask import Mask
from spica.kernels import colour
from spica.kernels.colour import Levels
from spica.kernels.compiled import Float32
from spica.kernels.paint import Canvas, Colour

PIXELS, WEIGHT, MASK = "pixels", "weight", "mask"
NOTHING: Colour = (56, 62, 140)
"""Where there is no value."""
ZERO: Colour = (200, 40, 40)
"""Where the weight is zero."""
LEGEND: Mapping[Mask, Colour] = {
    Mask.NO_DATA: NOTHING,
    Mask.BAD: (230, 60, 50),
    Mask.SATURATED: (255, 225, 60),
    Mask.BLEED: (240, 150, 30),
    Mask.TRAIL: (80, 200, 255),
    Mask.COSMIC: (90, 235, 110),
    Mask.CROSSTALK: (235, 110, 235),
    Mask.CLIPPED: (160, 120, 255),
    Mask.SUSPECT: (190, 150, 100),
    Mask.INTERPOLATED: (150, 150, 150),
    Mask.EDGE: (70, 90, 110),
    Mask.DETECTED: (60, 60, 60),
}
"""Colours of the bits of a mask, the first that is set in a square wins; a good square is black."""
_PERCENTILES = (1.0, 99.0)
_LABELS: tuple[Colour, ...] = (
    (230, 80, 70), (240, 160, 50), (235, 220, 80), (120, 210, 90), (80, 210, 200), (90, 150, 240), (160, 110, 235),
    (235, 110, 190),
)  # fmt: skip


class Look(StrEnum):
    """How numbers become shades."""

    SKY = "sky"
    """Asinh, levels by sky and noise."""
    LINEAR = "linear"
    """From the 1st to the 99th percentile."""
    WEIGHT = "weight"
    """From 0 to the 99th percentile; zero in a colour."""
    FLAGS = "flags"
    """White where anything is set."""
    LABELS = "labels"
    """A colour for each number, in turn."""
    BITS = "bits"
    """By `LEGEND`."""


_LOOKS: Mapping[str, Look] = {
    "depth_map": Look.LINEAR, "objects": Look.FLAGS, "defects": Look.FLAGS, "hot": Look.FLAGS,
    "detection_labels": Look.LABELS,
}  # fmt: skip


def look_of(product: ProductRecord, plane: str) -> Look:
    """How a plane of an image product is shown."""
    if plane == PIXELS:
        return _LOOKS.get(product.name, Look.LINEAR if product.master else Look.SKY)
    return {WEIGHT: Look.WEIGHT, MASK: Look.BITS}.get(plane, Look.LINEAR)


def grey(values: Float32, look: Look) -> Canvas:
    """Numbers as shades.

    Parameters
    ----------
    values : (h, w), NaN where there is no value.

    Returns
    -------
    (h, w, 3) uint8
    """
    there = np.isfinite(values)
    if look is Look.LABELS:
        picture = np.zeros((*values.shape, 3), np.uint8)
        numbers = np.where(there, values, 0).astype(np.int64)
        picture[numbers > 0] = np.array(_LABELS, np.uint8)[numbers[numbers > 0] % len(_LABELS)]
        return picture
    if look is Look.SKY:
        shades, _ = colour.grey(values)
    else:
        shades = np.zeros(values.shape, np.float32)
        low, high = _range(values[there], look)
        shades[there] = (values[there] - low) / (high - low) if high > low else 0.5
    picture = np.repeat(colour.shades(shades)[..., None], 3, axis=2)
    picture[~there] = NOTHING
    if look is Look.WEIGHT:
        picture[there & (values <= 0)] = ZERO
    return picture


def together(values: Float32, levels: Levels) -> npt.NDArray[np.uint8]:
    """Sky in levels that several images share, (h, w, 3) uint8."""
    shades, good = colour.composite((values,) * 3, levels)
    picture: npt.NDArray[np.uint8] = colour.shades(shades)
    picture[~good] = NOTHING
    return picture


def bits(flags: npt.NDArray[np.int32]) -> Canvas:
    """Bits of a mask as colours, (h, w, 3) uint8."""
    picture = np.zeros((*flags.shape, 3), np.uint8)
    for bit, shade in reversed([*LEGEND.items()]):
        picture[flags & int(bit) != 0] = shade
    return picture


def _range(values: Float32, look: Look) -> tuple[float, float]:
    if look is Look.FLAGS or not values.size:
        return 0.0, 1.0
    low, high = (float(each) for each in np.percentile(values, _PERCENTILES))
    return (0.0 if look is Look.WEIGHT else low), high
