"""A field of stars seen by dithered exposures of a mosaic, as lists of detections with known truth; no pixels are drawn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from spica.kernels.tangent import tangent_deproject
from spica.kernels.wcs import TangentWcs, pixel_to_sky, sky_to_pixel, tangent_wcs

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """What the field and its exposures are like.

    Attributes
    ----------
    exposures, detectors : how many; the detectors lie side by side.
    nx, ny : size of a detector [pixel].
    scale : arc seconds per pixel.
    corner : displacement by distortion at the mosaic's corner [pixel].
    stars : per square degree, between magnitudes `bright` and `faint`.
    step : dithers within ± this [pixel].
    offset, turn : errors of the headers: rms per coordinate [arcsec], rms angle [deg].
    reference : part of the stars that the reference catalogue has, down to magnitude `limit`.
    error : of a reference position, per coordinate [mas].
    floor : of a detection's position [pixel].
    clouds : rms of the exposures' zero points [mag].
    rotation : position angles of the exposures within ± this [deg].
    """

    exposures: int = 8
    detectors: int = 4
    nx: int = 2048
    ny: int = 4096
    scale: float = 0.25
    corner: float = 27.0
    stars: float = 59_300.0
    bright: float = 16.5
    faint: float = 23.0
    step: float = 400.0
    offset: float = 5.0
    turn: float = 0.05
    reference: float = 0.6
    limit: float = 23.0
    error: float = 30.0
    floor: float = 0.006
    clouds: float = 0.1
    rotation: float = 0.2
    centre: tuple[float, float] = (150.0, 2.2)
    seed: int = 1
    centres: tuple[tuple[float, float], ...] = field(default=())
    """Pointings, where they are not dithers about `centre`."""


@dataclass(frozen=True)
class Detections:
    """Detections of one detector in one exposure: pixels, errors [pixel], fluxes, and which star each is of."""

    exposure: int
    detector: int
    x: Float64
    y: Float64
    err: Float64
    flux: Float64
    flux_err: Float64
    star: Int64


@dataclass(frozen=True)
class Field:
    """Truth and what is seen of it; lists by exposure, then detector.

    Attributes
    ----------
    ra, dec, mag : of the stars.
    reference : indices of the stars in the reference catalogue.
    ref_ra, ref_dec, ref_mag : what it says of them.
    truth, header : sky solutions of each exposure and detector.
    detections : the lists.
    zero : zero point of each exposure: mag = zero - 2.5 log10(flux).
    """

    plan: Plan
    ra: Float64
    dec: Float64
    mag: Float64
    reference: Int64
    ref_ra: Float64
    ref_dec: Float64
    ref_mag: Float64
    truth: tuple[tuple[TangentWcs, ...], ...]
    header: tuple[tuple[TangentWcs, ...], ...]
    detections: tuple[tuple[Detections, ...], ...]
    zero: Float64


def solutions(plan: Plan, ra: float, dec: float, angle: float, *, distorted: bool) -> tuple[TangentWcs, ...]:
    """Sky solution of each detector for a pointing; north is up at angle 0."""
    step = plan.scale / 3600.0
    wide = plan.nx + 60
    turn = np.radians(angle)
    cd = step * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corner = step * np.hypot(0.5 * plan.detectors * wide, 0.5 * plan.ny)
    pv = np.zeros((2, 11))
    pv[:, 1] = 1.0
    pv[:, [7, 9]] = plan.corner * step / corner**3
    return tuple(
        tangent_wcs(
            *((ra, dec), (wide * (0.5 * plan.detectors - number) - 30.5, 0.5 * plan.ny - 0.5), cd),
            pv=pv if distorted else None,
        )
        for number in range(plan.detectors)
    )


def draw(plan: Plan) -> Field:
    """Draw the stars, the exposures and what is detected of them; the same plan gives the same field."""
    rng = np.random.default_rng(plan.seed)
    step = plan.scale / 3600.0
    pointings = _pointings(plan, rng)
    angles = rng.uniform(-plan.rotation, plan.rotation, len(pointings))
    ra, dec = _stars(plan, pointings, rng)
    # Numbers of stars grow by 10^0.25 per magnitude.
    rise = 10.0 ** (0.25 * (plan.faint - plan.bright))
    mag = plan.bright + 4.0 * np.log10(1.0 + rng.uniform(size=ra.size) * (rise - 1.0))
    known = np.flatnonzero((mag < plan.limit) & (rng.uniform(size=ra.size) < plan.reference))
    spread = plan.error / 3.6e6 * rng.normal(size=(2, known.size))
    zero = 27.0 - np.abs(rng.normal(0.0, plan.clouds, len(pointings)))
    truth, header, seen = [], [], []
    for number, ((u, v), angle) in enumerate(zip(pointings, angles, strict=True)):
        exact = solutions(plan, u, v, angle, distorted=True)
        wrong = plan.offset / 3600.0 * rng.normal(size=2)
        u0, v0 = (float(value) for value in tangent_deproject(wrong[0], wrong[1], u, v))
        header.append(solutions(plan, u0, v0, angle + plan.turn * rng.normal(), distorted=False))
        truth.append(exact)
        near = np.hypot((ra - u + 180.0) % 360.0 - 180.0, 0.0) * np.cos(np.radians(v)) < plan.detectors * plan.nx * step
        near &= np.abs(dec - v) < plan.ny * step
        rows = np.flatnonzero(near)
        seen.append(
            tuple(
                _detect(plan, wcs, (number, detector), (ra, dec, mag), rows, zero[number], rng)
                for detector, wcs in enumerate(exact)
            )
        )
    return Field(
        *(plan, ra, dec, mag, known),
        ra[known] + spread[0] / np.cos(np.radians(dec[known])),
        dec[known] + spread[1],
        mag[known] + rng.normal(0.0, 0.015, known.size),
        *(tuple(truth), tuple(header), tuple(seen), zero),
    )


def together(one: Field, *others: Field) -> Field:
    """The exposures of several fields, under the stars and the reference of the first."""
    fields = (one, *others)
    return replace(
        one,
        truth=sum((each.truth for each in fields), ()),
        header=sum((each.header for each in fields), ()),
        detections=sum((each.detections for each in fields), ()),
        zero=np.concatenate([each.zero for each in fields]),
    )


def _pointings(plan: Plan, rng: np.random.Generator) -> list[tuple[float, float]]:
    if plan.centres:
        return list(plan.centres)
    ra0, dec0 = plan.centre
    shifts = plan.step * plan.scale / 3600.0 * rng.uniform(-1.0, 1.0, (plan.exposures, 2))
    east, north = tangent_deproject(shifts[:, 0], shifts[:, 1], ra0, dec0)
    return [(float(u), float(v)) for u, v in zip(east, north, strict=True)]


def _stars(plan: Plan, pointings: list[tuple[float, float]], rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Uniform over a box about all pointings."""
    step = plan.scale / 3600.0
    ra, dec = np.array(pointings, np.float64).T
    high = (dec.min() - 0.6 * plan.ny * step, dec.max() + 0.6 * plan.ny * step)
    margin = 0.6 * plan.detectors * plan.nx * step / np.cos(np.radians(np.abs(high).max()))
    wide = (ra.min() - margin, ra.max() + margin)
    sines = np.sin(np.radians(high))
    number = int(plan.stars * (wide[1] - wide[0]) * np.degrees(sines[1] - sines[0]))
    return rng.uniform(*wide, number), np.degrees(np.arcsin(rng.uniform(sines[0], sines[1], number)))


