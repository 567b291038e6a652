"""Is a delivered FITS file readable, whole and unchanged? One pass over its bytes.

Faults stop a file; what merely breaks the standard is told as conformance lines (`spica.files.conformance`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.files import fits
from spica.files.conformance import of_hdus
from spica.files.fits import Hdu
from spica.files.planes import Plane

CHUNK = 1 << 22


@dataclass(frozen=True)
class HduInfo:
    """What one HDU says.

    Attributes
    ----------
    index, name : place in the file, EXTNAME.
    header : keyword to value.
    text : the header as text, 80 characters a card.
    shape : of the image in numpy's order, () where it holds none.
    checked : how its data were checked: 'checksum', 'decoded' or '' (nothing to check by).
    """

    index: int
    name: str
    header: dict[str, Scalar]
    text: str
    shape: tuple[int, ...]
    checked: str


@dataclass(frozen=True)
class Inspection:
    """What one pass over a file found.

    Attributes
    ----------
    checksum : of the file's bytes, `spica.files.checksums`.
    size : bytes.
    hdus : every HDU.
    conformance : where it breaks the FITS standard without being wrong, one line each.
    """

    checksum: str
    size: int
    hdus: tuple[HduInfo, ...]
    conformance: tuple[str, ...]

    @property
    def headers(self) -> list[dict[str, Scalar]]:
        """Every HDU's header, primary first."""
        return [hdu.header for hdu in self.hdus]


def inspect_file(path: Path, *, sums: bool = True) -> Inspection:
    """Read a file once: its checksum, its headers, and whether its data are what they were when written.

    Parameters
    ----------
    path : ``.fits``, ``.fits.fz``, ``.fits.gz`` and the like; what counts is the content.
    sums : compare DATASUM and CHECKSUM, and decode compressed tiles that have neither.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.unreadable``, ``file.empty``, ``file.not-fits``, ``file.truncated``, ``file.corrupt``.
    """
    raw = fits.map_bytes(path)
    checksum = _checksum(raw)
    data = fits.unpack(raw, path)
    hdus = fits.layout(data, path)
    infos = tuple(_check(data, hdu, path) if sums else _info(data, hdu, path, "") for hdu in hdus)
    return Inspection(checksum, len(raw), infos, tuple(of_hdus(hdus, len(data))))


def _checksum(raw: memoryview) -> str:
    state = hashlib.blake2b(digest_size=20)
    for at in range(0, len(raw), CHUNK):
        state.update(raw[at : at + CHUNK])
        fits.forget(raw, at, min(at + CHUNK, len(raw)))
    return state.hexdigest()


def _check(data: memoryview, hdu: Hdu, path: Path) -> HduInfo:
    """Compare an HDU's data with what its header says of them."""
    checked = ""
    stored = fits.stored_sum(hdu.header, "DATASUM")
    whole = fits.stored_sum(hdu.header, "CHECKSUM")
    if stored.isdigit() or len(whole) == 16:
        total = _sum(data, hdu.data, min(hdu.end, len(data)))
        if stored.isdigit() and int(stored) != total and not (hdu.size == 0 and int(stored) == 0):
            message = f"{path}: the data of HDU {hdu.index} {hdu.name} do not agree with their DATASUM"
            raise DataFault("file.corrupt", message, path=str(path), hdu=hdu.index, stored=int(stored), found=total)
        if len(whole) == 16 and whole != "0" * 16:
            everything = fits.data_sum(data[hdu.start : hdu.data], total)
            if everything not in {0, 0xFFFFFFFF}:
                message = f"{path}: HDU {hdu.index} {hdu.name} does not agree with its CHECKSUM"
                raise DataFault("file.corrupt", message, path=str(path), hdu=hdu.index, stored=whole, found=everything)
        checked = "checksum"
    elif hdu.compressed:
        _decode(data, hdu, path)
        checked = "decoded"
    return _info(data, hdu, path, checked)


def _sum(data: memoryview, start: int, stop: int) -> int:
    """DATASUM of data, a few MiB at a time."""
    total = 0
    for at in range(start, stop, CHUNK):
        end = min(at + CHUNK, stop)
        total = fits.data_sum(data[at:end], total)
        fits.forget(data, at, end)
    return total


def _info(data: memoryview, hdu: Hdu, path: Path, checked: str) -> HduInfo:
    is_image = hdu.compressed or str(hdu.header.get("XTENSION", "IMAGE")).strip() == "IMAGE"
    shape = Plane(data, hdu, path).axes if is_image else ()
    return HduInfo(hdu.index, hdu.name, hdu.header, hdu.text, shape, checked)


def _decode(data: memoryview, hdu: Hdu, path: Path) -> None:
    """Decode every tile of a compressed HDU; ``file.corrupt`` where one does not."""
    plane = Plane(data, hdu, path)
    for layer in range(plane.layers):
        for y0, y1 in _bands(plane.shape[0]):
            plane.read(y0, y1, layer)


def _bands(ny: int, rows: int = 512) -> Iterator[tuple[int, int]]:
    for y0 in range(0, ny, rows):
        yield y0, min(y0 + rows, ny)
