"""What is taken, when, and under which conditions: the list of shots of all nights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from spica.core.camera import Camera, FilterSpec
from spica.core.records import FrameType
from spica.instruments.sky import airmass as airmass_at
from spica.instruments.sky import altitude, sidereal_time
from spica.simulate.optics import field_radius
from spica.simulate.random import stream
from spica.simulate.settings import SimulationSettings

_DAY = 86400.0
_OVERHEAD = 25.0
_MJD_ZERO = date(1858, 11, 17)
_TAI_UTC = 37.0
_FLAT_TIME = 5.0
"""Seconds of a flat of the level ordered; those of a ramp are longer or shorter."""


@dataclass(frozen=True)
class Conditions:
    """What sky and telescope were like during one shot.

    Attributes
    ----------
    seeing : full width at half maximum [arcsec], of the camera's whole image of a star at the field's centre.
    g1, g2 : mean shear of the point spread function.
    zero_point : AB magnitude of one electron per second, airmass and clouds included.
    clouds : their share in it [mag].
    sky : of the sky at the field's centre [electron/pixel/s]; of a flat, its level in the exposure [electron/pixel].
    gradient : relative change of the sky per field radius, along focal-plane x and y.
    moon : moonlight's factor on the dark sky.
    true_pointing : (ra, dec, rotation) where the telescope looked, degrees.
    """

    seeing: float = 0.0
    g1: float = 0.0
    g2: float = 0.0
    zero_point: float = 0.0
    clouds: float = 0.0
    sky: float = 0.0
    gradient: tuple[float, float] = (0.0, 0.0)
    moon: float = 1.0
    true_pointing: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Shot:
    """One exposure to be drawn: times are MJD UTC, positions ICRS degrees as the telescope was told.

    `rotation` is the position angle of the focal plane's +y axis, degrees east of north.
    """

    sequence: int
    night: str
    frame_type: FrameType
    mjd_utc: float
    exposure_time: float
    flat_kind: str = ""
    band: str = ""
    field: str = ""
    ra: float | None = None
    dec: float | None = None
    rotation: float = 0.0
    airmass: float | None = None
    conditions: Conditions = Conditions()
    drill: str = ""
    snap: int = 0
    """Place in the visit: the snaps of one have consecutive sequence numbers, and share the sky."""

    @property
    def visit(self) -> int:
        """Sequence number of the visit's first snap: what the observatory calls the visit."""
        return self.sequence - self.snap

    @property
    def mjd_tai(self) -> float:
        """Start, MJD TAI (37 s ahead of UTC since 2017)."""
        return self.mjd_utc + _TAI_UTC / _DAY

    @property
    def middle(self) -> float:
        """Middle of the exposure, MJD TAI."""
        return self.mjd_tai + 0.5 * self.exposure_time / _DAY


def bands(settings: SimulationSettings, camera: Camera) -> tuple[str, ...]:
    """The bands observed; KeyError for one that the camera lacks."""
    known = tuple(dict.fromkeys(spec.band for spec in camera.filters))
    for band in settings.bands:
        camera.band(band)
    return settings.bands or known[:2]


def midnight(camera: Camera, night: str) -> float:
    """Local (mean solar) midnight of a night, MJD UTC, inside the day that the camera counts as that night."""
    day = float((date.fromisoformat(night) - _MJD_ZERO).days)
    start = day - camera.night_offset / 24.0
    solar = -camera.site.longitude / 360.0
    return start + (solar - start) % 1.0


def fields(settings: SimulationSettings, camera: Camera) -> tuple[tuple[float, float], ...]:
    """Field centres: those given, or one that culminates half an hour after midnight of the first night."""
    if settings.fields:
        return settings.fields
    middle = midnight(camera, settings.nights[0]) + 0.02
    ra = (sidereal_time(middle) + camera.site.longitude) % 360.0
    return ((round(ra, 2), round(0.75 * camera.site.latitude, 2)),)


def field_name(number: int) -> str:
    """Name of the field of this place in the order's list."""
    return f"F{number + 1:03d}"


