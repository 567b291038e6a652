"""Planes of an image product as bytes: plain, or as Rice-coded integers of a fixed step (see `spica.files.images`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.keywords import REFRESHED, SKY_ROOM, comment
from spica.core.mask import MEANINGS, Mask
from spica.core.records import Scalar
from spica.files import fits, original
from spica.files.fits import Card
from spica.kernels import rice
from spica.kernels.compiled import Int64

NOISE_STEPS = 16
VARIANCE_STEPS = 128
SAMPLE_ROWS = 128
CHUNK_ROWS = 512
WHOLE = {"mask", "number"}
"""Planes of whole numbers, int32."""
STEPS = {"time": 1 / 64, "epoch": 1e-5}
"""Steps of planes that have no noise [s, day]."""
STRUCTURE = {
    *("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "EXTEND", "EXTNAME", "EXTVER"),
    *("BSCALE", "BZERO", "BLANK", "TFIELDS", "TTYPE1", "TFORM1", "THEAP", "ZIMAGE", "ZTENSION", "ZBITPIX", "ZNAXIS"),
    *("ZNAXIS1", "ZNAXIS2", "ZPCOUNT", "ZGCOUNT", "ZTILE1", "ZTILE2", "ZCMPTYPE", "ZNAME1", "ZVAL1", "ZNAME2", "ZVAL2"),
    *("DATASUM", "CHECKSUM", "ZDATASUM", "ZHECKSUM", "QUANTVAR", "INHERIT", "END"),
}
"""Keywords that describe the file, not the image: the writer sets them, the reader leaves them out."""
Pixels = npt.NDArray[np.generic]
Numbers = npt.NDArray[np.float32]


class Source(Protocol):
    """What is written: an image in memory or on disk."""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""

    @property
    def header(self) -> Mapping[str, Scalar]:
        """Cards of SCIENCE."""

    def read(self, y0: int, y1: int, plane: str = "science") -> Pixels:
        """Rows of a plane."""


@dataclass(frozen=True)
class Label:
    """What a file says of itself besides its pixels.

    Attributes
    ----------
    identity : cards of the primary header: unit, job key, task versions … (written sorted).
    original : headers of the delivered HDUs that it was made from: HDU index and text (80 characters a card).
    """

    identity: Mapping[str, Scalar]
    original: tuple[tuple[int, str], ...] = ()


def write_planes(out: BinaryIO, source: Source, planes: tuple[str, ...], label: Label, *, lossless: bool) -> None:
    """Write a whole product to an open file, plane by plane, a few rows at a time."""
    out.write(primary(label.identity))
    added = 0.0
    for name in planes:
        step, rounded = (0.0, 0.0) if lossless else _step(source, name)
        if name == "science":
            added = rounded
        coded = step > 0 and _write_coded(out, source, name, step, added)
        if not coded:
            added = 0.0 if name == "science" else added
            plain = PlainPlane(out.tell(), name, source.shape, source.header)
            for y0, y1 in _chunks(source.shape[0]):
                plain.put(out, y0, source.read(y0, y1, name))
            plain.finish(out)
    if label.original:
        original.write(out, label.original)


def primary(identity: Mapping[str, Scalar]) -> bytes:
    """The primary header: what the product is, no pixels."""
    head: list[Card] = [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, "")]
    head.append(("ORIGIN", "spica", comment("ORIGIN")))
    head += [(key, identity[key], comment(key)) for key in sorted(identity) if key not in STRUCTURE]
    # Room for cards that come later, in place.
    head += [("", None, "")] * len(REFRESHED)
    return fits.header_bytes(head, 0)


@dataclass
class PlainPlane:
    """An uncompressed plane at a place in a file, filled row by row.

    Attributes
    ----------
    start : first byte of its header.
    name : 'science', 'variance', 'mask' or another of `spica.files.images.PLANES`.
    shape : (ny, nx).
    header : cards of SCIENCE.
    """

    start: int
    name: str
    shape: tuple[int, int]
    header: Mapping[str, Scalar]
    total: int = 0

    def __post_init__(self) -> None:
        ny, nx = self.shape
        structure: list[Card] = [("XTENSION", "IMAGE", ""), ("BITPIX", 32 if self.name in WHOLE else -32, "")]
        structure += [("NAXIS", 2, ""), ("NAXIS1", nx, ""), ("NAXIS2", ny, ""), ("PCOUNT", 0, ""), ("GCOUNT", 1, "")]
        self.cards = structure + _own_cards(self.name, self.header)
        self.data = self.start + len(fits.header_bytes(self.cards, 0))

    @property
    def end(self) -> int:
        """The byte after the last, padding counted."""
        size = self.shape[0] * self.shape[1] * 4
        return self.data + size + len(fits.padding(size))

    def put(self, out: BinaryIO, y0: int, rows: Pixels) -> None:
        """Write rows from y0 on; every row once."""
        if rows.ndim != 2 or rows.shape[1] != self.shape[1]:
            message = f"rows of shape {rows.shape} in an image of {self.shape}"
            raise DataFault("data.bad-value", message, plane=self.name)
        swapped = np.ascontiguousarray(rows, ">i4" if self.name in WHOLE else ">f4")
        self.total = fits.data_sum(swapped, self.total)
        out.seek(self.data + y0 * self.shape[1] * 4)
        out.write(swapped.view(np.uint8).data)

    def finish(self, out: BinaryIO) -> None:
        """Write the header, with the checksum of the rows put, and the padding."""
        size = self.shape[0] * self.shape[1] * 4
        out.seek(self.start)
        out.write(fits.header_bytes(self.cards, self.total))
        out.seek(self.data + size)
        out.write(fits.padding(size))


def noise(rows: Numbers) -> float:
    """Standard deviation of the noise of rows, ``(n, nx)``, from differences of every other pixel.

    1.4826/√6 × the median of |2 f(i) - f(i-2) - f(i+2)| over all rows; slopes and neighbours' correlation drop out
    (F. Stoehr et al. 2008, ADASS XVII, 505: DER_SNR). 0 where no three pixels are finite.
    """
    if rows.shape[1] < 5:
        return 0.0
    difference = np.abs(2 * rows[:, 2:-2] - rows[:, :-4] - rows[:, 4:]).ravel()
    difference = difference[np.isfinite(difference)]
    return float(np.median(difference)) * 1.482602 / math.sqrt(6) if difference.size else 0.0


def _step(source: Source, name: str) -> tuple[float, float]:
    """Step of a plane's integers, four significant digits, and the variance that rounding to it adds.

    The step is 0 where the plane must be written plain; where there is no noise but whole numbers (flags, counts) it is
    1 and nothing is rounded.
    """
    if name in WHOLE:
        return 1.0, 0.0
    if name in STEPS:
        return STEPS[name], 0.0
    ny = source.shape[0]
    wanted = np.unique(np.linspace(0, ny - 1, min(SAMPLE_ROWS, ny)).astype(int))
    with np.errstate(invalid="ignore", over="ignore"):
        rows = np.concatenate([np.asarray(source.read(y, y + 1, name), np.float32) for y in wanted.tolist()])
        if name == "variance":
            usable = rows[np.isfinite(rows) & (rows > 0)]
            unit = float(np.median(usable)) / VARIANCE_STEPS if usable.size else 0.0
        else:
            unit = noise(rows) / NOISE_STEPS
    unit = float(f"{unit:.3e}")
    if unit == 0 and name == "science" and _whole(source):
        return 1.0, 0.0
    return unit, unit * unit / 12


def _whole(source: Source) -> bool:
    """Whether all of SCIENCE that is finite is whole numbers, which integers hold as they are."""
    for y0, y1 in _chunks(source.shape[0]):
        rows = np.asarray(source.read(y0, y1), np.float32)
        rows = rows[np.isfinite(rows)]
        if not np.array_equal(rows, np.rint(rows)):
            return False
    return True


def _write_coded(out: BinaryIO, source: Source, name: str, step: float, added: float) -> bool:
    """Write a plane as a table of Rice-coded rows; False (and nothing is written) where its range has too many steps.

    `added` is the variance that the rounding of SCIENCE adds.
    """
    ny, nx = source.shape
    heap = bytearray()
    ends = np.empty(ny, np.int64)
    room = np.empty(rice.bound(min(CHUNK_ROWS, ny), nx), np.uint8)
    for y0, y1 in _chunks(ny):
        rows = source.read(y0, y1, name)
        if name in WHOLE:
            rice.encode_integers(np.ascontiguousarray(rows, np.int32), room, ends[y0:y1])
        else:
            offset = added if name == "variance" else 0.0
            fits_in = rice.encode_floats(np.ascontiguousarray(rows, np.float32), step, offset, room, ends[y0:y1])
            if not fits_in:
                return False
        size = int(ends[y1 - 1])
        ends[y0:y1] += len(heap)
        heap += room[:size].data
    own: list[Card] = []
    if name not in WHOLE:
        own += [("BSCALE", step, ""), ("BZERO", 0.0, ""), ("BLANK", rice.BLANK, "no finite value")]
        own.append(("QUANTVAR", added, comment("QUANTVAR")))
    write_rows(out, source.shape, 32, ends, heap, own + _own_cards(name, source.header))
    return True


def write_rows(
    out: BinaryIO, shape: tuple[int, int], bits: int, ends: Int64, heap: bytes | bytearray, own: Sequence[Card]
) -> None:
    """Write Rice-coded rows as a compressed image HDU with its checksums.

    Parameters
    ----------
    out : where it is appended.
    shape : (ny, nx) of the image; `bits` of one value: 16 or 32.
    ends : ``(ny,)`` bytes after each row's last in the `heap`.
    own : cards beside those of the structure.
    """
    ny, nx = shape
    sizes = np.diff(ends, prepend=0)
    table = np.stack([sizes, ends - sizes], axis=1).astype(">i4")
    total = fits.data_sum(heap, fits.data_sum(table))
    out.write(fits.header_bytes([*_coded_cards(ny, nx, bits, int(sizes.max()), len(heap)), *own], total))
    out.write(table.tobytes())
    out.write(heap)
    out.write(fits.padding(8 * ny + len(heap)))


def _coded_cards(ny: int, nx: int, bits: int, widest: int, heap: int) -> list[Card]:
    return [
        ("XTENSION", "BINTABLE", ""),
        ("BITPIX", 8, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", 8, ""),
        ("NAXIS2", ny, ""),
        ("PCOUNT", heap, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", 1, ""),
        ("TTYPE1", "COMPRESSED_DATA", ""),
        ("TFORM1", f"1PB({widest})", ""),
        ("ZIMAGE", True, ""),
        ("ZTENSION", "IMAGE", ""),
        ("ZBITPIX", bits, ""),
        ("ZNAXIS", 2, ""),
        ("ZNAXIS1", nx, ""),
        ("ZNAXIS2", ny, ""),
        ("ZPCOUNT", 0, ""),
        ("ZGCOUNT", 1, ""),
        ("ZTILE1", nx, ""),
        ("ZTILE2", 1, ""),
        ("ZCMPTYPE", "RICE_1", ""),
        ("ZNAME1", "BLOCKSIZE", ""),
        ("ZVAL1", rice.BLOCK, ""),
        ("ZNAME2", "BYTEPIX", ""),
        ("ZVAL2", bits // 8, ""),
    ]


def _own_cards(name: str, header: Mapping[str, Scalar]) -> list[Card]:
    """EXTNAME, and what science says (SCIENCE) or the meanings of the bits (MASK)."""
    cards: list[Card] = [("EXTNAME", name.upper(), "")]
    if name == "science":
        # The standard wants WCSAXES before all other cards of the sky solution.
        ordered = sorted(header.items(), key=lambda card: card[0] != "WCSAXES")
        cards += [(key, value, comment(key)) for key, value in ordered if key not in STRUCTURE]
        # Room for a better sky solution, in place.
        cards += [("", None, "")] * SKY_ROOM
    if name == "mask":
        for bit in Mask:
            cards.append((f"BIT{bit.bit_length() - 1}", str(bit.name), MEANINGS[str(bit.name)]))
    return cards


def _chunks(ny: int) -> Iterator[tuple[int, int]]:
    for y0 in range(0, ny, CHUNK_ROWS):
        yield y0, min(y0 + CHUNK_ROWS, ny)
