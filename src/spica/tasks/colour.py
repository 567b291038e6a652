"""Colour: the bands of a tile as one picture."""

from __future__ import annotations

import numpy as np

from spica.core.bands import by_wavelength
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Member, Need, Products, Task
from spica.kernels import colour as kernel
from spica.kernels.cells import bin_mean
from spica.kernels.compiled import Float32


class ColourSettings(Settings):
    """How the picture is drawn."""

    size: int = setting(2048, "longest side", "pixel", ge=16)
    red: str = setting("", "band drawn red; the longest waves where empty")
    green: str = setting("", "band drawn green; the middle one where empty")
    blue: str = setting("", "band drawn blue; the shortest waves where empty")
    faint: float = setting(1.5, "black, below the sky", "sigma", ge=0)
    bright: float = setting(0.0, "white, above the sky; 0: what one pixel in 2000 exceeds", "sigma", ge=0)
    softening: float = setting(3.0, "where the scale turns from linear to logarithmic", "sigma", gt=0)
    balance: bool = setting(True, "make the middle colour of bright pixels white; otherwise AB magnitude 0 is white")


def colour(settings: ColourSettings, stack: tuple[Member, ...]) -> Products:
    """Asinh picture of three bands of a tile (Lupton et al. 2004), bottom row first; of two bands green is their mean.

    Pixels that a band has no value for are black. One band alone gives a grey picture.

    Returns
    -------
    colour : ``(h, w, 3)`` uint8.
    """
    images = {Unit.parse(member.unit).keys["band"]: member.value for member in stack}
    shapes = {image.shape for image in images.values()}
    if len(shapes) != 1:
        message = f"the bands of a tile are images of different sizes: {sorted(shapes)}"
        raise DataFault("data.bad-value", message, bands=", ".join(images))
    small = {band: _small(image, settings.size) for band, image in images.items()}
    zeros = {band: _zero(image) for band, image in images.items()}
    if len(set(zeros.values())) > 1:
        unit = min(zeros.values())
        small = {band: each * np.float32(10 ** (-0.4 * (zeros[band] - unit))) for band, each in small.items()}
    bands = _chosen(settings, small)
    weights = () if settings.balance else (1.0, 1.0, 1.0)
    scale = {"faint": settings.faint, "bright": settings.bright, "softening": settings.softening}
    try:
        levels = kernel.automatic(bands, (0.0, 0.0, 0.0), weights=weights, **scale)
    except ValueError as error:
        raise DataFault("data.no-pixels", f"{error} ({', '.join(images)})", bands=", ".join(images)) from error
    picture, _ = kernel.composite(bands, levels)
    return {"colour": kernel.shades(picture)}


def _chosen(settings: ColourSettings, images: dict[str, Float32]) -> tuple[Float32, Float32, Float32]:
    """Red, green, blue."""
    there = by_wavelength(images)
    for band in (settings.red, settings.green, settings.blue):
        if band and band not in images:
            message = f"the tile has no stack in {band!r} that the settings ask for; there are {', '.join(there)}"
            raise DataFault("data.no-pixels", message, band=band)
    red, blue = images[settings.red or there[-1]], images[settings.blue or there[0]]
    if settings.green or len(there) != 2:
        return red, images[settings.green or there[len(there) // 2]], blue
    return red, (red + blue) / np.float32(2), blue


def _small(image: Image, size: int) -> Float32:
    """Pixels in squares, so that the longest side is at most `size`; NaN where none has a value."""
    mask = np.zeros(image.shape, np.int32) if image.mask is None else image.mask
    step = max(1, -(-max(image.shape) // size))
    return bin_mean(image.pixels, mask, bad_bits=int(Mask.NO_DATA), step=step).astype(np.float32)


def _zero(image: Image) -> float:
    """Magnitude of one unit."""
    told = image.header.get("MAGZERO")
    return float(told) if isinstance(told, int | float) else 0.0


TASK = Task(
    name="colour",
    version=1,
    grain=Grain.TILE,
    settings=ColourSettings,
    needs=(Need("stack", grain=Grain.TILE_BAND, planes=("science", "mask"), quorum=1),),
    gives=(Give("colour", Form.PICTURE, meaning="colour picture of the tile"),),
    run=colour,
)