def schedule(settings: SimulationSettings, camera: Camera) -> list[Shot]:
    """All shots in the order in which they are taken.

    Calibrations begin seven hours before local midnight, the science exposures two hours before.
    """
    shots: list[Shot] = []
    for night in settings.nights:
        middle = midnight(camera, night)
        clock = middle - 7.0 / 24.0
        for kind, flat_kind, band, time in _calibrations(settings, camera):
            shots.append(Shot(settings.first + len(shots), night, kind, clock, time, flat_kind, band))
            clock += (camera.slices * time + _OVERHEAD) / _DAY
        clock = max(clock, middle - 2.0 / 24.0)
        for band, field, step, snap in _visits(settings, camera):
            number = settings.first + len(shots)
            shot = Shot(number, night, FrameType.OBJECT, clock, settings.exposure_time, "", band, snap=snap)
            shots.append(_science(settings, camera, shot, field, step))
            clock += (camera.slices * settings.exposure_time + _OVERHEAD) / _DAY
    return _with_drills(settings, [_with_flat_level(settings, shot) for shot in shots])


def spelling(camera: Camera, shot: Shot) -> str:
    """The header's word for the shot's frame type; spica's own where the table has no list of them."""
    exact = f"{shot.frame_type}:{shot.flat_kind}"
    for word, meaning in camera.frame_types.items():
        if meaning in {exact, str(shot.frame_type)}:
            return word
    return str(shot.frame_type)


def _calibrations(settings: SimulationSettings, camera: Camera) -> Iterator[tuple[FrameType, str, str, float]]:
    """Type, kind of flat, band and exposure time of a night's calibrations, as far as headers have words for them."""
    meanings = set(camera.frame_types.values()) or {str(kind) for kind in FrameType}
    if FrameType.BIAS in meanings:
        for _ in range(settings.biases):
            yield FrameType.BIAS, "", "", 0.0
    if FrameType.DARK in meanings:
        for _ in range(settings.darks):
            yield FrameType.DARK, "", "", settings.dark_time
    kinds = sorted(meaning.partition(":")[2] for meaning in meanings if meaning.partition(":")[0] == FrameType.FLAT)
    if not kinds:
        return
    kind = settings.flat_kind if settings.flat_kind in kinds or "" in kinds else kinds[0]
    for band in bands(settings, camera):
        for _ in range(settings.flats):
            yield FrameType.FLAT, kind, band, _FLAT_TIME
        for level in settings.ramp:
            for _ in range(2):
                yield FrameType.FLAT, kind, band, round(_FLAT_TIME * level / settings.flat_level, 3)


def _visits(settings: SimulationSettings, camera: Camera) -> Iterator[tuple[str, int, int, int]]:
    for field in range(len(fields(settings, camera))):
        for band in bands(settings, camera):
            for step in range(settings.exposures):
                for snap in range(camera.snaps):
                    yield band, field, step, snap


def _science(settings: SimulationSettings, camera: Camera, shot: Shot, field: int, step: int) -> Shot:
    # The snaps of a visit are one pointing, seconds apart: they share seeing, clouds and the telescope's error.
    rng = stream(settings.seed, "conditions", shot.night, shot.visit)
    ra0, dec0 = fields(settings, camera)[field]
    width = 2.0 * field_radius(camera) * settings.dither
    # A golden-angle spiral: any number of dithers covers gaps evenly.
    angle, reach = 2.399963 * step, width * math.sqrt(step / max(settings.exposures - 1, 1))
    dec = dec0 + reach * math.sin(angle)
    ra = (ra0 + reach * math.cos(angle) / math.cos(math.radians(dec))) % 360.0
    rotation = camera.position_angle + settings.rotations[step % len(settings.rotations)]
    height = altitude(camera.site, shot.mjd_utc + 0.5 * shot.exposure_time / _DAY, ra, dec)
    airmass = airmass_at(max(height, 5.0))
    conditions = _conditions(settings, camera, shot, (ra, dec, rotation), airmass, rng)
    return Shot(
        shot.sequence,
        shot.night,
        shot.frame_type,
        shot.mjd_utc,
        shot.exposure_time,
        "",
        shot.band,
        field_name(field),
        ra,
        dec,
        rotation,
        airmass,
        conditions,
        snap=shot.snap,
    )


