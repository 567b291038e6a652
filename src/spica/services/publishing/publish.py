"""Publishing a release: its files under one stable path with their history, dates in their headers, and no change thereafter."""

from __future__ import annotations

import datetime as dt
import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spica import __version__
from spica.core.faults import DataFault, ResourceFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.records import Scalar, Unit
from spica.core.release import Release
from spica.core.task import Form
from spica.core.tiles import Tile
from spica.engine.plan import Plan
from spica.files import atomic, checksums, frozen, refresh, releases, storage
from spica.files.catalogues import read_catalogue
from spica.files.frozen import Frozen, PublishedFile, PublishedUnit
from spica.pipelines.graph import chains
from spica.services import bright
from spica.services.headers import carded
from spica.services.progress import Step, Watcher, unwatched
from spica.services.publishing import history, skies
from spica.services.publishing.parts import (
    PIPELINE,
    Part,
    State,
    band_of,
    by_unit,
    exposures_of,
    parts_of,
    planned,
    state_of,
)
from spica.services.publishing.status import grade_of
from spica.services.surveys import Opened, locate, opened

READ_ONLY = 0o444
BRIGHT = "bright_stars"
"""Product that circles are written of."""


@dataclass(frozen=True)
class Dates:
    """When a release is closed, and from when everybody may have it."""

    released: dt.date
    public: dt.date


@dataclass(frozen=True)
class Published:
    """What was published: where, how many units, files and bytes; units that it lacks, and why; who was told."""

    release: str
    folder: Path
    units: int
    files: int
    bytes: int
    missing: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[str, ...] = ()


