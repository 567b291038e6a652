"""Catalogues of sources as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spica.core.faults import SetupFault
from spica.core.jobs import ProductRecord
from spica.core.records import Grain, Unit
from spica.core.task import Form
from spica.files.catalogues import read_catalogue
from spica.registry.store import Registry
from spica.services.surveys import opened
from spica.services.units import known_unit, quoted

MAIN = ("source_id", "ra", "dec", "x", "y", "flux_auto", "flux_auto_err", "fwhm", "snr", "flags")


@dataclass(frozen=True)
class Sources:
    """Rows of catalogues: `total` rows meet the selection, as many as asked for are here."""

    unit: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: int
    paths: tuple[str, ...]


def sources(text: str, folder: Path | None, columns: tuple[str, ...] = (), where: str = "", limit: int = 20) -> Sources:
    """The latest catalogue of a detector, or those of all detectors of an exposure.

    Parameters
    ----------
    columns : the main ones where empty.
    where : selection of rows.

    Raises
    ------
    SetupFault
        ``order.unknown-unit``, ``order.nothing`` where there is no catalogue yet, ``where.invalid``.
    """
    with opened(folder) as house:
        unit = known_unit(house.registry, text)
        found = catalogues(house.registry, unit)
        root = house.survey.root
    if not found:
        raise SetupFault(
            "order.nothing", f"{unit} has no catalogue", advice=f"'spica why {text}' says why", unit=str(unit)
        )
    rows: list[tuple[Any, ...]] = []
    wanted = columns or MAIN
    total = 0
    for product in found:
        part = read_catalogue(root / product.path, wanted, where)
        total += len(part)
        room = max(0, limit - len(rows))
        rows += zip(*(_plain(part[name][:room]) for name in wanted), strict=True)
    return Sources(str(unit), wanted, tuple(rows), total, tuple(product.path for product in found))


def _plain(values: np.ndarray[Any, Any]) -> list[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in values.tolist()]


def catalogues(registry: Registry, unit: Unit) -> list[ProductRecord]:
    """The latest catalogue of each detector of a unit."""
    units = [unit]
    if unit.grain is Grain.EXPOSURE:
        rows = registry.detector_rows(f"exposure = '{quoted(unit.values[0])}'")
        units = [Unit(Grain.DETECTOR, (row.exposure, str(row.detector))) for row in rows]
    found: dict[tuple[Unit, str], ProductRecord] = {}
    for each in units:
        for product in registry.products_of(each):
            if product.form is Form.CATALOGUE:
                found[each, product.name] = product
    return list(found.values())
