"""Draft a camera table from the headers of sample files.

What headers say is taken; what they do not say is filled with a plain guess that carries the comment ``# guess``, so
that a person knows where to look. The text always loads; `spica.instruments.review` then tells how well it reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spica.core.camera import AmplifierSpec, Section
from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.instruments.layout import image_hdus, ordered, size
from spica.instruments.readout import HeaderSection
from spica.instruments.rules import find, plain, sexagesimal

Header = Mapping[str, Any]
Sample = tuple[str, Sequence[Header]]
"""File name and one header per HDU, primary first."""

# For each property the keywords that cameras use for it, best first, and the unit in which they usually give it.
_PROPERTIES: dict[str, tuple[tuple[str, ...], str]] = {
    "sequence": (("EXPNUM", "SEQNUM", "FRAMENUM", "EXPID", "RUN"), ""),
    "mjd": (("MJD-OBS", "MJD", "MJD-STR", "MJDSTART"), "mjd utc"),
    "date": (("DATE-OBS", "DATE-BEG", "DATE"), "isot utc"),
    "exposure_time": (("EXPTIME", "EXPOSURE", "EXP_TIME", "EXPREQ", "ITIME"), "s"),
    "dark_time": (("DARKTIME",), "s"),
    "frame_type": (("OBSTYPE", "IMAGETYP", "IMGTYPE", "DATA-TYP", "FLAVOR", "OBJECT"), ""),
    "filter": (("FILTER", "FILTER01", "FILTER1", "FILTERS", "FILTNAME"), ""),
    "ra": (("RA", "RA_DEG", "TELRA", "RA2000", "RA-MNT", "OBJRA", "CRVAL1"), ""),
    "dec": (("DEC", "DEC_DEG", "TELDEC", "DEC2000", "DEC-MNT", "OBJDEC", "CRVAL2"), "deg"),
    "rotation": (("ROTANGLE", "ROTPA", "ROTSKYPA", "INST-PA", "POSANG"), "deg"),
    "airmass": (("AIRMASS", "SECZ", "AMSTART"), ""),
    "object": (("OBJECT", "TARGET", "FIELD"), ""),
    "field": (("FIELD", "FIELDID"), ""),
    "programme": (("PROPID", "PROP-ID", "PROGRAM", "PROGID"), ""),
    "run": (("RUNID", "CRUNID", "GROUPID", "SEQID"), ""),
    "observer": (("OBSERVER",), ""),
    "binning": (("CCDSUM", "BINNING"), ""),
    "readout_mode": (("READMODE", "CONFMODE", "RDMODE", "READOUTM"), ""),
}
_TIMES = ("TIME-OBS", "UTC-OBS", "UT", "UTSTART", "UT-STR")
_NAMES = ("OBSID", "EXPNUM", "EXP-ID", "ORIGNAME", "IMAGEID", "FRAMEID", "DATE-OBS")
_SECTIONS = {"data": ("DATASEC", "TRIMSEC"), "overscan": ("BIASSEC",), "detector": ("DETSEC", "CCDSEC")}
_NUMBERS = {
    "gain": (("GAIN", "EGAIN"), 1.0),
    "read_noise": (("RDNOISE", "READNOIS", "RON"), 5.0),
    "saturation": (("SATURATE", "SATLEVEL", "MAXLIN"), 60000.0),
}
_KINDS = (
    ("bias|zero", "bias"),
    ("dark", "dark"),
    ("sky.?flat|twilight|twi", "flat:twilight"),
    ("dome|lamp", "flat:dome"),
    ("flat", "flat"),
    ("focus", "focus"),
    ("test|experiment", "test"),
)
_LONGITUDES, _LATITUDES = (
    ("LONGITUD", "OBS-LONG", "SITELONG", "LONG-OBS"),
    ("LATITUDE", "OBS-LAT", "SITELAT", "LAT-OBS"),
)
_HEIGHTS = ("HEIGHT", "OBS-ELEV", "SITEALT", "ELEV-OBS")


def draft(samples: Sequence[Sample], name: str = "") -> str:
    """TOML text of a camera table that reads the sample files.

    Parameters
    ----------
    samples : file names with their headers, best of several frame types and filters; the first that holds pixels
        gives the detectors.
    name : the camera's name; by default made from INSTRUME.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where no sample holds an image.
    """
    first = next((headers for _, headers in samples if image_hdus(headers)), None)
    if first is None:
        raise DataFault("data.no-pixels", "none of the sample files holds an image", files=len(samples))
    texts = ordered(first)
    instrument = str(find(texts, "INSTRUME") or "")
    name = name or re.sub(r"[^a-z0-9]+", "-", instrument.lower()).strip("-") or "camera"
    lines = [
        f"# Drafted from {len(samples)} sample file(s); look at every line that says 'guess'.",
        *_identity(name, instrument, texts, first),
        *_site(texts),
        *_recognise(texts),
        *_amplifier_keywords(first),
        *_types(first),
        *_filters(samples),
        *_frame_types(samples),
        *_rules(texts),
    ]
    return "\n".join(lines) + "\n"


def _quoted(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _first(headers: Sequence[Header], keywords: Sequence[str]) -> tuple[str, Scalar]:
    for keyword in keywords:
        value = find(headers, keyword)
        if value is not None:
            return keyword, value
    return "", None


def _number(headers: Sequence[Header], keywords: Sequence[str]) -> float | None:
    """The first of several keywords that holds a number or a sexagesimal text."""
    for keyword in keywords:
        value = find(headers, keyword)
        try:
            return sexagesimal(value) if isinstance(value, str) else float(value)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            continue
    return None


def _identity(name: str, instrument: str, texts: Sequence[Header], headers: Sequence[Header]) -> list[str]:
    scale, pitch = _pixel_scale(texts), _pixel_size(texts)
    scale = round(scale / _binning(headers)[0], 4) if scale else None
    detectors = _detectors(headers)
    layout = "mosaic" if len(detectors) > 1 or len(detectors[0]) > 1 else "detector"
    guess = "  # guess"
    return [
        f"name = {_quoted(name)}",
        f"title = {_quoted(instrument or name)}",
        f"telescope = {_quoted(find(texts, 'TELESCOP') or 'unknown')}",
        f"pixel_scale = {scale or 1.0!r}{'' if scale else guess}",
        f"pixel_size = {pitch or 15.0!r}{'' if pitch else guess}",
        f"layout = {_quoted(layout)}",
        'suffix = ".fits"',
        f"night_offset = {round((_longitude(texts) or 0.0) / 15 - 12, 1)!r}{'' if _longitude(texts) else guess}",
        f"sections_from_header = {'true' if any(find(texts, key) for key in _SECTIONS['data']) else 'false'}",
    ]


def _pixel_scale(texts: Sequence[Header]) -> float | None:
    said = _number(texts, ("PIXSCALE", "PIXSCAL1", "SECPIX", "SECPIX1"))
    if said:
        return abs(said)
    terms = [_number(texts, (key,)) or 0.0 for key in ("CD1_1", "CD2_1")]
    scale = (terms[0] ** 2 + terms[1] ** 2) ** 0.5 or abs(_number(texts, ("CDELT1",)) or 0.0)
    return round(scale * 3600, 4) if 0 < scale < 0.1 else None


def _pixel_size(texts: Sequence[Header]) -> float | None:
    metres = _number(texts, ("CCDXPIXE",))
    if metres:
        return round(metres * 1e6, 3)
    return _number(texts, ("XPIXSZ", "PIXSIZE1", "PIXSIZE", "XPIXSIZE"))


def _longitude(texts: Sequence[Header]) -> float | None:
    return _number(texts, _LONGITUDES)


def _site(texts: Sequence[Header]) -> list[str]:
    longitude, latitude = _longitude(texts), _number(texts, _LATITUDES)
    sure = longitude is not None and latitude is not None
    place = find(texts, "OBSERVAT") or find(texts, "SITE") or "unknown"
    return [
        "",
        "[site]" + ("  # check the sign: east is positive here, some headers count west" if sure else "  # guess"),
        f"name = {_quoted(place)}",
        f"longitude = {float(longitude or 0.0)!r}",
        f"latitude = {float(latitude or 0.0)!r}",
        f"height = {float(_number(texts, _HEIGHTS) or 0.0)!r}",
    ]


def _recognise(texts: Sequence[Header]) -> list[str]:
    lines = ["", "[recognise]"]
    for keyword in ("INSTRUME", "TELESCOP"):
        value = find(texts, keyword)
        if value is not None:
            lines.append(f"{keyword} = {_quoted('^' + re.escape(str(value)) + '$')}")
    return lines


def _detectors(headers: Sequence[Header]) -> list[list[int]]:
    """HDU indices of each detector: HDUs of one EXTNAME are amplifiers of one detector."""
    images = image_hdus(headers)
    names = [str(headers[index].get("EXTNAME", "")).strip() for index in images]
    if len(images) > 1 and len(set(names)) == 1:
        return [images]
    return [[index] for index in images]


def _amplifier_keywords(headers: Sequence[Header]) -> list[str]:
    """The keywords of the first image HDU that hold sections and numbers of one amplifier."""
    header = headers[image_hdus(headers)[0]]
    lines = []
    for name, keywords in _SECTIONS.items():
        if name == "detector" and len(_detectors(headers)[0]) == 1:
            continue
        lines += [f"{name} = [{_quoted(key)}]" for key in keywords if _section(header, (key,))][:1]
    for name, (keywords, _) in _NUMBERS.items():
        lines += [f"{name} = [{_quoted(key)}]" for key in keywords if _number([header, headers[0]], (key,))][:1]
    return ["", "[amplifier_keywords]", *lines] if lines else []


def _binning(headers: Sequence[Header]) -> tuple[int, int]:
    """Binning of the sample, so that the table speaks of unbinned pixels."""
    texts = [*headers[image_hdus(headers)[0] :][:1], headers[0]]
    said = re.findall(r"\d+", str(find(texts, "CCDSUM") or "")) or [find(texts, "XBINNING"), find(texts, "YBINNING")]
    try:
        x, y = (max(1, int(str(item))) for item in said[:2])
    except ValueError:
        return 1, 1
    return x, y


def _unbinned(section: Section | None, binning: tuple[int, int]) -> Section | None:
    if section is None:
        return None
    (x0, x1, y0, y1), (bx, by) = section, binning
    return x0 * bx, x1 * bx, y0 * by, y1 * by


def _types(headers: Sequence[Header]) -> list[str]:
    """One type and one detector for each distinct detector, places from DETSEC where there is one."""
    lines: list[str] = []
    detectors = _detectors(headers)
    centres = [_centre(headers[indices[0]]) for indices in detectors]
    middle = [sum(c[axis] for c in centres) / len(centres) for axis in (0, 1)]
    pitch = (_pixel_size(ordered(headers)) or 15.0) / 1000
    for number, (indices, centre) in enumerate(zip(detectors, centres, strict=True), 1):
        amplifiers = _amplifiers(headers, indices)
        nx, ny = max(a.detector[1] for a in amplifiers), max(a.detector[3] for a in amplifiers)
        names = [str(headers[index].get("EXTNAME", "")).strip() for index in indices]
        hdus = [
            f"{word},{headers[i].get('EXTVER', n)}" for n, (word, i) in enumerate(zip(names, indices, strict=True), 1)
        ]
        spelt = [_quoted(word) for word in (hdus if len(indices) > 1 else names)] if all(names) else map(str, indices)
        lines += [
            "",
            "[[detectors]]",
            f"id = {number}",
            f"name = {_quoted(names[0] if names[0] and len(detectors) > 1 else f'ccd{number}')}",
            f"nx = {nx}",
            f"ny = {ny}",
            f"x_mm = {round((centre[0] - middle[0]) * pitch, 3)!r}",
            f"y_mm = {round((centre[1] - middle[1]) * pitch, 3)!r}",
            f"hdus = [{', '.join(spelt)}]",
            "amplifiers = [",
            *(f"  {_amplifier_text(a)}," for a in amplifiers),
            "]",
        ]
    return lines


def _centre(header: Header) -> tuple[float, float]:
    section = _section(header, ("DETSEC",))
    if section is None:
        return 0.0, 0.0
    x0, x1, y0, y1 = section.section
    return (x0 + x1) / 2, (y0 + y1) / 2


def _section(header: Header, keywords: Sequence[str]) -> HeaderSection | None:
    for keyword in keywords:
        try:
            return HeaderSection.parse(str(header.get(keyword, "")))
        except ValueError:
            continue
    return None


def _amplifiers(headers: Sequence[Header], indices: Sequence[int]) -> list[AmplifierSpec]:
    places = [_section(headers[index], _SECTIONS["detector"]) for index in indices]
    known = [place for place in places if place is not None]
    sure = len(known) == len(indices) > 1
    left = min((place.section[0] for place in known), default=0)
    low = min((place.section[2] for place in known), default=0)
    bin_x, bin_y = _binning(headers)
    made = []
    for number, (index, place) in enumerate(zip(indices, places, strict=True)):
        nx, ny = size(headers[index])[:2]
        data = _within(_section(headers[index], _SECTIONS["data"]), nx, ny) or (0, nx, 0, ny)
        overscan = _within(_section(headers[index], _SECTIONS["overscan"]), nx, ny)
        wide, high = data[1] - data[0], data[3] - data[2]
        corner = (number * wide, 0)
        if sure and place is not None:
            corner = ((place.section[0] - left) // bin_x, (place.section[2] - low) // bin_y)
        values: dict[str, Any] = {
            name: _number([headers[index], headers[0]], keywords) or default
            for name, (keywords, default) in _NUMBERS.items()
        }
        made.append(
            AmplifierSpec(
                name=f"A{number + 1}",
                data=_unbinned(data, (bin_x, bin_y)) or data,
                overscan=_unbinned(overscan, (bin_x, bin_y)),
                detector=_unbinned((corner[0], corner[0] + wide, corner[1], corner[1] + high), (bin_x, bin_y)) or data,
                flip_x=bool(sure and place and place.flip_x),
                flip_y=bool(sure and place and place.flip_y),
                hdu=number,
                **values,
            )
        )
    return made


def _within(section: HeaderSection | None, nx: int, ny: int) -> Section | None:
    inside = section is not None and section.section[1] <= nx and section.section[3] <= ny
    return section.section if inside and section is not None else None


def _amplifier_text(amplifier: AmplifierSpec) -> str:
    values = amplifier.model_dump(mode="json", exclude_defaults=True)
    parts = []
    for key, value in values.items():
        text = (
            str(value).lower() if isinstance(value, bool) else _quoted(value) if isinstance(value, str) else repr(value)
        )
        parts.append(f"{key} = {text}")
    return "{ " + ", ".join(parts) + " }"


def _values(samples: Sequence[Sample], keywords: Sequence[str]) -> list[str]:
    """The distinct values over all samples of the keyword that the first sample has."""
    found = [_first(ordered(headers), keywords)[1] for _, headers in samples]
    return sorted({str(value) for value in found if value is not None})


def _filters(samples: Sequence[Sample]) -> list[str]:
    names: dict[str, list[str]] = {}
    for word in _values(samples, _PROPERTIES["filter"][0]) or ["none"]:
        letters = re.search(r"[A-Za-z]+", word)
        band = word[:1] if re.match(r"[ugrizyUBVRIJHKwY]([^A-Za-z]|p$|s$|$)", word) else letters[0] if letters else "x"
        names.setdefault(band, []).append(word)
    lines: list[str] = []
    for band, spellings in names.items():
        lines += [
            "",
            "[[filters]]",
            f"band = {_quoted(band)}  # guess",
            f"names = [{', '.join(map(_quoted, spellings))}]",
        ]
    return lines


def _frame_types(samples: Sequence[Sample]) -> list[str]:
    lines = ["", "[frame_types]"]
    for word in _values(samples, _PROPERTIES["frame_type"][0]):
        kind = next((kind for pattern, kind in _KINDS if re.search(pattern, word, re.IGNORECASE)), "object")
        lines.append(f"{_quoted(word.lower())} = {_quoted(kind)}" + ("  # guess" if kind == "object" else ""))
    return lines


def _rules(texts: Sequence[Header]) -> list[str]:
    lines = ["", "[header]"]
    keyword, _ = _first(texts, _NAMES)
    lines.append(f"name = {{ keyword = [{_quoted(keyword or '@filename')}] }}")
    for name, (keywords, unit) in _PROPERTIES.items():
        keyword, value = _first(texts, keywords)
        if not keyword:
            continue
        spelt = unit
        if name == "ra":
            # Sexagesimal right ascensions are hours, plain numbers degrees: so most observatories write them.
            spelt = "hour" if isinstance(value, str) and re.search(r"\d[: ]\d", value) else "deg"
        lines.append(
            f"{name} = {{ keyword = [{_quoted(keyword)}]" + (f", unit = {_quoted(spelt)}" if spelt else "") + " }"
        )
        if name == "date" and "T" not in str(value) and _first(texts, _TIMES)[0]:
            lines.append(f"time = {{ keyword = [{_quoted(_first(texts, _TIMES)[0])}] }}")
    if not any(line.startswith("frame_type") for line in lines):
        lines.append('frame_type = { value = "object" }  # guess')
    if all(plain(texts[-1].get(key)) is not None for key in ("XBINNING", "YBINNING")):
        lines = [line for line in lines if not line.startswith("binning")]
        lines.append('binning = { keyword = ["XBINNING", "YBINNING"], unit = "x, y" }')
    return lines
