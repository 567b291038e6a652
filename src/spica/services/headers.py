"""Sky solution, seeing, depth, zero point, grade and release in headers of products, without rewriting pixels."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.keywords import REFRESHED
from spica.core.records import Grain, Scalar, Unit
from spica.core.task import Form
from spica.core.verdict import Figure
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
            values |= released_as(root / product.path) if release is None else {"RELEASE": release}
            change = refresh.change(
                *(root, product.path, product.key, product.checksum, values), sky.cards_of(house.registry, product.unit)
            )
        except DataFault as fault:
            problems.append(Problem(product.path, fault.code, fault.message, fault.advice))
            continue
        if change is not None:
            yield change


def values_of(registry: Registry, unit: Unit) -> dict[str, Scalar]:
    """What the registry knows of a unit under the refreshed keywords, those of its release apart."""
    units = [unit]
    if unit.grain is Grain.DETECTOR:
        units.append(Unit(Grain.EXPOSURE, unit.values[:1]))
    values: dict[str, Scalar] = {}
    for each in units:
        metrics = {metric.name: metric for metric in registry.metrics_of(each)}
        values = carded(metrics) | values
        grades = [note.text for note in registry.notes_of(each) if note.kind == "grade" and note.text]
        verdict = metrics.get(VERDICT)
        if grades:
            values.setdefault("GRADE", grades[-1])
        elif verdict is not None and verdict.value in range(1, len(GRADES) + 1):
            values.setdefault("GRADE", GRADES[int(verdict.value) - 1])
    return values


def carded(figures: Mapping[str, Figure]) -> dict[str, Scalar]:
    """Figures under the refreshed keywords, where they have the unit that the keyword has."""
    values: dict[str, Scalar] = {}
    for name, keyword in REFRESHED.items():
        figure = figures.get(keyword.metric)
        if figure is not None and figure.units == keyword.unit and figure.value == figure.value:
            rounded = float(f"{figure.value:.6g}")
            values[name] = bool(rounded) if keyword.kind == "bool" else rounded
    return values


def released_as(path: Path) -> dict[str, Scalar]:
    """Of which release a file says that it is, with the dates of that."""
    return {name: value for name, value in refresh.cards_of(path).items() if REFRESHED[name].metric == "release"}


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One process at a time refreshes headers of a survey; a second one waits."""
    with (root / f"{refresh.JOURNAL}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
