"""Celestial FITS header cards to and from the parameters of a gnomonic projection (TAN, TPV, SIP).

References: Calabretta & Greisen 2002 (A&A 395, 1077); the TPV convention and the SIP convention of the FITS registry.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spica.kernels.compiled import Float64
from spica.kernels.wcs import TangentWcs, tangent_wcs

Card = str | int | float | bool | None


def from_cards(cards: Mapping[str, Card]) -> TangentWcs:
    """Parameters from header cards.

    ``TAN`` with PV terms beyond the standard's is read as TPV, as SCAMP writes it; SIP polynomials are taken whether or
    not the suffix says so, as most readers do. CD, PC with CDELT, and CROTA2 with CDELT are understood.

    Raises
    ------
    ValueError
        For another projection, axes in the order declination, right ascension, or missing cards.
    """
    types = [str(cards.get(f"CTYPE{axis}", "")) for axis in (1, 2)]
    projection = types[0][5:8]
    if not (types[0].startswith("RA--") and types[1].startswith("DEC-") and projection in {"TAN", "TPV"}):
        msg = f"axes {types} are not right ascension and declination in TAN or TPV"
        raise ValueError(msg)
    pv = _pv(cards, projection)
    return tangent_wcs(
        [_number(cards, "CRVAL1"), _number(cards, "CRVAL2")],
        [_number(cards, "CRPIX1") - 1, _number(cards, "CRPIX2") - 1],
        _matrix(cards),
        pv=pv,
        sip_a=_sip(cards, "A"),
        sip_b=_sip(cards, "B"),
    )


def to_cards(wcs: TangentWcs) -> dict[str, Card]:
    """Header cards (RADESYS ICRS) that give the same parameters back through `from_cards`."""
    kind = "TPV" if wcs.pv.size else ("TAN-SIP" if wcs.sip_a.size else "TAN")
    cards: dict[str, Card] = {
        "CTYPE1": f"RA---{kind}",
        "CTYPE2": f"DEC--{kind}",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "RADESYS": "ICRS",
    }
    for axis in (0, 1):
        cards[f"CRVAL{axis + 1}"] = float(wcs.crval[axis])
        cards[f"CRPIX{axis + 1}"] = float(wcs.crpix[axis]) + 1
    for row in (0, 1):
        for column in (0, 1):
            cards[f"CD{row + 1}_{column + 1}"] = float(wcs.cd[row, column])
    for axis, values in enumerate(wcs.pv):
        cards |= {f"PV{axis + 1}_{k}": float(value) for k, value in enumerate(values) if value != 0 or k == 1}
    for name, table in (("A", wcs.sip_a), ("B", wcs.sip_b)):
        if table.size:
            cards[f"{name}_ORDER"] = table.shape[0] - 1
            cards |= {f"{name}_{p}_{q}": float(table[p, q]) for p, q in np.argwhere(table)}
    return cards


def _number(cards: Mapping[str, Card], name: str, default: float | None = None) -> float:
    value = cards.get(name, default)
    if not isinstance(value, int | float):
        msg = f"header card {name} is {value!r}, not a number"
        raise ValueError(msg)  # noqa: TRY004 - one error for every unusable header
    return float(value)


def _matrix(cards: Mapping[str, Card]) -> Float64:
    if any(f"CD{row}_{column}" in cards for row in (1, 2) for column in (1, 2)):
        return np.array([[_number(cards, f"CD{row}_{column}", 0.0) for column in (1, 2)] for row in (1, 2)])
    scale = np.diag([_number(cards, "CDELT1"), _number(cards, "CDELT2")])
    if "CROTA2" in cards:
        turn = np.radians(_number(cards, "CROTA2"))
        sine, cosine = np.sin(turn), np.cos(turn)
        return np.asarray(np.array([[cosine, -sine], [sine, cosine]]) @ scale)
    unit = np.eye(2)
    rotation = [[_number(cards, f"PC{i + 1}_{j + 1}", float(unit[i, j])) for j in (0, 1)] for i in (0, 1)]
    return np.asarray(scale @ np.array(rotation))


def _pv(cards: Mapping[str, Card], projection: str) -> Float64 | None:
    """TPV coefficients of both axes; None for a plain TAN (whose PV2_1… speak of the native pole alone)."""
    given = {(axis, k): f"PV{axis + 1}_{k}" for axis in (0, 1) for k in range(40) if f"PV{axis + 1}_{k}" in cards}
    if not given or (projection == "TAN" and not any(k > 4 for _, k in given)):
        return None
    table = np.zeros((2, 40))
    table[:, 1] = 1.0
    for (axis, k), name in given.items():
        table[axis, k] = _number(cards, name)
    return table


def _sip(cards: Mapping[str, Card], axis: str) -> Float64 | None:
    order = cards.get(f"{axis}_ORDER")
    if not isinstance(order, int) or order < 1:
        return None
    table = np.zeros((order + 1, order + 1))
    for p in range(order + 1):
        for q in range(order + 1 - p):
            table[p, q] = _number(cards, f"{axis}_{p}_{q}", 0.0)
    return table
