"""From a service's record to the terminal: one JSON document, or tables that fit the width there is."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_FILE = 160
"""Columns where the output is no terminal: wide enough that names stay whole."""

OUTCOME_STYLES = {"done": "green", "refused": "yellow", "failed": "red"}


def plain(value: Any) -> Any:
    """JSON-able form of a record: dataclasses to objects, paths and dates to text, NaN and infinity to null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, (PurePath, date, datetime)) else value


def print_json(value: Any) -> None:
    """Print a service's answer as the one JSON document of this command."""
    sys.stdout.write(json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def console() -> Console:
    """The console on stdout as it is now (tests and pipes exchange it)."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found = Console(highlight=False, width=WIDTH_OF_A_FILE)
    return found


def show_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "") -> None:
    """Print a table; numbers stand right; where there is no row, `empty` is said instead."""
    filled = [[_cell(value) for value in row] for row in rows]
    target = console()
    if not filled:
        if empty:
            target.print(escape(empty))
        return
    table = Table(title=escape(title) if title else None, title_justify="left", header_style="bold", box=None)
    for position, head in enumerate(heads):
        numeric = all(_is_number(row[position].plain) for row in filled)
        table.add_column(escape(head), justify="right" if numeric else "left", overflow="fold")
    for row in filled:
        table.add_row(*row)
    target.print(table)


def say(text: str, style: str = "") -> None:
    """Print a line as it is: no markup is read in it."""
    console().print(Text(text, style=style), soft_wrap=True)


def facts(pairs: Mapping[str, object], indent: str = "") -> None:
    """Print names and values, one on a line, the values in one column; empty values are left out."""
    shown = {name: _told(value) for name, value in pairs.items() if value is not None and value != ""}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        say(f"{indent}{name:<{width}}  {value}")


def _told(value: object) -> str:
    """A fact in full: a time in MJD needs more digits than a cell of a table."""
    return f"{value:.12g}" if isinstance(value, float) else _cell(value).plain


def size(count: float) -> str:
    """Bytes for people: ``3.2 MB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} PB"


def duration(seconds: float) -> str:
    """Seconds for people: ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def _cell(value: object) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, Text):
        return value
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, float):
        return Text(f"{value:.6g}")
    text = str(value)
    return Text(text, style=OUTCOME_STYLES.get(text, ""))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True
