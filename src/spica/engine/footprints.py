"""Outlines of detectors on the sky: by the delivered sky solution, else by the camera table and the pointing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.records import Detector, Exposure, Scalar
from spica.files.hats.regions import Polygon
from spica.instruments.geometry import nominal_wcs
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards


def plate(camera: Camera, exposure: Exposure, detector: Detector) -> Mapping[str, Scalar]:
    """Cards of a detector's first sky solution: the delivered one, else what the camera's table makes of the pointing.

    Empty where the frame tells neither. A delivered solution that is none (a singular matrix, axes that are no sky) counts
    as not told where the camera's table can stand in.
    """
    nowhere = exposure.ra is None or exposure.dec is None
    if detector.wcs and (nowhere or _usable(detector.wcs)):
        return detector.wcs
    if exposure.ra is None or exposure.dec is None:
        return {}
    pointing = (exposure.ra, exposure.dec, exposure.rotation)
    return nominal_wcs(camera, detector.detector, *pointing, binning=exposure.binning)


def _usable(cards: Mapping[str, Scalar]) -> bool:
    try:
        from_cards(cards)
    except ValueError:
        return False
    return True


def outline(camera: Camera, exposure: Exposure, detector: Detector) -> Polygon | None:
    """The detector's outline; None where its place on the sky is unknown, or its solution is none."""
    try:
        wcs = from_cards(plate(camera, exposure, detector))
    except ValueError:
        return None
    right, top = detector.nx - 0.5, detector.ny - 0.5
    # Middles of the sides too: distortion bends them.
    x = np.array([-0.5, right / 2, right, right, right, right / 2, -0.5, -0.5])
    y = np.array([-0.5, -0.5, -0.5, top / 2, top, top, top, top / 2])
    try:
        return Polygon.of(*pixel_to_sky(wcs, x, y))
    except SetupFault:  # a solution that throws the detector over the sky is none
        return None
