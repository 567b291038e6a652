"""Amplifiers as they were read out in one exposure: table and header together, binning and windows included."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spica.core.camera import AmplifierSpec, Camera, DetectorSpec, Section
from spica.core.faults import DataFault
from spica.core.records import Exposure, ExposureState
from spica.instruments.layout import image_hdus, size
from spica.instruments.rules import find, plain

Header = Mapping[str, Any]

SPARE_ROWS = 0.02
"""Fraction of a chip's rows that may follow the table's sections: parallel overscan that no table needs to name."""
_SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


@dataclass(frozen=True)
class HeaderSection:
    """A FITS section as 0-based, half-open pixels, and whether its axes run backwards."""

    section: Section
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def parse(cls, text: str) -> HeaderSection:
        """Read ``[x1:x2,y1:y2]`` (1-based, inclusive, either order); ValueError where it is none."""
        found = _SECTION.fullmatch(text.strip())
        if not found:
            msg = f"{text!r} is not a section"
            raise ValueError(msg)
        x1, x2, y1, y2 = map(int, found.groups())
        if min(x1, x2, y1, y2) < 1:
            msg = f"{text!r} starts below pixel 1"
            raise ValueError(msg)
        return cls((min(x1, x2) - 1, max(x1, x2), min(y1, y2) - 1, max(y1, y2)), x1 > x2, y1 > y2)


def readout(
    headers: Sequence[Header],
    camera: Camera,
    spec: DetectorSpec,
    exposure: Exposure,
    hdus: Sequence[int] | None = None,
) -> tuple[AmplifierSpec, ...]:
    """The amplifiers of one detector as read out in this exposure.

    Parameters
    ----------
    headers : one mapping per HDU of the file, primary first.
    camera, spec : the table and its detector.
    exposure : its binning (and whether it is reduced: then one 'amplifier' covers the whole delivered image).
    hdus : HDU indices of the detector, as `layout.hdus_of` gives them; by default the first HDU with pixels.

    Returns
    -------
    tuple of AmplifierSpec
        Sections in binned pixels of the raw HDU; gain e/ADU, read noise e, saturation ADU from the header where the
        table names keywords for them and the header has them, else from the table.

    Raises
    ------
    DataFault
        ``header.bad-geometry`` where sections and pixels do not fit each other.
    """
    hdus = tuple(hdus) if hdus is not None else tuple(image_hdus(headers)[:1])
    if exposure.state is ExposureState.REDUCED:
        return (_whole(headers, camera, hdus[0], exposure),)
    amplifiers = []
    for amplifier in spec.amplifiers:
        header = headers[hdus[min(amplifier.hdu, len(hdus) - 1)]]
        values = _numbers([header, headers[0]], camera, amplifier)
        if camera.sections_from_header:
            values |= _sections(header, camera, amplifier, spec, exposure)
        else:
            values |= _binned(amplifier, exposure.binning)
        amplifiers.append(values)
    if camera.sections_from_header:
        _to_detector_origin(amplifiers, spec, exposure.binning)
    made = tuple(
        amplifier.model_copy(update=values) for amplifier, values in zip(spec.amplifiers, amplifiers, strict=True)
    )
    _fit(made, headers, hdus, spec, exposure, whole=not camera.sections_from_header)
    return made


def assembled_size(amplifiers: Sequence[AmplifierSpec]) -> tuple[int, int]:
    """(nx, ny) of the image that the amplifiers fill."""
    return max(a.detector[1] for a in amplifiers), max(a.detector[3] for a in amplifiers)


def _whole(headers: Sequence[Header], camera: Camera, hdu: int, exposure: Exposure) -> AmplifierSpec:
    """The whole delivered image as one amplifier; its gain is electrons per delivered unit."""
    nx, ny = size(headers[hdu])[:2]
    delivered = camera.delivered
    values: dict[str, float] = {}
    for name, keywords in (
        ("gain", delivered.gain),
        ("read_noise", delivered.read_noise),
        ("saturation", delivered.saturation),
    ):
        value = _positive([headers[hdu], headers[0]], keywords)
        if value is not None:
            values[name] = value
    if delivered.per_second and exposure.exposure_time > 0:
        values["gain"] = values.get("gain", 1.0) * exposure.exposure_time
    whole = (0, nx, 0, ny)
    return AmplifierSpec.model_validate({"name": "whole", "data": whole, "detector": whole, **values})


def _positive(headers: Sequence[Header], keywords: Sequence[str]) -> float | None:
    """First positive number among keywords, the HDU's own header before the primary (which may say 0 for 'see below')."""
    for keyword in keywords:
        for header in headers:
            value = plain(header.get(keyword))
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                return float(value)
    return None


