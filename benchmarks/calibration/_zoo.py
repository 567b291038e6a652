"""A zoo of frames that are hard to place on the sky, as lists of stars with known truth, and of some that cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.records import Exposure, FrameType, Scalar
from spica.core.task import Member
from spica.kernels.tangent import tangent_deproject
from spica.kernels.wcs import TangentWcs, sky_to_pixel, tangent_wcs
from spica.kernels.wcs_cards import to_cards
from spica.kernels.wcs_correct import multiplied

Float64 = npt.NDArray[np.float64]
SCALE = 0.26 / 3600.0
NX, NY = 2048, 4096
MOSAIC = ((-1054.0, -2098.0), (1054.0, -2098.0), (-1054.0, 2098.0), (1054.0, 2098.0))
"""Centres of four detectors, pixels from the axis."""
CUBIC = 9.0e-3
"""Of the distortion r (1 + k r²), r in degrees: 27 pixels at the corner."""


@dataclass(frozen=True)
class Wild:
    """What a frame is like: the sky, the detections, the header, the reference catalogue.

    Lengths of the header's error in arcminutes, angles in degrees, errors of places in arcseconds.
    """

    kind: str
    mosaic: bool = False
    dec: float | None = None
    stars: int = 150
    slope: float = 0.3
    clusters: int = 0
    missed: float = 0.05
    saturated: int = 3
    blur: float = 0.05
    trail: float = 0.0
    spurious: float = 0.1
    columns: bool = False
    offset: float = 3.0
    rotation: float = 0.05
    any_rotation: bool = False
    scale: float = 1.0
    mirrored: bool = False
    binning: int = 1
    opposite: bool = False
    distorted: bool = True
    wild_detector: str = ""
    contradicting: bool = False
    singular: bool = False
    depth: float = 1.5
    reference_error: float = 0.03
    half: bool = False
    lost: float = 0.05
    elsewhere: str = ""
    settings: dict[str, float] = field(default_factory=dict)
    expected: str = ""


def _kinds() -> tuple[Wild, ...]:
    plain = Wild("offset of 3′")
    return (
        plain,
        replace(plain, kind="mosaic, offset of 3′", mosaic=True),
        replace(plain, kind="mosaic, any rotation", mosaic=True, any_rotation=True),
        replace(plain, kind="any rotation", any_rotation=True),
        replace(plain, kind="flipped parity", any_rotation=True, mirrored=True),
        replace(plain, kind="scale wrong by 20 %", scale=1.2, offset=1.0),
        replace(plain, kind="offset of 30′", offset=30.0),
        replace(plain, kind="offset of 30′, any rotation", offset=30.0, any_rotation=True),
        replace(plain, kind="12 stars", stars=12, spurious=0.0, saturated=0),
        replace(plain, kind="12 stars, any rotation", stars=12, spurious=0.0, saturated=0, any_rotation=True),
        replace(plain, kind="90 % spurious", spurious=0.9),
        replace(plain, kind="hot columns and cosmic rays", spurious=0.75, columns=True),
        replace(plain, kind="bulge", stars=4000, slope=0.2, clusters=30, blur=0.15, spurious=0.3, depth=3.0),
        replace(plain, kind="trailed", trail=0.6, blur=0.2),
        replace(plain, kind="half-empty reference", half=True),
        replace(plain, kind="clouds", stars=15, depth=10.0, spurious=0.5, saturated=0),
        replace(plain, kind="wrong sign of declination", opposite=True),
        replace(plain, kind="binned, header is not", binning=2, offset=1.0),
        replace(plain, kind="offset of 2 degrees", offset=120.0, settings={"reach": 2.5}),
        replace(plain, kind="at the pole", dec=89.7),
        replace(plain, kind="mosaic, one detector mirrored", mosaic=True, wild_detector="mirrored"),
        replace(plain, kind="mosaic, one detector dead", mosaic=True, wild_detector="dead"),
        replace(plain, kind="mosaic, no distortion told", mosaic=True, distorted=False, offset=1.0),
        replace(
            plain, kind="mosaic, headers contradict each other", mosaic=True, any_rotation=True, contradicting=True
        ),
        replace(plain, kind="mosaic, headers of different offsets", mosaic=True, offset=6.0, contradicting=True),
    )


def _lost() -> tuple[Wild, ...]:
    plain = Wild("wrong sky", elsewhere="sky", expected="pointing.no-match")
    return (
        plain,
        replace(plain, kind="wrong sky, mosaic", mosaic=True),
        replace(plain, kind="wrong catalogue", elsewhere="shuffled"),
        replace(plain, kind="nothing but spurious", elsewhere="", spurious=1.0, stars=400),
        replace(plain, kind="no stars", elsewhere="", stars=0, spurious=0.0, expected="pointing.no-sources"),
        replace(plain, kind="no reference there", elsewhere="far", expected="pointing.no-reference"),
        replace(plain, kind="no reference at all", elsewhere="none", expected="pointing.no-reference"),
        replace(plain, kind="singular CD matrix", elsewhere="", singular=True, expected="pointing.no-wcs"),
    )


@dataclass(frozen=True)
class Frame:
    """A frame as the task sees it, and the truth."""

    wild: Wild
    seed: int
    sources: tuple[Member, ...]
    headers: dict[int, dict[str, Scalar]]
    exposure: Exposure
    reference: Catalogue
    truth: dict[int, TangentWcs]


def kinds() -> dict[str, Wild]:
    """All kinds by name."""
    return {wild.kind: wild for wild in (*_kinds(), *_lost())}


def drawn(wild: Wild, seed: int) -> Frame:
    """One frame; the same seed is the same frame."""
    rng = np.random.default_rng([seed, sum(map(ord, wild.kind))])
    ra = float(rng.uniform(0.0, 360.0))
    dec = float(rng.uniform(-70.0, 70.0)) if wild.dec is None else wild.dec
    truth = _solutions(wild, ra, dec, float(rng.uniform(0.0, 360.0)))
    sky_ra, sky_dec, mag = _sky(wild, ra, dec, rng)
    sources = []
    for number, wcs in truth.items():
        bad = wild.wild_detector if number == 2 else ""
        sources.append(Member(f"detector:zoo/{number}", _detections(wild, wcs, (sky_ra, sky_dec, mag), rng, bad)))
    headers = _headers(wild, truth, rng)
    exposure = Exposure(0, f"zoo-{seed}", "zoo", FrameType.OBJECT, "2026-11-20", 61364.0, 60.0, band="r")
    reference = _catalogue(wild, (sky_ra, sky_dec, mag), (ra, dec), rng)
    truth = {n: _as_read(wild, wcs, n) for n, wcs in truth.items()}
    return Frame(wild, seed, tuple(sources), headers, exposure, reference, truth)


def _solutions(wild: Wild, ra: float, dec: float, angle: float) -> dict[int, TangentWcs]:
    turn = np.radians(angle)
    cd = SCALE * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    pv = np.zeros((2, 10))
    pv[:, 1], pv[:, 7], pv[:, 9] = 1.0, CUBIC, CUBIC
    places = MOSAIC if wild.mosaic else ((0.0, 0.0),)
    middle = np.array([(NX - 1) / 2.0, (NY - 1) / 2.0])
    return {n: tangent_wcs((ra, dec), middle - np.array(at), cd, pv=pv) for n, at in enumerate(places)}


def _as_read(wild: Wild, wcs: TangentWcs, number: int) -> TangentWcs:
    """The true solution of the pixels as they were read out."""
    if wild.wild_detector == "mirrored" and number == 2:
        flip = np.diag([-1.0, 1.0])
        return tangent_wcs(wcs.crval, (NX - 1 - wcs.crpix[0], wcs.crpix[1]), wcs.cd @ flip, pv=wcs.pv)
    if wild.binning > 1:
        b = wild.binning
        return tangent_wcs(wcs.crval, (wcs.crpix + 0.5) / b - 0.5, wcs.cd * b, pv=wcs.pv)
    return wcs


def _sky(wild: Wild, ra: float, dec: float, rng: np.random.Generator) -> tuple[Float64, Float64, Float64]:
    """Stars over a field with a wide margin; the magnitude is that of a frame whose limit is 0."""
    margin = 0.75 + (wild.settings.get("reach", 0.0) or (0.3 if wild.mosaic else 0.0))
    area = NX * NY * SCALE**2
    count = int(max(wild.stars, 1) * wild.depth * (2.0 * margin) ** 2 / area)
    z = rng.uniform(-margin, margin, (2, count))
    if wild.clusters:
        few = count // 3
        heart = rng.uniform(-margin, margin, (2, wild.clusters * 20))[:, rng.integers(0, wild.clusters * 20, few)]
        z[:, :few] = heart + rng.normal(0.0, 0.02, (2, few))
    mag = np.log10(rng.uniform(0.0, 1.0, count) * wild.depth) / wild.slope
    places = tangent_deproject(z[0], z[1], ra, dec)
    return places[0], places[1], mag


def _detections(
    wild: Wild, wcs: TangentWcs, sky: tuple[Float64, Float64, Float64], rng: np.random.Generator, bad: str
) -> Catalogue:
    x, y = sky_to_pixel(wcs, sky[0], sky[1])
    inside = (x > -0.5) & (y > -0.5) & (x < NX - 0.5) & (y < NY - 0.5)
    seen = np.flatnonzero(inside & (rng.random(x.size) > wild.missed))
    # The brightest are saturated and lost.
    seen = seen[np.argsort(sky[2][seen], kind="stable")][wild.saturated :][: wild.stars]
    if bad == "dead" or wild.spurious >= 1.0:
        seen = seen[:0]
    pixel = 0.26
    along = rng.normal(0.0, wild.trail, seen.size)
    turn = np.radians(35.0)
    x = x[seen] + (rng.normal(0.0, wild.blur, seen.size) + along * np.cos(turn)) / pixel
    y = y[seen] + (rng.normal(0.0, wild.blur, seen.size) + along * np.sin(turn)) / pixel
    flux = 1e3 * 10 ** (-0.4 * (sky[2][seen] + rng.normal(0.0, 0.1, seen.size)))
    false = wild.stars if wild.spurious >= 1.0 else int(wild.spurious / (1.0 - wild.spurious) * seen.size)
    false = 20 if bad == "dead" else false
    fx, fy = rng.uniform(0.0, NX, false), rng.uniform(0.0, NY, false)
    if wild.columns:
        fx[: false // 2] = np.repeat(rng.uniform(0.0, NX, 3), false)[: false // 2]
    high = 10.0 * flux.max() if flux.size else 1e5
    ff = 10 ** rng.uniform(3.0, np.log10(max(high, 2e3)), false)
    x, y, flux = np.concatenate([x, fx]), np.concatenate([y, fy]), np.concatenate([flux, ff])
    if bad == "mirrored":
        x = NX - 1 - x
    x, y = (x + 0.5) / wild.binning - 0.5, (y + 0.5) / wild.binning - 0.5
    order = rng.permutation(x.size)
    return Catalogue({"x": x[order], "y": y[order], "flux_iso": flux[order], "flags": np.zeros(x.size, np.int32)})


def _headers(wild: Wild, truth: dict[int, TangentWcs], rng: np.random.Generator) -> dict[int, dict[str, Scalar]]:
    """The solution of each detector as a wrong header tells it."""
    told: dict[int, dict[str, Scalar]] = {}
    shift, turn = _wrong(wild, rng)
    for number, wcs in truth.items():
        if wild.contradicting and number:
            shift, turn = _wrong(wild, rng)
        ra, dec = tangent_deproject(shift.real, shift.imag, float(wcs.crval[0]), float(wcs.crval[1]))
        crval = (float(ra), -float(dec) if wild.opposite else float(dec))
        middle = np.array([(NX - 1) / 2.0, (NY - 1) / 2.0])
        pv = wcs.pv if wild.distorted else None
        guess = tangent_wcs(crval, wcs.crpix if wild.mosaic else middle, wcs.cd, pv=pv)
        told[number] = dict(to_cards(multiplied(turn, guess)))
        told[number] |= {"NAXIS1": NX, "NAXIS2": NY}
        if wild.singular:
            told[number] |= {"CD1_1": 0.0, "CD1_2": 0.0}
    return told


def _wrong(wild: Wild, rng: np.random.Generator) -> tuple[complex, Float64]:
    """A header's error: offset [degree], and matrix of rotation, scale and parity."""
    shift = wild.offset / 60.0 * np.sqrt(rng.uniform(0.3, 0.9)) * np.exp(2j * np.pi * rng.uniform())
    angle = np.radians(rng.uniform(20.0, 340.0) if wild.any_rotation else rng.choice([-1, 1]) * wild.rotation)
    turn = wild.scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return complex(shift), turn @ np.diag([-1.0, 1.0]) if wild.mirrored else turn


def _catalogue(
    wild: Wild, sky: tuple[Float64, Float64, Float64], centre: tuple[float, float], rng: np.random.Generator
) -> Catalogue:
    ra, dec, mag = sky
    keep = rng.random(ra.size) > wild.lost
    if wild.half:
        keep &= ((ra - centre[0] + 180.0) % 360.0 > 180.0) ^ bool(rng.integers(2))
    error = wild.reference_error / 3600.0
    ra = ra + rng.normal(0.0, error, ra.size) / np.cos(np.radians(dec))
    dec = np.clip(dec + rng.normal(0.0, error, dec.size), -90.0, 90.0)
    if wild.elsewhere == "sky":
        # As rich a field, of other stars.
        ra, dec, mag = _sky(wild, *centre, rng)
        keep = np.ones(ra.size, bool)
    elif wild.elsewhere == "shuffled":
        dec = rng.permutation(dec)
    elif wild.elsewhere == "far":
        ra = ra + 40.0
    elif wild.elsewhere == "none":
        keep[:] = False
    ra, dec, mag = ra[keep] % 360.0, dec[keep], mag[keep]
    return Catalogue({"ra": ra, "dec": dec, "mag_r": mag + rng.normal(0.0, 0.1, ra.size)})
