"""What is read from one exposure's headers, before it is checked and becomes a record.

Two sources fill a `Reading`: the camera table's rules (`from_table`) and astro-metadata-translator
(`spica.instruments.translators`). Each property that cannot be read leaves a `Problem` behind; the rest goes on, so
that one fault can list all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from spica.core.records import FrameType, Scalar
from spica.instruments.problems import Problem, PropertyError, absurd, missing
from spica.instruments.rules import Reader, find
from spica.instruments.times import join, to_mjd_tai

T = TypeVar("T")

FREE_WORDS = ("object", "field", "programme", "run", "observer", "readout_mode")
"""Properties that are words and may be empty: a table without a rule for one leaves it empty."""
TIMES_AGREE = 5.0
"""Seconds by which two times of one header may differ: shutters open after the clock is read."""


@dataclass
class Reading:
    """Values by property, and the problems met."""

    values: dict[str, Scalar] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def take(self, name: str, read: Callable[[], Scalar]) -> None:
        """Read one property; a `PropertyError` becomes a problem, any other error is a defect."""
        try:
            self.values[name] = read()
        except PropertyError as error:
            self.problems.append(error.problem)

    def drop(self, name: str) -> None:
        """Forget a property that this kind of frame does not need, with its problems."""
        self.values.pop(name, None)
        self.problems = [problem for problem in self.problems if problem.name != name]


def from_table(reader: Reader, known: frozenset[str] = frozenset()) -> Reading:
    """All properties by the camera table's rules, less those already `known` from elsewhere."""
    reading = Reading()
    wanted: dict[str, Callable[[], Scalar]] = {
        "frame_type": lambda: reader.text("frame_type"),
        "exposure_time": lambda: reader.number("exposure_time"),
        "filter": lambda: reader.text("filter"),
        "ra": lambda: reader.number("ra"),
        "dec": lambda: reader.number("dec"),
        "name": lambda: reader.text("name"),
    }
    for name in FREE_WORDS:
        wanted[name] = _optional(reader, name, reader.text)
    wanted["dark_time"] = _optional(reader, "dark_time", reader.number)
    wanted["rotation"] = _optional(reader, "rotation", reader.number)
    wanted["airmass"] = _optional(reader, "airmass", reader.number)
    wanted["sequence"] = _optional(reader, "sequence", reader.integer)
    wanted["night"] = _optional(reader, "night", reader.text)
    for name in ("site.longitude", "site.latitude", "site.height"):
        wanted[name] = _optional(reader, name, reader.number)
    for name, read in wanted.items():
        if name not in known:
            reading.take(name, read)
    if "mjd" not in known:
        reading.take("mjd", lambda: _mjd(reader))
    reading.take("end", lambda: _end(reader))
    return reading


def _optional(reader: Reader, name: str, read: Callable[[str], T]) -> Callable[[], T | None]:
    """Read a property that may be absent: None then; a value that is there must be sound."""

    def attempt() -> T | None:
        if not reader.has_rule(name):
            return None
        try:
            return read(name)
        except PropertyError as error:
            if error.problem.kind == "missing":
                return None
            raise

    return attempt


def _mjd(reader: Reader) -> float:
    """Start, MJD TAI, from `mjd` and `date` (with `time`); where both are there they must agree."""
    found = {}
    lacking: list[Problem] = []
    for name in ("mjd", "date"):
        if not reader.has_rule(name):
            continue
        try:
            found[name] = _time(reader, name)
        except PropertyError as error:
            if error.problem.kind == "absurd":
                raise
            lacking.append(error.problem)
    if not found:
        raise missing("mjd", "; ".join(problem.why for problem in lacking) or "the camera table has no rule for it")
    if len(found) == 2 and abs(found["mjd"] - found["date"]) * 86400 > TIMES_AGREE:
        seconds = (found["mjd"] - found["date"]) * 86400
        raise absurd(
            "mjd",
            f"{'/'.join(reader.camera.header['mjd'].keyword)} and {'/'.join(reader.camera.header['date'].keyword)}"
            f" differ by {seconds:.1f} s (MJD TAI {found['mjd']:.5f} and {found['date']:.5f})",
        )
    return found.get("mjd", found.get("date", 0.0))


def _end(reader: Reader) -> float | None:
    """End of the exposure, MJD TAI, None where the header does not say."""
    return _optional(reader, "end", lambda name: _time(reader, name))()


def _time(reader: Reader, name: str) -> float:
    value = reader.raw(name)
    rule = reader.camera.header[name]
    if name == "date" and reader.has_rule("time") and "T" not in str(value):
        value = join(str(value), reader.text("time"))
    try:
        if not isinstance(value, str) and (rule.factor, rule.offset) != (1.0, 0.0):
            value = rule.factor * float(value or 0) + rule.offset
        return to_mjd_tai(value, rule.unit or "isot", str(find(reader.headers, "TIMESYS") or ""))
    except ValueError as error:
        raise absurd("mjd", f"{' or '.join(rule.keyword)} = {value!r} is not a time ({rule.unit}): {error}") from None


def kind_of(spelling: str, frame_types: dict[str, str]) -> tuple[FrameType, str]:
    """Frame type and kind of flat of a header's spelling (any case; the table's keys may hold ``*`` and ``?``).

    The first key that agrees wins; without a table spica's own words are understood. PropertyError otherwise.
    """
    word = spelling.strip().lower()
    keys = [key for key in frame_types if key.lower() == word]
    keys += [key for key in frame_types if fnmatchcase(word, key.lower())]
    meaning = frame_types[keys[0]] if keys else "" if frame_types else word
    kind, _, flat_kind = meaning.partition(":")
    try:
        return FrameType(kind), flat_kind
    except ValueError:
        known = ", ".join(sorted(frame_types))
        raise absurd("frame_type", f"{spelling!r} is none of the table's frame types ({known})") from None
