"""Celestial FITS header cards to the parameters of a gnomonic projection (TAN, TPV, SIP).

References: Calabretta & Greisen 2002 (A&A 395, 1077); the TPV convention and the SIP convention of the FITS registry.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from spica.kernels.compiled import Float64
from spica.kernels.wcs import PV_TERMS, TangentWcs, tangent_wcs


def _number(cards: Mapping[str, object], name: str, default: float | None = None) -> float:
    value = cards.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"header card {name} is {value!r}, not a number")  # noqa: TRY004 - one error for any bad header
    return float(value)


def _square(cards: Mapping[str, object], name: str, otherwise: Float64) -> Float64:
    """The four cards name_i_j, with what stands for a missing one."""
    return np.array([[_number(cards, f"{name}{i}_{j}", otherwise[i - 1, j - 1]) for j in (1, 2)] for i in (1, 2)])


def _axes(cards: Mapping[str, object], known: Sequence[str] = ("TAN", "TPV")) -> tuple[str, list[int]]:
    """Projection of the cards, and the places of right ascension and declination among the axes."""
    types = [str(cards.get(f"CTYPE{axis}", "")).strip().upper() for axis in (1, 2)]
    names = [ctype[:4].rstrip("-") for ctype in types]
    codes = {ctype[5:8] for ctype in types}
    if sorted(names) != ["DEC", "RA"] or len(codes) != 1 or not codes <= set(known):
        raise ValueError(f"axes {types} are not right ascension and declination in {' or '.join(known)}")
    units = sorted({str(cards.get(f"CUNIT{axis}", "deg")).strip().lower() for axis in (1, 2)})
    if units != ["deg"]:
        raise ValueError(f"axes are in {units}, not in deg")
    return codes.pop(), [names.index("RA"), names.index("DEC")]


def _rotation(angle: float) -> Float64:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _matrix(cards: Mapping[str, object]) -> Float64:
    """CD matrix, from CDi_j, or PCi_j or CROTA2 with CDELTi."""
    if any(f"CD{i}_{j}" in cards for i in (1, 2) for j in (1, 2)):
        return _square(cards, "CD", np.zeros((2, 2)))
    steps = np.array([_number(cards, "CDELT1"), _number(cards, "CDELT2")])
    if "CROTA2" in cards and not any(f"PC{i}_{j}" in cards for i in (1, 2) for j in (1, 2)):
        return np.asarray(_rotation(-np.radians(_number(cards, "CROTA2"))) * steps)
    return np.asarray(_square(cards, "PC", np.eye(2)) * steps[:, None])


def _pv(cards: Mapping[str, object], projection: str, order: list[int]) -> Float64 | None:
    """TPV coefficients; None for a plain TAN (whose PVi_0 to PVi_4 speak of the native pole alone)."""
    given = [k for axis in (1, 2) for k in range(PV_TERMS) if f"PV{axis}_{k}" in cards]
    if not given or (projection == "TAN" and max(given) <= 4):
        return None
    if order != [0, 1]:
        raise ValueError("a PV polynomial with declination before right ascension: programs disagree on its meaning")
    return np.array([[_number(cards, f"PV{axis}_{k}", float(k == 1)) for k in range(PV_TERMS)] for axis in (1, 2)])


def _sip(cards: Mapping[str, object]) -> tuple[Float64 | None, Float64 | None]:
    """Both polynomials, square and of one size; None where there is none."""
    size = 1 + int(max(_number(cards, "A_ORDER", 0), _number(cards, "B_ORDER", 0)))
    if size < 2:
        return None, None
    a, b = (
        np.array([[_number(cards, f"{name}_{p}_{q}", 0.0) for q in range(size)] for p in range(size)]) for name in "AB"
    )
    return a, b


def from_cards(cards: Mapping[str, object]) -> TangentWcs:
    """Parameters from header cards.

    ``TAN`` with PV terms beyond the standard's is read as TPV, as SCAMP writes it; SIP polynomials are taken whether or
    not the suffix says so, as most readers do, and their inverses are not needed. CD, PC with CDELT, and CROTA2 with
    CDELT are understood, and so are exchanged axes and LONPOLE other than 180 where there is no PV polynomial. Frames
    other than ICRS are not transformed: positions come in the frame of the header.

    Raises
    ------
    ValueError
        For another projection, other units, missing cards, or values that make no sense.
    """
    projection, crval, crpix, cd, order = linear_part(cards, ("TAN", "TPV"))
    pv = _pv(cards, projection, order)
    pole = _pole(cards, float(crval[1]))
    if pv is not None and abs(pole - 180.0) > 1e-9:
        raise ValueError(f"LONPOLE is {pole}: with a PV polynomial only 180 is understood")
    sip_a, sip_b = _sip(cards)
    return tangent_wcs(crval, crpix, cd, pv=pv, sip_a=sip_a, sip_b=sip_b)


def linear_part(cards: Mapping[str, object], known: Sequence[str]) -> tuple[str, Float64, Float64, Float64, list[int]]:
    """What all zenithal forms share: projection, tangent point, reference pixel (0-based), matrix, order of the axes.

    Raises
    ------
    ValueError
        For a projection that is not `known`, other units, missing cards.
    """
    projection, order = _axes(cards, known)
    crval = np.array([_number(cards, f"CRVAL{axis + 1}") for axis in order])
    cd = _matrix(cards)[order]
    turn = np.radians(_pole(cards, float(crval[1])) - 180.0)
    if abs(np.sin(0.5 * turn)) > 1e-12:
        cd = _rotation(turn) @ cd
    crpix = np.array([_number(cards, f"CRPIX{axis}") - 1.0 for axis in (1, 2)])
    return projection, crval, crpix, cd, order


def _pole(cards: Mapping[str, object], dec: float) -> float:
    """Native longitude of the pole [degree]; by the standard 0 at the pole itself, else 180, where it is not told."""
    return _number(cards, "LONPOLE", 0.0 if dec >= 90.0 else 180.0)


def to_cards(wcs: TangentWcs) -> dict[str, str | int | float]:
    """Header cards of a projection: TAN, TPV or TAN-SIP, what both have where both are there; zero terms are left out."""
    code = "TPV" if wcs.pv.size else "TAN"
    suffix = "-SIP" if wcs.sip_a.size else ""
    cards: dict[str, str | int | float] = {
        "WCSAXES": 2,
        "CTYPE1": f"RA---{code}{suffix}",
        "CTYPE2": f"DEC--{code}{suffix}",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": float(wcs.crval[0]),
        "CRVAL2": float(wcs.crval[1]),
        "CRPIX1": float(wcs.crpix[0]) + 1.0,
        "CRPIX2": float(wcs.crpix[1]) + 1.0,
        **{f"CD{i + 1}_{j + 1}": float(wcs.cd[i, j]) for i in (0, 1) for j in (0, 1)},
        "RADESYS": "ICRS",
    }
    for axis, terms in enumerate(wcs.pv, 1):
        # A first coefficient that is not told is 1, every other is 0.
        cards.update({f"PV{axis}_{k}": float(term) for k, term in enumerate(terms) if term != float(k == 1)})
        cards.setdefault(f"PV{axis}_1", 1.0)
    if wcs.sip_a.size:
        order = wcs.sip_a.shape[0] - 1
        for name, terms in (("A", wcs.sip_a), ("B", wcs.sip_b)):
            cards[f"{name}_ORDER"] = order
            cards.update({f"{name}_{p}_{q}": float(terms[p, q]) for p, q in np.argwhere(terms)})
    return cards
