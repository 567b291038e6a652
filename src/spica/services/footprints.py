"""Outlines of detectors on the sky: by the delivered sky solution, else by the camera table and the pointing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spica.core.faults import SetupFault
from spica.core.records import Detector, Exposure, FrameType
from spica.files.reference.regions import Polygon
from spica.instruments import tables
from spica.instruments.geometry import nominal_wcs
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.services.surveys import Opened, camera_folders

_CHUNK = 64
"""Exposures whose detectors are held at once."""


@dataclass(frozen=True)
class Footprint:
    """Outlines of an exposure's detectors by detector number; none where its place on the sky is unknown."""

    exposure: str
    outlines: tuple[tuple[int, Polygon], ...]


def footprints(house: Opened, where: str) -> Iterator[Footprint]:
    """Outlines of the exposures of the sky that a selection takes, in order of time.

    Raises
    ------
    SetupFault
        ``where.invalid``, ``camera.invalid``.
    """
    sky = {each.name: each for each in house.registry.exposures(where) if each.frame_type is FrameType.OBJECT}
    numbers: dict[str, list[int]] = {name: [] for name in sky}
    for row in house.registry.detector_rows(where, (FrameType.OBJECT,)):
        numbers[row.exposure].append(row.detector)
    names = list(sky)
    for first in range(0, len(names), _CHUNK):
        batch = names[first : first + _CHUNK]
        pairs = [(name, number) for name in batch for number in numbers[name]]
        records = house.registry.detectors(pairs)
        for name in batch:
            outlines = [
                (number, outline)
                for number in sorted(numbers[name])
                if (outline := _outline(house, sky[name], records[name, number])) is not None
            ]
            yield Footprint(name, tuple(outlines))


def _outline(house: Opened, exposure: Exposure, detector: Detector) -> Polygon | None:
    cards = detector.wcs
    if not cards and exposure.ra is not None and exposure.dec is not None:
        camera = tables.load(exposure.camera, camera_folders(house.survey))
        pointing = (exposure.ra, exposure.dec, exposure.rotation)
        cards = nominal_wcs(camera, detector.detector, *pointing, binning=exposure.binning)
    try:
        wcs = from_cards(cards)
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
