"""The focal plane against the sky: where detectors stand, and the nominal sky solution of each.

Focal-plane coordinates are millimetres from the optical axis. The sky plane is the tangent plane at the boresight:
xi to the east, eta to the north, degrees. Pixels are 0-based here, FITS cards 1-based.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.core.camera import Camera, DetectorSpec
from spica.core.records import Scalar

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outline:
    """The place of one detector: corners in millimetres, in the order (0, 0), (nx, 0), (nx, ny), (0, ny) of pixels."""

    id: int
    name: str
    raft: str
    corners: tuple[tuple[float, float], ...]
    centre: tuple[float, float]


def outlines(camera: Camera) -> tuple[Outline, ...]:
    """The focal plane as polygons, one per detector, for pictures and overlap tests."""
    found = []
    for spec in camera.detectors:
        matrix, origin = pixel_to_focal(camera, spec)
        edges = np.array([(-0.5, -0.5), (spec.nx - 0.5, -0.5), (spec.nx - 0.5, spec.ny - 0.5), (-0.5, spec.ny - 0.5)])
        corners = edges @ matrix.T + origin
        found.append(
            Outline(
                spec.id,
                spec.name,
                spec.raft,
                tuple((float(x), float(y)) for x, y in corners),
                (spec.x_mm, spec.y_mm),
            )
        )
    return tuple(found)


def pixel_to_focal(camera: Camera, spec: DetectorSpec, binning: tuple[int, int] = (1, 1)) -> tuple[Float64, Float64]:
    """Matrix ``(2, 2)`` [mm per pixel] and origin ``(2,)`` [mm]: focal = matrix @ pixel + origin, 0-based pixels."""
    pitch = camera.pixel_size / 1000.0
    angle = math.radians(spec.rotation)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    scale = np.diag([-pitch if spec.flip else pitch, pitch])
    # The centre of binned pixel 0 lies at unbinned (b - 1) / 2.
    first = np.array([(binning[0] - 1) / 2 - (spec.nx - 1) / 2, (binning[1] - 1) / 2 - (spec.ny - 1) / 2])
    matrix = turn @ scale
    origin = np.array([spec.x_mm, spec.y_mm]) + matrix @ first
    return matrix @ np.diag([float(binning[0]), float(binning[1])]), origin


def focal_to_plane(camera: Camera, rotation: float | None = None) -> Float64:
    """Matrix ``(2, 2)`` [degrees per mm] from focal plane to undistorted sky plane (xi, eta).

    `rotation` is the position angle of the focal plane's +y axis, degrees east of north (None: the camera's nominal).
    """
    angle = math.radians(camera.position_angle if rotation is None else rotation)
    c, s = math.cos(angle), math.sin(angle)
    degrees = camera.pixel_scale / 3600.0 / (camera.pixel_size / 1000.0)
    return degrees * np.array([[camera.parity * c, s], [-camera.parity * s, c]])


def nominal_wcs(
    camera: Camera,
    detector: int,
    ra: float,
    dec: float,
    rotation: float | None = None,
    binning: tuple[int, int] = (1, 1),
) -> dict[str, Scalar]:
    """Header cards of the sky solution that the camera table predicts for one assembled detector.

    Parameters
    ----------
    camera, detector : the table and the detector's id.
    ra, dec : boresight, ICRS degrees.
    rotation : position angle of the focal plane's +y axis, degrees east of north; None takes the camera's nominal one.
    binning : of the read-out.

    Returns
    -------
    dict
        TAN cards, or TPV where the table has a distortion: r_sky = r (1 + k1 r² + k2 r⁴) is written exactly as
        x + k1 (x³ + x y²) + k2 (x⁵ + 2 x³ y² + x y⁴) on each axis (TPV convention, registered with the FITS standard).
    """
    spec = camera.detector(detector)
    pixel, origin = pixel_to_focal(camera, spec, binning)
    plane = focal_to_plane(camera, rotation)
    cd = plane @ pixel
    axis = np.linalg.solve(pixel, -origin)
    k1, k2 = camera.distortion.k1, camera.distortion.k2
    code = "TPV" if k1 or k2 else "TAN"
    cards: dict[str, Scalar] = {
        "WCSAXES": 2,
        "CTYPE1": f"RA---{code}",
        "CTYPE2": f"DEC--{code}",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CRPIX1": float(axis[0]) + 1.0,
        "CRPIX2": float(axis[1]) + 1.0,
        "CD1_1": float(cd[0, 0]),
        "CD1_2": float(cd[0, 1]),
        "CD2_1": float(cd[1, 0]),
        "CD2_2": float(cd[1, 1]),
        "RADESYS": "ICRS",
    }
    if code == "TPV":
        for number, value in ((1, 1.0), (7, k1), (9, k1), (17, k2), (19, 2 * k2), (21, k2)):
            cards[f"PV1_{number}"] = cards[f"PV2_{number}"] = value
    return cards


def field_radius(camera: Camera) -> float:
    """Radius of the circle around the optical axis that holds all detectors, degrees, distortion included."""
    corners = np.array([corner for outline in outlines(camera) for corner in outline.corners])
    r = float(np.hypot(corners[:, 0], corners[:, 1]).max()) * camera.pixel_scale / 3600 / (camera.pixel_size / 1000)
    return r * (1 + camera.distortion.k1 * r**2 + camera.distortion.k2 * r**4)
