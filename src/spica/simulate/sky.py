"""The sky: stars, galaxies, variables, transients and moving objects with known properties."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from spica.core.camera import Camera
from spica.kernels.tangent import tangent_deproject, tangent_project
from spica.simulate import schedule as plan
from spica.simulate.optics import field_radius, plate, to_sky
from spica.simulate.random import stream
from spica.simulate.settings import SimulationSettings

Float64 = npt.NDArray[np.float64]

EPOCH = 57388.5
"""MJD of the positions: J2016.0."""
YEAR = 365.25
KINDS = ("star", "galaxy", "transient", "mover")
INDICES = (1.0, 4.0)
"""Sérsic indices that galaxies have; 0 stands for a point."""
_R_WAVELENGTH = 620.0


@dataclass(frozen=True, eq=False)
class Sky:
    """Sources, one value per row.

    Attributes
    ----------
    id : 1 upwards.
    kind : index into `KINDS`.
    ra, dec : ICRS degrees at `EPOCH` (movers: at the middle of the first night).
    pm_ra, pm_dec : μ_α cos δ and μ_δ [mas/yr].
    mags : band to AB magnitude (mean of variables, peak of transients).
    sersic : index, 0 for points. size : half-light radius [arcsec]. g1, g2 : shear, along north and north-east,
        positive g1 for east-west elongation.
    amplitude, period, phase : of variables, a sine in magnitudes [mag, day, turns]; for transients `period` is the time
        scale of the decline [day] and `start` the MJD of the peak.
    rate_ra, rate_dec : of movers [arcsec/hour] on the sky.
    """

    id: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int8]
    ra: Float64
    dec: Float64
    pm_ra: Float64
    pm_dec: Float64
    mags: dict[str, Float64]
    sersic: Float64
    size: Float64
    g1: Float64
    g2: Float64
    amplitude: Float64
    period: Float64
    phase: Float64
    start: Float64
    rate_ra: Float64
    rate_dec: Float64

    def __len__(self) -> int:
        return self.id.size

    def select(self, rows: npt.NDArray[np.generic]) -> Sky:
        """The rows (boolean or index array) as a sky of their own."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        chosen = {name: value[rows] for name, value in values.items() if name != "mags"}
        return Sky(**chosen, mags={band: mag[rows] for band, mag in self.mags.items()})


def sky(settings: SimulationSettings, camera: Camera) -> Sky:
    """All sources that any shot of the order can see.

    Magnitudes follow a power law of counts, stars and galaxies have colours of one parameter each (a slope against
    1/λ), sizes of galaxies fall with magnitude.
    """
    columns = _columns(settings, camera)
    total = columns["ra"].size
    rng = stream(settings.seed, "sky")
    u = {name: rng.random(total) for name in ("mag", "star", "colour", "index", "angle", "shape", "variable", "phase")}
    z = {name: rng.normal(size=total) for name in ("colour", "size", "pm_ra", "pm_dec", "period")}
    kind = columns.pop("kind").astype(np.int8)
    kind[(kind == 0) & (u["star"] >= settings.star_fraction)] = KINDS.index("galaxy")
    mag = _magnitudes(settings, u["mag"])
    is_galaxy, is_star = kind == KINDS.index("galaxy"), kind == KINDS.index("star")
    late = u["index"] < 0.7
    slope = np.where(
        is_galaxy, 0.5 + 0.35 * z["colour"] + np.where(late, 0.0, 0.6), _star_slopes(u["colour"], z["colour"])
    )
    shear = np.where(is_galaxy, np.where(late, 0.5, 0.25) * np.sqrt(u["shape"]), 0.0)
    variable = is_star & (u["variable"] < settings.variable_fraction) & settings.effects.variables
    moving = is_star.astype(float) * 12.0 * 10 ** (-0.1 * (mag - 16.0))
    transient = kind == KINDS.index("transient")
    amplitude = np.where(variable, 0.1 + 0.5 * u["shape"], 0.0)
    return Sky(
        id=np.arange(1, total + 1),
        kind=kind,
        ra=columns["ra"],
        dec=columns["dec"],
        pm_ra=moving * z["pm_ra"],
        pm_dec=moving * z["pm_dec"],
        mags=_colours(settings, camera, mag, slope),
        sersic=np.where(is_galaxy, np.where(late, INDICES[0], INDICES[1]), 0.0),
        size=np.where(is_galaxy, 0.6 * 10 ** (-0.09 * (mag - 21.0)) * np.exp(0.35 * z["size"]), 0.0),
        g1=shear * np.cos(2 * np.pi * u["angle"]),
        g2=shear * np.sin(2 * np.pi * u["angle"]),
        amplitude=amplitude,
        period=np.where(variable, 0.1 * 10 ** (1.2 * u["colour"]), np.where(transient, 15.0 + 10.0 * u["colour"], 0.0)),
        phase=np.where(variable, u["phase"], 0.0),
        start=columns["start"],
        rate_ra=columns["rate_ra"],
        rate_dec=columns["rate_dec"],
    )


