"""Interpolate: pixels that carry nothing of the sky get values from their neighbours, marked as such."""

from __future__ import annotations

from typing import Literal

import numpy as np

from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.interpolate import interpolate as replace_pixels


class InterpolateSettings(Settings):
    """Which pixels are replaced."""

    bits: tuple[Literal["BAD", "SATURATED", "BLEED", "COSMIC", "TRAIL", "NO_DATA", "CROSSTALK"], ...] = setting(
        ("BAD", "COSMIC"), "mask bits of the pixels to be replaced; none: leave all as is"
    )
    reach: int = setting(3, "nothing is taken from further away: wider gaps stay", "pixel", ge=1)


def interpolate(settings: InterpolateSettings, image: Image) -> Products:
    """Values from the nearest good pixels of row and column; the bits that were there stay, INTERPOLATED is added.

    Returns
    -------
    science : Image; the same object where nothing is to be replaced. The variance of what was replaced is that of a
        neighbour plus the scatter among the neighbours.
    interpolation : metrics: the fraction of the pixels that was replaced.
    """
    replaced = sum(int(Mask[name]) for name in set(settings.bits))
    if not replaced or image.mask is None or not np.any(image.mask & replaced):
        return {"science": image, "interpolation": {"interpolated_fraction": Measured(0.0)}}
    variance = np.zeros(image.shape, np.float32) if image.variance is None else image.variance
    pixels, spread, mask, count = replace_pixels(
        image.pixels,
        variance,
        image.mask,
        replaced=replaced,
        unfit=int(Mask.unusable()),
        mark=int(Mask.INTERPOLATED),
        reach=settings.reach,
    )
    image = Image(pixels, None if image.variance is None else spread, mask, image.header)
    return {"science": image, "interpolation": {"interpolated_fraction": Measured(count / mask.size)}}


TASK = Task(
    name="interpolate",
    version=1,
    grain=Grain.DETECTOR,
    settings=InterpolateSettings,
    needs=(Need("image"),),
    gives=(
        Give("science", Form.IMAGE, meaning="image with defects and cosmic rays bridged"),
        Give("interpolation", Form.METRICS, meaning="fraction of pixels that was replaced"),
    ),
    run=interpolate,
)
