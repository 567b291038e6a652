"""Conversions are the same map in other terms, against wcslib where it knows the form."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.kernels.tangent import tangent_deproject
from spica.kernels.wcs import TangentWcs, pixel_to_plane, pixel_to_sky, tangent_wcs
from spica.kernels.wcs_convert import composed, fitted_map, polynomial_of, residual, to_sip, to_tpv
from spica.kernels.wcs_zenithal import ZENITHAL, zenithal

X, Y = (part.ravel() for part in np.meshgrid(np.linspace(0.0, 2000.0, 9), np.linspace(0.0, 2100.0, 9)))
CD = 1.3e-4 * np.array([[-1.0, 0.02], [0.01, 1.0]])
CARDS = {
    "CRVAL1": 200.0, "CRVAL2": 47.0, "CRPIX1": 1000.0, "CRPIX2": 1100.0,
    "CD1_1": CD[0, 0], "CD1_2": CD[0, 1], "CD2_1": CD[1, 0], "CD2_2": CD[1, 1],
}  # fmt: skip
MICRO = 1e-6 / 3600.0


def forms(code: str) -> dict[str, object]:
    return {**CARDS, "CTYPE1": f"RA---{code}", "CTYPE2": f"DEC--{code}"}


def wild(form: str, degree: int = 3) -> TangentWcs:
    rng = np.random.default_rng(3)
    if form == "sip":
        total = np.add.outer(np.arange(degree + 1), np.arange(degree + 1))
        sip = rng.normal(0.0, 1.0, (2, degree + 1, degree + 1)) * 10.0 * 1000.0 ** -total.astype(float)
        sip *= (total >= 2) & (total <= degree)
        return tangent_wcs((200.0, 47.0), (999.0, 1099.0), CD, sip_a=sip[0], sip_b=sip[1])
    pv = np.zeros((2, 40))
    pv[:, :11] = rng.normal(0.0, 3e-3, (2, 11))
    pv[:, 1] += 1.0
    pv[:, 3] = 0.0
    return tangent_wcs((200.0, 47.0), (999.0, 1099.0), CD, pv=pv)


def by_wcslib(cards: dict[str, object]) -> tuple[np.ndarray, np.ndarray]:
    header = fits.Header({"NAXIS": 2, "NAXIS1": 2000, "NAXIS2": 2100, **cards})
    ra, dec = WCS(header).all_pix2world(X, Y, 0)
    return ra, dec


@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_sip_and_tpv_are_one_another_exactly(form: str) -> None:
    wcs = wild(form)
    one = polynomial_of(wcs)
    assert one is not None
    assert one.degree == 3
    want = pixel_to_sky(wcs, X, Y)
    for other in (to_tpv(one), to_sip(one)):
        got = pixel_to_sky(other, X, Y)
        assert np.abs(got[0] - want[0]).max() < MICRO
        assert np.abs(got[1] - want[1]).max() < MICRO
    sip = to_sip(one).sip_a
    assert sip[0, 0] == sip[0, 1] == sip[1, 0] == 0.0


def test_there_and_back_is_where_it_was() -> None:
    wcs = wild("sip")
    there = polynomial_of(wcs)
    assert there is not None
    again = polynomial_of(to_tpv(there))
    assert again is not None
    back = to_sip(again)
    assert np.allclose(back.crpix, wcs.crpix, atol=1e-8)
    assert np.allclose(back.cd, wcs.cd, rtol=1e-10)
    assert np.allclose(back.sip_a, wcs.sip_a, rtol=1e-6, atol=1e-16)


def test_terms_of_the_radius_are_no_polynomial_and_high_degrees_no_tpv() -> None:
    wcs = wild("tpv")
    pv = wcs.pv.copy()
    pv[0, 3] = 1e-3
    assert polynomial_of(tangent_wcs(wcs.crval, wcs.crpix, wcs.cd, pv=pv)) is None
    high = polynomial_of(wild("sip", 8))
    assert high is not None
    with pytest.raises(ValueError, match="degree 8"):
        to_tpv(high)


def test_a_polynomial_of_polynomials() -> None:
    rng = np.random.default_rng(5)
    outer, first, second = rng.normal(size=(3, 3, 3))
    outer[2, 1:] = outer[1, 2] = 0.0
    made = composed(outer, first, second, 9)
    u, v = rng.normal(size=(2, 20))
    value = np.polynomial.polynomial.polyval2d
    assert np.allclose(value(u, v, made), value(value(u, v, first), value(u, v, second), outer))


def test_a_fit_of_what_is_a_polynomial_is_it() -> None:
    wcs = wild("sip")
    plane = pixel_to_plane(wcs, X, Y)
    assert residual(to_tpv(fitted_map(wcs.crval, wcs.crpix, X, Y, plane, 3)), X, Y, plane) < MICRO
    assert residual(to_tpv(fitted_map(wcs.crval, wcs.crpix, X, Y, plane, 2)), X, Y, plane) > 1000 * MICRO


@pytest.mark.parametrize("code", ["TAN", "STG", "ARC", "SIN", "ZEA", "ZPN"])
def test_zenithal_projections_are_wcslibs(code: str) -> None:
    cards = forms(code)
    if code == "ZPN":
        cards |= {"PV2_1": 1.0, "PV2_3": 40.0, "PV2_5": -200.0}
    want = by_wcslib(cards)
    got = tangent_deproject(*zenithal(cards).plane(X, Y), 200.0, 47.0)
    assert np.abs(got[0] - want[0]).max() < MICRO
    assert np.abs(got[1] - want[1]).max() < MICRO


def wat(kind: int, cross: int, projection: str) -> dict[str, object]:
    """IRAF's cards with random terms; the text is cut where no number is torn by a blank that FITS forgets."""
    count = {0: 7, 1: 9, 2: 10}[cross]
    order = 3 if cross == 1 else 4
    for seed in range(200):
        rng = np.random.default_rng(seed)
        cards: dict[str, object] = {**forms(projection.upper()), "WAT0_001": "system=image"}
        torn = False
        for axis, (name, word) in enumerate((("ra", "lngcor"), ("dec", "latcor")), 1):
            terms = " ".join(f"{value:.10g}" for value in rng.normal(0.0, 1e-4, count))
            first = "projp1=1. projp3=30. " if projection == "zpx" and axis == 2 else ""
            text = f'wtype={projection} axtype={name} {first}{word} = "{kind}. {order}. {order}. {cross}. -0.14 0.15 -0.16 0.15 {terms} "'
            pieces = [text[at : at + 68] for at in range(0, len(text), 68)]
            torn |= any(piece.endswith(" ") for piece in pieces)
            cards |= {f"WAT{axis}_{n:03d}": piece for n, piece in enumerate(pieces, 1)}
        if not torn:
            return cards
    raise AssertionError


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("cross", [0, 1, 2])
def test_tnx_is_wcslibs_and_exactly_a_tpv(kind: int, cross: int) -> None:
    cards = wat(kind, cross, "tnx")
    want = by_wcslib(cards)
    one = zenithal(cards)
    got = tangent_deproject(*one.plane(X, Y), 200.0, 47.0)
    assert np.abs(got[0] - want[0]).max() < MICRO
    assert np.abs(got[1] - want[1]).max() < MICRO
    polynomial = one.polynomial()
    assert polynomial is not None
    for other in (to_tpv(polynomial), to_sip(polynomial)):
        assert residual(other, X, Y, one.plane(X, Y)) < MICRO


