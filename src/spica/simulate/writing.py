"""Raw files on disk: tile-compressed or plain FITS whose bytes follow from their content alone.

astropy writes each HDU; the checksums (FITS 4.0, appendix J) are put in afterwards without the time that astropy would
note in their comments. A file is written HDU by HDU, so that a mosaic is never in memory twice.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from spica.core.records import Scalar
from spica.files.atomic import writing

BLOCK = 2880
_CARD = 80
_WORD = 0xFFFFFFFF


class Hdu(NamedTuple):
    """One HDU to be written: cards (keyword to value) and pixels ``(ny, nx)``, or None for a header alone."""

    cards: dict[str, Scalar]
    pixels: npt.NDArray[np.generic] | None = None


def write(path: Path, hdus: Iterable[Hdu]) -> None:
    """Write a FITS file; images are Rice-compressed (in rows) where the name ends in ``.fz``.

    Parameters
    ----------
    path : the file; ``.fits.fz`` compresses pixels, ``.fits.gz`` the whole file.
    hdus : the primary first; where images are compressed it has no pixels.

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    compressed = path.name.endswith(".fz")
    with writing(path, durable=False) as part, part.open("wb") as stream:
        target = gzip.GzipFile("", "wb", 6, stream, 0) if path.name.endswith(".gz") else stream
        for number, hdu in enumerate(hdus):
            target.write(encoded(hdu, primary=number == 0, compressed=compressed))
        if target is not stream:
            target.close()


def encoded(hdu: Hdu, *, primary: bool, compressed: bool) -> bytes:
    """The bytes of one HDU with its checksums."""
    header = fits.Header()
    for keyword, value in hdu.cards.items():
        if value is not None:
            header[keyword] = value
    buffer = io.BytesIO()
    if primary:
        fits.HDUList([fits.PrimaryHDU(hdu.pixels, header)]).writeto(buffer, output_verify="exception")
        start = 0
    else:
        image = (
            fits.CompImageHDU(hdu.pixels, header, compression_type="RICE_1")
            if compressed and hdu.pixels is not None
            else fits.ImageHDU(hdu.pixels, header)
        )
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(buffer, output_verify="exception")
        start = BLOCK
    return _with_checksums(buffer.getbuffer()[start:])


def _with_checksums(data: memoryview) -> bytes:
    """The HDU with DATASUM and CHECKSUM cards added at the end of its header."""
    end = _end_of_header(data)
    cards = bytes(data[:end])
    body = data[-(-(end + _CARD) // BLOCK) * BLOCK :]
    total = _sum(body)
    blank = "0" * 16
    texts = [_card("CHECKSUM", blank), _card("DATASUM", str(total)), "END".ljust(_CARD)]
    header = (cards.decode("ascii") + "".join(texts)).encode("ascii")
    header += b" " * (-len(header) % BLOCK)
    check = _characters(~_add(_sum(header), total) & _WORD).encode()
    place = end + 11
    return header[:place] + check + header[place + 16 :] + bytes(body)


def _card(keyword: str, value: str) -> str:
    return f"{keyword:<8}= '{value:<8}'".ljust(_CARD)


def _end_of_header(data: memoryview) -> int:
    """Where the END card begins."""
    for start in range(0, len(data), _CARD):
        if bytes(data[start : start + 8]) == b"END     ":
            return start
    raise ValueError("no END card")


def _sum(data: bytes | memoryview) -> int:
    """Ones' complement sum of big-endian 32-bit words; the length is a multiple of 4."""
    total = int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64))
    while total > _WORD:
        total = (total & _WORD) + (total >> 32)
    return total


def _add(a: int, b: int) -> int:
    total = a + b
    return (total & _WORD) + (total >> 32)


def _characters(value: int) -> str:
    """The 16 letters and digits of a checksum (FITS 4.0, appendix J.3), which leave the HDU's sum all ones."""
    columns = []
    for shift in (24, 16, 8, 0):
        byte = (value >> shift) & 0xFF
        letters = [byte // 4 + 48 + (byte % 4 if i == 0 else 0) for i in range(4)]
        # Keep clear of punctuation: move pairs apart by one until all are digits or letters.
        while any(58 <= c <= 64 or 91 <= c <= 96 for c in letters):
            for i in (0, 2):
                if any(58 <= c <= 64 or 91 <= c <= 96 for c in letters[i : i + 2]):
                    letters[i] += 1
                    letters[i + 1] -= 1
        columns.append(letters)
    text = "".join(chr(columns[j][i]) for i in range(4) for j in range(4))
    return text[-1] + text[:-1]
