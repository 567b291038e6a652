"""Whether what a header says can be true: times, lengths of time, positions, filters; one law each.

Every check adds problems or fills in what follows from the rest (band, airmass); none raises.
"""

from __future__ import annotations

import re

from spica.core.camera import Camera, Site
from spica.core.records import FrameType, Scalar
from spica.instruments.problems import Problem
from spica.instruments.reading import Reading
from spica.instruments.sky import airmass, altitude
from spica.instruments.times import mjd_utc_of

FIRST_MJD, LAST_MJD = 44239.0, 88069.0
"""1980-01-01 to 2100-01-01: before CCDs and after us, a clock is wrong."""
LONGEST = 100_000.0
"""Seconds; no exposure is longer than a day."""
HORIZON = -1.0
"""Degrees: a telescope does not look lower."""
AIRMASS_AGREES = 0.25
"""Fraction by which a header's airmass may differ from that of its own time, place and position."""


def check(reading: Reading, camera: Camera, frame_type: FrameType, defaulted: list[str]) -> None:
    """Check all properties together; `reading` and `defaulted` are completed in place."""
    _times(reading)
    _filter(reading, camera, frame_type)
    _position(reading, camera, frame_type, defaulted)


def _number(values: dict[str, Scalar], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _add(reading: Reading, name: str, why: str) -> None:
    reading.problems.append(Problem(name, "absurd", why))


def _times(reading: Reading) -> None:
    mjd = _number(reading.values, "mjd")
    seconds = _number(reading.values, "exposure_time")
    dark = _number(reading.values, "dark_time")
    end = _number(reading.values, "end")
    if mjd is not None and not FIRST_MJD <= mjd <= LAST_MJD:
        _add(reading, "mjd", f"MJD {mjd:.5f} is outside 1980 to 2100")
    if seconds is not None and not 0 <= seconds <= LONGEST:
        _add(reading, "exposure_time", f"{seconds:g} s is outside 0 to {LONGEST:g} s")
    if dark is not None and not 0 <= dark <= LONGEST:
        _add(reading, "dark_time", f"{dark:g} s is outside 0 to {LONGEST:g} s")
    night = reading.values.get("night")
    if night is not None and not re.fullmatch(r"\d{4}-?\d\d-?\d\d", str(night)):
        _add(reading, "night", f"{night!r} is not a date")
    if mjd is not None and end is not None and end < mjd:
        _add(reading, "end", f"the exposure ends {(mjd - end) * 86400:.1f} s before it starts")


def _filter(reading: Reading, camera: Camera, frame_type: FrameType) -> None:
    """The band of the filter; a bias or dark has none, whatever stood in the beam."""
    if frame_type in {FrameType.BIAS, FrameType.DARK}:
        _drop_filter(reading)
        return
    name = reading.values.get("filter")
    if name is None:
        return
    try:
        reading.values["band"] = camera.band_of(str(name))
    except KeyError:
        known = ", ".join(spelling for spec in camera.filters for spelling in spec.names)
        reading.problems.append(Problem("filter", "filter", f"{name!r} is not in the camera table ({known})"))


def _drop_filter(reading: Reading) -> None:
    name = reading.values.get("filter")
    reading.drop("filter")
    reading.values["filter"] = name or ""
    reading.values["band"] = ""


def _position(reading: Reading, camera: Camera, frame_type: FrameType, defaulted: list[str]) -> None:
    if frame_type is not FrameType.OBJECT:
        # Calibrations point nowhere that matters: what their headers say of it is not held against them.
        for name in ("ra", "dec", "rotation", "airmass"):
            reading.drop(name)
        return
    ra, dec = _number(reading.values, "ra"), _number(reading.values, "dec")
    if ra is not None and not 0 <= ra < 360:
        _add(reading, "ra", f"{ra:g} degrees is outside 0 to 360")
        ra = None
    if dec is not None and not -90 <= dec <= 90:
        _add(reading, "dec", f"{dec:g} degrees is outside -90 to 90")
        dec = None
    mjd = _number(reading.values, "mjd")
    if ra is None or dec is None or mjd is None or not FIRST_MJD <= mjd <= LAST_MJD:
        return
    middle = mjd + max(_number(reading.values, "exposure_time") or 0.0, 0.0) / 172800
    height = altitude(_site(reading, camera), mjd_utc_of(middle), ra, dec)
    if height < HORIZON:
        _add(reading, "ra, dec", f"({ra:.4f}, {dec:.4f}) stood {-height:.1f} degrees below the horizon at that time")
        return
    _airmass(reading, airmass(max(height, 0.0)), defaulted)


def _site(reading: Reading, camera: Camera) -> Site:
    """Where the telescope stood: a network's header says it, else the table."""
    said = {name: _number(reading.values, f"site.{name}") for name in ("longitude", "latitude", "height")}
    return camera.site.model_copy(update={name: value for name, value in said.items() if value is not None})


def _airmass(reading: Reading, computed: float, defaulted: list[str]) -> None:
    given = _number(reading.values, "airmass")
    if given is None:
        reading.values["airmass"] = round(computed, 4)
        defaulted.append("airmass")
    elif abs(given - computed) > AIRMASS_AGREES * computed:
        _add(
            reading,
            "airmass",
            f"{given:g} in the header, but time, site and position give {computed:.3f}: one of them is wrong",
        )
