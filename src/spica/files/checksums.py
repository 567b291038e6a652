"""The checksum that names a file: BLAKE2b, 160 bits, in hexadecimal digits."""

from __future__ import annotations

import hashlib
from io import BufferedIOBase, RawIOBase
from pathlib import Path

from spica.core.faults import DataFault

CHUNK = 1 << 20


def of_file(path: Path) -> str:
    """Checksum of a file's bytes, 40 hexadecimal digits; reads 1 MiB at a time.

    Raises
    ------
    DataFault
        ``file.missing`` or ``file.unreadable``.
    """
    try:
        with path.open("rb", buffering=0) as stream:
            return of_stream(stream)
    except FileNotFoundError as error:
        raise DataFault("file.missing", f"{path} is not there", path=str(path)) from error
    except OSError as error:
        raise DataFault("file.unreadable", f"{path} cannot be read: {error.strerror}", path=str(path)) from error


def of_stream(stream: RawIOBase | BufferedIOBase) -> str:
    """Checksum of what an open binary file still holds."""
    state = hashlib.blake2b(digest_size=20)
    block = memoryview(bytearray(CHUNK))
    while count := stream.readinto(block):
        state.update(block[:count])
    return state.hexdigest()
