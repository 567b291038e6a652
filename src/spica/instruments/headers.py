"""From the headers of a delivered file to a verified `Exposure` record.

Headers are plain mappings (keyword to value), one per HDU, primary first. Nothing here opens a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spica.core.camera import Camera, HeaderRule
from spica.core.faults import DataFault
from spica.core.keys import exposure_id
from spica.core.records import Exposure, ExposureState, FrameType, Scalar
from spica.instruments.checks import check
from spica.instruments.layout import ordered
from spica.instruments.problems import Problem, PropertyError, refuse
from spica.instruments.reading import FREE_WORDS, TIMES_AGREE, Reading, from_table, kind_of
from spica.instruments.rules import Header, Reader, find, look_up
from spica.instruments.times import night_of

__all__ = ["Understood", "is_reduced", "read", "recognise", "translate"]


def recognise(headers: Sequence[Header] | Header, cameras: Iterable[Camera], filename: str = "") -> Camera:
    """The camera that wrote a file.

    Parameters
    ----------
    headers : the file's headers, or its primary alone.
    cameras : the tables to choose from; the one with most agreeing `recognise` rules wins.
    filename : used by tables whose rules speak of ``@filename``.

    Raises
    ------
    DataFault
        ``header.unknown-camera`` with the values of INSTRUME and TELESCOP.
    """
    texts = ordered(headers) if isinstance(headers, Sequence) else [headers]
    best: tuple[int, Camera] | None = None
    for camera in cameras:
        if camera.recognise and all(
            _agrees(texts, keyword, pattern, filename) for keyword, pattern in camera.recognise.items()
        ):
            score = len(camera.recognise)
            if best is None or score > best[0]:
                best = score, camera
    if best is None:
        seen: dict[str, Any] = {word: find(texts, word) for word in ("INSTRUME", "TELESCOP", "DETECTOR")}
        told = ", ".join(f"{word} = {value!r}" for word, value in seen.items() if value is not None)
        raise DataFault(
            "header.unknown-camera",
            f"{filename or 'header'}: no camera table recognises it ({told or 'INSTRUME is not there'})",
            file=filename,
            **seen,
        )
    return best[1]


def _agrees(headers: Sequence[Header], keyword: str, pattern: str, filename: str) -> bool:
    value = filename if keyword == "@filename" else find(headers, keyword)
    return value is not None and re.search(pattern, str(value)) is not None


def is_reduced(headers: Sequence[Header], camera: Camera, filename: str = "") -> bool:
    """Whether any of the table's `reduced` signs is in the headers: the frame was detrended elsewhere."""
    return _any_agrees(headers, camera.reduced, filename)


def _any_agrees(headers: Sequence[Header], signs: Mapping[str, str], filename: str) -> bool:
    texts = ordered(headers)
    return any(_agrees(texts, keyword, pattern, filename) for keyword, pattern in signs.items())


def translate(headers: Sequence[Header], camera: Camera, filename: str = "") -> Exposure:
    """The exposure that a file's headers tell of.

    Parameters
    ----------
    headers : one mapping per HDU, primary first.
    camera : its table.
    filename : names the file in faults, and is read where the table says ``@filename``.

    Returns
    -------
    Exposure
        Time MJD TAI, position ICRS degrees, lengths of time seconds; `defaulted` names what the header did not say.

    Raises
    ------
    DataFault
        ``header.missing``, ``header.absurd`` or ``header.unknown-filter`` (the gravest), listing every property that
        is missing or cannot be true; ``header.master`` for a master calibration.
    """
    if _any_agrees(headers, camera.masters, filename):
        message = f"{filename or 'the file'}: a master calibration of {camera.name}, not an exposure"
        raise DataFault("header.master", message, file=filename, camera=camera.name)
    found = read(headers, camera, filename)
    if found.reading.problems:
        raise refuse(found.reading.problems, camera.name, filename)
    return _record(found, camera, is_reduced(headers, camera, filename))


@dataclass(frozen=True)
class Understood:
    """What was understood of a file's headers, good or bad.

    Attributes
    ----------
    reading : values by property and problems.
    frame_type, flat_kind : of the exposure ('object' where the header does not say).
    defaulted : properties that the header did not give.
    extra : further values.
    """

    reading: Reading
    frame_type: FrameType
    flat_kind: str
    defaulted: tuple[str, ...]
    extra: Mapping[str, Scalar]


def read(headers: Sequence[Header], camera: Camera, filename: str = "") -> Understood:
    """Read and check every property of an exposure without refusing anything; `translate` refuses."""
    reader = Reader(camera, ordered(headers), filename)
    reading = _read(reader, headers, camera, filename)
    reading.take("binning", lambda: _binning(reader))
    frame_type, flat_kind = FrameType.OBJECT, ""
    if "frame_type" in reading.values:
        try:
            frame_type, flat_kind = kind_of(str(reading.values["frame_type"]), camera.frame_types)
        except PropertyError as error:
            reading.problems.append(error.problem)
    check(reading, camera, frame_type, reader.defaulted)
    if reading.values.get("dark_time") is None:
        reader.defaulted.append("dark_time")
    return Understood(reading, frame_type, flat_kind, tuple(sorted(set(reader.defaulted))), _extra(reader))


