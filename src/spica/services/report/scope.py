"""What a report is about: the exposures and detectors that a name stands for, and the joint solutions that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.jobs import ProductRecord
from spica.core.records import Exposure, FrameType, Grain, Unit
from spica.registry.store import Registry
from spica.services.cameras import load
from spica.services.surveys import Opened
from spica.services.units import known_unit, quoted

_NIGHT = re.compile(r"\d{4}-\d{2}-\d{2}")
NIGHT = "night"


@dataclass(frozen=True)
class Scope:
    """Exposures of one camera with their detectors.

    Attributes
    ----------
    kind : 'night', 'group', 'exposure' or 'detector'.
    exposures : what the report is about, by time.
    beside : other exposures of the same nights, for comparison.
    detectors : numbers by exposure, of those in `exposures`.
    groups : joint solutions that hold exposures of it.
    """

    kind: str
    name: str
    camera: Camera
    exposures: tuple[Exposure, ...]
    beside: tuple[Exposure, ...]
    detectors: Mapping[str, tuple[int, ...]]
    groups: tuple[Unit, ...]

    @property
    def units(self) -> Iterator[Unit]:
        """The detectors, exposure by exposure."""
        for exposure in self.exposures:
            for number in self.detectors[exposure.name]:
                yield Unit(Grain.DETECTOR, (exposure.name, str(number)))


def scope_of(house: Opened, text: str, where: str = "") -> Scope:
    """What a text names: a night (``2026-11-20``), an exposure, a detector of one, a group of a joint solution.

    Raises
    ------
    SetupFault
        ``order.unknown-unit``; ``order.nothing`` where no object frame is left; ``order.invalid`` where several cameras are.
    """
    registry = house.registry
    if _NIGHT.fullmatch(text):
        kind, chosen, only = NIGHT, registry.exposures(_both(f"night = '{text}'", where)), None
    else:
        unit = known_unit(registry, text)
        kind, text = unit.grain.value, str(unit).partition(":")[2] if unit.grain is not Grain.GROUP else str(unit)
        names, only = _exposures_of(registry, unit)
        chosen = [each for name in names for each in registry.exposures(_both(f"exposure = '{quoted(name)}'", where))]
    chosen = sorted((each for each in chosen if each.frame_type is FrameType.OBJECT), key=lambda e: (e.mjd, e.name))
    cameras = sorted({each.camera for each in chosen})
    if not chosen:
        message = f"there is no object frame in {text}{f' where {where}' if where else ''}"
        raise SetupFault("order.nothing", message, advice="'spica inventory' shows what there is")
    if len(cameras) > 1:
        message = f"{text} has exposures of several cameras: {', '.join(cameras)}"
        raise SetupFault("order.invalid", message, advice=f"choose one: --where \"camera='{cameras[0]}'\"")
    nights = sorted({each.night for each in chosen})
    near = [each for night in nights for each in registry.exposures(f"night = '{night}' and camera = '{cameras[0]}'")]
    mine = {each.name for each in chosen}
    beside = [each for each in near if each.frame_type is FrameType.OBJECT and each.name not in mine]
    return Scope(
        kind=kind,
        name=text,
        camera=load(cameras[0], house.survey),
        exposures=tuple(chosen),
        beside=tuple(beside) if kind != NIGHT else (),
        detectors=_detectors(registry, chosen, only),
        groups=groups_of(registry, [*chosen, *beside]),
    )


def _both(one: str, where: str) -> str:
    return f"{one} and ({where})" if where.strip() else one


def _exposures_of(registry: Registry, unit: Unit) -> tuple[list[str], int | None]:
    """Names of the exposures of a unit, and its detector where it is one."""
    if unit.grain is Grain.DETECTOR:
        return [unit.values[0]], int(unit.values[1])
    if unit.grain is Grain.EXPOSURE:
        return [unit.values[0]], None
    if unit.grain is Grain.GROUP:
        job = registry.jobs_of(unit)[-1]
        units = [Unit.parse(each.unit) for each in registry.inputs_of(job.key) if each.how == "product"]
        return list(dict.fromkeys(each.keys["exposure"] for each in units if "exposure" in each.keys)), None
    message = f"a report is of a night, a group, an exposure or a detector of one, not of {unit}"
    raise SetupFault("order.invalid", message, unit=str(unit))


def _detectors(registry: Registry, exposures: Sequence[Exposure], only: int | None) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for each in exposures:
        rows = registry.detector_rows(f"exposure = '{quoted(each.name)}'")
        found[each.name] = tuple(row.detector for row in rows if only in {None, row.detector})
    return found


def products_of(registry: Registry, unit: Unit) -> dict[str, ProductRecord]:
    """The latest product of each name of a unit."""
    return {product.name: product for product in registry.products_of(unit) if not product.scratch}


def groups_of(registry: Registry, exposures: Sequence[Exposure]) -> tuple[Unit, ...]:
    """Joint solutions made of these exposures: those whose jobs used what was made of them."""
    found: dict[Unit, None] = {}
    for each in exposures:
        for product in products_of(registry, Unit(Grain.EXPOSURE, (each.name,))).values():
            for job in registry.consumers_of(product.key):
                unit = registry.job(job).unit
                if unit.grain is Grain.GROUP:
                    found[unit] = None
    return tuple(sorted(found, key=str))
