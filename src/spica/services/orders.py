"""Reading what people type: values of settings."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from datetime import time as clock
from typing import Any


def literal(text: str) -> Any:
    """The value of a typed text: a TOML literal (``4``, ``true``, ``[1, 2]``, ``"x"``), else the text itself."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    # Settings take nights as text: a date is left as it was typed.
    return text if isinstance(value, (date, datetime, clock)) else value
