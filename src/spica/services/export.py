"""Copying products out of a survey, each checked against its recorded checksum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.records import Grain, Unit
from spica.files import checksums, storage
from spica.registry.store import Registry
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import opened
from spica.services.units import known_unit, quoted


@dataclass(frozen=True)
class Exported:
    """What was copied: paths in the target folder, in the order of their units."""

    folder: Path
    paths: tuple[str, ...]


def export(
    to: Path, folder: Path | None, *, unit: str = "", where: str = "", kind: str = "", watcher: Watcher = unwatched
) -> Exported:
    """Copy the latest products of a unit, or of all detectors that a selection takes, into a folder.

    Parameters
    ----------
    kind : only products of this name; all that are files where empty.

    Raises
    ------
    SetupFault
        ``order.nothing``, ``order.unknown-unit``, ``where.invalid``.
    DataFault
        ``file.missing``, ``file.corrupt`` where a product's bytes are not those recorded.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    with opened(folder) as house:
        products = _products(house.registry, unit, where)
        root = house.survey.root
    there = sorted({product.name for product in products})
    products = [product for product in products if kind in {"", product.name}]
    if not products:
        what = f"product {kind!r}" if kind else "product"
        hint = f"; there are {', '.join(there)}" if there else ""
        raise SetupFault("order.nothing", f"there is no {what} of {unit or where or 'this survey'}{hint}")
    copied = []
    for number, product in enumerate(products, start=1):
        target = to / Path(product.path).name
        storage.copy(root / product.path, target)
        if checksums.of_file(target) != product.checksum:
            target.unlink()
            message = f"{product.path} has other bytes than recorded"
            raise DataFault(
                "file.corrupt", message, advice="'spica check --deep', then run it again", path=product.path
            )
        copied.append(str(target))
        watcher(Step("export", number, len(products), target.name))
    return Exported(to, tuple(copied))


def _products(registry: Registry, unit: str, where: str) -> list[ProductRecord]:
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
    return list(found.values())


def _detectors(registry: Registry, where: str) -> list[Unit]:
    return [Unit(Grain.DETECTOR, (row.exposure, str(row.detector))) for row in registry.detector_rows(where)]
