"""One property of an exposure from a header by the rule of the camera table."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from spica.core.camera import Camera, HeaderRule
from spica.core.records import Scalar
from spica.instruments.problems import absurd, missing

Header = Mapping[str, Any]

FILENAME = "@filename"
"""Pseudo keyword: the file's name, for cameras that write the facts only there."""

_BLANK = {"", "N/A", "UNKNOWN", "UNSPECIFIED", "NAN"}
_ANGLES = {"deg": 1.0, "hour": 15.0, "rad": math.degrees(1.0), "arcsec": 1 / 3600}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0}
UNITS: dict[str, float] = _ANGLES | _SECONDS
"""Factor of each unit that is converted: to degrees or to seconds. Any other unit is kept as it stands."""


def plain(value: Any) -> Scalar:
    """A header's value as a plain scalar: blanks stripped; undefined, unknown and NaN values become None."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        text = value.strip()
        return None if text.upper() in _BLANK else text
    return None


def find(headers: Sequence[Header], keyword: str) -> Scalar:
    """The first header's defined value of a keyword, None where no header has one."""
    for header in headers:
        value = plain(header.get(keyword))
        if value is not None:
            return value
    return None


def look_up(rule: HeaderRule, headers: Sequence[Header], filename: str) -> tuple[str, Scalar]:
    """First keyword of a rule that has a value, and the value; ``("", None)`` where none has."""
    for keyword in rule.keyword:
        value = filename or None if keyword == FILENAME else find(headers, keyword)
        if value is not None:
            return keyword, value
    return "", None


class Reader:
    """Reads properties from one file's headers; remembers which were defaulted."""

    def __init__(self, camera: Camera, headers: Sequence[Header], filename: str = "") -> None:
        self.camera = camera
        self.headers = headers
        self.filename = filename
        self.defaulted: list[str] = []

    def has_rule(self, name: str) -> bool:
        """Whether the table says how to read this property."""
        return name in self.camera.header

    def raw(self, name: str) -> Scalar:
        """The value as the header spells it (after `pattern` and `values`), PropertyError where there is none."""
        rule = self.camera.header.get(name)
        if rule is None:
            raise missing(name, "the camera table has no rule for it")
        if not rule.keyword:
            if rule.value is None:
                raise missing(name, "the camera table gives neither keyword nor value")
            return rule.value
        if rule.unit == "join":
            return self._joined(name, rule)
        keyword, value = look_up(rule, self.headers, self.filename)
        if value is None:
            if rule.default is None:
                raise missing(name, f"no {' or '.join(rule.keyword)} in the header")
            self.defaulted.append(name)
            return rule.default
        if rule.pattern:
            found = re.search(rule.pattern, str(value))
            if not found:
                raise absurd(name, f"{keyword} = {value!r} does not look like {rule.pattern}")
            value = found[1] if found.groups() else found[0]
        return rule.values.get(str(value), value)

    def text(self, name: str) -> str:
        """A property that is a word."""
        value = self.raw(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value)

    def number(self, name: str) -> float:
        """A property that is a number, in seconds or degrees where its unit is a time or an angle."""
        value = self.raw(name)
        rule = self.camera.header[name]
        try:
            number = sexagesimal(value) if isinstance(value, str) else float(value)  # type: ignore[arg-type]
        except ValueError:
            raise absurd(name, f"{value!r} is not a number") from None
        if name not in self.defaulted:
            number = (rule.factor * number + rule.offset) * UNITS.get(rule.unit, 1.0)
        self._within(name, number, rule)
        return number

    def integer(self, name: str) -> int:
        """A property that is a whole number."""
        number = self.number(name)
        if number != int(number):
            raise absurd(name, f"{number} is not a whole number")
        return int(number)

    def pair(self, name: str) -> tuple[int, int]:
        """Two whole numbers: ``"2 2"``, ``"2x2"``, ``2``, or one from each of two keywords (unit ``"x, y"``)."""
        rule = self.camera.header.get(name)
        if rule is not None and rule.unit == "x, y":
            found = [find(self.headers, keyword) for keyword in rule.keyword]
            value: Scalar = " ".join(str(item) for item in found) if None not in found else rule.default
            if value is None:
                raise missing(name, f"no {' and '.join(rule.keyword)} in the header")
            if None in found:
                self.defaulted.append(name)
        else:
            value = self.raw(name)
        parts = re.findall(r"\d+", str(value))
        if len(parts) not in {1, 2} or any(int(part) < 1 for part in parts):
            raise absurd(name, f"{value!r} is not a pair of whole numbers")
        return int(parts[0]), int(parts[-1])

    def _joined(self, name: str, rule: HeaderRule) -> str:
        """The values of all keywords of a rule (unit ``"join"``), with hyphens between them."""
        found = {keyword: find(self.headers, keyword) for keyword in rule.keyword}
        lacking = [keyword for keyword, value in found.items() if value is None]
        # A default stands for what comes after the first: the number of a snap where there is one alone.
        if lacking and (rule.default is None or rule.keyword[0] in lacking):
            raise missing(name, f"no {' and '.join(lacking)} in the header")
        if lacking:
            self.defaulted.append(name)
        return "-".join(str(rule.default if value is None else value) for value in found.values())

    def _within(self, name: str, number: float, rule: HeaderRule) -> None:
        low, high = rule.minimum, rule.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            raise absurd(name, f"{number:g} is outside {low} to {high}")


def sexagesimal(text: str) -> float:
    """A decimal number or ``[+-]d:m:s`` (colons or blanks) as a float; ValueError where it is neither."""
    text = text.strip()
    parts = re.split(r"[:\s]+", text)
    if len(parts) == 1:
        number = float(text)
        if not math.isfinite(number):
            msg = f"{text!r} is not finite"
            raise ValueError(msg)
        return number
    sign = -1.0 if parts[0].startswith("-") else 1.0
    numbers = [float(part) for part in parts]
    if len(parts) > 3 or any(not 0 <= number < 60 for number in numbers[1:]):
        msg = f"{text!r} is not sexagesimal"
        raise ValueError(msg)
    return sign * sum(abs(number) / 60.0**power for power, number in enumerate(numbers))
