"""Removing what a release made of a stack or tile: consumers before makers, the records before the bytes."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import SetupFault
from spica.core.jobs import FIGURES, ProductRecord, maker_of
from spica.core.records import Grain
from spica.files import atomic
from spica.registry.store import Registry
from spica.services.publishing.parts import PIPELINE, band_of, parts_of, planned
from spica.services.surveys import Opened, opened


@dataclass(frozen=True)
class Removed:
    """What was removed (or would be): products by path, in the order in which they go, and their bytes; the units."""

    units: tuple[str, ...]
    paths: tuple[str, ...]
    bytes: int
    done: bool


def remove(
    release: str,
    folder: Path | None,
    *,
    tiles: Sequence[str] = (),
    band: str = "",
    inputs: bool = False,
    dry_run: bool = False,
    pipeline: str = PIPELINE,
) -> Removed:
    """Remove the products of a release's stacks and tiles, and all that was made of them; another run makes them again.

    The registry forgets them first, in one transaction: whoever is killed after that leaves files that `spica check` finds, never
    records of files that are gone. What another release shares with this one (the same stack of the same exposures) goes too.

    Parameters
    ----------
    tiles, band : which; all of the release where neither is told.
    inputs : also the products of exposures that nothing else is made of (never masters, never raw files).
    dry_run : only say what would go.

    Raises
    ------
    SetupFault
        ``release.frozen``, ``tile.unknown``, ``order.nothing``, ``release.*``.
    """
    with opened(folder) as house:
        plan = planned(house, release, pipeline)
        parts = [
            part
            for part in parts_of(house.registry, plan)
            if (not tiles or part.unit.keys["tile"] in tiles) and band in {"", band_of(part.unit)}
        ]
        for name in tiles:
            if not any(part.unit.keys["tile"] == name for part in parts):
                raise SetupFault("tile.unknown", f"release {release!r} has no tile {name!r} with anything on it")
        jobs = _with_consumers(house.registry, [part.job for part in parts])
        found = [record for job in jobs for record in _products(house.registry, job)]
        if inputs:
            found += _inputs(house.registry, jobs)
        if not found:
            raise SetupFault("order.nothing", f"release {release!r} has nothing there that could be removed")
        if not dry_run:
            _remove(house, found)
            told = f"{len(found)} products of release {release} removed"
            units = sorted({str(record.unit) for record in found})
            house.registry.event("release.removed", told, "", {"units": units}, getpass.getuser())
    files = [record for record in found if record.path]
    return Removed(
        tuple(dict.fromkeys(str(record.unit) for record in found)),
        tuple(record.path for record in files),
        sum(record.size for record in files),
        not dry_run,
    )


def _products(registry: Registry, job: str) -> list[ProductRecord]:
    """Products of a job that are still there; no masters, no scratch of others."""
    state = registry.states([job]).get(job)
    return [each for each in state.products if not each.master] if state else []


def _with_consumers(registry: Registry, jobs: Iterable[str]) -> list[str]:
    """Jobs and all that used what they made, the last users first."""
    order: dict[str, None] = {}
    begun: set[str] = set()

    def visit(job: str) -> None:
        if job in begun:
            return
        begun.add(job)
        for record in _products(registry, job):
            if record.name != FIGURES:
                for consumer in registry.consumers_of(record.key):
                    visit(consumer)
        order[job] = None

    for job in jobs:
        visit(job)
    return list(order)


def _inputs(registry: Registry, jobs: Sequence[str]) -> list[ProductRecord]:
    """Products of exposures of which nothing is made but what goes too, nearest first."""
    going, gone = set(jobs), set[str]()
    queue = list(jobs)
    found: list[ProductRecord] = []
    while queue:
        keys = dict.fromkeys(each.key for each in registry.inputs_of(queue.pop(0)) if maker_of(each.key))
        for record in registry.products([key for key in keys if key not in gone]).values():
            users = registry.consumers_of(record.key)
            if (
                record.master
                or record.unit.grain not in _OF_EXPOSURES
                or any(_lives(registry, user, going) for user in users)
            ):
                continue
            gone.add(record.key)
            found.append(record)
            left = [each for each in _products(registry, record.job) if each.path and each.key not in gone]
            if not left and record.job not in going:
                going.add(record.job)
                queue.append(record.job)
    return found


_OF_EXPOSURES = frozenset({Grain.DETECTOR, Grain.EXPOSURE})


def _lives(registry: Registry, job: str, going: set[str]) -> bool:
    """Whether a job stays and has something on disk, for which its inputs were made."""
    if job in going:
        return False
    state = registry.states([job]).get(job)
    return state is not None and any(each.path and not each.scratch for each in state.products)


def _remove(house: Opened, records: Sequence[ProductRecord]) -> None:
    house.registry.forget_products([record.key for record in records])
    for record in records:
        if record.path:
            path = house.survey.path_of(record.path)
            with atomic.disk_faults(path):
                path.unlink(missing_ok=True)
