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
_KINDS = {1: 0, 3: 2, 4: 6}
"""Samples of a pixel to the kind of picture: grey, colours, colours with opacity."""


def write_png(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write a picture; row 0 of the array is the bottom row, as on the sky.

    Parameters
    ----------
    path : where; replaced in one step.
    array : ``(ny, nx)`` grey, ``(ny, nx, 3)`` red, green, blue, or ``(ny, nx, 4)`` with opacity; uint8.

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
        or (array.ndim == 3 and array.shape[2] not in {3, 4})
    ):
        message = f"a picture is (ny, nx), (ny, nx, 3) or (ny, nx, 4) uint8, not {array.shape} {array.dtype}"
        raise DataFault("data.bad-value", message)
    rows = np.ascontiguousarray(array[::-1]).reshape(len(array), -1)
    coded = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    coded[:, 0] = 2
    coded[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=coded[1:, 1:])
    kind = _KINDS[array.shape[2] if array.ndim == 3 else 1]
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 8, kind, 0, 0, 0)
    body = zlib.compress(coded.tobytes(), 6)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def read_png(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture that `write_png` wrote; row 0 is the bottom row.

    Raises
    ------
    DataFault
        ``file.missing``; ``file.corrupt`` where it is no picture of ours, or damaged.
    """
    try:
        return _unpacked(path.read_bytes())
    except FileNotFoundError as error:
        raise DataFault("file.missing", f"{path} is not there", path=str(path)) from error
    except (ValueError, struct.error, zlib.error) as error:
        raise DataFault("file.corrupt", f"{path} is no picture that spica wrote: {error}", path=str(path)) from error


def _unpacked(data: bytes) -> npt.NDArray[np.uint8]:
    """The pixels of the three chunks that `png` makes; ValueError, struct.error or zlib.error where they are not so."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("it does not begin as PNG does")
    width, height, depth, kind, *rest = struct.unpack(">IIBBBBB", data[16:29])
    if (depth, *rest) != (8, 0, 0, 0) or kind not in _KINDS.values():
        raise ValueError("another kind of PNG")
    (size,) = struct.unpack(">I", data[33:37])
    body = data[41 : 41 + size]
    if data[37:41] != b"IDAT" or struct.unpack(">I", data[41 + size : 45 + size]) != (zlib.crc32(b"IDAT" + body),):
        raise ValueError("its pixels are damaged")
    samples = {code: number for number, code in _KINDS.items()}[kind]
    coded = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, width * samples + 1)
    rows = np.cumsum(coded[:, 1:], axis=0, dtype=np.uint8)[::-1]
    return rows.reshape(height, width, samples) if samples > 1 else rows


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
