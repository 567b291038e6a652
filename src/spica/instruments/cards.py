"""Headers as the camera would write them: the inverse of `headers.translate`, for simulated frames and tests.

Law: ``translate([primary_cards(exposure, camera)], camera)`` gives the exposure back, to the precision of the cards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from spica.core.camera import AmplifierSpec, Camera, DetectorSpec, HeaderRule, Section
from spica.core.records import Exposure, FrameType, Scalar
from spica.instruments.rules import FILENAME, UNITS
from spica.instruments.times import mjd_utc_of, tai_of, utc_of

_SECTION_NAMES = ("data", "overscan", "prescan", "detector")


def primary_cards(exposure: Exposure, camera: Camera) -> dict[str, Scalar]:
    """Cards of the primary header of a raw exposure (structural keywords are the writer's).

    Properties without a value (the position of a bias) get no card; only the first keyword of each rule is written.
    """
    cards: dict[str, Scalar] = {}
    # The frame type comes last: where it shares a keyword with the object's name, it must be legible.
    for name, rule in sorted(camera.header.items(), key=lambda item: item[0] == "frame_type"):
        value = _value(name, exposure, camera)
        keyword = rule.keyword[0] if rule.keyword else FILENAME
        if value is None or keyword == FILENAME:
            continue
        if rule.unit == "join":
            cards.update(_parts(str(value), rule) if camera.naming or name != "name" else {})
        elif rule.unit == "x, y":
            cards.update(zip(rule.keyword, exposure.binning, strict=True))
        elif name in _TIMES:
            cards[keyword] = _time(name, rule, exposure, split="time" in camera.header)
        else:
            cards[keyword] = _spelt(value, rule)
    return {**cards, **camera.cards}


def exposure_number(camera: Camera, night: str, sequence: int, snap: int = 0) -> str:
    """The observatory's own name of the exposure of this night, sequence number and snap, '' where the time makes it.

    `night` is ``YYYY-MM-DD``; the exposure's name in spica is this, behind the camera's name where it lacks it.
    """
    return camera.naming.format(camera=camera.name, date=night.replace("-", ""), sequence=sequence, snap=snap)


def detector_cards(camera: Camera, spec: DetectorSpec) -> dict[str, Scalar]:
    """Cards that say which detector a file or HDU holds, where the table reads one."""
    rule = camera.header.get("detector")
    if rule is None or not rule.keyword or rule.keyword[0] == FILENAME:
        return {}
    return {rule.keyword[0]: _spelt(spec.id, rule)}


def hdu_cards(
    camera: Camera, amplifiers: Sequence[AmplifierSpec], offset: tuple[int, int] = (0, 0)
) -> dict[str, Scalar]:
    """Cards of sections, gain, read noise and saturation of the amplifiers that share one raw HDU.

    `offset` moves the detector sections (0-based corner of the detector in the mosaic's pixels).
    """
    cards: dict[str, Scalar] = {}
    for amplifier in amplifiers:
        for name, keywords in camera.amplifier_keywords.items():
            value = getattr(amplifier, name)
            if not keywords or value is None:
                continue
            if name in _SECTION_NAMES:
                flips = (amplifier.flip_x, amplifier.flip_y) if name == "detector" else (False, False)
                value = fits_section(value, offset if name == "detector" else (0, 0), flips)
            words = re.split("[:,]", keywords[0].format(amp=amplifier.name))
            cards.update(zip(words, _corners(value) if len(words) == 4 else [value], strict=True))
    return cards


def _parts(value: str, rule: HeaderRule) -> dict[str, Scalar]:
    """A joined value taken apart; nothing where its parts hold hyphens themselves: other rules write those cards."""
    parts = value.split("-")
    if len(parts) != len(rule.keyword):
        return {}
    spelt = {key: part.rstrip("*") for key, part in zip(rule.keyword, parts, strict=True) if part != "*"}
    return {key: int(part) if part.isdigit() else part for key, part in spelt.items()}


def _corners(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def fits_section(section: Section, offset: tuple[int, int] = (0, 0), flips: tuple[bool, bool] = (False, False)) -> str:
    """``[x1:x2,y1:y2]`` of a 0-based half-open section; a flipped axis runs from high to low."""
    x = (section[0] + offset[0] + 1, section[1] + offset[0])
    y = (section[2] + offset[1] + 1, section[3] + offset[1])
    x, y = (x[::-1] if flips[0] else x), (y[::-1] if flips[1] else y)
    return f"[{x[0]}:{x[1]},{y[0]}:{y[1]}]"


_TIMES = {"mjd", "date", "time", "end"}

_VALUES: dict[str, Callable[[Exposure], Scalar]] = {
    "sequence": lambda e: e.sequence,
    "exposure_time": lambda e: e.exposure_time,
    "dark_time": lambda e: e.dark_time,
    "filter": lambda e: e.filter or None,
    "ra": lambda e: e.ra,
    "dec": lambda e: e.dec,
    "rotation": lambda e: e.rotation,
    "airmass": lambda e: e.airmass,
    "object": lambda e: e.object or None,
    "field": lambda e: e.field or None,
    "programme": lambda e: e.programme or None,
    "run": lambda e: e.run or None,
    "observer": lambda e: e.observer or None,
    "readout_mode": lambda e: e.readout_mode or None,
    "binning": lambda e: f"{e.binning[0]} {e.binning[1]}",
}


def _value(name: str, exposure: Exposure, camera: Camera) -> Scalar:
    if name in _TIMES:
        return exposure.mjd
    if name.startswith("extra."):
        return exposure.extra.get(name.removeprefix("extra."))
    if name == "frame_type":
        return _frame_type(exposure, camera)
    if name == "name":
        number = exposure.name.removeprefix(f"{camera.name}-")
        pattern = camera.header[name].pattern
        if camera.naming.startswith("{camera}-") or (pattern and not re.search(pattern, number)):
            return exposure.name
        return int(number) if number.isdigit() else number
    read = _VALUES.get(name)
    return None if read is None else read(exposure)


def _frame_type(exposure: Exposure, camera: Camera) -> str:
    kind = exposure.frame_type.value
    full = f"{kind}:{exposure.flat_kind}" if exposure.flat_kind else kind
    if not camera.frame_types:
        return full
    wanted = (full, kind) if exposure.frame_type is FrameType.FLAT else (kind,)
    for meaning in wanted:
        for spelling, found in camera.frame_types.items():
            if found == meaning:
                return spelling
    msg = f"camera {camera.name} has no spelling for frames of type {full}"
    raise ValueError(msg)


def _time(name: str, rule: HeaderRule, exposure: Exposure, *, split: bool) -> Scalar:
    mjd = exposure.mjd + (exposure.exposure_time / 86400.0 if name == "end" else 0.0)
    form, _, scale = rule.unit.partition(" ")
    if form in {"mjd", "jd"}:
        number = (mjd if scale == "tai" else mjd_utc_of(mjd)) + (2400000.5 if form == "jd" else 0.0)
        return (number - rule.offset) / rule.factor
    text = tai_of(mjd) if scale == "tai" else utc_of(mjd)
    day, _, clock = text.partition("T")
    return clock if name == "time" else day if split and name == "date" else text


def _spelt(value: Scalar, rule: HeaderRule) -> Scalar:
    if isinstance(value, float) and not isinstance(value, bool):
        value = (value / UNITS.get(rule.unit, 1.0) - rule.offset) / rule.factor
        if rule.unit == "hour":
            value = sexagesimal(value)
    back = {spica: header for header, spica in rule.values.items()}
    value = back.get(str(value), value)
    return rule.template.format(value=value) if rule.template else value


def sexagesimal(number: float, decimals: int = 4) -> str:
    """``hh:mm:ss.ssss`` of a number of hours or degrees."""
    sign = "-" if number < 0 else ""
    total = round(abs(number) * 3600, decimals)
    minutes, seconds = divmod(total, 60.0)
    whole, minutes = divmod(int(minutes), 60)
    return f"{sign}{whole:02d}:{minutes:02d}:{seconds:0{3 + decimals}.{decimals}f}"
