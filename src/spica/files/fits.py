"""The bones of a FITS file: where each HDU lies, its checksums, and HDUs written byte by byte.

Written here rather than by a library so that the same pixels give the same bytes: fixed order of cards, no dates, and
DATASUM/CHECKSUM without times in their comments (FITS standard 4.0, section 4.4.2.7 and appendix J).
"""

from __future__ import annotations

import gzip
import mmap
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.files import cards
from spica.files.cards import BLOCK, CARD
from spica.kernels.wordsum import word_sum

Card = tuple[str, Scalar, str]
_END = b"END" + b" " * 77
_NO_SUM = "0" * 16
_LEAD = 12
"""Cards that hold what the size of the data follows from, where the order is the standard's."""
SUFFIXES = (".fits", ".fit", ".fts", ".fits.fz", ".fit.fz", ".fits.gz", ".fit.gz", ".fts.gz")


@dataclass(frozen=True)
class Hdu:
    """One header and data unit.

    Attributes
    ----------
    index : 0 is the primary.
    start : first byte of the header.
    data : first byte of the data.
    size : bytes of data without the padding.
    text : the header as text, without END and padding.
    """

    index: int
    start: int
    data: int
    size: int
    text: str

    @cached_property
    def header(self) -> dict[str, Scalar]:
        """Keyword to value; parsed when first asked for (a reader of one HDU needs none of the others)."""
        return cards.parse(self.text)

    @property
    def name(self) -> str:
        """EXTNAME, '' where there is none."""
        return str(self.header.get("EXTNAME") or "")

    @property
    def end(self) -> int:
        """The byte after the last, padding counted."""
        return self.data + -(-self.size // BLOCK) * BLOCK

    @property
    def compressed(self) -> bool:
        """Holds a tile-compressed image."""
        return self.header.get("ZIMAGE") is True


def open_bytes(path: Path) -> memoryview:
    """All bytes of a FITS file: mapped into memory, or decompressed where the file is a gzip.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.unreadable``, ``file.empty``, ``file.truncated`` or ``file.corrupt`` (inside the gzip).
    """
    return unpack(map_bytes(path), path)


def map_bytes(path: Path) -> memoryview:
    """A file's bytes as they lie on the disk, mapped into memory; ``file.missing``, ``file.unreadable``, ``file.empty``."""
    try:
        with path.open("rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise DataFault("file.missing", f"{path} is not there", path=str(path)) from error
    except OSError as error:
        raise DataFault("file.unreadable", f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    except ValueError as error:
        raise DataFault("file.empty", f"{path} has no bytes", path=str(path)) from error
    return memoryview(mapped)


def forget(data: memoryview, start: int, stop: int) -> None:
    """Let go of the memory that mapped bytes have taken since they were read; the file is read again if asked for.

    Without it a file read band by band counts whole as memory of the process.
    """
    mapped = data.obj
    if isinstance(mapped, mmap.mmap) and stop > start:
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        mapped.madvise(mmap.MADV_DONTNEED, first, stop - first)


def unpack(raw: memoryview, path: Path) -> memoryview:
    """The FITS bytes of a delivered file's bytes: as they are, or decompressed where they are a gzip."""
    if bytes(raw[:2]) != b"\x1f\x8b":
        return raw
    try:
        return memoryview(gzip.decompress(raw))
    except EOFError as error:
        raise DataFault("file.truncated", f"{path}: the gzip stream ends too early", path=str(path)) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataFault("file.corrupt", f"{path}: {error}", path=str(path)) from error


def layout(data: memoryview, path: Path) -> list[Hdu]:
    """Where each HDU lies.

    Raises
    ------
    DataFault
        ``file.not-fits``; ``file.truncated`` with the HDU and the bytes that are missing; ``file.corrupt`` where a
        header has no sense.
    """
    if not len(data):
        raise DataFault("file.empty", f"{path} has no bytes", path=str(path))
    if bytes(data[:9]) != b"SIMPLE  =":
        raise DataFault("file.not-fits", f"{path} does not begin like a FITS file", path=str(path))
    found: list[Hdu] = []
    at = 0
    while at < len(data):
        if found and bytes(data[at : at + 8]) != b"XTENSION":
            if any(bytes(data[at:])):
                message = f"{path}: {len(data) - at} bytes after HDU {len(found) - 1} are no header"
                raise DataFault("file.corrupt", message, path=str(path), hdu=len(found), offset=at)
            break
        hdu = _read_header(data, at, len(found), path)
        # A writer may leave out the last padding whole; half of it is what an interrupted transfer leaves.
        if hdu.data + hdu.size > len(data) or hdu.data + hdu.size < len(data) < hdu.end:
            missing = (hdu.data + hdu.size if hdu.data + hdu.size > len(data) else hdu.end) - len(data)
            message = f"{path}: HDU {hdu.index} {hdu.name} lacks {missing} of its {hdu.end - hdu.data} bytes"
            raise DataFault("file.truncated", message, path=str(path), hdu=hdu.index, missing=missing)
        found.append(hdu)
        at = hdu.end
    return found


def _read_header(data: memoryview, start: int, index: int, path: Path) -> Hdu:
    at = start
    while True:
        block = bytes(data[at : at + BLOCK])
        end = block.find(_END)
        while end >= 0 and end % CARD:
            end = block.find(_END, end + 1)
        if end >= 0:
            break
        at += BLOCK
        if at >= len(data):
            message = f"{path}: the header of HDU {index} does not end"
            raise DataFault("file.truncated", message, path=str(path), hdu=index, missing=BLOCK)
    text = bytes(data[start : at + end]).decode("latin-1")
    lead = cards.parse(text[: _LEAD * CARD])
    if (index and "GCOUNT" not in lead) or lead.get("NAXIS1") == 0:
        lead = cards.parse(text)
    return Hdu(index, start, at + BLOCK, _data_size(lead, index, path), text)


def _data_size(header: dict[str, Scalar], index: int, path: Path) -> int:
    def whole(key: str, default: int | None = None) -> int:
        value = header.get(key, default)
        if type(value) is not int or (value < 0 and key != "BITPIX"):
            message = f"{path}: HDU {index} has {key} = {value!r}"
            raise DataFault("file.corrupt", message, path=str(path), hdu=index, keyword=key)
        return value

    axes = [whole(f"NAXIS{i + 1}") for i in range(whole("NAXIS"))]
    if abs(whole("BITPIX")) not in {8, 16, 32, 64}:
        message = f"{path}: HDU {index} has BITPIX = {header.get('BITPIX')!r}"
        raise DataFault("file.corrupt", message, path=str(path), hdu=index, keyword="BITPIX")
    if not axes:
        return 0
    if axes[0] == 0 and header.get("GROUPS") is True:
        axes = axes[1:]
    cells = 1
    for axis in axes:
        cells *= axis
    extra, groups = (whole("PCOUNT", 0), whole("GCOUNT", 1)) if index or "GROUPS" in header else (0, 1)
    return abs(whole("BITPIX")) // 8 * groups * (extra + cells)


def data_sum(data: npt.NDArray[Any] | bytes | bytearray | memoryview, start: int = 0) -> int:
    """Ones' complement sum of big-endian 32-bit words, as DATASUM has it, continued from `start`."""
    raw = data.reshape(-1).view(np.uint8) if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    whole = raw.size // 4 * 4
    total = start + word_sum(raw[:whole].view("<u4"))
    if raw.size > whole:
        total += int.from_bytes(raw[whole:].tobytes().ljust(4, b"\0"), "big")
    return _fold(total)


def _fold(total: int) -> int:
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def ascii_sum(total: int) -> str:
    """The 16 characters of CHECKSUM that bring an HDU's sum to minus zero (FITS standard 4.0, appendix J.3)."""
    complement = 0xFFFFFFFF - total
    columns = []
    for shift in (24, 16, 8, 0):
        byte = (complement >> shift) & 0xFF
        four = [byte // 4 + 0x30] * 4
        four[0] += byte % 4
        while any(_is_punctuation(c) for c in four):
            for i in (0, 2):
                if _is_punctuation(four[i]) or _is_punctuation(four[i + 1]):
                    four[i] += 1
                    four[i + 1] -= 1
        columns.append(four)
    text = "".join(chr(columns[column][row]) for row in range(4) for column in range(4))
    return text[-1] + text[:-1]


def _is_punctuation(code: int) -> bool:
    return 0x3A <= code <= 0x40 or 0x5B <= code <= 0x60


def header_bytes(items: Iterable[Card], total: int) -> bytes:
    """A header with DATASUM (`total`) and CHECKSUM appended."""
    return sealed("".join(cards.card(*item) for item in items), total)


def sealed(text: str, total: int) -> bytes:
    """A header from its cards as text, with DATASUM (`total`) and CHECKSUM appended."""
    text += cards.card("DATASUM", str(total)) + cards.card("CHECKSUM", _NO_SUM) + "END".ljust(CARD)
    head = text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii")
    at = head.rindex(_NO_SUM.encode())
    return head[:at] + ascii_sum(data_sum(head, total)).encode() + head[at + len(_NO_SUM) :]


def padding(size: int) -> bytes:
    """The zeros that fill data of `size` bytes up to a block."""
    return b"\0" * (-size % BLOCK)


def stored_sum(header: dict[str, Scalar], key: str) -> str:
    """DATASUM or CHECKSUM of a header as text, '' where it has none (or an empty one: unknown)."""
    value = header.get(key)
    return "" if value is None else str(value).strip()