def publish(
    release: str,
    folder: Path | None,
    dates: Dates,
    *,
    incomplete: bool = False,
    pipeline: str = PIPELINE,
    watcher: Watcher = unwatched,
) -> Published:
    """Close a release: copy its products to ``published/NAME`` and freeze it.

    Parameters
    ----------
    incomplete : publish although some stacks were not made; they are told in the manifest.

    Raises
    ------
    SetupFault
        ``release.frozen``, ``release.incomplete``, ``release.*``; ``order.invalid`` for dates that cannot be.
    DataFault
        ``file.corrupt``, ``file.missing`` where a product has other bytes than recorded; nothing is published then.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    if dates.public < dates.released:
        raise SetupFault("order.invalid", f"public from {dates.public}, before it is released on {dates.released}")
    with opened(folder) as house:
        return closed(house, planned(house, release, pipeline), dates, incomplete=incomplete, watcher=watcher)


def closed(
    house: Opened, plan: Plan, dates: Dates, *, incomplete: bool = False, watcher: Watcher = unwatched
) -> Published:
    """As `publish`, of the release that a plan is of."""
    survey = house.survey
    given = releases.load(survey, plan.order.release)
    frozen.refuse_frozen(survey, given.name)
    units = by_unit(parts_of(house.registry, plan))
    missing = _missing(given.name, plan, units, incomplete=incomplete)
    whole = {unit: parts for unit, parts in units.items() if str(unit) not in missing}
    _refuse_small_disk(survey.root, whole)
    atomic.sweep(survey.folder("published"))
    with atomic.passing_folder(survey.folder("published"), given.name) as passing:
        place = passing / given.name
        made = _write(_Book(house, plan, given, dates, place), whole, watcher)
        manifest = Frozen(
            name=given.name,
            title=given.title,
            released=dates.released.isoformat(),
            public=dates.public.isoformat(),
            owners=given.owners,
            spica=__version__,
            pipeline=plan.order.pipeline.name,
            tasks=_tasks(plan),
            asked=given.model_dump(mode="json", exclude_defaults=True),
            units=made,
            missing=missing,
            more=skies.show(_sky(place, given, dates, whole, made), watcher),
        )
        _close(place, manifest, frozen.folder_of(survey, given.name))
    size = sum(file.size for file in manifest.files())
    _tell(house, manifest, size)
    number = sum(1 for _ in manifest.files())
    return Published(given.name, frozen.folder_of(survey, given.name), len(made), number, size, missing, given.owners)


def _missing(name: str, plan: Plan, units: Mapping[Unit, Sequence[Part]], *, incomplete: bool) -> dict[str, str]:
    """Units that are not completed, and why; SetupFault ``release.incomplete`` unless that is allowed."""
    found = {}
    for unit, parts in units.items():
        state, why = state_of(parts)
        if state is not State.COMPLETED:
            found[str(unit)] = f"{state}: {why}"
    waiting = [chain.label for chain in plan.waiting]
    if not units or waiting:
        what = f"steps {', '.join(waiting)} wait for others" if waiting else "it has no stacks"
        raise SetupFault("release.incomplete", f"release {name!r} is not made: {what}")
    if found and (not incomplete or len(found) == len(units)):
        # One that failed says more than those that wait for it.
        one, why = max(found.items(), key=lambda item: item[1].startswith(State.FAILED))
        message = f"{len(found)} of {len(units)} stacks and tiles are not completed, for one {one}: {why}"
        raise SetupFault("release.incomplete", message, release=name)
    return found


def _refuse_small_disk(root: Path, units: Mapping[Unit, Sequence[Part]]) -> None:
    copied = sum(product.size for parts in units.values() for part in parts for product in part.products)
    shown = skies.room_for(units)
    needed, free = copied + shown, atomic.free_space(root)
    if free < 1.05 * needed:
        message = (
            f"{needed / 1e9:.1f} GB are to be published, {shown / 1e9:.1f} of them objects and HiPS, "
            f"{free / 1e9:.1f} GB are free on the disk of {root}"
        )
        raise ResourceFault("disk.full", message, path=str(root))


@dataclass(frozen=True)
class _Book:
    """What is written, and where."""

    house: Opened
    plan: Plan
    release: Release
    dates: Dates
    place: Path


def _write(book: _Book, units: Mapping[Unit, Sequence[Part]], watcher: Watcher) -> tuple[PublishedUnit, ...]:
    historian = history.Historian(book.house.registry, book.release, book.plan.left)
    made = []
    for number, (unit, parts) in enumerate(units.items()):
        watcher(Step("publishing", number, len(units), str(unit)))
        made.append(_write_unit(book, historian, unit, parts))
    watcher(Step("publishing", len(units), len(units)))
    return tuple(made)


def _write_unit(book: _Book, historian: history.Historian, unit: Unit, parts: Sequence[Part]) -> PublishedUnit:
    """Files of one stack or tile in a folder of its own, and its history beside them."""
    grade = grade_of(book.house.registry, unit)
    figures = {name: each for part in parts for name, each in part.figures.items()}
    cards: dict[str, Scalar] = {
        **carded({name: figure for name, (figure, _) in figures.items()}),
        "RELEASE": book.release.name,
        "DATE-REL": book.dates.released.isoformat(),
        "DATE-PUB": book.dates.public.isoformat(),
    }
    if grade:
        cards["GRADE"] = grade
    where = "/".join(["stacks", unit.keys["tile"], band_of(unit) or "all"])
    files = [
        _copy(book, product, f"{where}/{_name(unit, product)}", cards) for part in parts for product in part.products
    ]
    files += _circles(book.place, where, [file for file in files if file.product == BRIGHT])
    told = historian.history(unit, parts)
    (book.place / where).mkdir(parents=True, exist_ok=True)
    texts = {
        frozen.HISTORY: json.dumps(told, indent=1, sort_keys=True) + "\n",
        frozen.STORY: history.told(told, [Path(file.path).name for file in files]),
    }
    for name, text in texts.items():
        (book.place / where / name).write_text(text, encoding="utf-8")
        files.append(_taken(book.place, f"{where}/{name}"))
    plain = {name: (figure.value, figure.units, step) for name, (figure, step) in figures.items()}
    number, time = exposures_of(parts)
    return PublishedUnit(str(unit), tuple(part.job for part in parts), plain, tuple(files), number, time, grade)


def _sky(
    place: Path,
    release: Release,
    dates: Dates,
    units: Mapping[Unit, Sequence[Part]],
    made: Sequence[PublishedUnit],
) -> skies.Sky:
    """What of the published files is shown as a whole."""
    tiles = {str(unit): parts[0].tile for unit, parts in units.items()}
    stacks: dict[str, list[tuple[Path, Tile | None]]] = {}
    objects = []
    for each in made:
        for file in each.files:
            if file.product == skies.STACK:
                band = band_of(Unit.parse(each.unit))
                stacks.setdefault(band, []).append((place / file.path, tiles[each.unit]))
            elif file.product == skies.OBJECTS:
                objects.append(place / file.path)
    return skies.Sky(place, release.name, release.title, dates.released.isoformat(), stacks, objects)


def _name(unit: Unit, product: ProductRecord) -> str:
    """``TILE_BAND_PRODUCT.fits``: no key of a job, for the path has to stay."""
    stem = "_".join(value.replace("/", "-") or "none" for value in unit.values)
    return f"{stem}_{product.name}{Path(product.path).suffix}"


def _copy(book: _Book, product: ProductRecord, path: str, cards: Mapping[str, Scalar]) -> PublishedFile:
    source, target = book.house.survey.path_of(product.path), book.place / path
    storage.copy(source, target)
    if checksums.of_file(target) != product.checksum:
        message = f"{product.path} has other bytes than recorded"
        raise DataFault("file.corrupt", message, advice="'spica check --deep', then run it again", path=product.path)
    checksum = product.checksum
    if product.form is Form.IMAGE:
        kept = {
            name: value for name, value in refresh.cards_of(target).items() if name not in cards and name != "GRADE"
        }
        change = refresh.change(book.place, path, product.key, checksum, {**kept, **cards})
        if change is not None:
            refresh.apply(target, change.pieces)
            checksum = change.after
    return PublishedFile(path, target.stat().st_size, checksum, product.name)


def _circles(place: Path, where: str, tables: Sequence[PublishedFile]) -> list[PublishedFile]:
    """Circles about bright stars as regions of DS9 and as a map of coverage, beside their table."""
    made = []
    for table in tables:
        stars = read_catalogue(place / table.path)
        ra, dec, radius, magnitude = (stars[name].astype(np.float64) for name in ("ra", "dec", "radius", "mag"))
        for ending in (bright.REGIONS, "_moc.fits"):
            path = f"{where}/{Path(table.path).stem}{ending}"
            bright.write(
                place / path, (ra, dec, radius / 3600.0, magnitude), str(stars.header.get("STARBAND") or "none")
            )
            made.append(_taken(place, path))
    return made


def _taken(folder: Path, path: str) -> PublishedFile:
    return PublishedFile(path, (folder / path).stat().st_size, checksums.of_file(folder / path))


def _tasks(plan: Plan) -> dict[str, int]:
    """Versions of the tasks of all steps."""
    return {step.label: step.task.version for chain in chains(plan.order.pipeline) for step in chain.steps}


def _close(place: Path, manifest: Frozen, target: Path) -> None:
    """Write the manifest, take away everybody's right to write, and give the folder its name."""
    with atomic.disk_faults(place):
        frozen.write(place, manifest)
        for path in place.rglob("*"):
            if path.is_file():
                path.chmod(READ_ONLY)
        place.rename(target)