def test_zpx_is_its_surface_and_its_radius() -> None:
    cards = wat(1, 2, "zpx")
    bent, flat = zenithal(cards), zenithal({k: v for k, v in cards.items() if not k.startswith("WAT")})
    assert bent.polynomial() is None
    assert bent.radial[3] == 30.0
    # Without surface and higher terms it is ARC.
    arc = zenithal(forms("ARC"))
    assert np.allclose(flat.plane(X, Y), arc.plane(X, Y), atol=1e-13)
    xi, eta = bent.plane(X, Y)
    assert 0.1 / 3600 < np.hypot(xi - arc.plane(X, Y)[0], eta - arc.plane(X, Y)[1]).max() < 0.2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"CTYPE1": "RA---AIT", "CTYPE2": "DEC--AIT"}, "AIT"),
        ({"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN"}, "linear term"),
        ({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "PV2_1": 0.1}, "slant"),
        ({**forms("TNX"), "WAT1_001": 'lngcor = "1. 3. 3. 1. 0. 1. 0. 1. 5."'}, "only 1 coefficients"),
        ({**forms("TNX"), "WAT1_001": 'lngcor = "7. 1. 1. 1. 0. 1. 0. 1. 5."'}, "type 7"),
    ],
)
def test_what_makes_no_sense_is_refused(more: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        zenithal({**forms("TAN"), **more})


def test_all_forms_are_tried() -> None:
    assert {"TNX", "ZPX", "ZPN", "TAN"} < set(ZENITHAL)
