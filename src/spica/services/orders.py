"""Reading what people type: values of settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from datetime import time as clock
from typing import Any

from spica.core.faults import SetupFault


def literal(text: str) -> Any:
    """The value of a typed text: a TOML literal (``4``, ``true``, ``[1, 2]``, ``"x"``), else the text itself."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    # Settings take nights as text: a date is left as it was typed.
    return text if isinstance(value, (date, datetime, clock)) else value


def nested(given: Mapping[str, str]) -> dict[str, Any]:
    """``{"effects.cosmics": "false"}`` to ``{"effects": {"cosmics": False}}``; a name used as both is order.invalid."""
    found: dict[str, Any] = {}
    for name, text in given.items():
        *outer, last = name.split(".")
        table = found
        for part in outer:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise SetupFault("order.invalid", f"--set {name}: {part!r} is a value already", setting=name)
        table[last] = literal(text)
    return found
