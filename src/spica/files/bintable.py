"""FITS binary tables of plain columns, byte by byte: the same values give the same bytes (FITS standard 4.0, 7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.files import atomic, fits
from spica.files.fits import Card

UNITS = {"electron": "count", "pixel2": "pixel**2"}
"""Units of ours that the FITS standard does not know, in its words."""
_FORMS = {"i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D", "u1": "B", "b1": "L"}


@dataclass(frozen=True, eq=False)
class TableColumn:
    """One column.

    Attributes
    ----------
    name : TTYPE.
    values : ``(n, …)`` of integers, floats or bytes; more axes are told by TDIM.
    unit, meaning, ucd, display : TUNIT, the comment of TTYPE, TUCD, TDISP; '' leaves them out.
    remark : TCOMM, the meaning in full, which TOPCAT and STILTS read.
    """

    name: str
    values: npt.NDArray[Any]
    unit: str = ""
    meaning: str = ""
    ucd: str = ""
    display: str = ""
    remark: str = ""


def table(name: str, columns: Sequence[TableColumn], extra: Mapping[str, Scalar] | None = None) -> bytes:
    """A BINTABLE extension called `name`, header and padded data; `extra` cards stand after those of the structure."""
    rows = len(columns[0].values)
    raw = _packed(columns, [each.values for each in columns])
    return fits.header_bytes(_cards(name, rows, columns, extra), fits.data_sum(raw)) + raw + fits.padding(len(raw))


def write(
    path: Path,
    name: str,
    columns: Sequence[TableColumn],
    parts: Iterable[Mapping[str, npt.NDArray[Any]]],
    extra: Mapping[str, Scalar] | None = None,
) -> int:
    """Write a file of one table part by part; answers the number of rows.

    Parameters
    ----------
    path : replaced in one step when all is written.
    columns : without rows: values of shape ``(0, …)`` tell the type.
    parts : column name to values, converted to the column's type.
    """
    rows, total, held, size = 0, 0, b"", 0
    with atomic.writing(path) as part, part.open("wb") as stream:
        stream.write(primary())
        start = stream.tell()
        # The sums and the number of rows are known at the end; cards have fixed widths.
        stream.write(fits.header_bytes(_cards(name, 0, columns, extra), 0))
        for each in parts:
            raw = _packed(columns, [each[column.name] for column in columns])
            rows += len(each[columns[0].name])
            stream.write(raw)
            size += len(raw)
            held += raw
            # Sums are of words of four bytes, which a row need not end with.
            whole = len(held) // 4 * 4
            total, held = fits.data_sum(held[:whole], total), held[whole:]
        stream.write(fits.padding(size))
        stream.seek(start)
        stream.write(fits.header_bytes(_cards(name, rows, columns, extra), fits.data_sum(held, total)))
    return rows


def _packed(columns: Sequence[TableColumn], values: Sequence[npt.NDArray[Any]]) -> bytes:
    """Rows as the table holds them."""
    kinds = [(f"c{number}", *_kind(each)) for number, each in enumerate(columns)]
    data = np.zeros(len(values[0]), np.dtype(kinds))
    for number, each in enumerate(values):
        data[f"c{number}"] = each
    return data.tobytes()


def _cards(name: str, rows: int, columns: Sequence[TableColumn], extra: Mapping[str, Scalar] | None) -> list[Card]:
    width = np.dtype([(f"c{number}", *_kind(each)) for number, each in enumerate(columns)]).itemsize
    cards: list[Card] = [
        ("XTENSION", "BINTABLE", ""),
        ("BITPIX", 8, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", width, ""),
        ("NAXIS2", rows, ""),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", len(columns), ""),
        ("EXTNAME", name, ""),
    ]
    for number, each in enumerate(columns, start=1):
        cards += _described(number, each)
    return cards + [(key, value, "") for key, value in (extra or {}).items()]


def primary() -> bytes:
    """A primary header without pixels."""
    return fits.header_bytes(
        [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, ""), ("ORIGIN", "spica", "")], 0
    )


def _kind(column: TableColumn) -> tuple[str, tuple[int, ...]]:
    values = column.values
    if values.dtype.kind == "S":
        return values.dtype.str, values.shape[1:]
    word = values.dtype.str.lstrip("<>=|")
    if word not in _FORMS:
        message = f"column {column.name!r} is {values.dtype}, which a FITS table does not hold"
        raise DataFault("data.bad-value", message, column=column.name)
    return f">{word}", values.shape[1:]


def _described(number: int, column: TableColumn) -> list[Card]:
    kind, shape = _kind(column)
    size = int(np.prod(shape, dtype=np.int64))
    if kind.startswith("|S"):
        width = int(kind[2:])
        form, axes = f"{width * size}A", (width, *shape[::-1])
    else:
        form, axes = f"{size if shape else ''}{_FORMS[kind.lstrip('>')]}", shape[::-1]
    cards: list[Card] = [(f"TTYPE{number}", column.name, column.meaning), (f"TFORM{number}", form, "")]
    if len(axes) > 1:
        cards.append((f"TDIM{number}", f"({','.join(map(str, axes))})", ""))
    for word, value in (
        ("TUNIT", UNITS.get(column.unit, column.unit)),
        ("TDISP", column.display),
        ("TUCD", column.ucd),
        ("TCOMM", column.remark),
    ):
        if value:
            cards.append((f"{word}{number}", value, ""))
    return cards
