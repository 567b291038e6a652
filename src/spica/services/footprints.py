"""Outlines of the detectors of many exposures on the sky."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spica.core.camera import Camera
from spica.core.records import FrameType
from spica.engine.footprints import outline
from spica.files.hats.regions import Polygon
from spica.instruments import tables
from spica.services.surveys import Opened, camera_folders

_CHUNK = 64
"""Exposures whose detectors are held at once."""


@dataclass(frozen=True)
class Footprint:
    """Outlines of an exposure's detectors by detector number; none where its place on the sky is unknown."""

    exposure: str
    outlines: tuple[tuple[int, Polygon], ...]


def footprints(house: Opened, where: str) -> Iterator[Footprint]:
    """Outlines of the exposures of the sky that a selection takes, in order of time; as joint solutions have them.

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

    def camera(name: str) -> Camera:
        return tables.load(name, camera_folders(house.survey))

    for first in range(0, len(names), _CHUNK):
        batch = names[first : first + _CHUNK]
        pairs = [(name, number) for name in batch for number in numbers[name]]
        records = house.registry.detectors(pairs)
        solved = house.registry.outlines(record.unit for record in records.values())
        for name in batch:
            outlines = []
            for number in sorted(numbers[name]):
                known = solved.get(records[name, number].unit)
                found = outline(camera(sky[name].camera), sky[name], records[name, number])
                if known is not None:
                    found = Polygon.of(known.ra, known.dec)
                if found is not None:
                    outlines.append((number, found))
            yield Footprint(name, tuple(outlines))
