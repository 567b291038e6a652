"""Small pictures of every image product, made when they are asked for and kept by the checksum of what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.records import Exposure
from spica.core.task import Form
from spica.files import atomic, checksums
from spica.files.images import open_rows
from spica.files.pictures import png
from spica.files.survey import Survey
from spica.instruments.geometry import outlines, pixel_to_focal
from spica.kernels import colour
from spica.kernels.compiled import Float32
from spica.kernels.paint import Canvas, Colour, place
from spica.kernels.robust import robust_statistics
from spica.services.cameras import load
from spica.services.surveys import Opened
from spica.services.thumbnails import looks, small
from spica.services.thumbnails.looks import MASK, PIXELS

SIZE = 256
"""Longest side where nobody says otherwise [pixel]."""
MOSAIC = "mosaic"
SHOWN = "science"
"""The product of a detector that the picture of its whole exposure is made of."""
FOLDER = "thumbnails"
_VERSION = 1
"""Raised when the same product is to look otherwise: pictures of another version are not taken for these."""
_GROUND: Colour = (12, 12, 16)
_MISSING: Colour = (26, 26, 30)
_LINE: Colour = (90, 90, 96)


@dataclass(frozen=True)
class Thumbnail:
    """A small picture that is kept in the survey.

    Attributes
    ----------
    unit, product : what it is of.
    plane : 'pixels', 'weight', 'mask', 'number', 'time', 'epoch'; 'mosaic' of a whole exposure.
    path : absolute, of a PNG; row 0 of the image is at the bottom.
    made : whether it was drawn now, not kept from before.
    """

    unit: str
    product: str
    plane: str
    path: Path
    made: bool

    @property
    def kind(self) -> str:
        """``PRODUCT`` of its pixels, else ``PRODUCT:PLANE``."""
        return self.product if self.plane == PIXELS else f"{self.product}:{self.plane}"

    def png(self) -> bytes:
        """The bytes of the picture."""
        return self.path.read_bytes()


def planes_of(survey: Survey, product: ProductRecord) -> tuple[str, ...]:
    """What of a product can be shown; of a picture its pixels, of what is neither image nor picture nothing.

    Raises
    ------
    DataFault
        ``file.*``, ``header.bad-geometry``.
    """
    if product.form is Form.IMAGE:
        return small.planes_of(open_rows(survey.root / product.path))
    return (PIXELS,) if product.form is Form.PICTURE else ()


def thumbnail(survey: Survey, product: ProductRecord, plane: str = PIXELS, size: int = SIZE) -> Thumbnail:
    """The small picture of a product: the one that is kept, or drawn now from the product and kept.

    Parameters
    ----------
    plane : one of `planes_of`.
    size : longest side at most [pixel].

    Raises
    ------
    SetupFault
        ``order.invalid`` for a plane that the product lacks.
    DataFault
        ``file.missing``; ``file.corrupt`` where its bytes are not those recorded.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    path = _kept(survey, product.checksum, plane, size)
    made = not path.is_file()
    if made:
        source = survey.root / product.path
        there = planes_of(survey, product)
        if plane not in there:
            message = f"{product.name} of {product.unit} has no {plane!r} to show"
            advice = f"it has {', '.join(there)}" if there else "it is neither image nor picture"
            raise SetupFault("order.invalid", message, advice=advice, unit=str(product.unit))
        _sound(source, product)
        atomic.write_bytes(path, png(_drawn(source, product, plane, size)))
    return Thumbnail(str(product.unit), product.name, plane, path, made)


