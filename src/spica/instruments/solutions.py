"""The sky solution that a header delivers, as plain cards for the assembled image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spica.core.camera import AmplifierSpec
from spica.core.records import Scalar
from spica.instruments.rules import plain

Header = Mapping[str, Any]

_CARD = re.compile(
    r"WCSAXES|CTYPE[12]|CUNIT[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CROTA[12]|CD[12]_[12]|PC[12]_[12]|PV[12]_\d+"
    r"|[AB]P?_ORDER|[AB]P?_\d+_\d+|LONPOLE|LATPOLE|RADESYS|EQUINOX"
)
_AXIS = re.compile(r"(RA--|DEC-|[A-Z]LON|[A-Z]LAT)")


def wcs_cards(headers: Sequence[Header], hdu: int, amplifiers: Sequence[AmplifierSpec] = ()) -> dict[str, Scalar]:
    """Cards of the delivered sky solution of one detector, empty where there is none.

    Parameters
    ----------
    headers : one mapping per HDU, primary first.
    hdu : the detector's (first) HDU; where it has no solution, the primary's is taken, which then speaks of the
        assembled image.
    amplifiers : as read out: CRPIX is moved from raw to assembled pixels by the first amplifier that is not flipped.

    Returns
    -------
    dict
        Keyword to value; ``-SIP`` is added to CTYPE where the header has SIP polynomials without saying so
        (Shupe et al. 2005), RADECSYS is renamed RADESYS (FITS 4.0).
    """
    for index in dict.fromkeys((hdu, 0)):
        cards = _cards(headers[index])
        if cards:
            if index == hdu and len({a.hdu for a in amplifiers}) == 1:
                _shift(cards, amplifiers)
            return cards
    return {}


def _cards(header: Header) -> dict[str, Scalar]:
    cards: dict[str, Scalar] = {
        key: value for key in header if _CARD.fullmatch(key) and (value := plain(header[key])) is not None
    }
    types = [str(cards.get(f"CTYPE{axis}", "")) for axis in (1, 2)]
    if not all(_AXIS.match(ctype) for ctype in types) or "CRVAL1" not in cards or not _has_scale(cards):
        return {}
    if "RADESYS" not in cards and (system := plain(header.get("RADECSYS"))) is not None:
        cards["RADESYS"] = system
    if "A_ORDER" in cards and "B_ORDER" in cards and not types[0].endswith("-SIP"):
        for axis, ctype in zip((1, 2), types, strict=True):
            cards[f"CTYPE{axis}"] = f"{ctype}-SIP"
    if "CD1_1" in cards or "CD1_2" in cards:
        # Some programs leave an older PC matrix beside the CD matrix, which the standard forbids: CD is the later one.
        cards = {key: value for key, value in cards.items() if not key.startswith(("PC", "CDELT", "CROTA"))}
    for axis in (1, 2):
        if str(cards.get(f"CUNIT{axis}", "")).lower() in {"degree", "degrees"}:
            cards[f"CUNIT{axis}"] = "deg"
    cards["WCSAXES"] = 2
    return cards


def _has_scale(cards: Mapping[str, Scalar]) -> bool:
    return any(cards.get(key) for key in ("CD1_1", "CD1_2", "CDELT1"))


def _shift(cards: dict[str, Scalar], amplifiers: Sequence[AmplifierSpec]) -> None:
    straight = next((a for a in amplifiers if not a.flip_x and not a.flip_y), None)
    if straight is None:
        return
    for axis, offset in ((1, straight.detector[0] - straight.data[0]), (2, straight.detector[2] - straight.data[2])):
        value = cards.get(f"CRPIX{axis}")
        if isinstance(value, int | float):
            cards[f"CRPIX{axis}"] = value + offset
