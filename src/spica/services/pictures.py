"""Pictures of image files: colour composites, whatever camera, survey or program the files come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, SetupFault
from spica.core.mask import Mask
from spica.core.records import Scalar
from spica.files.images import FileRows, open_rows
from spica.files.pictures import write_png
from spica.files.tiff import write_tiff
from spica.kernels import colour
from spica.kernels.compiled import Float32
from spica.kernels.placed import Sky, bilinear, placed

ENDINGS = (".png", ".tif", ".tiff")
ZERO_POINTS = ("MAGZERO", "MAGZPT", "ZPMAG", "PHOTZP", "SEXMGZPT", "MAGZP")
"""Cards that tell the magnitude of one unit, the first that is there."""
_BAND = 512
"""Rows that are resampled at once."""


@dataclass(frozen=True)
class ColourOrder:
    """How a colour picture is drawn; zero is 'automatic' for each.

    Attributes
    ----------
    zero_points : of red, green, blue [mag]; from the headers where empty.
    weights : of the channels; where empty such that the middle colour of bright pixels is white.
    faint, softening : black below the sky, and the end of the linear part of the scale [sigma].
    bright : white [sigma above the sky].
    bits : of a sample, 8 or 16 (TIFF).
    transparent : where a band has no value the picture is clear instead of black.
    """

    zero_points: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    faint: float = 1.5
    bright: float = 0.0
    softening: float = 3.0
    bits: int = 8
    transparent: bool = False


@dataclass(frozen=True)
class Painted:
    """A picture that was written, and its levels: sky and factor of each channel, noise, black and white [unit of red]."""

    path: str
    size: tuple[int, int]
    skies: tuple[float, float, float]
    factors: tuple[float, float, float]
    sigma: float
    black: float
    white: float
    covered: float


def paint(files: Sequence[Path], to: Path, order: ColourOrder | None = None) -> Painted:
    """Write the colour picture of three images (red, green, blue) on the pixels of the first.

    Images on other pixels are brought to those of the first by their sky solutions (between pixels linearly).

    Raises
    ------
    SetupFault
        ``order.invalid`` for another number of files, zero points or bits, or another ending.
    DataFault
        ``file.*``; ``wcs.none``, ``wcs.unsupported`` where pixels differ and a solution is missing; ``data.no-pixels``
        where the three have nothing in common.
    """
    order = order or ColourOrder()
    _sensible(files, to, order)
    opened = [open_rows(path) for path in files]
    zero_points = order.zero_points or _zero_points([rows.header for rows in opened])
    bands = [pixels_of(opened[0])]
    for path, rows in zip(files[1:], opened[1:], strict=True):
        bands.append(onto(files[0], opened[0], path, rows))
    try:
        levels = colour.automatic(
            *(bands, zero_points),
            weights=order.weights,
            faint=order.faint,
            bright=order.bright,
            softening=order.softening,
        )
    except ValueError as error:
        names = ", ".join(path.name for path in files)
        raise DataFault("data.no-pixels", f"{names}: {error}", path=str(files[0])) from error
    picture, good = colour.composite(bands, levels)
    made = colour.shades(picture, order.bits)
    if order.transparent:
        opacity = np.where(good, np.iinfo(made.dtype).max, 0).astype(made.dtype)
        made = np.concatenate((made, opacity[..., None]), axis=2)
    write_picture(to, made)
    red, green, blue = levels.channels
    return Painted(
        path=str(to),
        size=(made.shape[1], made.shape[0]),
        skies=(red.sky, green.sky, blue.sky),
        factors=(red.factor, green.factor, blue.factor),
        sigma=levels.sigma,
        black=levels.black,
        white=levels.white,
        covered=float(np.mean(good)),
    )


def write_picture(to: Path, picture: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> None:
    """Write a picture as its name's ending says."""
    if to.suffix.lower() == ".png":
        write_png(to, np.asarray(picture, np.uint8))
    else:
        write_tiff(to, picture)


def pixels_of(rows: FileRows, y0: int = 0, y1: int | None = None) -> Float32:
    """Pixels of rows y0 to y1 (half open; None: all); NaN where the mask says that there is no value."""
    stop = rows.shape[0] if y1 is None else y1
    pixels = np.array(rows.read(y0, stop), np.float32)
    if "mask" in rows.planes:
        pixels[np.asarray(rows.read(y0, stop, "mask"), np.int32) & int(Mask.NO_DATA) != 0] = np.nan
    return pixels


def zero_point_of(header: Mapping[str, Scalar]) -> float | None:
    """Magnitude of one unit as a header tells it; None where it does not."""
    told = [value for name in ZERO_POINTS if isinstance(value := header.get(name), int | float)]
    return float(told[0]) if told else None


def sky_of(path: Path, header: dict[str, Scalar]) -> Sky:
    """The sky solution of a file's header.

    Raises
    ------
    DataFault
        ``wcs.none``, ``wcs.unsupported``.
    """
    if "CTYPE1" not in header:
        raise DataFault("wcs.none", f"{path} has no sky solution", path=str(path))
    try:
        return placed(header)
    except ValueError as error:
        raise DataFault("wcs.unsupported", f"{path}: {error}", path=str(path)) from error


def onto(first: Path, target: FileRows, path: Path, rows: FileRows) -> Float32:
    """The pixels of a file on those of the first; ``wcs.none``, ``wcs.unsupported`` where they differ and a solution is missing."""
    here, there = dict(rows.header), dict(target.header)
    if rows.shape == target.shape and _solution(here) == _solution(there):
        return pixels_of(rows)
    source, grid, pixels = sky_of(path, here), sky_of(first, there), pixels_of(rows)
    ny, nx = target.shape
    made = np.empty((ny, nx), np.float32)
    for y0 in range(0, ny, _BAND):
        y, x = np.mgrid[y0 : min(y0 + _BAND, ny), 0:nx].astype(np.float64)
        made[y0 : y0 + _BAND] = bilinear(pixels, *source.sky_to_pixel(*grid.pixel_to_sky(x, y)))
    return made


def _solution(header: dict[str, Scalar]) -> dict[str, Scalar]:
    """The cards that place an image on the sky."""
    stems = ("CTYPE", "CRPIX", "CRVAL", "CD1_", "CD2_", "CDELT", "CROTA", "PC", "PV", "A_", "B_", "LONPOLE", "LATPOLE")
    return {key: value for key, value in header.items() if key.startswith(stems)}


def _zero_points(headers: Sequence[Mapping[str, Scalar]]) -> tuple[float, ...]:
    """Zero points by the headers; all 0 unless all three tell theirs."""
    found = [zero for header in headers if (zero := zero_point_of(header)) is not None]
    return tuple(found) if len(found) == len(headers) else (0.0,) * len(headers)


def _sensible(files: Sequence[Path], to: Path, order: ColourOrder) -> None:
    if len(files) != 3:
        raise SetupFault(
            "order.invalid", f"a colour picture is made of three images, red, green, blue, not {len(files)}"
        )
    for what, values in (("zero points", order.zero_points), ("weights", order.weights)):
        if len(values) not in {0, 3}:
            raise SetupFault("order.invalid", f"{what} are three numbers, not {len(values)}")
    if to.suffix.lower() not in ENDINGS:
        raise SetupFault("order.invalid", f"{to}: the name has to end in {', '.join(ENDINGS)}", path=str(to))
    if order.bits not in {8, 16} or (order.bits == 16 and to.suffix.lower() == ".png"):
        raise SetupFault("order.invalid", "samples have 8 bits, or 16 in TIFF", bits=order.bits)