def _numbers(headers: Sequence[Header], camera: Camera, amplifier: AmplifierSpec) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in ("gain", "read_noise", "saturation", "linear_limit"):
        keywords = [key.format(amp=amplifier.name) for key in camera.amplifier_keywords.get(name, ())]
        value = _positive(headers, keywords)
        if value is not None:
            values[name] = value
    return values


def _binned(amplifier: AmplifierSpec, binning: tuple[int, int]) -> dict[str, Any]:
    """The table's sections in binned pixels: a chip that does not divide evenly loses its last partial pixel."""
    if binning == (1, 1):
        return {}
    data, detector = _divide(amplifier.data, binning), _divide(amplifier.detector, binning)
    nx = min(data[1] - data[0], detector[1] - detector[0])
    ny = min(data[3] - data[2], detector[3] - detector[2])
    return {
        "data": (data[0], data[0] + nx, data[2], data[2] + ny),
        "detector": (detector[0], detector[0] + nx, detector[2], detector[2] + ny),
        "overscan": None if amplifier.overscan is None else _divide(amplifier.overscan, binning),
        "prescan": None if amplifier.prescan is None else _divide(amplifier.prescan, binning),
    }


def _divide(section: Section, binning: tuple[int, int]) -> Section:
    (x0, x1, y0, y1), (bx, by) = section, binning
    return x0 // bx, x1 // bx, y0 // by, y1 // by


def _sections(
    header: Header, camera: Camera, amplifier: AmplifierSpec, spec: DetectorSpec, exposure: Exposure
) -> dict[str, Any]:
    nx, ny = size(header)[:2]
    found = {
        name: _section([header], camera.amplifier_keywords.get(name, ()), amplifier.name, spec, exposure)
        for name in ("data", "overscan", "prescan", "detector")
    }
    place = found["detector"]
    table = _binned(amplifier, exposure.binning)
    values: dict[str, Any] = {
        "detector": place.section if place else None,
        "flip_x": place.flip_x if place else amplifier.flip_x,
        "flip_y": place.flip_y if place else amplifier.flip_y,
    }
    for name in ("data", "overscan", "prescan"):
        said = found[name]
        # What the header leaves out is the table's word, as far as these pixels go.
        values[name] = said.section if said else _inside(table.get(name, getattr(amplifier, name)), nx, ny)
    values["data"] = values["data"] or (0, nx, 0, ny)
    return values


def _inside(section: Section | None, nx: int, ny: int) -> Section | None:
    return section if section and section[1] <= nx and section[3] <= ny else None


def _section(
    headers: Sequence[Header], keywords: Sequence[str], amp: str, spec: DetectorSpec, exposure: Exposure
) -> HeaderSection | None:
    for keyword in keywords:
        text = _section_text(headers, keyword.format(amp=amp))
        if text is None:
            continue
        try:
            return HeaderSection.parse(str(text))
        except ValueError as error:
            raise DataFault(
                "header.bad-geometry",
                f"{exposure.name}, detector {spec.name}: {keyword.format(amp=amp)}: {error}",
                exposure=exposure.name,
                detector=spec.name,
                keyword=keyword.format(amp=amp),
                value=str(text),
            ) from error
    return None


def _section_text(headers: Sequence[Header], keyword: str) -> str | None:
    """A section's text, from one keyword or put together from four (``X1:X2,Y1:Y2``); None where any is absent."""
    if ":" not in keyword:
        value = find(headers, keyword)
        return None if value is None else str(value)
    values = [find(headers, word) for word in re.split("[:,]", keyword)]
    return None if None in values or len(values) != 4 else "[{}:{},{}:{}]".format(*values)


