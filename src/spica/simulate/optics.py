"""True mapping between sky and pixels: gnomonic projection, radial distortion, detectors in the focal plane.

The chain is pixel → (linear) plane → (radial polynomial) tangent plane → (gnomonic) sky. It equals a FITS TPV header
exactly; `cards` gives that header. Pixels are 0-based centres, sky is ICRS degrees, planes are degrees with ξ to the
east and η to the north.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.core.camera import Camera, DetectorSpec
from spica.core.records import Scalar
from spica.kernels.tangent import tangent_deproject, tangent_project

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plate:
    """Sky solution of one detector in one exposure.

    Attributes
    ----------
    ra, dec : where the optical axis points, degrees.
    axis : (x, y) of the optical axis in the detector's pixels, 0-based.
    cd : ((ξx, ξy), (ηx, ηy)), degrees per pixel, before distortion.
    k1, k2 : r_sky = r (1 + k1 r² + k2 r⁴), degrees.
    """

    ra: float
    dec: float
    axis: tuple[float, float]
    cd: tuple[tuple[float, float], tuple[float, float]]
    k1: float = 0.0
    k2: float = 0.0


@dataclass(frozen=True)
class Misplacement:
    """How a detector differs from its nominal place: shift [pixel], rotation [degrees]."""

    dx: float = 0.0
    dy: float = 0.0
    rotation: float = 0.0


def plate(
    camera: Camera,
    spec: DetectorSpec,
    pointing: tuple[float, float, float],
    misplaced: Misplacement = Misplacement(),
    stretch: float = 1.0,
) -> Plate:
    """Solution of a detector for a pointing (ra, dec, rotation; degrees).

    Parameters
    ----------
    camera, spec : the camera and one of its detectors.
    pointing : boresight, and position angle of the focal plane's +y axis, degrees east of north.
    misplaced : the detector's true place against the table.
    stretch : factor on the nominal distortion coefficients.
    """
    ra, dec, rotation = pointing
    angle = np.radians(spec.rotation + misplaced.rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    millimetre = camera.pixel_size * 1e-3
    # detector pixels from its centre -> millimetres in the focal plane
    focal = millimetre * turn @ np.diag([-1.0 if spec.flip else 1.0, 1.0])
    theta = np.radians(rotation)
    # focal-plane +y lies at theta east of north, +x to the west of it where parity is -1
    up = np.array([np.sin(theta), np.cos(theta)])
    side = camera.parity * np.array([np.cos(theta), -np.sin(theta)])
    sky = np.column_stack([side, up]) * camera.pixel_scale / 3600.0 / millimetre
    cd = sky @ focal
    offset = np.array([spec.x_mm, spec.y_mm]) + focal @ np.array([misplaced.dx, misplaced.dy])
    axis = np.array([(spec.nx - 1) / 2.0, (spec.ny - 1) / 2.0]) - np.linalg.solve(focal, offset)
    return Plate(
        ra,
        dec,
        (float(axis[0]), float(axis[1])),
        ((float(cd[0, 0]), float(cd[0, 1])), (float(cd[1, 0]), float(cd[1, 1]))),
        camera.distortion.k1 * stretch,
        camera.distortion.k2 * stretch,
    )


def to_sky(plate: Plate, x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """ICRS degrees of pixels (any shape)."""
    dx, dy = x - plate.axis[0], y - plate.axis[1]
    xi = plate.cd[0][0] * dx + plate.cd[0][1] * dy
    eta = plate.cd[1][0] * dx + plate.cd[1][1] * dy
    r2 = xi**2 + eta**2
    grow = 1.0 + r2 * (plate.k1 + r2 * plate.k2)
    return tangent_deproject(xi * grow, eta * grow, plate.ra, plate.dec)


def to_pixels(plate: Plate, ra: Float64, dec: Float64) -> tuple[Float64, Float64]:
    """Pixels of ICRS degrees; NaN for places more than 90 degrees from the axis."""
    xi, eta = tangent_project(ra, dec, plate.ra, plate.dec)
    r_sky = np.hypot(xi, eta)
    r = r_sky.copy()
    for _ in range(8):
        r2 = r * r
        value = r * (1.0 + r2 * (plate.k1 + r2 * plate.k2)) - r_sky
        r -= value / (1.0 + r2 * (3.0 * plate.k1 + 5.0 * r2 * plate.k2))
    shrink = np.where(r_sky > 0.0, r / np.where(r_sky > 0.0, r_sky, 1.0), 1.0)
    inverse = np.linalg.inv(np.array(plate.cd))
    xi, eta = xi * shrink, eta * shrink
    x = plate.axis[0] + inverse[0, 0] * xi + inverse[0, 1] * eta
    y = plate.axis[1] + inverse[1, 0] * xi + inverse[1, 1] * eta
    return x, y


def cards(plate: Plate) -> dict[str, Scalar]:
    """FITS header of the solution: TPV with polynomial terms, or TAN where there is no distortion."""
    kind = "TPV" if plate.k1 or plate.k2 else "TAN"
    header: dict[str, Scalar] = {
        "CTYPE1": f"RA---{kind}",
        "CTYPE2": f"DEC--{kind}",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": plate.ra,
        "CRVAL2": plate.dec,
        "CRPIX1": plate.axis[0] + 1.0,
        "CRPIX2": plate.axis[1] + 1.0,
        "CD1_1": plate.cd[0][0],
        "CD1_2": plate.cd[0][1],
        "CD2_1": plate.cd[1][0],
        "CD2_2": plate.cd[1][1],
        "RADESYS": "ICRS",
    }
    if kind == "TPV":
        # ξ (1 + k1 (ξ² + η²) + k2 (ξ² + η²)²), written out; the second axis has ξ and η exchanged in TPV's numbering
        terms = {1: 1.0, 7: plate.k1, 9: plate.k1, 17: plate.k2, 19: 2.0 * plate.k2, 21: plate.k2}
        for axis in (1, 2):
            header |= {f"PV{axis}_{number}": value for number, value in terms.items() if value}
    return header


def field_radius(camera: Camera) -> float:
    """Angle from the optical axis to the farthest corner of the detectors, degrees, before distortion."""
    farthest = 0.0
    for spec in camera.detectors:
        half = 0.5 * np.hypot(spec.nx, spec.ny) * camera.pixel_size * 1e-3
        farthest = max(farthest, float(np.hypot(spec.x_mm, spec.y_mm) + half))
    return farthest / (camera.pixel_size * 1e-3) * camera.pixel_scale / 3600.0
