"""Thumbnail: a small grey picture of a stack."""

from __future__ import annotations

import numpy as np

from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels import colour
from spica.kernels.cells import bin_mean


class ThumbnailSettings(Settings):
    """How the picture is drawn."""

    size: int = setting(512, "longest side", "pixel", ge=16)
    faint: float = setting(1.5, "black, below the sky", "sigma", ge=0)
    bright: float = setting(0.0, "white, above the sky; 0: what one pixel in 2000 exceeds", "sigma", ge=0)
    softening: float = setting(3.0, "where the scale turns from linear to logarithmic", "sigma", gt=0)


def thumbnail(settings: ThumbnailSettings, stack: Image) -> Products:
    """Binned picture of a stack in an asinh scale, its levels from its own sky and noise; black where there is no value.

    Returns
    -------
    thumbnail : ``(h, w)`` uint8, bottom row first.
    """
    mask = np.zeros(stack.shape, np.int32) if stack.mask is None else stack.mask
    step = max(1, -(-max(stack.shape) // settings.size))
    small = bin_mean(stack.pixels, mask, bad_bits=int(Mask.NO_DATA), step=step).astype(np.float32)
    picture, _ = colour.grey(small, faint=settings.faint, bright=settings.bright, softening=settings.softening)
    return {"thumbnail": colour.shades(picture)}


TASK = Task(
    name="thumbnail",
    version=1,
    grain=Grain.TILE_BAND,
    settings=ThumbnailSettings,
    needs=(Need("stack", planes=("science", "mask")),),
    gives=(Give("thumbnail", Form.PICTURE, meaning="small picture of the stack"),),
    run=thumbnail,
)