def mosaic(house: Opened, exposure: Exposure, products: Sequence[ProductRecord], size: int = SIZE) -> Thumbnail:
    """The small picture of a whole exposure: its detectors where they stand in the focal plane (x to the right, y up).

    Each is less its own sky, all in one scale.

    Parameters
    ----------
    products : image products of its detectors, all of one name; a detector without one is dark.

    Raises
    ------
    DataFault, ResourceFault
        As `thumbnail`; ``data.no-pixels`` where no detector has a value.
    """
    unit, name = f"exposure:{exposure.name}", products[0].name
    ordered = sorted(products, key=lambda each: int(each.unit.keys["detector"]))
    told = [f"{each.unit} {each.checksum}" for each in ordered]
    key = blake2b("\n".join([exposure.camera, *told]).encode(), digest_size=20).hexdigest()
    path = _kept(house.survey, key, MOSAIC, size)
    made = not path.is_file()
    if made:
        numbered = {int(each.unit.keys["detector"]): each for each in ordered}
        atomic.write_bytes(path, png(_focal_plane(house, exposure, numbered, size)))
    return Thumbnail(unit, name, MOSAIC, path, made)


def _kept(survey: Survey, checksum: str, plane: str, size: int) -> Path:
    return survey.folder(FOLDER) / checksum[:2] / f"{checksum}_{plane}_{size}_{_VERSION}.png"


def _sound(path: Path, product: ProductRecord) -> None:
    """What is kept under a checksum must not be drawn of other bytes."""
    if checksums.of_file(path) != product.checksum:
        message = f"{product.path} ({product.name} of {product.unit}) has other bytes than recorded"
        advice = "'spica check --deep', then run it again"
        raise DataFault("file.corrupt", message, advice=advice, path=product.path, unit=str(product.unit))


def _drawn(path: Path, product: ProductRecord, plane: str, size: int) -> npt.NDArray[np.uint8]:
    if product.form is Form.PICTURE:
        return small.small_picture(path, size)
    rows = open_rows(path)
    step = small.step_for(rows.shape, size)
    if plane == MASK:
        return looks.bits(small.small_bits(rows, step))
    look = looks.look_of(product, plane)
    return looks.grey(small.small(rows, plane, look, step), look)


def _focal_plane(
    house: Opened, exposure: Exposure, products: Mapping[int, ProductRecord], size: int
) -> npt.NDArray[np.uint8]:
    camera = load(exposure.camera, house.survey)
    corners = np.array([corner for each in outlines(camera) for corner in each.corners])
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = size / float(np.max(high - low))
    width, height = (max(1, int(scale * side)) for side in high - low)
    canvas: Canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = _GROUND
    pitch = scale * camera.pixel_size / 1000.0
    pictures = {n: _binned(house.survey, each, pitch) for n, each in products.items()}
    shades = _shaded(exposure, pictures)
    for spec in camera.detectors:
        matrix, origin = pixel_to_focal(camera, spec)
        picture = shades(pictures[spec.id]) if spec.id in pictures else _MISSING
        # Half a pixel: places are those of the pixels' middles on both sides.
        placed = scale * matrix, scale * (origin - low) - 0.5
        place(canvas, picture, *placed, (spec.ny, spec.nx), (_LINE, 0.0 if spec.id in pictures else 1.0))
    return canvas


def _binned(survey: Survey, product: ProductRecord, pitch: float) -> Float32:
    """A detector less its sky, about as small as it will be on a canvas where one of its pixels is `pitch` wide."""
    path = survey.root / product.path
    _sound(path, product)
    picture = small.small(open_rows(path), PIXELS, looks.Look.SKY, max(1, int(1.0 / pitch)))
    return picture - np.float32(robust_statistics(picture).median)


def _shaded(exposure: Exposure, pictures: Mapping[int, Float32]) -> Callable[[Float32], npt.NDArray[np.uint8]]:
    """One scale for all detectors."""
    values = np.concatenate([picture.ravel() for picture in pictures.values()])[None]
    try:
        levels = colour.automatic((values,) * 3, (0.0, 0.0, 0.0), weights=(1.0, 1.0, 1.0))
    except ValueError as error:
        message = f"no detector of {exposure.name} has a value"
        raise DataFault("data.no-pixels", message, unit=f"exposure:{exposure.name}") from error
    return lambda picture: looks.together(picture, levels)