def _detect(
    plan: Plan,
    wcs: TangentWcs,
    where: tuple[int, int],
    stars: tuple[Float64, Float64, Float64],
    rows: Int64,
    zero: float,
    rng: np.random.Generator,
) -> Detections:
    ra, dec, mag = (values[rows] for values in stars)
    x, y = sky_to_pixel(wcs, ra, dec)
    inside = (x > 0) & (x < plan.nx - 1) & (y > 0) & (y < plan.ny - 1)
    flux = 10.0 ** (0.4 * (zero - mag[inside]))
    # 5σ at magnitude 24, photons above; seeing of 0.9 arc seconds.
    noise = np.sqrt(flux + (0.2 * 10.0 ** (0.4 * (27.0 - 24.0))) ** 2)
    measured = flux + noise * rng.normal(size=flux.size)
    err = np.hypot(plan.floor, 0.9 / plan.scale / 2.355 * noise / flux)
    found = measured > 5.0 * noise
    shift = err * rng.normal(size=(2, flux.size))
    return Detections(
        *where,
        (x[inside] + shift[0])[found],
        (y[inside] + shift[1])[found],
        err[found],
        measured[found],
        noise[found],
        rows[inside][found],
    )


def true_positions(solution: TangentWcs, plan: Plan, nodes: int = 9) -> tuple[Float64, Float64, Float64, Float64]:
    """A grid of pixels and where they lie on the sky."""
    x, y = (values.ravel() for values in np.meshgrid(*(np.linspace(0, size - 1, nodes) for size in (plan.nx, plan.ny))))
    ra, dec = pixel_to_sky(solution, x, y)
    return x, y, ra, dec
