"""Headers as a camera writes them: the inverse of the camera table's rules.

A rule says how a property is read; here the same rule says how it is written: under its first keyword, in its unit, in
the spelling that its `values` and `pattern` expect. What astro-metadata-translator asks of the cameras that it knows is
in `spica.simulate.translators`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from spica.core.camera import AmplifierSpec, Camera, DetectorSpec, HeaderRule, Section
from spica.core.records import FrameType, Scalar
from spica.instruments.times import utc_of
from spica.simulate import optics
from spica.simulate.schedule import Shot

_FACTORS = {"deg": 1.0, "hour": 15.0, "rad": 57.29577951308232, "arcsec": 1 / 3600,
            "s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0}  # fmt: skip
_TAI_UTC = 37.0 / 86400.0
_MJD_JD = 2400000.5
_MJD_UNIX = 40587.0
FILENAME = "@filename"

Cards = dict[str, Scalar]


def exposure_name(camera: Camera, shot: Shot) -> str:
    """The observatory's own name of an exposure: ``<camera>-<night>-<sequence>``."""
    return f"{camera.name}-{shot.night.replace('-', '')}-{shot.sequence:05d}"


def file_name(camera: Camera, shot: Shot, spec: DetectorSpec | None = None, amplifier: str = "") -> str:
    """Name of a raw file, in the camera's pattern where its wildcards can be filled.

    The exposure's name where the pattern takes it; otherwise the last run of ``?`` takes the sequence number (with the
    detector in its last two digits where files hold one detector), an eight-fold one before it the date.
    """
    parts = [exposure_name(camera, shot), *([spec.name] if spec is not None else []), amplifier]
    plain = "_".join(part for part in parts if part)
    pattern = camera.file_pattern.partition(".fit")[0]
    if re.fullmatch(pattern.replace("?", ".").replace("*", ".*"), plain):
        return plain + camera.suffix
    spans = list(re.finditer(r"\?+", pattern))
    text = pattern
    for index, span in reversed(list(enumerate(spans))):
        width = span.end() - span.start()
        number = f"{shot.sequence:05d}{spec.id % 100:02d}" if spec is not None else str(shot.sequence)
        word = shot.night.replace("-", "") if width == 8 and index < len(spans) - 1 else number.zfill(width)[-width:]
        text = text[: span.start()] + word + text[span.end() :]
    return text.replace("*", plain) + camera.suffix


def properties(camera: Camera, shot: Shot) -> dict[str, Scalar]:
    """Every property that a table's rules may ask for, in spica's own units (deg, s, MJD TAI); None where none."""
    name = exposure_name(camera, shot)
    filter_name = camera.band(shot.band).names[0] if shot.band else None
    return {
        "name": name,
        "sequence": shot.sequence,
        "mjd": shot.mjd_tai,
        "date": shot.mjd_tai,
        "time": shot.mjd_tai,
        "end": shot.mjd_tai + shot.exposure_time / 86400.0,
        "exposure_time": shot.exposure_time,
        "dark_time": shot.exposure_time,
        "frame_type": spelling(camera, shot.frame_type, shot.flat_kind),
        "filter": filter_name,
        "ra": shot.ra,
        "dec": shot.dec,
        "rotation": shot.rotation if shot.ra is not None else None,
        "airmass": shot.airmass,
        "object": shot.field or str(shot.frame_type),
        "field": shot.field or None,
        "programme": "SIM-1",
        "run": f"SIM{shot.night[:4]}",
        "observer": "simulator",
        "binning": "1 1",
        "extra.temperature": -100.0,
        "extra.seeing": round(shot.conditions.seeing, 2) or None,
    }


def spelling(camera: Camera, frame_type: FrameType, flat_kind: str) -> str:
    """The camera's word for a frame type: the first of its table that means the same kind, else the same type."""
    exact = f"{frame_type}:{flat_kind}" if flat_kind else str(frame_type)
    for wanted in (exact, str(frame_type)):
        for word, meaning in camera.frame_types.items():
            if meaning == wanted or (wanted == frame_type and meaning.partition(":")[0] == wanted):
                return word
    return str(frame_type)


def primary_cards(camera: Camera, shot: Shot, spec: DetectorSpec | None = None, amp: str = "") -> Cards:
    """Cards of the primary header (of the only header where a file has one)."""
    cards: Cards = dict(camera.cards)
    values = properties(camera, shot)
    if spec is not None:
        values["detector"] = spec.id
    if amp:
        values["amplifier"] = amp
    for name, rule in camera.header.items():
        value = values.get(name)
        if name == "binning" and rule.unit == "x, y":
            cards |= dict.fromkeys(rule.keyword, 1)
        elif value is not None and rule.keyword and rule.keyword[0] != FILENAME:
            cards[rule.keyword[0]] = written(rule, name, value)
    for keyword, pattern in camera.recognise.items():
        if keyword != FILENAME and keyword not in cards:
            cards[keyword] = example(pattern)
    return cards