def _conditions(
    settings: SimulationSettings,
    camera: Camera,
    shot: Shot,
    pointing: tuple[float, float, float],
    airmass: float,
    rng: np.random.Generator,
) -> Conditions:
    effects, spec = settings.effects, camera.band(shot.band)
    night = stream(settings.seed, "night", shot.night)
    moon = 1.0 + 1.5 * float(night.random()) * (500.0 / (spec.wavelength or 620.0)) ** 2 if effects.moonlight else 1.0
    draw = rng.normal(size=8)
    # The order of the draws is fixed, so that switching one effect off leaves the others as they were.
    clouds = settings.cloudiness * abs(float(draw[0])) * 1.25 if effects.clouds else 0.0
    slope = 0.02 + 0.03 * (moon - 1.0)
    error = settings.pointing_error / 3600.0 if effects.pointing else 0.0
    twist = 0.01 * float(draw[5]) if effects.rotation else 0.0
    ra, dec, rotation = pointing
    first = camera.band(bands(settings, camera)[0])
    seeing = settings.seeing * math.exp(settings.seeing_scatter * float(draw[6])) * airmass**0.6 * _colour(spec, first)
    return Conditions(
        seeing=seeing,
        g1=0.3 * settings.ellipticity * float(np.tanh(draw[7])) if effects.psf_variation else 0.0,
        g2=0.3 * settings.ellipticity * float(np.tanh(draw[0])) if effects.psf_variation else 0.0,
        zero_point=spec.zero_point - spec.extinction * (airmass - 1.0) - clouds,
        clouds=clouds,
        sky=10.0 ** (-0.4 * (spec.sky - spec.zero_point)) * camera.pixel_scale**2 * moon,
        gradient=(slope * float(draw[1]), slope * float(draw[2])) if effects.sky_gradient else (0.0, 0.0),
        moon=moon,
        true_pointing=(
            (ra + error * float(draw[3]) / math.cos(math.radians(dec))) % 360.0,
            dec + error * float(draw[4]),
            rotation + twist,
        ),
    )


def _colour(spec: FilterSpec, first: FilterSpec) -> float:
    """Seeing falls with wavelength to the power -0.2 (Fried 1966, J. Opt. Soc. Am. 56, 1372)."""
    if spec.wavelength and first.wavelength:
        return float((spec.wavelength / first.wavelength) ** -0.2)
    return 1.0


def _with_flat_level(settings: SimulationSettings, shot: Shot) -> Shot:
    """Flats get their level: twilight fades by 3 % from one to the next and is tilted, a lamp is nearly constant."""
    if shot.frame_type is not FrameType.FLAT:
        return shot
    draw = stream(settings.seed, "flat", shot.night, shot.sequence).normal(size=3)
    twilight = shot.flat_kind == "twilight"
    level = settings.flat_level * (shot.exposure_time / _FLAT_TIME)
    level *= 1.0 + (0.08 if twilight else settings.lamp_scatter) * float(np.tanh(draw[0]))
    tilt = (0.004 * float(draw[1]), 0.004 * float(draw[2])) if twilight and settings.effects.sky_gradient else (0, 0)
    return Shot(**{**shot.__dict__, "conditions": Conditions(sky=level, gradient=tilt)})


def _with_drills(settings: SimulationSettings, shots: list[Shot]) -> list[Shot]:
    """The last science exposures become bad files, one of each kind ordered."""
    science = [i for i, shot in enumerate(shots) if shot.frame_type is FrameType.OBJECT]
    if len(science) < len(settings.drills):
        msg = f"{len(settings.drills)} drills need as many science exposures, there are {len(science)}"
        raise ValueError(msg)
    for index, drill in zip(reversed(science), settings.drills, strict=False):
        shots[index] = Shot(**{**shots[index].__dict__, "drill": drill})
    return shots
