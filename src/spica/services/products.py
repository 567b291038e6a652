"""Which products are meant: the latest of a unit, or of all detectors that a selection takes."""

from __future__ import annotations

from spica.core.jobs import ProductRecord
from spica.core.records import Grain, Unit
from spica.registry.store import Registry
from spica.services.units import known_unit, quoted


def latest(registry: Registry, unit: str, where: str) -> dict[tuple[Unit, str], ProductRecord]:
    """The latest product of each name of each unit, those on disk that are no scratch; an exposure's detectors with it.

    Raises
    ------
    SetupFault
        ``order.unknown-unit``, ``where.invalid``.
    """
    if unit:
        chosen = known_unit(registry, unit)
        if chosen.grain is Grain.EXPOSURE:
            units = [chosen, *_detectors(registry, f"exposure = '{quoted(chosen.values[0])}'")]
        else:
            units = [chosen]
    else:
        units = _detectors(registry, where)
    found: dict[tuple[Unit, str], ProductRecord] = {}
    for each in units:
        for product in registry.products_of(each):
            if product.path and not product.scratch:
                found[each, product.name] = product
    return found


def _detectors(registry: Registry, where: str) -> list[Unit]:
    return [Unit(Grain.DETECTOR, (row.exposure, str(row.detector))) for row in registry.detector_rows(where)]