def written(rule: HeaderRule, name: str, value: Scalar) -> Scalar:
    """A property's value as the header spells it: unit, form of time, spelling, pattern."""
    if name in {"mjd", "date", "time", "end"}:
        value = _time(name, float(value or 0.0), rule.unit)
    elif isinstance(value, float) and rule.unit in _FACTORS and not name.startswith("extra."):
        value = value / _FACTORS[rule.unit]
    for word, meaning in rule.values.items():
        if meaning == str(value):
            value = word
            break
    return example(rule.pattern, str(value)) if rule.pattern else value


def _time(name: str, mjd_tai: float, unit: str) -> Scalar:
    form, _, scale = unit.partition(" ")
    if name == "time":
        return utc_of(mjd_tai)[11:]
    if form in {"", "isot"}:
        return utc_of(mjd_tai if (scale or "utc") == "utc" else mjd_tai + _TAI_UTC)
    mjd = mjd_tai if scale == "tai" else mjd_tai - _TAI_UTC
    return {"mjd": mjd, "jd": mjd + _MJD_JD, "unix": (mjd_tai - _TAI_UTC - _MJD_UNIX) * 86400.0}[form]


def example(pattern: str, value: str = "") -> str:
    """A text that a (simple) regular expression of a camera table matches, with `value` as its first group.

    Anchors, flags and optional parts are dropped, the first of alternatives is taken; ValueError where the result does
    not match.
    """
    text = re.sub(r"^\(\?i\)", "", pattern).strip("^$")
    if value and "(" in text:
        text = re.sub(r"\((?!\?)[^()]*\)", lambda _: re.escape(value), text, count=1)
    elif value:
        text = re.escape(value)
    text = re.sub(r"\((?:\?:)?([^()|]*)\|?[^()]*\)", r"\1", text).partition("|")[0]
    text = re.sub(r"\\s[*+]?", " ", text)
    text = re.sub(r"\\d(?:\{(\d+)\}|[+*])?", lambda m: "1" * int(m[1] or 1), text)
    text = re.sub(r"\.[*+]|(?<!\\)\?", "", text)
    text = re.sub(r"\\(.)", r"\1", text)
    if not re.search(pattern, text):
        raise ValueError(f"no example of {pattern!r} with {value!r} found (tried {text!r})")
    return text


def fits_section(section: Section, *, flip_x: bool = False, flip_y: bool = False) -> str:
    """FITS form ``[x1:x2,y1:y2]`` of a 0-based, half-open section; flipped axes run backwards."""
    x0, x1, y0, y1 = section
    x = f"{x1}:{x0 + 1}" if flip_x else f"{x0 + 1}:{x1}"
    y = f"{y1}:{y0 + 1}" if flip_y else f"{y0 + 1}:{y1}"
    return f"[{x},{y}]"


def amplifier_cards(camera: Camera, amplifiers: tuple[AmplifierSpec, ...]) -> Cards:
    """Sections, gain, read noise and saturation of the amplifiers that share an HDU, under the table's keywords."""
    cards: Cards = {}
    for amp in amplifiers:
        values: Mapping[str, Scalar] = {
            "data": fits_section(amp.data),
            "overscan": fits_section(amp.overscan) if amp.overscan else None,
            "prescan": fits_section(amp.prescan) if amp.prescan else None,
            "detector": fits_section(amp.detector, flip_x=amp.flip_x, flip_y=amp.flip_y),
            "gain": amp.gain,
            "read_noise": amp.read_noise,
            "saturation": amp.saturation,
        }
        for name, keywords in camera.amplifier_keywords.items():
            value = values.get(name)
            if keywords and value is not None:
                cards[keywords[0].format(amp=amp.name)] = value
    return cards


def sky_cards(camera: Camera, spec: DetectorSpec, shot: Shot) -> Cards:
    """The sky solution that the telescope believes in, for the raw HDU; none for calibrations or several HDUs.

    It speaks of raw pixels: the reference pixel is moved from the assembled detector by the first amplifier that is
    stored in the detector's order.
    """
    straight = [amp for amp in spec.amplifiers if not (amp.flip_x or amp.flip_y)]
    if shot.ra is None or shot.dec is None or len(spec.hdus) > 1 or not straight:
        return {}
    cards = optics.cards(optics.plate(camera, spec, (shot.ra, shot.dec, shot.rotation)))
    first = straight[0]
    cards["CRPIX1"] = float(cards["CRPIX1"] or 0.0) + first.data[0] - first.detector[0]
    cards["CRPIX2"] = float(cards["CRPIX2"] or 0.0) + first.data[2] - first.detector[2]
    return cards
