"""Before and after: two registered frames in one picture, with the same levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, SetupFault
from spica.core.records import Grain, Scalar
from spica.files.frames import read_raw
from spica.files.images import open_rows
from spica.kernels import colour
from spica.kernels.cells import bin_mean
from spica.kernels.colour import Channel, Levels
from spica.kernels.compiled import Float32
from spica.services.pictures import ENDINGS, onto, pixels_of, write_picture, zero_point_of
from spica.services.products import latest
from spica.services.surveys import opened
from spica.services.units import detector_of, known_unit

_LINE = 255
"""Shade of the line between both."""
_GREY = (1.0, 1.0, 1.0)
_OF_UNIT = "science"


@dataclass(frozen=True)
class BeforeAfterOrder:
    """How both are drawn; zero is 'automatic' for each.

    Attributes
    ----------
    split : the left half of the one beside the right half of the other, instead of both whole.
    box : columns and rows [x0, y0, x1, y1) of the second that are shown, from 0; all where empty.
    size : longest side of each, in pixels that are means of squares; 0: as they are.
    factor : what the first is multiplied by; 0: by both zero points where both tell theirs, else 1.
    faint, bright, softening : black below the sky, white above it, end of the linear part [sigma of the second].
    """

    split: bool = False
    box: tuple[float, ...] = ()
    size: int = 0
    factor: float = 0.0
    faint: float = 1.5
    bright: float = 0.0
    softening: float = 3.0


@dataclass(frozen=True)
class Compared:
    """A picture that was written: factor of the first, sky and noise of a pixel of both [unit of the second]."""

    path: str
    size: tuple[int, int]
    factor: float
    skies: tuple[float, float]
    noises: tuple[float, float]


def before_after(before: Path, after: Path, to: Path, order: BeforeAfterOrder | None = None) -> Compared:
    """Draw two image files on the pixels of the second, with its levels; each less its own sky.

    Where both have a sky solution the first is brought to the second by it (between pixels linearly), else pixel to pixel.

    Raises
    ------
    SetupFault
        ``order.invalid`` for another ending, or a box beyond the image.
    DataFault
        ``file.*``; ``wcs.none``, ``wcs.unsupported`` where shapes differ and a solution is missing; ``data.no-pixels``.
    """
    order = order or BeforeAfterOrder()
    _sensible(to)
    first, second = open_rows(before), open_rows(after)
    plain = first.shape == second.shape and not ("CTYPE1" in first.header and "CTYPE1" in second.header)
    pixels = pixels_of(first) if plain else onto(after, second, before, first)
    factor = order.factor or _factor(first.header, second.header)
    return _draw((before.name, after.name), (pixels, pixels_of(second)), factor, to, order)


def before_after_unit(folder: Path | None, unit: str, to: Path, order: BeforeAfterOrder | None = None) -> Compared:
    """Draw the raw pixels of a detector of an exposure, put together as they lie on it, and what was made of them.

    Raises
    ------
    SetupFault
        ``order.invalid``, ``order.unknown-unit``, ``order.nothing`` where it was not detrended yet; ``survey.*``.
    DataFault
        ``file.*``, ``data.no-pixels``.
    """
    order = order or BeforeAfterOrder()
    _sensible(to)
    with opened(folder) as house:
        known = known_unit(house.registry, unit)
        if known.grain is not Grain.DETECTOR:
            raise SetupFault("order.invalid", f"{known} is no detector of an exposure; of others name two files")
        product = latest(house.registry, str(known), "").get((known, _OF_UNIT))
        if product is None:
            advice = f"'spica why {known}' tells what was made of it"
            raise SetupFault("order.nothing", f"there is no image {_OF_UNIT!r} of {known}", advice=advice)
        name, number = detector_of(known)
        detector = house.registry.detectors([(name, number)])[name, number]
        files = house.registry.files({detector.file, *detector.amplifier_files} - {""})
        paths = {checksum: house.survey.path_of(record) for checksum, record in files.items()}
        raw = read_raw(detector, paths, house.registry.exposure(name))
        after = pixels_of(open_rows(house.survey.root / product.path))
    before = np.full((detector.ny, detector.nx), np.nan, np.float32)
    for pixels, amplifier in zip(raw.pixels, detector.amplifiers, strict=True):
        (x0, x1, y0, y1), (u0, u1, v0, v1) = amplifier.data, amplifier.detector
        placed = pixels[y0:y1, x0:x1][:: -1 if amplifier.flip_y else 1, :: -1 if amplifier.flip_x else 1]
        before[v0:v1, u0:u1] = placed
    gain = float(np.mean([amplifier.gain for amplifier in detector.amplifiers]))
    return _draw((f"{known} raw", f"{known} {_OF_UNIT}"), (before, after), order.factor or gain, to, order)


def _draw(
    names: tuple[str, str], pair: tuple[Float32, Float32], factor: float, to: Path, order: BeforeAfterOrder
) -> Compared:
    before, after = (_shown(pixels, order) for pixels in pair)
    found = []
    for name, pixels in zip(names, (before * np.float32(factor), after), strict=True):
        scale = {"faint": order.faint, "bright": order.bright, "softening": order.softening}
        try:
            found.append(colour.automatic((pixels,) * 3, (0.0, 0.0, 0.0), weights=_GREY, **scale))
        except ValueError as error:
            raise DataFault("data.no-pixels", f"{name} has no value in what is to be shown", path=name) from error
    skies = found[0].channels[0].sky, found[1].channels[0].sky
    shades = [
        _shades(pixels, found[1]._replace(channels=(Channel(sky, gain),) * 3))
        for pixels, sky, gain in ((before, skies[0] / factor, factor), (after, skies[1], 1.0))
    ]
    picture = _beside(shades[0], shades[1], split=order.split)
    write_picture(to, picture)
    size = picture.shape[1], picture.shape[0]
    return Compared(str(to), size, factor, skies, (found[0].sigma, found[1].sigma))


def _shown(pixels: Float32, order: BeforeAfterOrder) -> Float32:
    """The part that is shown, as small as it is to be."""
    if order.box:
        ny, nx = pixels.shape
        corners = [int(value) for value in order.box if value == int(value)]
        x0, y0, x1, y1 = corners if len(corners) == len(order.box) == 4 else (0, 0, 0, 0)
        if not (0 <= x0 < x1 <= nx and 0 <= y0 < y1 <= ny):
            told = ", ".join(f"{value:g}" for value in order.box)
            message = f"a box is x0, y0, x1, y1 within {nx} × {ny} pixels, not {told}"
            raise SetupFault("order.invalid", message)
        pixels = pixels[y0:y1, x0:x1]
    step = -(-max(pixels.shape) // order.size) if order.size else 1
    if step <= 1:
        return np.ascontiguousarray(pixels)
    return bin_mean(pixels, (~np.isfinite(pixels)).astype(np.int32), bad_bits=1, step=step).astype(np.float32)


def _shades(pixels: Float32, levels: Levels) -> npt.NDArray[np.uint8]:
    picture, _ = colour.composite((pixels,) * 3, levels)
    return np.asarray(colour.shades(picture[..., 0]), np.uint8)


def _beside(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], *, split: bool) -> npt.NDArray[np.uint8]:
    """Both beside each other with a line between them, or the left half of the one and the right half of the other."""
    ny, nx = after.shape
    if split:
        both = np.concatenate((before[:, : nx // 2], after[:, nx // 2 :]), axis=1)
        both[:, nx // 2] = _LINE
        return both
    return np.concatenate((before, np.full((ny, max(2, nx // 200)), _LINE, np.uint8), after), axis=1)


def _factor(before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> float:
    """What brings the first to the zero point of the second; 1 unless both tell theirs."""
    zeros = zero_point_of(before), zero_point_of(after)
    return 1.0 if zeros[0] is None or zeros[1] is None else 10.0 ** (-0.4 * (zeros[0] - zeros[1]))


def _sensible(to: Path) -> None:
    if to.suffix.lower() not in ENDINGS:
        raise SetupFault("order.invalid", f"{to}: the name has to end in {', '.join(ENDINGS)}", path=str(to))
