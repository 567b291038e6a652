"""Light on one detector during one shot: which sources fall where, drawn with their point spread function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.core.camera import Camera, DetectorSpec
from spica.kernels.compiled import Float32, Float64
from spica.kernels.draw import Psf, add_galaxies, add_stars
from spica.kernels.tangent import tangent_project
from spica.simulate.optics import Plate, to_pixels, to_sky
from spica.simulate.profiles import moffat, sersic
from spica.simulate.schedule import Shot
from spica.simulate.settings import SimulationSettings
from spica.simulate.sky import INDICES, KINDS, Finder, Sky, magnitude, place

MARGIN = 60.0
"""Sources this far outside of a detector still send light onto it, pixels."""
_FAINTEST = 0.2
"""Sources that give fewer electrons than this are not drawn."""


@dataclass(frozen=True, eq=False)
class Placed:
    """Sources on (or near) a detector: rows of the sky, place [pixel], light [electron] on a perfect detector."""

    rows: npt.NDArray[np.int64]
    x: Float64
    y: Float64
    flux: Float64
    mag: Float64


def locate(sky: Sky, finder: Finder, shot: Shot, plate: Plate, shape: tuple[int, int]) -> Placed:
    """The sources that a detector of `shape` (ny, nx) sees in a shot."""
    ny, nx = shape
    x, y = (
        np.array([nx / 2, -MARGIN, nx + MARGIN, -MARGIN, nx + MARGIN]),
        np.array([ny / 2, -MARGIN, -MARGIN, ny + MARGIN, ny + MARGIN]),
    )
    ra, dec = to_sky(plate, x, y)
    # A little wider than the corners: proper motions.
    radius = 1.02 * max(float(separation) for separation in _separations(ra, dec)) + 0.002
    rows = finder.near(sky, float(ra[0]), float(dec[0]), radius)
    chosen = sky.select(rows)
    with np.errstate(invalid="ignore"):
        x, y = to_pixels(plate, *place(chosen, shot.middle))
        inside = (np.abs(x - nx / 2) < nx / 2 + MARGIN) & (np.abs(y - ny / 2) < ny / 2 + MARGIN)
    rows, x, y = rows[inside], x[inside], y[inside]
    mag = magnitude(sky.select(rows), shot.band, shot.middle)
    flux = shot.exposure_time * 10.0 ** (-0.4 * (mag - shot.conditions.zero_point))
    kept = flux > _FAINTEST
    return Placed(rows[kept], x[kept], y[kept], flux[kept], mag[kept])


def _separations(ra: Float64, dec: Float64) -> Float64:
    """Angles between the first place and the others, degrees."""
    xi, eta = tangent_project(ra[1:], dec[1:], float(ra[0]), float(dec[0]))
    return np.asarray(np.degrees(np.arctan(np.radians(np.hypot(xi, eta)))))


def psf_at(
    settings: SimulationSettings,
    camera: Camera,
    shot: Shot,
    axes: tuple[tuple[float, float], ...],
    x: Float64,
    y: Float64,
) -> Psf:
    """Point spread function at pixels of a detector.

    It widens by up to 8 % towards the field's edge; its shear has a part common to the shot and a radial part from the
    optics that grows with the square of the distance from the axis.

    Parameters
    ----------
    axes : `spica.simulate.calibration.focal_axes` of the detector.
    x, y : pixels.
    """
    origin, dx, dy = axes
    u, v = origin[0] + dx[0] * x + dy[0] * y, origin[1] + dx[1] * x + dy[1] * y
    width = np.full(x.shape, shot.conditions.seeing / camera.pixel_scale)
    g1, g2 = np.zeros(x.shape), np.zeros(x.shape)
    if settings.effects.psf_variation:
        r2 = u * u + v * v
        width *= 1.0 + 0.08 * r2 + 0.02 * u
        # The radial direction as seen in the detector's own axes.
        radial = np.arctan2(u * dy[0] + v * dy[1], u * dx[0] + v * dx[1])
        optics = 0.7 * settings.ellipticity * np.minimum(r2, 1.2)
        g1 = shot.conditions.g1 + optics * np.cos(2.0 * radial)
        g2 = shot.conditions.g2 + optics * np.sin(2.0 * radial)
    return Psf(width, g1, g2, settings.psf_beta)


def light(
    settings: SimulationSettings,
    camera: Camera,
    shot: Shot,
    spec: DetectorSpec,
    seen: tuple[Sky, Placed, Plate],
    axes: tuple[tuple[float, float], ...],
) -> Float32:
    """Expected electrons of all sources on a perfect detector, ``(ny, nx)`` float32."""
    sky, placed, plate = seen
    image = np.zeros((spec.ny, spec.nx), dtype=np.float32)
    area = camera.pixel_scale**2
    # Stamps end where they are a twentieth of the sky's noise in the mean of all read-outs.
    noise = np.sqrt(shot.conditions.sky * shot.exposure_time + max(a.read_noise for a in spec.amplifiers) ** 2)
    edge = max(0.05 * float(noise) / camera.slices**0.5, 0.05)
    psf = psf_at(settings, camera, shot, axes, placed.x, placed.y)
    kinds, index = sky.kind[placed.rows], sky.sersic[placed.rows]
    points = (index == 0.0) & (kinds != KINDS.index("mover"))
    add_stars(image, placed.x[points], placed.y[points], placed.flux[points], _some(psf, points), edge)
    _trailed_into(image, sky, placed, shot, plate, psf, edge)
    g1, g2 = _turned(sky.g1[placed.rows], sky.g2[placed.rows], plate)
    size = sky.size[placed.rows] / np.sqrt(area)
    for value in INDICES:
        chosen = index == value
        if np.any(chosen):
            add_galaxies(
                image,
                placed.x[chosen],
                placed.y[chosen],
                placed.flux[chosen],
                size[chosen],
                (g1[chosen], g2[chosen]),
                sersic(value),
                _some(psf, chosen),
                moffat(settings.psf_beta),
                edge,
            )
    return image


def _trailed_into(image: Float32, sky: Sky, placed: Placed, shot: Shot, plate: Plate, psf: Psf, edge: float) -> None:
    """Moving objects as rows of equal stars along their way, a quarter of the seeing apart."""
    movers = np.flatnonzero(sky.kind[placed.rows] == KINDS.index("mover"))
    if movers.size == 0:
        return
    chosen = sky.select(placed.rows[movers])
    half = 0.5 * shot.exposure_time / 86400.0
    ends = [to_pixels(plate, *place(chosen, shot.middle + sign * half)) for sign in (-1.0, 1.0)]
    for k, mover in enumerate(movers):
        (xa, ya), (xb, yb) = ((end[0][k], end[1][k]) for end in ends)
        steps = 1 + int(np.hypot(xb - xa, yb - ya) / (0.25 * psf.fwhm[mover]))
        at = (np.arange(steps) + 0.5) / steps
        flux = np.full(steps, placed.flux[mover] / steps)
        alike = [np.full(steps, values[mover]) for values in (psf.fwhm, psf.g1, psf.g2)]
        shape = Psf(alike[0], alike[1], alike[2], psf.beta)
        add_stars(image, xa + (xb - xa) * at, ya + (yb - ya) * at, flux, shape, edge / steps)


def _some(psf: Psf, rows: npt.NDArray[np.bool_]) -> Psf:
    return Psf(psf.fwhm[rows], psf.g1[rows], psf.g2[rows], psf.beta)


def _turned(g1: Float64, g2: Float64, plate: Plate) -> tuple[Float64, Float64]:
    """Shear on the sky (angles from east towards north) as shear in the detector's axes."""
    (xx, xy), (yx, yy) = plate.cd
    turn = np.arctan2(yx, xx)
    side = np.sign(xx * yy - xy * yx)
    size, angle = np.hypot(g1, g2), 0.5 * np.arctan2(g2, g1)
    angle = side * (angle - turn)
    return size * np.cos(2.0 * angle), size * np.sin(2.0 * angle)
