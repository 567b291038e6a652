"""Quicklook: a small picture of a detector for people."""

from __future__ import annotations

import numpy as np

from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.cells import bin_mean
from spica.kernels.robust import robust_statistics


class QuicklookSettings(Settings):
    """How the picture is drawn."""

    size: int = setting(512, "longest side", "pixel", ge=16)
    faint: float = setting(-2.0, "black, above the sky", "sigma")
    bright: float = setting(200.0, "white, above the sky", "sigma", gt=0)
    softening: float = setting(3.0, "where the scale turns from linear to logarithmic", "sigma", gt=0)


def quicklook(settings: QuicklookSettings, science: Image) -> Products:
    """Binned picture in an asinh scale about the sky (Lupton et al. 1999), row 0 at the bottom as astronomers see it.

    Where no pixel is good the picture is black; of an image without any good pixel all is.

    Returns
    -------
    quicklook : ``(h, w)`` uint8, bottom row first as images have it (the writer turns it).
    """
    mask = np.zeros(science.shape, np.int32) if science.mask is None else science.mask
    step = max(1, -(-max(science.shape) // settings.size))
    small = bin_mean(science.pixels, mask, bad_bits=int(Mask.NO_DATA | Mask.BAD), step=step)
    sky = robust_statistics(small)
    sigma = sky.sigma if sky.sigma > 0 else 1.0
    stretched = np.arcsinh((small - sky.median) / sigma / settings.softening)
    low, high = np.arcsinh(np.array([settings.faint, settings.bright]) / settings.softening)
    scaled = np.nan_to_num(np.clip((stretched - low) / (high - low), 0, 1))
    return {"quicklook": (scaled * 255).round().astype(np.uint8)}


TASK = Task(
    name="quicklook",
    version=2,
    grain=Grain.DETECTOR,
    settings=QuicklookSettings,
    needs=(Need("science"),),
    gives=(Give("quicklook", Form.PICTURE, meaning="small picture of the detector"),),
    run=quicklook,
)
