"""Raw files on disk: tile-compressed or plain FITS whose bytes follow from their content alone.

Our own coding writes compressed 16-bit images, in a fraction of the time (the bytes of a row are those of the reference
code); astropy writes the others, and their checksums (FITS 4.0, appendix J) are put in afterwards without the time that
astropy would note in their comments. A file is written HDU by HDU, so that a mosaic is never in memory twice.
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
from spica.files.encode import write_rows
from spica.files.fits import Card, ascii_sum, data_sum
from spica.kernels import rice

BLOCK = 2880
_CARD = 80
_ZERO = 32768


class Hdu(NamedTuple):
    """One HDU to be written: cards (keyword to value) and pixels ``(ny, nx)`` or ``(n, ny, nx)``, or None for a header alone."""

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
    if compressed and hdu.pixels is not None and hdu.pixels.dtype == np.uint16 and hdu.pixels.ndim == 2:
        return _coded(hdu.cards, hdu.pixels)
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


def _coded(cards: dict[str, Scalar], pixels: npt.NDArray[np.generic]) -> bytes:
    """A compressed image of unsigned 16-bit integers, in rows, stored as signed ones less 32768."""
    ny, nx = pixels.shape
    room, ends = np.empty(rice.bound(ny, nx), np.uint8), np.empty(ny, np.int64)
    # Another sign bit is 32768 less.
    rice.encode_shorts((np.asarray(pixels, np.uint16) ^ np.uint16(_ZERO)).view(np.int16), room, ends)
    own: list[Card] = [("BZERO", _ZERO, ""), ("BSCALE", 1, "")]
    own += [(keyword, value, "") for keyword, value in cards.items() if value is not None]
    out = io.BytesIO()
    write_rows(out, (ny, nx), 16, ends, room[: ends[-1]].tobytes(), own)
    return out.getvalue()


def _with_checksums(data: memoryview) -> bytes:
    """The HDU with DATASUM and CHECKSUM cards added at the end of its header."""
    end = _end_of_header(data)
    cards = bytes(data[:end])
    body = data[-(-(end + _CARD) // BLOCK) * BLOCK :]
    total = data_sum(body)
    blank = "0" * 16
    texts = [_card("CHECKSUM", blank), _card("DATASUM", str(total)), "END".ljust(_CARD)]
    header = (cards.decode("ascii") + "".join(texts)).encode("ascii")
    header += b" " * (-len(header) % BLOCK)
    check = ascii_sum(data_sum(header, total)).encode()
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
