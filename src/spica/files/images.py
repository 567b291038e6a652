"""Image products: multi-extension FITS with SCIENCE, VARIANCE and MASK, and the rows of any image.

Kept products are tile-compressed: float planes as integers of a fixed step, Rice-coded one row per tile. The step of
SCIENCE is 1/16 of the noise, so that rounding adds 0.03 % to the variance; that is said in the header (QUANTVAR) and
added to the VARIANCE plane. The step of VARIANCE is 1/128 of its median. Pixels that are not finite are written as BLANK and
come back as NaN, those of VARIANCE as infinity. Whole numbers without noise (flags) have the step 1. Scratch products
are plain float32 and int32, exact and quick to read in bands. A plane that steps cannot hold (a range above 2³⁰ steps,
or one value that is no whole number) is written plain as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.keywords import REFRESHED
from spica.core.records import Scalar
from spica.core.streams import Band
from spica.files import atomic, encode, fits
from spica.files.encode import Label
from spica.files.fits import Hdu
from spica.files.frames import read_delivered, read_raw
from spica.files.original import Header, cards_of
from spica.files.planes import Plane

__all__ = [
    "PLANES",
    "FileRows",
    "ImageSink",
    "open_rows",
    "read_delivered",
    "read_identity",
    "read_image",
    "read_raw",
    "write_image",
]

PLANES = ("science", "variance", "mask", "number", "time", "epoch")
"""The last three are those of stacks: exposures, exposure time [s], mean epoch [day since MJDREF]."""
Pixels = npt.NDArray[np.generic]


def write_image(
    path: Path,
    image: Image,
    identity: Mapping[str, Scalar],
    lossless: bool = False,  # noqa: FBT001, FBT002  (the contract between the rooms)
    original: tuple[Header, ...] = (),
) -> None:
    """Write an image product; the same image and identity give the same bytes.

    Parameters
    ----------
    path : where; replaced in one step.
    image : pixels, variance, mask and the header cards that science adds (they go to SCIENCE).
    identity : unit, job key, task versions … (they go to the primary header, sorted).
    lossless : exact, uncompressed; for scratch.
    original : delivered headers that are kept with it.

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    given = (("science", image.pixels), ("variance", image.variance), ("mask", image.mask))
    planes = {name: array for name, array in given if array is not None}
    rows = _Arrays(planes, image.header)
    with atomic.writing(path, durable=not lossless) as part, part.open("wb") as out:
        encode.write_planes(out, rows, tuple(planes), Label(identity, original), lossless=lossless)


def read_image(path: Path, planes: tuple[str, ...] = ()) -> Image:
    """Read an image product whole, or only the planes asked for: the others are None, the pixels NaN.

    Raises
    ------
    DataFault
        ``file.*`` where the file is not there, not whole or not FITS.
    """
    rows = open_rows(path)
    ny = rows.shape[0]
    wanted = planes or PLANES[:3]
    parts = {name: rows.read(0, ny, name) for name in PLANES if name in rows.planes and name in wanted}
    variance, mask = parts.get("variance"), parts.get("mask")
    science = parts["science"] if "science" in parts else np.broadcast_to(np.float32(np.nan), rows.shape)
    return Image(
        science.astype(np.float32, copy=False),
        None if variance is None else variance.astype(np.float32, copy=False),
        None if mask is None else mask.astype(np.int32, copy=False),
        rows.header,
    )


def read_identity(path: Path) -> dict[str, Scalar]:
    """The identity cards that `write_image` was given."""
    primary = fits.layout(fits.open_bytes(path), path)[0].header
    other = encode.STRUCTURE | {"ORIGIN", *REFRESHED}
    return {key: value for key, value in primary.items() if key not in other}


@dataclass(frozen=True)
class FileRows:
    """`spica.core.streams.Rows` over an image file: only the rows asked for are read and decoded.

    Attributes
    ----------
    planes : plane name to where it lies.
    """

    planes: Mapping[str, Plane]

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.planes["science"].shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the science plane's pixels."""
        return np.dtype(np.float32)

    @property
    def header(self) -> Mapping[str, Scalar]:
        """The header cards of SCIENCE that do not describe the file's structure."""
        return {key: value for key, value in self.planes["science"].hdu.header.items() if key not in encode.STRUCTURE}

    def delivered(self) -> Mapping[str, Scalar]:
        """Cards of the headers as they were delivered, none where the file keeps none; an image's above its file's."""
        return cards_of(self.planes["science"].path)

    def read(self, y0: int, y1: int, plane: str = "science") -> Pixels:
        """Rows y0 to y1 (half open): float32, int32 for 'mask'; KeyError where the file lacks the plane."""
        source = self.planes[plane]
        if plane in encode.WHOLE:
            return source.read(y0, y1).astype(np.int32, copy=False)
        return source.floats(y0, y1, np.inf if plane == "variance" else np.nan)


