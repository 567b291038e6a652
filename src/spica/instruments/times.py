"""Times of headers to MJD TAI, and the night that a time belongs to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from erfa import ErfaWarning

from spica.core.camera import Camera
from spica.core.records import Scalar
from spica.instruments.offline import Time

_DAY = 86400.0
_TAI_UTC_NOW = 37.0
_MJD_ZERO = date(1858, 11, 17)
FORMS = ("mjd", "jd", "isot")
SCALES = ("utc", "tai", "tt", "tdb")


@contextmanager
def doubtful_years_allowed() -> Iterator[None]:
    """No warning of dates without known leap seconds, before 1960 or years ahead: such dates are judged later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)
        yield


def to_mjd_tai(value: Scalar, unit: str, header_scale: str = "") -> float:
    """MJD TAI of a header's time.

    Parameters
    ----------
    value : number (mjd, jd) or ISO date and time.
    unit : form and scale, as in ``"mjd utc"``; without a scale the header's TIMESYS, else UTC (FITS 4.0, 9.2.1).
    header_scale : TIMESYS of the header.

    Raises
    ------
    ValueError
        The value is not a time of that form.
    """
    form, _, scale = unit.partition(" ")
    scale = (scale or header_scale.partition(" ")[0] or "utc").lower()
    if form not in FORMS:
        msg = f"{form!r} is none of the forms of time {FORMS}"
        raise ValueError(msg)
    if scale not in SCALES:
        msg = f"{scale!r} is none of the scales of time {SCALES}"
        raise ValueError(msg)
    with doubtful_years_allowed():
        if form == "isot":
            text = str(value).strip().replace(" ", "T")
            return float(Time(text, format="isot", scale=scale).tai.mjd)
        # Two parts keep a JD's nanoseconds through the change of scale.
        day, rest = divmod(float(value), 1.0)  # type: ignore[arg-type]
        return float(Time(day, rest, format=form, scale=scale).tai.mjd)


def join(day: str, clock: str) -> str:
    """``YYYY-MM-DDThh:mm:ss`` of a date and a time of day; old ``DD/MM/YY`` dates are read too (FITS before 1998)."""
    day = day.strip().partition("T")[0]
    old = re.fullmatch(r"(\d\d)/(\d\d)/(\d\d)", day)
    if old:
        day = f"19{old[3]}-{old[2]}-{old[1]}"
    return f"{day}T{clock.strip()}"


def utc_of(mjd_tai: float) -> str:
    """ISO date and time in UTC, milliseconds, of an MJD TAI."""
    with doubtful_years_allowed():
        return str(Time(mjd_tai, format="mjd", scale="tai").utc.isot)


def tai_of(mjd_tai: float) -> str:
    """ISO date and time in TAI, milliseconds, of an MJD TAI."""
    return str(Time(mjd_tai, format="mjd", scale="tai").isot)


def mjd_utc_of(mjd_tai: float) -> float:
    """MJD UTC of an MJD TAI."""
    with doubtful_years_allowed():
        return float(Time(mjd_tai, format="mjd", scale="tai").utc.mjd)


def night_of(camera: Camera, mjd_tai: float) -> str:
    """The night ``YYYY-MM-DD`` of a time: the local date at sunset.

    The camera's `night_offset` (hours, about longitude/15 - 12) is added to UTC and the date taken, so that the night
    changes at local noon. Leap seconds do not matter there: 37 s serve for all times.
    """
    days = mjd_tai - _TAI_UTC_NOW / _DAY + camera.night_offset / 24.0
    return (_MJD_ZERO + timedelta(days=int(days // 1))).isoformat()
