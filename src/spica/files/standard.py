"""The standard header: what every product says of the exposure, detector or master that it is of.

Tasks add what they alone know (`Image.header`); everything else comes from the records. The same records give the same
cards: no date of processing, no host, no attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from spica.core.records import Detector, Exposure, Scalar

VERSION = 1
"""To be raised whenever the same records may give other cards: it is part of what decides a product's bytes."""
_MJD_ZERO = datetime(1858, 11, 17)  # noqa: DTZ001  (a time scale, no time zone)


@dataclass(frozen=True)
class Subject:
    """What a product is of, as cards.

    Attributes
    ----------
    cards : facts of the exposure and detector, or of a master.
    solution : the delivered sky solution; it holds for images of `shape` (ny, nx) that bring none of their own.
    """

    cards: Mapping[str, Scalar] = field(default_factory=dict)
    solution: Mapping[str, Scalar] = field(default_factory=dict)
    shape: tuple[int, int] = (0, 0)

    def header(self, own: Mapping[str, Scalar], shape: tuple[int, int]) -> dict[str, Scalar]:
        """The whole header of an image of this shape; what science says (`own`) stands above the records."""
        brings = any(key.startswith("CTYPE") for key in own)
        sky = {} if brings or shape != self.shape else self.solution
        return {**self.cards, **own, **sky}


def of_exposure(exposure: Exposure) -> dict[str, Scalar]:
    """Cards of an exposure; what is not known is left out."""
    cards: dict[str, Scalar] = {
        "INSTRUME": exposure.camera,
        "EXPNAME": exposure.name,
        "SEQNUM": exposure.sequence or None,
        "OBSTYPE": str(exposure.frame_type),
        "OBJECT": exposure.object,
        "FIELD": exposure.field,
        "PROPID": exposure.programme,
        "OBSRUN": exposure.run,
        "OBSERVER": exposure.observer,
        "FILTER": exposure.filter,
        "BAND": exposure.band,
        "NIGHT": exposure.night,
        "TIMESYS": "TAI",
        "MJD-OBS": exposure.mjd,
        "DATE-OBS": iso(exposure.mjd),
        "EXPTIME": exposure.exposure_time,
        "AIRMASS": exposure.airmass,
        "RA": exposure.ra,
        "DEC": exposure.dec,
        "ROTANG": exposure.rotation,
        "CCDSUM": " ".join(map(str, exposure.binning)),
        "READMODE": exposure.readout_mode,
        "ASSUMED": ", ".join(exposure.defaulted),
    }
    return _known(cards)


def of_detector(exposure: Exposure, detector: Detector) -> Subject:
    """Cards of one detector of an exposure, with the sky solution that was delivered."""
    cards = of_exposure(exposure) | {"DETECTOR": detector.detector, "RAWSUM": detector.file}
    if detector.hdus:
        cards["RAWHDU"] = " ".join(map(str, dict.fromkeys(detector.hdus)))
    return Subject(cards, dict(detector.wcs), (detector.ny, detector.nx))


def of_master(facts: Mapping[str, Any]) -> Subject:
    """Cards of a master, from the facts that are recorded with it."""
    cards: dict[str, Scalar] = {
        "INSTRUME": facts["camera"],
        "DETECTOR": facts["detector"],
        "BAND": facts["band"],
        "CCDSUM": " ".join(map(str, facts["binning"])),
        "READMODE": facts["readout_mode"],
        "CALBLOCK": facts["block"],
        "MJDFROM": facts["valid_from"],
        "MJDTO": facts["valid_to"],
    }
    return Subject(_known(cards))


def iso(mjd: float) -> str:
    """A time as ISO 8601 with milliseconds, in the scale that it is given in."""
    return (_MJD_ZERO + timedelta(milliseconds=round(mjd * 86_400_000))).isoformat(timespec="milliseconds")


def _known(cards: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {key: value for key, value in cards.items() if value not in {None, ""}}
