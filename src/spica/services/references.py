"""Reference catalogues: taken in, listed, shown, and held against the exposures of the survey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spica.core.faults import SetupFault
from spica.core.reference import declaration
from spica.files.hats import healpix
from spica.files.hats.regions import Polygon
from spica.files.reference import mapping, store
from spica.files.reference.catalogue import ReferenceCatalogue
from spica.files.reference.coverage import Coverage
from spica.files.reference.importing import ImportOrder, take_in
from spica.services import reference_picture
from spica.services.footprints import footprints
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import locate, opened


@dataclass(frozen=True)
class Line:
    """A catalogue in the list.

    Attributes
    ----------
    rows, area, density : rows, square degrees that have any, rows per square degree there.
    bands : with the system of each.
    epoch : Julian years, the first and the last.
    size : bytes on disk.
    checksum : of all rows.
    """

    name: str
    title: str
    rows: int
    bands: dict[str, str]
    epoch: tuple[float, float]
    area: float
    density: float
    size: int
    checksum: str


@dataclass(frozen=True)
class ColumnLine:
    """A column: unit, meaning, the least and the greatest value, and how many rows have none."""

    name: str
    unit: str
    meaning: str
    least: float | None
    greatest: float | None
    missing: int


@dataclass(frozen=True)
class Shown:
    """All about one catalogue; `sources` are name, bytes, rows, checksum; `picture` where it was drawn to."""

    line: Line
    mapping: str
    columns: tuple[ColumnLine, ...]
    sources: tuple[tuple[str, int, int, str], ...]
    rejected: dict[str, int]
    warnings: tuple[str, ...]
    partitions: int
    resolution: float
    picture: str


@dataclass(frozen=True)
class TakenIn:
    """What an import made: the catalogue, whether anything was to do, rows left out by reason, doubts."""

    line: Line
    changed: bool
    mapping: str
    rejected: dict[str, int]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Covered:
    """How much of an exposure a catalogue covers.

    Attributes
    ----------
    exposure : its name.
    fraction : of the area of all its detectors; None where its place on the sky is unknown.
    worst, worst_fraction : the detector that is covered least.
    good : whether that is enough.
    """

    exposure: str
    fraction: float | None
    worst: int | None
    worst_fraction: float | None
    good: bool


@dataclass(frozen=True)
class CoverageReport:
    """Exposures against a catalogue; `resolution` [degree] is the width of the smallest hole that is seen for sure."""

    name: str
    resolution: float
    least: float
    exposures: tuple[Covered, ...]

    @property
    def good(self) -> bool:
        """Whether all exposures are covered."""
        return all(each.good for each in self.exposures)


def bring_in(
    name: str,
    files: Sequence[Path],
    folder: Path | None,
    *,
    using: Path | None = None,
    epoch: float | None = None,
    replace: bool = False,
    add: bool = False,
    watcher: Watcher = unwatched,
) -> TakenIn:
    """Make a reference catalogue of the survey from files; see `spica.files.reference.importing.take_in`."""
    parent = locate(folder).references
    order = ImportOrder(name, tuple(files), using, epoch, replace, add)
    found = take_in(parent, order, lambda file, rows: watcher(Step("rows", rows, 0, file)))
    info = found.info
    return TakenIn(_line(parent, name), found.changed, info.mapping, dict(info.rejected), info.warnings)


def listing(folder: Path | None) -> tuple[Line, ...]:
    """The reference catalogues of the survey, by name."""
    parent = locate(folder).references
    return tuple(_line(parent, name) for name in store.names(parent))


def mappings() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Shipped column mappings: name, title, and the columns that they are recognised by."""
    return tuple((each.name, each.title, each.recognise) for each in mapping.shipped())


def show(name: str, folder: Path | None, picture: Path | None = None) -> Shown:
    """All about one catalogue; a map of its density is drawn where `picture` names a PNG file.

    Raises
    ------
    SetupFault
        ``refcat.unknown``.
    DataFault
        ``refcat.damaged``.
    """
    parent = locate(folder).references
    where = store.folder_of(parent, name)
    info = store.read_info(where)
    catalogue = ReferenceCatalogue(where)
    if picture is not None:
        reference_picture.draw(info, *store.read_density(where), picture)
    columns = tuple(
        ColumnLine(column, declaration(column).unit, declaration(column).meaning, least, greatest, missing)
        for column, least, greatest, missing in catalogue.ranges()
    )
    sources = tuple((each.name, each.size, each.rows, each.checksum) for each in info.sources)
    return Shown(
        *(_line(parent, name), info.mapping, columns, sources, dict(info.rejected), info.warnings),
        *(len(info.partitions), healpix.width(info.order), "" if picture is None else str(picture)),
    )


def coverage(
    name: str, folder: Path | None, where: str = "", least: float = 0.99, watcher: Watcher = unwatched
) -> CoverageReport:
    """Which exposures of the survey reach over the edge of a catalogue, or over a hole in it.

    Parameters
    ----------
    where : of these exposures only.
    least : covered fraction that each detector shall have.

    Raises
    ------
    SetupFault
        ``refcat.unknown``, ``where.invalid``; ``order.nothing`` where no exposure of the sky is selected.
    """
    with opened(folder) as house:
        covering = Coverage(store.folder_of(house.survey.references, name))
        found = []
        for each in footprints(house, where):
            found.append(_covered(covering, each.exposure, each.outlines, least))
            watcher(Step("coverage", len(found), 0, each.exposure))
    if not found:
        raise SetupFault("order.nothing", f"no exposure of the sky where {where or 'anything'}", where=where)
    return CoverageReport(name, covering.resolution, least, tuple(found))


def coverage_of(
    folder: Path, outlines: Sequence[Polygon]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], float]:
    """Covered fraction of each outline by the catalogue in a folder, and the resolution of that [degree]."""
    covering = Coverage(folder)
    return covering.of(outlines), covering.resolution


def _covered(covering: Coverage, exposure: str, outlines: Sequence[tuple[int, Polygon]], least: float) -> Covered:
    if not outlines:
        return Covered(exposure, None, None, None, good=False)
    fractions = covering.of([outline for _, outline in outlines])
    worst = int(np.argmin(fractions))
    lowest = float(fractions[worst])
    return Covered(exposure, float(np.mean(fractions)), outlines[worst][0], lowest, good=lowest >= least)


def _line(parent: Path, name: str) -> Line:
    where = store.folder_of(parent, name)
    info = store.read_info(where)
    return Line(
        *(name, info.title, info.rows, dict(info.bands), info.epochs, info.area, info.rows / info.area),
        *(store.size_of(where), info.checksum),
    )