def _columns(settings: SimulationSettings, camera: Camera) -> dict[str, Float64]:
    """Places of the sources of all fields: the static ones, then transients and movers."""
    blocks: list[dict[str, Float64]] = []
    for number, (ra0, dec0) in enumerate(plan.fields(settings, camera)):
        rng = stream(settings.seed, "field", number)
        (west, east), (south, north) = _window(settings, camera, number)
        pixels = (east - west) * (north - south) * (3600.0 / camera.pixel_scale) ** 2
        static = round(settings.density * pixels / 1e6)
        extra = settings.transients_per_field * settings.effects.transients
        movers = settings.movers_per_field * settings.effects.movers
        n = static + extra + movers
        # Transients and movers keep to the middle, so that dithers do not lose them.
        spread = np.where(np.arange(n) < static, 0.5, 0.3)
        u, v = spread * rng.uniform(-1.0, 1.0, size=(2, n))
        xi, eta = 0.5 * (west + east) + u * (east - west), 0.5 * (south + north) + v * (north - south)
        ra, dec = tangent_deproject(xi, eta, ra0, dec0)
        kind = np.zeros(n)
        kind[static : static + extra] = KINDS.index("transient")
        kind[static + extra :] = KINDS.index("mover")
        first = plan.midnight(camera, settings.nights[0])
        start = np.where(kind == KINDS.index("transient"), first - 2.0 + 6.0 * rng.random(n), 0.0)
        moves = kind == KINDS.index("mover")
        rate, angle = 10.0 + 30.0 * rng.random(n), 2.0 * np.pi * rng.random(n)
        start = np.where(moves, first, start)
        blocks.append({
            "ra": ra, "dec": dec, "kind": kind, "start": start,
            "rate_ra": np.where(moves, rate * np.cos(angle), 0.0), "rate_dec": np.where(moves, rate * np.sin(angle), 0.0),
        })  # fmt: skip
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _window(
    settings: SimulationSettings, camera: Camera, field: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits in ξ and η [degrees, about the field's centre] of what the detectors see in any exposure of a field."""
    ra0, dec0 = plan.fields(settings, camera)[field]
    margin = (80.0 * camera.pixel_scale + 5.0 * settings.pointing_error) / 3600.0
    corners: list[Float64] = []
    for shot in plan.schedule(settings, camera):
        if shot.field != plan.field_name(field) or shot.ra is None or shot.dec is None:
            continue
        for spec in camera.detectors:
            solution = plate(camera, spec, (shot.ra, shot.dec, shot.rotation))
            x, y = np.array([0.0, spec.nx, 0.0, spec.nx]), np.array([0.0, 0.0, spec.ny, spec.ny])
            corners.append(np.array(tangent_project(*to_sky(solution, x, y), ra0, dec0)))
    if not corners:
        reach = field_radius(camera)
        return (-reach, reach), (-reach, reach)
    low, high = np.min(corners, axis=(0, 2)) - margin, np.max(corners, axis=(0, 2)) + margin
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _magnitudes(settings: SimulationSettings, u: Float64) -> Float64:
    """Magnitudes between the limits whose counts grow as 10^(slope m)."""
    bright, faint, slope = settings.mag_bright, settings.mag_faint, settings.slope
    if slope == 0.0:
        return bright + (faint - bright) * u
    low, high = 10.0 ** (slope * bright), 10.0 ** (slope * faint)
    return np.asarray(np.log10(low + u * (high - low)) / slope)


def _star_slopes(u: Float64, z: Float64) -> Float64:
    """Two humps of stellar colours: halo turn-off stars and red dwarfs."""
    return np.where(u < 0.4, 0.35 + 0.1 * z, 1.5 + 0.35 * z)


def _colours(settings: SimulationSettings, camera: Camera, mag: Float64, slope: Float64) -> dict[str, Float64]:
    observed = plan.bands(settings, camera)
    first = camera.band(observed[0]).wavelength or _R_WAVELENGTH
    result = {}
    for band in observed:
        wavelength = camera.band(band).wavelength or _R_WAVELENGTH
        result[band] = mag + slope * _R_WAVELENGTH * 1.5 * (1.0 / wavelength - 1.0 / first)
    return result


@dataclass(frozen=True, eq=False)
class Finder:
    """Finds the sources of a piece of sky without looking at all of them: rows in order of declination."""

    order: npt.NDArray[np.int64]
    dec: Float64
    movers: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sky: Sky) -> Finder:
        """The finder of a sky."""
        order = np.argsort(sky.dec, kind="stable")
        return cls(order, sky.dec[order], np.flatnonzero(sky.kind == KINDS.index("mover")))

    def near(self, sky: Sky, ra: float, dec: float, radius: float) -> npt.NDArray[np.int64]:
        """Rows, ascending, of sources within about `radius` of a place [degrees]; moving objects always."""
        low, high = np.searchsorted(self.dec, [dec - radius, dec + radius])
        rows = self.order[low:high]
        away = np.abs(np.mod(sky.ra[rows] - ra + 180.0, 360.0) - 180.0)
        reach = radius / max(np.cos(np.radians(min(abs(dec) + radius, 89.9))), 1e-3)
        return np.union1d(rows[away < reach], self.movers)


def place(sky: Sky, mjd: float) -> tuple[Float64, Float64]:
    """ICRS positions at a time (MJD TAI), degrees: proper motion and the movers' own motion."""
    years = (mjd - EPOCH) / YEAR
    hours = (mjd - sky.start) * 24.0
    east = sky.pm_ra * years / 3.6e6 + sky.rate_ra * hours / 3600.0
    north = sky.pm_dec * years / 3.6e6 + sky.rate_dec * hours / 3600.0
    return sky.ra + east / np.cos(np.radians(sky.dec)), sky.dec + north


def magnitude(sky: Sky, band: str, mjd: float) -> Float64:
    """AB magnitudes in a band at a time (MJD TAI); transients before their rise are infinitely faint.

    Transients rise linearly in flux over three days and decline exponentially.
    """
    wave = sky.amplitude * np.sin(
        2.0 * np.pi * (np.where(sky.period > 0, mjd / np.where(sky.period > 0, sky.period, 1.0), 0.0) + sky.phase)
    )
    mag = sky.mags[band] + wave
    transient = sky.kind == KINDS.index("transient")
    if np.any(transient):
        age = mjd - sky.start[transient]
        light = np.where(
            age < 0.0, np.maximum(1.0 + age / 3.0, 0.0), np.exp(-np.maximum(age, 0.0) / sky.period[transient])
        )
        with np.errstate(divide="ignore"):
            mag[transient] = sky.mags[band][transient] - 2.5 * np.log10(light)
    return mag
