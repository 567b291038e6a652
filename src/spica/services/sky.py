"""Where detectors lie on the sky, from one place: the joint solution where there is one, else what was delivered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spica.core.images import Image
from spica.core.keywords import is_sky
from spica.core.records import Detector, Exposure, Grain, Scalar, Unit
from spica.registry.store import Registry
from spica.services.surveys import Opened, opened

SOLUTION = "sky_solution"
"""The product of the task `express`: the newest one of a detector tells where it lies."""


@dataclass(frozen=True)
class Covering:
    """A detector or exposure that a position falls on: its outline [degree], and what tells of it."""

    unit: str
    night: str
    band: str
    ra: tuple[float, ...]
    dec: tuple[float, ...]


def solved(registry: Registry, unit: Unit) -> Mapping[str, Any]:
    """The newest joint solution of a detector as `spica.tasks.express` gives it; empty where there is none."""
    found = [each for each in registry.products_of(unit) if each.name == SOLUTION]
    return found[-1].value if found else {}


def cards_of(registry: Registry, unit: Unit) -> dict[str, Scalar]:
    """Header cards of the joint solution of a detector; empty where there is none."""
    return dict(solved(registry, unit).get("cards", {})) if unit.grain is Grain.DETECTOR else {}


def plate_of(registry: Registry, detector: Detector) -> Mapping[str, Scalar]:
    """Cards of the best sky solution of a detector: the joint one, else the delivered one."""
    return cards_of(registry, detector.unit) or detector.wcs


def overlaid(header: Mapping[str, Scalar], sky: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A header with another sky solution in place of its own; the same header where there is none."""
    if not sky:
        return dict(header)
    return {key: value for key, value in header.items() if not is_sky(key)} | dict(sky)


def solved_image(image: Image, sky: Mapping[str, Scalar]) -> Image:
    """An image with another sky solution."""
    return Image(image.pixels, image.variance, image.mask, overlaid(image.header, sky))


def covering(
    folder: Any, ra: float, dec: float, *, radius: float = 0.0, where: str = "", exposures: bool = False
) -> list[Covering]:
    """Detectors (or exposures) whose outlines hold a position, or come within `radius` [degree] of it.

    Raises
    ------
    SetupFault
        ``order.invalid`` for a place that is not on the sky, ``where.invalid``.
    """
    with opened(folder) as house:
        return list(_covering(house, (ra, dec, radius), where, Grain.EXPOSURE if exposures else Grain.DETECTOR))


def _covering(house: Opened, place: tuple[float, float, float], where: str, grain: Grain) -> Iterator[Covering]:
    chosen = {each.name: each for each in house.registry.exposures(where)}
    taken = _taken(house.registry, where) if where and grain is Grain.DETECTOR else None
    for outline in house.registry.covering(*place, grain):
        exposure: Exposure | None = chosen.get(outline.unit.values[0])
        if exposure is None or (taken is not None and outline.unit not in taken):
            continue
        yield Covering(str(outline.unit), exposure.night, exposure.band, outline.ra, outline.dec)


def _taken(registry: Registry, where: str) -> Collection[Unit]:
    return {Unit(Grain.DETECTOR, (row.exposure, str(row.detector))) for row in registry.detector_rows(where)}
