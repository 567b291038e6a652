"""How far a release is: each stack and tile pending, running, completed or failed, by priority."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import SetupFault
from spica.core.jobs import PRIORITY
from spica.core.records import Grain, Metric, Unit
from spica.files import frozen, releases
from spica.registry.store import Registry
from spica.services.publishing.parts import (
    PIPELINE,
    Part,
    State,
    band_of,
    by_unit,
    exposures_of,
    parts_of,
    planned,
    priorities,
    state_of,
)
from spica.services.surveys import Opened, opened


@dataclass(frozen=True)
class UnitStatus:
    """A stack (or, where `band` is empty, a tile): how far it is, and of what it is made.

    `exposure_time` [s] is the sum over its exposures, `seconds` the processing time of its jobs; `steps` how many of its
    parts are done, of how many.
    """

    unit: str
    tile: str
    band: str
    state: str
    why: str
    priority: float
    grade: str
    exposures: int
    exposure_time: float
    seconds: float
    steps: tuple[int, int]


@dataclass(frozen=True)
class ReleaseStatus:
    """A release: `published` is the date, '' while it is open; `waiting` are steps whose tiles cannot be chosen yet."""

    release: str
    published: str
    units: tuple[UnitStatus, ...]
    counts: dict[str, int]
    waiting: tuple[str, ...] = ()


def status(release: str, folder: Path | None, pipeline: str = PIPELINE) -> ReleaseStatus:
    """How far a release is; the most urgent units first.

    Raises
    ------
    SetupFault
        ``release.*``, ``pipeline.*``, ``where.invalid``, ``order.nothing``.
    """
    with opened(folder) as house:
        given = releases.load(house.survey, release)
        if frozen.is_frozen(house.survey, given.name):
            return _closed(frozen.read(house.survey, given.name))
        plan = planned(house, given.name, pipeline)
        parts = parts_of(house.registry, plan)
        urgent = priorities(house.registry)
        units = [_status(house.registry, unit, found, urgent) for unit, found in by_unit(parts).items()]
    units.sort(key=lambda each: (-each.priority, each.tile, each.band == "", each.band))
    counts = Counter(each.state for each in units)
    return ReleaseStatus(
        given.name,
        "",
        tuple(units),
        {state.value: counts[state.value] for state in State},
        tuple(chain.label for chain in plan.waiting),
    )


def _status(registry: Registry, unit: Unit, parts: Sequence[Part], urgent: dict[Unit, float]) -> UnitStatus:
    state, why = state_of(parts)
    number, time = exposures_of(parts)
    done = {part.job for part in parts if part.state is State.COMPLETED}
    return UnitStatus(
        unit=str(unit),
        tile=unit.keys["tile"],
        band=band_of(unit),
        state=state.value,
        why=why,
        priority=urgent.get(unit, urgent.get(Unit(Grain.TILE, unit.values[:1]), 0.0)),
        grade=grade_of(registry, unit),
        exposures=number,
        exposure_time=time,
        seconds=sum(row.wall for row in registry.jobs_of(unit) if row.key in done),
        steps=(len(done), len(parts)),
    )


def grade_of(registry: Registry, unit: Unit) -> str:
    """The last grade that a person gave, '' where nobody did."""
    given = [note.text for note in registry.notes_of(unit) if note.kind == "grade" and note.text]
    return given[-1] if given else ""


def _closed(release: frozen.Frozen) -> ReleaseStatus:
    units = []
    for each in release.units:
        unit = Unit.parse(each.unit)
        head = each.unit, unit.keys["tile"], band_of(unit), State.COMPLETED.value, f"published {release.released}"
        units.append(UnitStatus(*head, 0.0, each.grade, each.exposures, each.exposure_time, 0.0, (len(each.jobs),) * 2))
    units += [
        UnitStatus(name, Unit.parse(name).keys["tile"], band_of(Unit.parse(name)), State.FAILED.value, why, *_NOTHING)
        for name, why in release.missing.items()
    ]
    counts = Counter(each.state for each in units)
    return ReleaseStatus(
        release.name, release.released, tuple(units), {state.value: counts[state.value] for state in State}
    )


_NOTHING = (0.0, "", 0, 0.0, 0.0, (0, 0))


def prioritise(
    release: str, folder: Path | None, priority: float, tiles: Sequence[str], band: str = "", pipeline: str = PIPELINE
) -> tuple[str, ...]:
    """Give stacks (or, without a band, whole tiles) a priority; answers their units. The next run begins with the highest.

    Raises
    ------
    SetupFault
        ``tile.unknown`` for tiles or bands that the release has not; ``release.*``.
    """
    with opened(folder) as house:
        units = chosen_units(house, release, pipeline, tiles, band)
        who = getpass.getuser()
        house.registry.add_metrics(Metric(unit, PRIORITY, priority, "", who) for unit in units)
        told = tuple(str(unit) for unit in units)
        house.registry.event("release.priority", f"priority {priority:g} for {', '.join(told)}", "", {}, who)
    return told


def chosen_units(house: Opened, release: str, pipeline: str, tiles: Sequence[str], band: str) -> list[Unit]:
    """The stacks of a band, or without one the tiles, of those named; all where none is named."""
    plan = planned(house, release, pipeline)
    known = list(by_unit(parts_of(house.registry, plan)))
    for name in tiles:
        if name not in {unit.keys["tile"] for unit in known}:
            raise SetupFault("tile.unknown", f"release {release!r} has no tile {name!r} with anything on it", tile=name)
    grain = Grain.TILE_BAND if band else Grain.TILE
    found = [
        unit
        for unit in known
        if unit.grain is grain and (not tiles or unit.keys["tile"] in tiles) and band_of(unit) == band
    ]
    if not found:
        raise SetupFault("tile.unknown", f"release {release!r} has no stack in band {band!r} there", band=band)
    return found
