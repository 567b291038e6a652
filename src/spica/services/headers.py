"""Sky solution, seeing, depth, zero point, grade and release in headers of products, without rewriting pixels."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.keywords import REFRESHED
from spica.core.records import Grain, Scalar, Unit
from spica.core.task import Form
from spica.files import refresh
from spica.files.refresh import Change
from spica.registry.store import Registry
from spica.services import sky
from spica.services.products import latest
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import Opened, opened

VERDICT, GRADES = "verdict", "ABCD"
"""Metric that holds the verdict of the rules (1 is the best) where nobody has graded a unit by hand."""
_BATCH = 64


@dataclass(frozen=True)
class Problem:
    """A product whose header was left as it is, and why."""

    path: str
    code: str
    message: str
    advice: str


@dataclass(frozen=True)
class Refreshed:
    """What came of it: image products looked at, those whose header was written, those that could not be."""

    products: int
    changed: tuple[str, ...]
    problems: tuple[Problem, ...]


def refreshed(
    folder: Path | None,
    *,
    unit: str = "",
    where: str = "",
    release: str | None = None,
    watcher: Watcher = unwatched,
) -> Refreshed:
    """Bring the headers of the latest image products of a unit, or of what a selection takes, up to date.

    Values come from the registry: metrics of the detector, else of its exposure, in the unit that the keyword has; the
    grade from people, else from the verdict. What the registry does not know has no card. Where a joint solution tells where a
    detector lies, its cards take the place of those of SCIENCE.

    Parameters
    ----------
    release : name of the data release that the products belong to; None leaves theirs, '' takes it away.

    Raises
    ------
    SetupFault
        ``order.nothing``, ``order.unknown-unit``, ``order.invalid``, ``where.invalid``.
    ResourceFault
        ``disk.full``, ``disk.read-only``; the same order again goes on from there.
    """
    if release is not None and not (release.isascii() and release.isprintable() and len(release) <= 60):
        raise SetupFault("order.invalid", f"{release!r} is no name of a release: at most 60 printable characters")
    with opened(folder) as house, _alone(house.survey.root):
        _bring_to_its_end(house)
        found = latest(house.registry, unit, where)
        images = [each for each in found.values() if each.form is Form.IMAGE]
        if not images:
            raise SetupFault("order.nothing", f"there is no image product of {unit or where or 'this survey'}")
        changed: list[str] = []
        problems: list[Problem] = []
        for first in range(0, len(images), _BATCH):
            batch = images[first : first + _BATCH]
            changes = list(_changes(house, batch, release, problems))
            if changes:
                refresh.begin(house.survey.root, changes)
                _bring_to_its_end(house)
                changed += [each.path for each in changes]
            watcher(Step("headers", first + len(batch), len(images), batch[-1].path))
        if changed:
            told = {"unit": unit, "where": where, "release": release, "files": len(changed)}
            house.registry.event("header.refresh", f"{len(changed)} headers refreshed", unit, told)
    return Refreshed(len(images), tuple(changed), tuple(problems))


def _bring_to_its_end(house: Opened) -> None:
    """Write and record what the journal says, from this run or from one that was killed."""
    checksums = refresh.finish(house.survey.root)
    if checksums:
        house.registry.rewritten_products(checksums)
    refresh.end(house.survey.root)


def _changes(
    house: Opened, products: list[ProductRecord], release: str | None, problems: list[Problem]
) -> Iterator[Change]:
    root = house.survey.root
    for product in products:
        try:
            values = values_of(house.registry, product.unit)
            values["RELEASE"] = refresh.cards_of(root / product.path).get("RELEASE") if release is None else release
            change = refresh.change(
                *(root, product.path, product.key, product.checksum, values), sky.cards_of(house.registry, product.unit)
            )
        except DataFault as fault:
            problems.append(Problem(product.path, fault.code, fault.message, fault.advice))
            continue
        if change is not None:
            yield change


def values_of(registry: Registry, unit: Unit) -> dict[str, Scalar]:
    """What the registry knows of a unit under the refreshed keywords, RELEASE apart."""
    units = [unit]
    if unit.grain is Grain.DETECTOR:
        units.append(Unit(Grain.EXPOSURE, unit.values[:1]))
    values: dict[str, Scalar] = {}
    for each in units:
        metrics = {metric.name: metric for metric in registry.metrics_of(each)}
        for name, keyword in REFRESHED.items():
            metric = metrics.get(keyword.metric)
            if metric is not None and metric.units == keyword.unit and metric.value == metric.value:
                rounded = float(f"{metric.value:.6g}")
                values.setdefault(name, bool(rounded) if keyword.kind == "bool" else rounded)
        grades = [note.text for note in registry.notes_of(each) if note.kind == "grade" and note.text]
        verdict = metrics.get(VERDICT)
        if grades:
            values.setdefault("GRADE", grades[-1])
        elif verdict is not None and verdict.value in range(1, len(GRADES) + 1):
            values.setdefault("GRADE", GRADES[int(verdict.value) - 1])
    return values


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One process at a time refreshes headers of a survey; a second one waits."""
    with (root / f"{refresh.JOURNAL}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
