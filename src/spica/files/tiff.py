"""Pictures as TIFF with 8 or 16 bits a sample, with nothing in them but pixels: what printers and STIFF's users ask for."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.files import atomic

_STRIP = 1 << 18
"""Bytes of a strip before it is compressed, about."""
_SHORT, _LONG = 3, 4
_LARGEST = 2**32 - 1


def write_tiff(path: Path, array: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> None:
    """Write a picture; row 0 of the array is the bottom row, as on the sky.

    Parameters
    ----------
    path : where; replaced in one step.
    array : ``(ny, nx)`` grey, ``(ny, nx, 3)`` red, green, blue, or ``(ny, nx, 4)`` with opacity; uint8 or uint16.

    Raises
    ------
    DataFault
        ``data.bad-value`` for another shape or type.
    """
    atomic.write_bytes(path, tiff(array))


def tiff(array: npt.NDArray[Any]) -> bytes:
    """The bytes of a picture: TIFF 6.0, little-endian, strips by deflate with the horizontal predictor (2)."""
    samples = 1 if array.ndim == 2 else array.shape[-1]
    if (
        array.dtype not in (np.uint8, np.uint16)
        or array.ndim not in {2, 3}
        or samples not in {1, 3, 4}
        or not array.size
    ):
        message = f"a TIFF is (ny, nx), (ny, nx, 3) or (ny, nx, 4) of uint8 or uint16, not {array.shape} {array.dtype}"
        raise DataFault("data.bad-value", message)
    rows = np.ascontiguousarray(array[::-1]).reshape(len(array), -1, samples)
    coded = rows.copy()
    np.subtract(rows[:, 1:], rows[:, :-1], out=coded[:, 1:])
    coded = coded.astype(coded.dtype.newbyteorder("<"))
    height, width = rows.shape[:2]
    each = max(1, _STRIP // (width * samples * array.dtype.itemsize))
    strips = [zlib.compress(coded[start : start + each].tobytes(), 6) for start in range(0, height, each)]
    offsets = 8 + np.concatenate(([0], np.cumsum([len(strip) + len(strip) % 2 for strip in strips])))
    if offsets[-1] > _LARGEST - (1 << 20):
        raise DataFault("data.bad-value", f"a picture of {width} × {height} is too large for TIFF")
    body = b"".join(strip + b"\0" * (len(strip) % 2) for strip in strips)
    bits = 8 * array.dtype.itemsize
    tags: list[tuple[int, int, list[int]]] = [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [bits] * samples),
        (259, _SHORT, [8]),  # deflate, as Adobe's tools write it
        (262, _SHORT, [1 if samples == 1 else 2]),  # black is zero, or colours
        (273, _LONG, [int(offset) for offset in offsets[:-1]]),
        (277, _SHORT, [samples]),
        (278, _LONG, [each]),
        (279, _LONG, [len(strip) for strip in strips]),
        (284, _SHORT, [1]),  # samples of a pixel side by side
        (317, _SHORT, [2]),
        *([(338, _SHORT, [2])] if samples == 4 else []),  # opacity that the colours are not multiplied with
    ]
    start = int(offsets[-1])
    return struct.pack("<2sHI", b"II", 42, start) + body + _directory(tags, start)


def _directory(tags: list[tuple[int, int, list[int]]], start: int) -> bytes:
    """The table of tags at `start`, and behind it the values that do not fit into it."""
    entries, beyond = b"", b""
    place = start + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        packed = struct.pack(f"<{len(values)}{'H' if kind == _SHORT else 'I'}", *values)
        if len(packed) <= 4:
            field = packed.ljust(4, b"\0")
        else:
            field = struct.pack("<I", place + len(beyond))
            beyond += packed
        entries += struct.pack("<HHI", tag, kind, len(values)) + field
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0) + beyond
