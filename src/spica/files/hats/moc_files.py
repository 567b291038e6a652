"""Maps of coverage as files: FITS (NUNIQ and RANGE), JSON and ASCII, as the IVOA Recommendation MOC 2.0 has them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from spica.core.faults import SetupFault
from spica.core.records import Scalar
from spica.files import atomic, bintable
from spica.files.bintable import TableColumn
from spica.files.hats.healpix import DEEPEST, Int64
from spica.files.hats.moc import WHOLE, Moc

SUFFIXES = (".fits", ".json", ".txt")
_TOKEN = re.compile(r"(?:(\d+)/)?(?:(\d+)(?:-(\d+))?)?")
_ASCII = re.compile(r"\s*\d+/[\d\s,/-]*")


def read_moc(path: Path) -> Moc:
    """A map of coverage from a file, whose content tells its form.

    Raises
    ------
    SetupFault
        ``moc.invalid`` for a file that cannot be read, or is no map of coverage of the sky.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _invalid(str(path), f"cannot be read: {error.strerror}") from error
    if data[:6] == b"SIMPLE":
        return _from_fits(path)
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise _invalid(str(path), "is neither FITS nor text") from error
    return parse_moc(text, str(path))


def parse_moc(text: str, name: str = "the map of coverage") -> Moc:
    """A map of coverage from text: JSON (``{"5": [4965]}``) or ASCII (``5/4965 6/19868-19869``); SetupFault ``moc.invalid``."""
    if text.lstrip().startswith("{"):
        return _from_json(text, name)
    if not is_ascii_moc(text):
        raise _invalid(name, f"begins {text[:30]!r}, which is neither FITS, JSON nor ASCII")
    found: list[tuple[int, int]] = []
    order = 0
    for word in re.split(r"[\s,]+", text.strip()):
        parts = _TOKEN.fullmatch(word)
        if parts is None:
            raise _invalid(name, f"{word!r} is no cell and no range of cells")
        order = int(parts[1] or order)
        if parts[2] is not None:
            low, high = int(parts[2]), int(parts[3] or parts[2])
            found.append(_span(order, low, high, name))
    return _joined(found)


def is_ascii_moc(text: str) -> bool:
    """Whether a text is a map of coverage as ASCII, and no name of a file."""
    return _ASCII.fullmatch(text) is not None


def write_moc(path: Path, moc: Moc, *, by_range: bool = False) -> None:
    """Write a map of coverage in the form that the ending of the name says.

    Parameters
    ----------
    path : ``.fits``, ``.json`` or ``.txt``; replaced in one step.
    by_range : FITS of ranges of cells of order 29 rather than of numbered cells (NUNIQ), which all programs read.

    Raises
    ------
    SetupFault
        ``order.invalid`` for another ending.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    if path.suffix not in SUFFIXES:
        raise SetupFault("order.invalid", f"{path}: the name has to end in {', '.join(SUFFIXES)}", path=str(path))
    if path.suffix == ".fits":
        data = _to_fits(moc, by_range=by_range)
    else:
        data = ((_to_json(moc) if path.suffix == ".json" else to_ascii(moc)) + "\n").encode()
    atomic.write_bytes(path, data)


def to_ascii(moc: Moc) -> str:
    """Such as ``5/4965 6/19868-19869``; ``0/`` of nothing."""
    words = []
    for order, first, end in moc.spans():
        at = np.argsort(first)
        each = [f"{a}" if a + 1 == b else f"{a}-{b - 1}" for a, b in zip(first[at], end[at], strict=True)]
        words.append(f"{order}/{' '.join(each)}")
    return " ".join(words) or "0/"


def _to_json(moc: Moc) -> str:
    return json.dumps({str(order): _cells(first, end).tolist() for order, first, end in moc.spans()})


def _to_fits(moc: Moc, *, by_range: bool) -> bytes:
    order = moc.order
    extra: dict[str, Scalar] = {"MOCVERS": "2.0", "MOCDIM": "SPACE", "COORDSYS": "C", "MOCORD_S": order}
    if by_range:
        column = TableColumn("RANGE", np.stack([moc.first, moc.end], axis=1).ravel())
        extra["ORDERING"] = "RANGE"
    else:
        parts = [_cells(first, end) + (4 << 2 * order) for order, first, end in moc.spans()]
        column = TableColumn("UNIQ", np.sort(np.concatenate([np.zeros(0, np.int64), *parts])))
        extra |= {"ORDERING": "NUNIQ", "PIXTYPE": "HEALPIX", "MOCORDER": order}
    return bintable.primary() + bintable.table("MOC", [column], extra | {"MOCTOOL": "spica"})


def _cells(first: Int64, end: Int64) -> Int64:
    """All pixels of ranges, rising."""
    sizes = end - first
    offsets = np.repeat(first - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
    return np.sort(offsets + np.arange(int(sizes.sum())))


def _from_json(text: str, name: str) -> Moc:
    try:
        given: dict[str, Any] = json.loads(text)
        cells = [(int(order), int(cell)) for order, each in given.items() for cell in each]
    except (ValueError, TypeError) as error:
        raise _invalid(name, f"is no JSON of orders and cells: {error}") from error
    return _joined([_span(order, cell, cell, name) for order, cell in cells])


def _from_fits(path: Path) -> Moc:
    from astropy.io import fits

    name = str(path)
    try:
        with fits.open(path, memmap=False) as hdus:
            table = next(hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU))
            header, values = table.header, np.asarray(table.data.field(0)).astype(np.int64).ravel()
    except (OSError, ValueError, TypeError, StopIteration, IndexError) as error:
        raise _invalid(name, f"holds no table that can be read: {error!r}") from error
    if header.get("MOCDIM", "SPACE").strip() != "SPACE" or header.get("COORDSYS", "C").strip() not in {"C", "ICRS"}:
        raise _invalid(name, "is not of the sky in ICRS alone (MOCDIM = SPACE, COORDSYS = C)")
    ordering = str(header.get("ORDERING", "")).strip()
    if ordering in {"NUNIQ", "UNIQ", "NESTED"}:
        # The number of a cell is 4^(order + 1) + pixel.
        order = np.searchsorted(np.int64(4) << 2 * np.arange(DEEPEST + 1), values, side="right") - 1
        if np.any(order < 0):
            raise _invalid(name, "numbers cells that there are not")
        shift = 2 * (DEEPEST - order)
        pixels = values - (np.int64(4) << (2 * order))
        return _sound(pixels << shift, (pixels + 1) << shift, name)
    if ordering == "RANGE" and values.size % 2 == 0:
        return _sound(values[::2], values[1::2], name)
    raise _invalid(name, f"has ORDERING = {ordering!r}: neither NUNIQ nor RANGE")


def _joined(spans: list[tuple[int, int]]) -> Moc:
    flat = np.array(spans, np.int64).reshape(-1, 2)
    return Moc.of(flat[:, 0], flat[:, 1])


def _span(order: int, low: int, high: int, name: str) -> tuple[int, int]:
    if not 0 <= order <= DEEPEST or not 0 <= low <= high < 12 * 4**order:
        raise _invalid(name, f"there is no cell {order}/{max(low, high)}")
    shift = 2 * (DEEPEST - order)
    return low << shift, (high + 1) << shift


def _sound(first: Int64, end: Int64, name: str) -> Moc:
    if np.any(first < 0) or np.any(end > WHOLE) or np.any(end < first):
        raise _invalid(name, "has ranges that leave the sphere")
    return Moc.of(first, end)


def _invalid(name: str, what: str) -> SetupFault:
    return SetupFault("moc.invalid", f"{name} {what}", path=name)
