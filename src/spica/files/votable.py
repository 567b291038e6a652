"""VOTable 1.4 (IVOA Recommendation of 2019): fields with unit, UCD and description, rows as BINARY2, written as they come.

No date and no host is in it: the same rows give the same bytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt

from spica.core.columns import Column
from spica.core.keywords import comment
from spica.core.records import Scalar
from spica.files import atomic

UNITS = {"pixel2": "pixel**2"}
"""Units of ours that VOUnits writes otherwise."""
_KINDS = {
    "i2": "short", "i4": "int", "i8": "long", "f4": "float", "f8": "double", "u1": "unsignedByte", "b1": "boolean",
}  # fmt: skip
_LINE = 57 * 1024
"""Bytes that are encoded at once: whole lines of base64."""
_ICRS = "icrs"
_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


def described(name: str, columns: Sequence[Column], facts: Mapping[str, Scalar] | None = None) -> bytes:
    """A document without rows: what Parquet files carry in their metadata (VOParquet, IVOA Note of 2025)."""
    return (_head(name, columns, facts or {}) + _TAIL).encode()


def write(
    path: Path,
    name: str,
    columns: Sequence[Column],
    parts: Iterable[Mapping[str, npt.NDArray[Any]]],
    facts: Mapping[str, Scalar] | None = None,
) -> int:
    """Write rows part by part; answers how many.

    Parameters
    ----------
    path : replaced in one step when all is written.
    name : of the table.
    columns : their declarations; every part has them all, ``(n,)`` or ``(n, size)``.
    facts : parameters of the table.

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    record = _record(columns)
    rows, held = 0, b""
    with atomic.writing(path) as part, part.open("wb") as stream:
        stream.write((_head(name, columns, facts or {}) + '<DATA><BINARY2><STREAM encoding="base64">\n').encode())
        for each in parts:
            made = np.zeros(len(each[columns[0].name]), record)
            for number, column in enumerate(columns):
                made[f"c{number}"] = each[column.name]
            rows += made.size
            held += made.tobytes()
            whole = len(held) // _LINE * _LINE
            stream.write(base64.encodebytes(held[:whole]))
            held = held[whole:]
        stream.write(base64.encodebytes(held))
        stream.write(f"</STREAM></BINARY2></DATA>\n{_TAIL}".encode())
    return rows


def _record(columns: Sequence[Column]) -> np.dtype[Any]:
    """A row: a bit for each field that tells whether it is missing (none is: NaN says so), then the values."""
    values = [
        (f"c{number}", np.dtype(each.dtype).newbyteorder(">"), (each.size,) if each.size > 1 else ())
        for number, each in enumerate(columns)
    ]
    return np.dtype([("missing", np.uint8, (-(-len(columns) // 8),)), *values])


def _head(name: str, columns: Sequence[Column], facts: Mapping[str, Scalar]) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
        f'<RESOURCE type="results">\n<COOSYS ID="{_ICRS}" system="ICRS"/>\n<TABLE name={quoteattr(name)}>',
        *(_parameter(key, value) for key, value in facts.items()),
        *(_field(number, each) for number, each in enumerate(columns)),
    ]
    return "\n".join(lines) + "\n"


_TAIL = "</TABLE>\n</RESOURCE>\n</VOTABLE>\n"


def _field(number: int, column: Column) -> str:
    kind = np.dtype(column.dtype)
    given = {"ID": _identifier(number, column.name), "name": column.name}
    if kind.kind == "S":
        given |= {"datatype": "char", "arraysize": str(kind.itemsize)}
    else:
        given["datatype"] = _KINDS[kind.str[1:]]
        if column.size > 1:
            given["arraysize"] = str(column.size)
    if column.unit:
        given["unit"] = UNITS.get(column.unit, column.unit)
    if column.ucd:
        given["ucd"] = column.ucd
    if column.ucd.startswith("pos.eq"):
        given["ref"] = _ICRS
    words = " ".join(f"{key}={quoteattr(value)}" for key, value in given.items())
    return f"<FIELD {words}><DESCRIPTION>{escape(column.meaning)}</DESCRIPTION></FIELD>"


def _identifier(number: int, name: str) -> str:
    """The name, by which libraries call the column, where XML can hold it and nothing else has it."""
    return name if _XML_NAME.fullmatch(name) and name != _ICRS else f"column-{number}"


def _parameter(key: str, value: Scalar) -> str:
    if isinstance(value, bool):
        kind, text = 'datatype="boolean"', str(value).lower()
    elif isinstance(value, int):
        kind, text = 'datatype="long"', str(value)
    elif isinstance(value, float):
        kind, text = 'datatype="double"', repr(value)
    else:
        kind, text = 'datatype="char" arraysize="*"', "" if value is None else str(value)
    meaning = comment(key)
    inner = f"<DESCRIPTION>{escape(meaning)}</DESCRIPTION>" if meaning else ""
    return f"<PARAM name={quoteattr(key)} {kind} value={quoteattr(text)}>{inner}</PARAM>"
