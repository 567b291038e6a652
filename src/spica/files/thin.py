"""Rows of image products that hold no file open between reads: a thousand of them cost no more than ten.

A memory map keeps its file's descriptor and counts the pages it has touched as memory of the process. A master is made of
as many frames as there are, so its plain (scratch) frames are read by place and length instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.files import original
from spica.files.images import FileRows, open_rows
from spica.files.planes import Plane

Pixels = npt.NDArray[np.generic]
_TYPES = {-32: np.dtype(">f4"), 32: np.dtype(">i4")}


@dataclass(frozen=True)
class ThinRows:
    """`spica.core.streams.Rows` over the plain planes of an image product.

    Attributes
    ----------
    path : the file; opened by each read, for as long as that lasts.
    shape : (ny, nx) of every plane.
    planes : plane name to its first byte and type.
    header : cards of SCIENCE.
    """

    path: Path
    shape: tuple[int, int]
    planes: Mapping[str, tuple[int, np.dtype[np.generic]]]
    header: Mapping[str, Scalar]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the science plane's pixels."""
        return np.dtype(np.float32)

    def delivered(self) -> Mapping[str, Scalar]:
        """As `spica.files.images.FileRows.delivered`."""
        return original.cards_of(self.path)

    def read(self, y0: int, y1: int, plane: str = "science") -> Pixels:
        """Rows y0 to y1 (half open): float32, int32 for 'mask'; KeyError where the file lacks the plane.

        Raises
        ------
        DataFault
            ``file.truncated`` where the file has become shorter since it was opened.
        """
        kind = self.planes[plane][1]
        # In place: another array of fresh memory would take three times as long.
        words = self.stored(y0, y1, plane, np.empty((y1 - y0) * self.shape[1], np.int32)).byteswap(inplace=True)
        return words.view(kind.newbyteorder("="))

    def stored(self, y0: int, y1: int, plane: str, room: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """The same as they are stored, as big-endian words (y1 - y0, nx), in the first of `room`.

        Raises
        ------
        DataFault
            As `read`.
        """
        start, dtype = self.planes[plane]
        nx = self.shape[1]
        words = room[: (y1 - y0) * nx]
        with self.path.open("rb", buffering=0) as file:
            file.seek(start + y0 * nx * dtype.itemsize)
            found = file.readinto(words.data)
        if found != words.nbytes:
            message = f"{self.path}: rows {y0} to {y1} of its {plane} are not there any more"
            raise DataFault("file.truncated", message, path=str(self.path), plane=plane)
        return words.reshape(y1 - y0, nx)


def open_thin(path: Path) -> ThinRows | FileRows:
    """The rows of an image product: held by nothing where its planes are plain, through a memory map otherwise."""
    rows = open_rows(path)
    if not all(_is_plain(plane, rows.shape) for plane in rows.planes.values()):
        return rows
    planes = {name: (plane.hdu.data, _TYPES[plane.bitpix]) for name, plane in rows.planes.items()}
    return ThinRows(path, rows.shape, planes, rows.header)


def _is_plain(plane: Plane, shape: tuple[int, int]) -> bool:
    """Whether the stored numbers are the pixels, one after the other, in the file as it lies on the disk."""
    return (
        not plane.hdu.compressed
        and plane.axes == shape
        and plane.bitpix in _TYPES
        and plane.scale == (1.0, 0.0)
        and plane.blank is None
        and plane.mapped
    )
