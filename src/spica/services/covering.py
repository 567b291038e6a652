"""What covers a place on the sky: by joint solutions, and where there is none by what else tells of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from spica.core.camera import Camera
from spica.core.outline import Outline, apart
from spica.core.records import Detector, Exposure, FrameType, Grain, Unit
from spica.engine.footprints import outline, plate
from spica.files.hats.regions import Polygon
from spica.instruments import tables
from spica.registry.store import Registry
from spica.services.surveys import Opened, camera_folders, opened

By = Literal["joint solution", "pointing", "header", "camera table"]
_FAR = 15.0
"""Degrees from its pointing within which an exposure's detectors are looked at where no solution tells of them."""


@dataclass(frozen=True)
class Covering:
    """A detector or exposure that a position falls on: its outline [degree], and what tells of it."""

    unit: str
    night: str
    band: str
    ra: tuple[float, ...]
    dec: tuple[float, ...]
    by: By


def covering(
    folder: Path | None, ra: float, dec: float, *, radius: float = 0.0, where: str = "", exposures: bool = False
) -> list[Covering]:
    """Detectors (or exposures) whose outlines hold a position, or come within `radius` [degree] of it.

    A detector that no joint solution tells of is taken by what `pointing` found of it, else by its header, else by what
    the camera's table makes of the exposure's pointing. An exposure with a joint solution lies where that says; another one
    covers what its detectors cover, and has no outline of its own.

    Raises
    ------
    SetupFault
        ``order.invalid`` for a place that is not on the sky, ``where.invalid``.
    """
    with opened(folder) as house:
        chosen = {each.name: each for each in house.registry.exposures(where)}
        place = ra, dec, radius
        grain = Grain.EXPOSURE if exposures else Grain.DETECTOR
        found = [*_solved(house, place, where, chosen, grain), *_unsolved(house, place, where, chosen, grain)]
    return sorted(found, key=lambda each: each.unit)


def _solved(
    house: Opened, place: tuple[float, float, float], where: str, chosen: dict[str, Exposure], grain: Grain
) -> Iterator[Covering]:
    taken = _taken(house.registry, where) if where and grain is Grain.DETECTOR else None
    for each in house.registry.covering(*place, grain):
        exposure = chosen.get(each.unit.values[0])
        if exposure is None or (taken is not None and each.unit not in taken):
            continue
        yield Covering(str(each.unit), exposure.night, exposure.band, each.ra, each.dec, "joint solution")


def _taken(registry: Registry, where: str) -> Collection[Unit]:
    return {Unit(Grain.DETECTOR, (row.exposure, str(row.detector))) for row in registry.detector_rows(where)}


def _unsolved(
    house: Opened, place: tuple[float, float, float], where: str, chosen: dict[str, Exposure], grain: Grain
) -> Iterator[Covering]:
    ra, dec, radius = place
    whole = grain is Grain.EXPOSURE
    near = {
        name: each
        for name, each in chosen.items()
        if each.frame_type is FrameType.OBJECT
        and (each.ra is None or each.dec is None or apart(ra, dec, each.ra, each.dec) < _FAR + radius)
    }
    rows = [row for row in house.registry.detector_rows(where, (FrameType.OBJECT,)) if row.exposure in near]
    records = house.registry.detectors([(row.exposure, row.detector) for row in rows])
    known = house.registry.outlines(each.unit for each in records.values())
    solved = house.registry.outlines(Unit(Grain.EXPOSURE, (name,)) for name in near) if whole else {}
    pointed: dict[str, dict[int, Detector]] = {}
    told: set[str] = set()
    for (name, number), record in sorted(records.items()):
        exposure = near[name]
        unit = Unit(Grain.EXPOSURE, (name,)) if whole else record.unit
        if record.unit in known or unit in solved or (whole and name in told):
            continue
        better = pointed.setdefault(name, _pointed(house.registry, name, records))
        camera = tables.load(exposure.camera, camera_folders(house.survey))
        found = outline(camera, exposure, better.get(number, record))
        if found is not None and _covers(found, record.unit, place):
            told.add(name)
            by: By = "pointing" if number in better else _told_by(camera, exposure, record)
            ra_of, dec_of = ((), ()) if whole else zip(*found.vertices, strict=True)
            yield Covering(str(unit), exposure.night, exposure.band, ra_of, dec_of, by)


def _pointed(registry: Registry, name: str, records: dict[tuple[str, int], Detector]) -> dict[int, Detector]:
    """Detectors of an exposure with the solution that the newest `pointing` has for them; those without one are left out."""
    made = [each for each in registry.products_of(Unit(Grain.EXPOSURE, (name,))) if each.name == "pointing"]
    if not made or not isinstance(made[-1].value, dict):
        return {}
    return {
        int(number): replace(records[name, int(number)], wcs=told["cards"])
        for number, told in made[-1].value["detectors"].items()
        if told["cards"] and (name, int(number)) in records
    }


def _told_by(camera: Camera, exposure: Exposure, record: Detector) -> By:
    return "header" if plate(camera, exposure, record) is record.wcs else "camera table"


def _covers(found: Polygon, unit: Unit, place: tuple[float, float, float]) -> bool:
    ra, dec, radius = place
    each = Outline(unit, *(tuple(column) for column in zip(*found.vertices, strict=True)))
    return apart(ra, dec, *each.middle) <= each.radius + radius if radius > 0.0 else each.contains(ra, dec)