def _read(reader: Reader, headers: Sequence[Header], camera: Camera, filename: str) -> Reading:
    """Translator and table together: the translator's word counts, the table fills in, their clocks must agree."""
    if not camera.translator:
        return from_table(reader)
    # The package takes a second or two to import: only for the cameras that it knows.
    from spica.instruments.translators import from_translator

    reading = from_translator(headers, camera, filename)
    for name in _TABLE_FIRST & camera.header.keys():
        reading.drop(name)
    silent = {name for name, value in reading.values.items() if value is None} - {"ra", "dec"}
    known = (set(reading.values) | {problem.name for problem in reading.problems}) - silent - {"mjd"}
    table = from_table(reader, frozenset(known))
    _compare_clocks(reading, table)
    given = {name: value for name, value in reading.values.items() if name not in silent}
    return Reading({**table.values, **given}, reading.problems + table.problems)


_TABLE_FIRST = frozenset({"name", "sequence"})
"""Where the table says how to read these it is believed before the translator: it knows what makes a name unique."""


def _compare_clocks(reading: Reading, table: Reading) -> None:
    """The translator's start must be the one that the table's own keywords give, where it names any."""
    mjd, clock = reading.values.get("mjd"), table.values.get("mjd")
    if not isinstance(mjd, float):
        table.drop("mjd")
        return
    table.problems = [problem for problem in table.problems if problem.name != "mjd" or problem.kind == "absurd"]
    if isinstance(clock, float) and abs(clock - mjd) * 86400 > TIMES_AGREE:
        why = f"date and time say MJD TAI {mjd:.6f}, another clock in the header {clock:.6f}"
        reading.problems.append(Problem("mjd", "absurd", why))


def _binning(reader: Reader) -> str:
    if not reader.has_rule("binning"):
        return "1 1"
    x, y = reader.pair("binning")
    return f"{x} {y}"


def _record(found: Understood, camera: Camera, reduced: bool) -> Exposure:  # noqa: FBT001 - its only caller is above
    values = found.reading.values
    number = str(values["name"])
    name = number if number.startswith(f"{camera.name}-") else f"{camera.name}-{number}"
    name = re.sub(r"[^A-Za-z0-9._+-]+", "_", name)
    mjd = _float(values["mjd"])
    exposure_time = _float(values["exposure_time"])
    dark_time = values.get("dark_time")
    filter_name = str(values.get("filter") or "")
    x, y = str(values["binning"]).split()
    words = {word: str(values.get(word) or "") for word in FREE_WORDS}
    words["field"] = words["field"] or words["object"]
    return Exposure(
        id=exposure_id(camera.name, name),
        name=name,
        camera=camera.name,
        frame_type=found.frame_type,
        night=_night(values.get("night"), camera, mjd),
        mjd=mjd,
        exposure_time=exposure_time,
        state=ExposureState.REDUCED if reduced else ExposureState.RAW,
        sequence=int(_float(values.get("sequence") or 0)),
        dark_time=exposure_time if dark_time is None else _float(dark_time),
        band=str(values.get("band") or ""),
        filter=filter_name,
        flat_kind=found.flat_kind,
        ra=_maybe(values.get("ra")),
        dec=_maybe(values.get("dec")),
        rotation=_maybe(values.get("rotation")),
        airmass=_maybe(values.get("airmass")),
        binning=(int(x), int(y)),
        defaulted=found.defaulted,
        extra=found.extra,
        **words,
    )


def _night(said: Scalar, camera: Camera, mjd: float) -> str:
    """The night as the observatory says it, else by the table's rule."""
    if said is None:
        return night_of(camera, mjd)
    digits = str(said).replace("-", "")
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def _extra(reader: Reader) -> dict[str, Scalar]:
    """Further values that the table asks for as ``extra.NAME``; absent ones are left out."""
    found: dict[str, Scalar] = {}
    for name, rule in reader.camera.header.items():
        if name.startswith("extra."):
            _, value = look_up(rule, reader.headers, reader.filename)
            value = _measured(value, rule)
            if value is not None:
                found[name.removeprefix("extra.")] = value
    return found


def _measured(value: Scalar, rule: HeaderRule) -> Scalar:
    """A further value, numbers as numbers where the rule has a unit; one out of its limits is no value."""
    if not rule.unit or value is None:
        return value
    try:
        number = float(value) * rule.factor + rule.offset
    except ValueError:
        return None
    low = -math.inf if rule.minimum is None else rule.minimum
    return number if low <= number <= (math.inf if rule.maximum is None else rule.maximum) else None


def _float(value: Scalar) -> float:
    return float(value)  # type: ignore[arg-type]


def _maybe(value: Scalar) -> float | None:
    return None if value is None else _float(value)
