"""Tests of catalogue rows (`spica.core.where`) as conditions of DuckDB, with the answers that `spica.core.select` gives."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spica.core.faults import SetupFault
from spica.core.where import Both, Comparison, Either, Expression, Not, Value

_ITEM = re.compile(r"(?P<list>.+)_(?P<place>[1-9]\d{0,5})")
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_INTEGERS = frozenset({f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")}) | {
    "INTEGER",
    "UINTEGER",
}
_BEYOND_FLOAT = 3.4028235677973366e38
"""From here on a number rounds to infinity in single precision."""
FACTS = {"exposure": "VARCHAR", "detector": "INTEGER", "night": "VARCHAR", "band": "VARCHAR", "mjd": "DOUBLE"}
"""What every row can tell of the exposure it comes from; a catalogue's own column of such a name is not seen."""


@dataclass(frozen=True)
class Readable:
    """A column as SQL, and the type of its values."""

    sql: str
    type: str

    @property
    def absent(self) -> str:
        """Condition that there is no value."""
        return f"({self.sql} IS NULL OR isnan({self.sql}))" if self.type in _FLOATS else f"({self.sql} IS NULL)"


def readable(name: str, columns: Mapping[str, str]) -> Readable:
    """A column, or one value of a column of lists (``flux_aper_1``); SetupFault ``where.invalid`` for an unknown one."""
    if name in FACTS:
        return Readable(f"list_extract($fact_{name}::{FACTS[name]}[], file_index::BIGINT + 1)", FACTS[name])
    if name in columns:
        return Readable(quoted(name), columns[name])
    item = _ITEM.fullmatch(name)
    if item and columns.get(item["list"], "").endswith("]"):
        kind = re.sub(r"\[\d*\]$", "", columns[item["list"]])
        return Readable(f"list_extract({quoted(item['list'])}, {int(item['place'])})", kind)
    near = difflib.get_close_matches(name, list(columns), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise SetupFault(
        "where.invalid",
        f"the catalogues have no column {name!r}{hint}",
        advice=f"there are {', '.join(columns)}",
        column=name,
        nearest=near[0] if near else "",
    )


def condition(tree: Expression, columns: Mapping[str, str], values: dict[str, Any]) -> str:
    """The condition of a tree; the values it compares with are added to `values` under new names."""
    match tree:
        case Not(inner=inner):
            return f"(NOT {condition(inner, columns, values)})"
        case Both(parts=parts):
            return "(" + " AND ".join(condition(part, columns, values) for part in parts) + ")"
        case Either(parts=parts):
            return "(" + " OR ".join(condition(part, columns, values) for part in parts) + ")"
        case Comparison(name=name):
            return _comparison(tree, readable(name, columns), values)


def _comparison(test: Comparison, column: Readable, values: dict[str, Any]) -> str:
    if test.operator == "null":
        return column.absent
    given = test.value if isinstance(test.value, tuple) else (test.value,)
    # A single-precision column is compared in single precision, as numpy does, but a list of values in double.
    single = column.type == "FLOAT" and test.operator != "in"
    places = []
    for value in given:
        checked = _checked(test, column, value)
        if single and abs(checked) >= _BEYOND_FLOAT:
            checked = float("inf") if checked > 0 else float("-inf")
        key = f"value_{len(values)}"
        values[key] = checked
        places.append(f"CAST(${key} AS FLOAT)" if single else f"${key}")
    match test.operator:
        case "!=":
            return f"({column.absent} OR {column.sql} <> {places[0]})"
        case "in":
            found = f"{column.sql} IN ({', '.join(places)})"
        case "between":
            found = f"{column.sql} >= {places[0]} AND {column.sql} <= {places[1]}"
        case "like":
            # Any character may stand for 'escape'; doubled it means itself, so that only % and _ are special.
            values[f"value_{len(values) - 1}"] = str(given[0]).replace("!", "!!")
            found = f"{column.sql} LIKE {places[0]} ESCAPE '!'"
        case _:
            found = f"{column.sql} {test.operator} {places[0]}"
    return f"(NOT {column.absent} AND {found})"


def _checked(test: Comparison, column: Readable, value: Value) -> Any:
    """The value as the column's kind has it; of another kind it is ``where.invalid``."""
    wrong = _wrong(test, column, value)
    if wrong:
        raise SetupFault("where.invalid", f"{test.name} {test.operator} {value!r}: {wrong}", column=test.name)
    if column.type == "VARCHAR":
        return value
    if column.type == "BOOLEAN":
        return bool(value)
    number: Any = int(value) if isinstance(value, bool) else value
    # No integer column holds numbers of 64 bits and more, and a database's own integers end somewhere too.
    return float(number) if isinstance(number, int) and abs(number) >= 1 << 63 else number


def _wrong(test: Comparison, column: Readable, value: Value) -> str:
    """Why a column cannot be compared with a value; empty where it can."""
    if value is None:
        return f"write '{test.name} is null'"
    if column.type.endswith("]"):
        return f"{test.name} holds several values per row: write {test.name}_1 for the first"
    if column.type == "VARCHAR":
        return "" if isinstance(value, str) else f"{test.name} is text: quote the value"
    return _wrong_number(test, column, value)


def _wrong_number(test: Comparison, column: Readable, value: Value) -> str:
    if column.type not in _FLOATS | _INTEGERS | {"BOOLEAN"}:
        return f"{test.name} is of type {column.type}, which no test can read"
    if isinstance(value, str) or test.operator == "like":
        return f"{test.name} is a number"
    if column.type == "BOOLEAN" and value not in {0, 1}:
        return f"{test.name} is true or false"
    return "there is no such number" if isinstance(value, int) and value.bit_length() > 1000 else ""


def quoted(name: str) -> str:
    """A name as DuckDB reads it, whatever its letters."""
    return '"' + name.replace('"', '""') + '"'