def _tell(house: Opened, manifest: Frozen, size: int) -> None:
    """The event that the release was published; whoever is an owner is told by name."""
    who = getpass.getuser()
    told = f"release {manifest.name} was published: {len(manifest.units)} stacks and tiles, {size / 1e9:.2f} GB"
    details: dict[str, Any] = {"public": manifest.public, "missing": dict(manifest.missing)}
    for owner in manifest.owners or ("",):
        house.registry.event("release.published", told, "", details | ({"owner": owner} if owner else {}), who)


@dataclass(frozen=True)
class Verified:
    """A published release read again: how many files it has, and what is wrong with which."""

    release: str
    files: int
    damaged: Mapping[str, str]


def verify(release: str, folder: Path | None, watcher: Watcher = unwatched) -> Verified:
    """Read every file of a published release and compare it with the manifest; needs no registry.

    Raises
    ------
    SetupFault
        ``release.unpublished``, ``release.*``.
    DataFault
        ``file.corrupt`` where the manifest cannot be read.
    """
    survey = locate(folder)
    name = releases.load(survey, release).name
    manifest = frozen.read(survey, name)
    total = sum(1 for _ in manifest.files())
    found: dict[str, str] = {}
    for number, (path, what) in enumerate(frozen.damaged(survey, manifest)):
        watcher(Step("reading", number, total, path))
        if what:
            found[path] = what
    return Verified(name, total, found)