def open_rows(path: Path) -> FileRows:
    """The rows of an image product (SCIENCE, VARIANCE, MASK), or of the first image of any other FITS file."""
    data = fits.open_bytes(path)
    hdus = fits.layout(data, path)
    planes = {hdu.name.lower(): Plane(data, hdu, path) for hdu in hdus if hdu.name.lower() in PLANES and is_image(hdu)}
    if "science" not in planes:
        first = next((hdu for hdu in hdus if is_image(hdu)), None)
        if first is None:
            raise DataFault("header.bad-geometry", f"{path} holds no image", path=str(path))
        planes["science"] = Plane(data, first, path)
    return FileRows(planes)


def is_image(hdu: Hdu) -> bool:
    """Whether an HDU holds an image, compressed or not."""
    if hdu.compressed:
        return True
    kind = hdu.header.get("XTENSION", "IMAGE")
    return str(kind).strip() == "IMAGE" and int(str(hdu.header["NAXIS"])) >= 2 and hdu.size > 0


@dataclass
class ImageSink:
    """Writes bands as they come, in bounded memory; the bytes are those of `write_image`.

    A lossless product is written straight to its place in the file. A compressed one needs the noise of the whole image
    first: its bands go to a plain file beside it, which is compressed by rows on `close`.

    Parameters
    ----------
    path : where the file shall be.
    shape : (ny, nx).
    identity, lossless : as for `write_image`.
    header : cards of SCIENCE.
    """

    path: Path
    shape: tuple[int, int]
    identity: Mapping[str, Scalar]
    lossless: bool = False
    header: Mapping[str, Scalar] = field(default_factory=dict)
    _next: int = field(default=0, init=False)
    _part: Path | None = field(default=None, init=False)
    _planes: dict[str, encode.PlainPlane] = field(default_factory=dict, init=False)

    def write(self, band: Band) -> None:
        """Take the next band: rows in order, the same planes every time; ``data.bad-value`` otherwise."""
        rows = len(next(iter(band.planes.values())))
        known = not self._planes or set(band.planes) == set(self._planes)
        if band.y0 != self._next or band.y0 + rows > self.shape[0] or not known:
            message = f"{self.path}: a band of {rows} rows from {band.y0} does not follow row {self._next}"
            raise DataFault("data.bad-value", message, path=str(self.path), expected=self._next, got=band.y0)
        with atomic.disk_faults(self.path):
            part = self._part or self._begin(tuple(name for name in PLANES if name in band.planes))
            with part.open("r+b") as out:
                for name, plane in self._planes.items():
                    plane.put(out, band.y0, band.planes[name])
        self._next += rows

    def close(self) -> None:
        """Finish the file; ``data.bad-value`` where rows are missing (nothing is left behind then)."""
        part = self._part
        try:
            if part is None or self._next != self.shape[0]:
                message = f"{self.path}: {self._next} of {self.shape[0]} rows were written"
                raise DataFault("data.bad-value", message, path=str(self.path), expected=self.shape[0], got=self._next)
            with atomic.disk_faults(self.path):
                with part.open("r+b") as out:
                    for plane in self._planes.values():
                        plane.finish(out)
                if self.lossless:
                    atomic.commit(part, self.path, durable=False)
                else:
                    with atomic.writing(self.path) as final, final.open("wb") as out:
                        label = Label(self.identity)
                        encode.write_planes(out, open_rows(part), tuple(self._planes), label, lossless=False)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give up an unfinished file: nothing is left behind."""
        if self._part is not None:
            self._part.unlink(missing_ok=True)
            self._part = None

    def _begin(self, planes: tuple[str, ...]) -> Path:
        part = atomic.part_of(self.path)
        part.parent.mkdir(parents=True, exist_ok=True)
        primary = encode.primary(self.identity)
        part.write_bytes(primary)
        self._part = part
        start = len(primary)
        for name in planes:
            self._planes[name] = encode.PlainPlane(start, name, self.shape, self.header)
            start = self._planes[name].end
        return part


@dataclass(frozen=True)
class _Arrays:
    """`Rows` over arrays in memory."""

    arrays: Mapping[str, Pixels]
    header: Mapping[str, Scalar]

    @property
    def shape(self) -> tuple[int, int]:
        ny, nx = self.arrays["science"].shape
        return ny, nx

    def read(self, y0: int, y1: int, plane: str = "science") -> Pixels:
        return self.arrays[plane][y0:y1]