def _to_detector_origin(amplifiers: list[dict[str, Any]], spec: DetectorSpec, binning: tuple[int, int]) -> None:
    """Turn detector sections (unbinned, of the focal plane, perhaps a window) into binned ones that begin at (0, 0).

    Where the header has none the table's place is taken, or, for a window of a one-amplifier chip, the whole window.
    """
    said = [values["detector"] for values in amplifiers if values["detector"] is not None]
    if len(said) < len(amplifiers):
        for values, amplifier in zip(amplifiers, spec.amplifiers, strict=True):
            x0, x1, y0, y1 = values["data"]
            place = _divide(amplifier.detector, binning)
            fits = (place[1] - place[0], place[3] - place[2]) == (x1 - x0, y1 - y0)
            values["detector"] = place if fits or len(amplifiers) > 1 else (0, x1 - x0, 0, y1 - y0)
        return
    left = min(section[0] for section in said)
    low = min(section[2] for section in said)
    for values in amplifiers:
        x0, x1, y0, y1 = values["detector"]
        values["detector"] = _divide((x0 - left, x1 - left, y0 - low, y1 - low), binning)


def _fit(
    amplifiers: Sequence[AmplifierSpec],
    headers: Sequence[Header],
    hdus: Sequence[int],
    spec: DetectorSpec,
    exposure: Exposure,
    *,
    whole: bool,
) -> None:
    """Refuse sections that leave the pixels, or data that do not fill their place in the detector.

    `whole`: the sections are the table's and tell of all pixels; more of them are another read-out than the table's.
    """
    wrong = _left_over(amplifiers, headers, hdus, exposure.binning) if whole else []
    for amplifier in amplifiers:
        nx, ny = size(headers[hdus[min(amplifier.hdu, len(hdus) - 1)]])[:2]
        for name in ("data", "overscan", "prescan"):
            section: Section | None = getattr(amplifier, name)
            if section and not (0 <= section[0] < section[1] <= nx and 0 <= section[2] < section[3] <= ny):
                wrong.append(f"{amplifier.name}: {name} section {section} is not within {nx} x {ny} pixels")
        (x0, x1, y0, y1), (u0, u1, v0, v1) = amplifier.data, amplifier.detector
        if (x1 - x0, y1 - y0) != (u1 - u0, v1 - v0):
            wrong.append(f"{amplifier.name}: data {amplifier.data} do not fill detector section {amplifier.detector}")
    if wrong:
        raise DataFault(
            "header.bad-geometry",
            f"{exposure.name}, detector {spec.name}: {'; '.join(wrong)}",
            exposure=exposure.name,
            detector=spec.name,
            binning=f"{exposure.binning[0]} {exposure.binning[1]}",
            problems=len(wrong),
        )


def _left_over(
    amplifiers: Sequence[AmplifierSpec], headers: Sequence[Header], hdus: Sequence[int], binning: tuple[int, int]
) -> list[str]:
    """HDUs with columns outside all sections beyond the remainder that binning leaves, or with too many such rows."""
    reach: dict[int, tuple[int, int]] = {}
    for amplifier in amplifiers:
        hdu = hdus[min(amplifier.hdu, len(hdus) - 1)]
        sections = [each for each in (amplifier.data, amplifier.overscan, amplifier.prescan) if each]
        x, y = reach.get(hdu, (0, 0))
        reach[hdu] = max(x, *(each[1] for each in sections)), max(y, *(each[3] for each in sections))
    found = {hdu: size(headers[hdu])[:2] for hdu in reach}
    return [
        f"HDU {hdu} has {found[hdu][0]} x {found[hdu][1]} pixels, the camera table's sections end at {x} x {y}"
        for hdu, (x, y) in reach.items()
        if found[hdu][0] - x >= binning[0] or found[hdu][1] - y >= max(binning[1], SPARE_ROWS * y)
    ]
