"""Delivered: an image that was reduced elsewhere, made ready for the steps that follow."""

from __future__ import annotations

import numpy as np

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import NoSettings
from spica.core.task import Form, Give, Need, Products, Task


def take(settings: NoSettings, delivered: Image) -> Products:
    """Mark what is not finite and zero it; nothing else is changed.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where nothing is left.
    """
    del settings
    undefined = ~np.isfinite(delivered.pixels)
    variance = delivered.variance
    if variance is not None:
        undefined |= ~(variance > 0)
        variance = np.where(undefined, np.float32(0), variance)
    mask = np.zeros(delivered.shape, np.int32) if delivered.mask is None else delivered.mask
    mask = np.where(undefined, mask | np.int32(Mask.NO_DATA), mask)
    if bool(np.all(mask & int(Mask.NO_DATA | Mask.BAD))):
        raise DataFault("data.no-pixels", "the delivered image has no usable pixel", pixels=delivered.pixels.size)
    pixels = np.where(undefined, np.float32(0), delivered.pixels)
    return {"science": Image(pixels, variance, mask, delivered.header)}


TASK = Task(
    name="delivered",
    version=4,
    grain=Grain.DETECTOR,
    settings=NoSettings,
    needs=(Need("delivered", source="delivered"),),
    gives=(Give("science", Form.IMAGE, meaning="image as delivered, with its undefined pixels marked"),),
    run=take,
)
