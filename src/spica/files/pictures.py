"""Pictures as PNG, with nothing in them but pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.files import atomic

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2


def write_png(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write a picture; row 0 of the array is the bottom row, as on the sky.

    Parameters
    ----------
    path : where; replaced in one step.
    array : ``(ny, nx)`` grey or ``(ny, nx, 3)`` red, green, blue; uint8.

    Raises
    ------
    DataFault
        ``data.bad-value`` for another shape or type.
    """
    atomic.write_bytes(path, png(array))


def png(array: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of a picture (PNG specification, 3rd edition: IHDR, IDAT, IEND; filter 2 'up' on every row)."""
    if (
        array.dtype != np.uint8
        or array.ndim not in {2, 3}
        or array.size == 0
        or (array.ndim == 3 and array.shape[2] != 3)
    ):
        message = f"a picture is (ny, nx) or (ny, nx, 3) uint8, not {array.shape} {array.dtype}"
        raise DataFault("data.bad-value", message)
    rows = np.ascontiguousarray(array[::-1]).reshape(len(array), -1)
    coded = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    coded[:, 0] = 2
    coded[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=coded[1:, 1:])
    kind = _COLOUR if array.ndim == 3 else _GREY
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 8, kind, 0, 0, 0)
    body = zlib.compress(coded.tobytes(), 6)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
