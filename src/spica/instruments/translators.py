"""Properties through astro-metadata-translator, for the cameras that it knows.

Every property is asked for by itself, so that all that are missing are found at once. Two things are changed against
the package's own front door: the observatory stands where the camera table says (it would be looked up on the network
otherwise), and its silent weather defaults are never used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from astro_metadata_translator import MetadataTranslator, fix_header
from astropy.coordinates import EarthLocation, SkyCoord

from spica.core.camera import Camera, Site
from spica.core.faults import SetupFault
from spica.core.records import Scalar
from spica.instruments.layout import ordered
from spica.instruments.offline import ScaleValueError
from spica.instruments.problems import PropertyError, absurd, missing
from spica.instruments.reading import Reading
from spica.instruments.rules import Header, plain
from spica.instruments.times import doubtful_years_allowed

log = logging.getLogger(__name__)

_TRANSLATION_ERRORS = (
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    ArithmeticError,
    ScaleValueError,
)
"""What translators raise where a header is not as they expect."""

_ABSENT = "could not find"


def from_translator(headers: Sequence[Header], camera: Camera, filename: str = "") -> Reading:
    """All properties that the translator named in the table gives, in spica's words and units.

    A header that the package knows to be wrong is corrected by its own correction files first (on a copy). `ra` and
    `dec` are None for a moving target followed in apparent coordinates; `airmass` and `rotation` where not known.
    """
    cls = _translator(camera)
    with doubtful_years_allowed():
        return _ask(cls, _merged(headers), filename)


def _ask(cls: type[Any], header: dict[str, Any], filename: str) -> Reading:
    """Put every question to the translator; `header` may be corrected in place."""
    reading = Reading()
    try:
        fix_header(header, translator_class=cls)
    except _TRANSLATION_ERRORS as error:
        # Corrections go by the observation's name; a header without one has none, and the rules below say what it lacks.
        log.debug("%s: no header corrections: %s", filename, error)
    translator = cls(header)
    for name, read in _PROPERTIES.items():
        reading.take(name, _attempt(name, read, translator))
    radec = _Position(translator)
    reading.take("ra", radec.ra)
    reading.take("dec", radec.dec)
    return reading


def _merged(headers: Sequence[Header]) -> dict[str, Any]:
    """Primary and first image header as one, the image's own values first; undefined cards left out."""
    merged: dict[str, Any] = {}
    for header in ordered(headers):
        merged.update({key: header[key] for key in header if key and plain(header[key]) is not None})
    return merged


@lru_cache(maxsize=64)
def _translator(camera: Camera) -> type[Any]:
    """The package's translator with the table's site for its location."""
    base = MetadataTranslator.translators.get(camera.translator)
    if base is None:
        known = ", ".join(sorted(MetadataTranslator.translators))
        raise SetupFault(
            "camera.invalid",
            f"camera {camera.name}: there is no translator {camera.translator!r} (known: {known})",
            camera=camera.name,
            translator=camera.translator,
        )
    place = _location(camera.site)
    # A class without a name is not entered among the package's translators.
    return type(f"Local{base.__name__}", (base,), {"name": None, "to_location": lambda _: place})


def _location(site: Site) -> EarthLocation:
    return EarthLocation.from_geodetic(site.longitude, site.latitude, site.height)


def _attempt(name: str, read: Callable[[Any], Scalar], translator: Any) -> Callable[[], Scalar]:
    def attempt() -> Scalar:
        try:
            return read(translator)
        except _TRANSLATION_ERRORS as error:
            raise _problem(name, error) from error

    return attempt


def _problem(name: str, error: Exception) -> PropertyError:
    text = str(error.args[0]) if error.args else type(error).__name__
    if isinstance(error, KeyError):
        return missing(name, text if " " in text else f"no {text} in the header")
    if _ABSENT in text.lower():
        return missing(name, text)
    return absurd(name, text)


def _rotation(translator: Any) -> float | None:
    """Position angle of the focal plane's +y axis, degrees; None where the angle is not one on the sky."""
    if translator.to_boresight_rotation_coord() != "sky":
        return None
    return float(translator.to_boresight_rotation_angle().deg) % 360.0


def _end(translator: Any) -> float | None:
    """End, MJD TAI; None where the header does not say."""
    try:
        return float(translator.to_datetime_end().tai.mjd)
    except KeyError:
        return None


def _airmass(translator: Any) -> float | None:
    try:
        value = translator.to_boresight_airmass()
    except KeyError:
        return None
    return None if value is None else float(value)


class _Position:
    """The boresight in ICRS, asked once for both coordinates."""

    def __init__(self, translator: Any) -> None:
        self.translator = translator

    def _icrs(self, name: str) -> SkyCoord | None:
        try:
            position = self.translator.to_tracking_radec()
            return None if position is None else position.icrs
        except _TRANSLATION_ERRORS as error:
            raise _problem(name, error) from error

    def ra(self) -> float | None:
        """Right ascension, degrees."""
        position = self._icrs("ra")
        return None if position is None else float(position.ra.deg)

    def dec(self) -> float | None:
        """Declination, degrees."""
        position = self._icrs("dec")
        return None if position is None else float(position.dec.deg)


_PROPERTIES: dict[str, Callable[[Any], Scalar]] = {
    "mjd": lambda t: float(t.to_datetime_begin().tai.mjd),
    "end": _end,
    "exposure_time": lambda t: float(t.to_exposure_time().to_value("s")),
    "dark_time": lambda t: float(t.to_dark_time().to_value("s")),
    "frame_type": lambda t: str(t.to_observation_type()),
    "filter": lambda t: str(t.to_physical_filter()),
    "object": lambda t: str(t.to_object()),
    "programme": lambda t: str(t.to_science_program()),
    "name": lambda t: str(t.to_exposure_id()),
    "sequence": lambda t: int(t.to_exposure_id()),
    "airmass": _airmass,
    "rotation": _rotation,
}
