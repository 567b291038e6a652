"""Questions to published catalogues: what there is, the objects about a place, parts of them in other forms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Column
from spica.core.faults import SetupFault
from spica.core.records import Scalar
from spica.files import transfer
from spica.files.hats.moc_files import read_moc
from spica.files.hats.regions import Box, Cone, Region, vectors
from spica.files.published import exporting
from spica.files.published.catalogue import PublishedCatalogue
from spica.files.published.store import KIND
from spica.services.surveys import locate

SEPARATION = Column("separation", "f8", "arcsec", "pos.angDistance", "distance from the middle of the cone")


@dataclass(frozen=True)
class Published:
    """What a published catalogue is.

    Attributes
    ----------
    rows, partitions, tiles : how many.
    size : bytes on disk.
    columns : name, type, unit, UCD, meaning.
    not_own, twice : rows of tiles that were left out: another tile's, and those met twice on a seam.
    """

    name: str
    title: str
    folder: Path
    rows: int
    partitions: int
    tiles: int
    bands: tuple[str, ...]
    size: int
    checksum: str
    columns: tuple[tuple[str, str, str, str, str], ...]
    not_own: int
    twice: int


@dataclass(frozen=True)
class Found:
    """Objects about a place, the nearest first: columns with `separation` [arcsec] as the last."""

    catalogue: str
    columns: tuple[Column, ...]
    values: dict[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.values[SEPARATION.name])

    def rows(self, most: int | None = None) -> list[dict[str, Any]]:
        """Row by row, as plain values; the first `most` of them."""
        part = {name: values[:most].tolist() for name, values in self.values.items()}
        return [dict(zip(part, row, strict=True)) for row in zip(*part.values(), strict=True)]


@dataclass(frozen=True)
class Written:
    """What was written out."""

    path: Path
    rows: int


def open_catalogue(folder: Path | None, release: str, survey: Path | None) -> PublishedCatalogue:
    """The catalogue in a folder, or of a published release of the survey (the only one where none is named).

    Raises
    ------
    SetupFault
        ``published.unknown``, ``order.invalid`` where both are named, ``survey.*``.
    DataFault
        ``published.damaged``.
    """
    if folder is not None:
        if release:
            raise SetupFault("order.invalid", "name the catalogue by its folder or by its release, not by both")
        return PublishedCatalogue(folder)
    parent = locate(survey).folder("published")
    known = sorted(path.parent.parent.name for path in parent.glob(f"*/{KIND}/spica.json"))
    if not release and len(known) == 1:
        release = known[0]
    if release not in known:
        there = f"there are {', '.join(known)}" if known else f"{parent} holds none"
        asked = f"no release {release!r} is published" if release else "which release?"
        raise SetupFault("published.unknown", f"{asked}; {there}", path=str(parent))
    return PublishedCatalogue(parent / release / KIND)


def show(catalogue: PublishedCatalogue) -> Published:
    """What a catalogue is."""
    info, folder = catalogue.info, catalogue.folder
    return Published(
        name=info.name,
        title=info.title,
        folder=folder,
        rows=info.rows,
        partitions=len(info.partitions),
        tiles=len(info.tiles),
        bands=info.bands,
        size=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        checksum=info.checksum,
        columns=tuple((each.name, each.dtype, each.unit, each.ucd, each.meaning) for each in info.columns),
        not_own=info.not_own,
        twice=info.twice,
    )


def cone(catalogue: PublishedCatalogue, place: Cone, columns: Sequence[str] = (), where: str = "") -> Found:
    """Objects in a cone; errors as `spica.files.published.catalogue.PublishedCatalogue.find`."""
    wanted = tuple(columns) or catalogue.info.names
    found = catalogue.find(place, tuple(dict.fromkeys((*wanted, "ra", "dec"))), where)
    apart = separation(place, found)
    order = np.argsort(apart, kind="stable")
    values = {name: found[name][order] for name in wanted} | {SEPARATION.name: apart[order]}
    return Found(catalogue.info.name, (*(found.declaration(name) for name in wanted), SEPARATION), values)


def as_csv(found: Found) -> str:
    """Objects as CSV; a column with several values has one for each."""
    return transfer.csv_bytes(found.values).decode()


def separation(place: Cone, found: Catalogue) -> npt.NDArray[np.float64]:
    """Distances from the middle of a cone [arcsec], exact for small ones."""
    chord = np.linalg.norm(vectors(found["ra"], found["dec"]) - vectors(place.ra, place.dec), axis=-1)
    return np.asarray(np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1.0))) * 3600.0)


def export(
    catalogue: PublishedCatalogue,
    path: Path,
    region: Region | None = None,
    columns: Sequence[str] = (),
    where: str = "",
) -> Written:
    """Write a catalogue, or the part of it in a region, as FITS, VOTable, CSV or Parquet by the ending of the name.

    Raises
    ------
    SetupFault
        ``order.invalid`` for another ending or a column that is not there, ``where.invalid``.
    DataFault
        ``published.damaged``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    exporting.check_name(path)
    names = tuple(dict.fromkeys(columns)) or catalogue.info.names
    parts = catalogue.parts(region, names, where)
    # The first part is made now: an order without sense is refused before a file is begun.
    first = list(itertools.islice(parts, 1))
    declared = {each.name: each for each in catalogue.info.columns}
    facts: dict[str, Scalar] = {"CATALOG": catalogue.info.name, "CATSUM": catalogue.info.checksum}
    rows = exporting.write(path, itertools.chain(first, parts), [declared[name] for name in names], facts)
    return Written(path, rows)


def region(
    cone: tuple[float, float, float] | None,
    box: tuple[tuple[float, float], tuple[float, float]] | None,
    moc: Path | None,
) -> Region | None:
    """The part of the sky that is named [degree], None without any; SetupFault ``order.invalid``, ``moc.invalid``."""
    if cone is not None:
        return Cone(*cone)
    if box is not None:
        return Box(*box)
    return read_moc(moc) if moc is not None else None


def circle(ra: float, dec: float, radius: float) -> Cone:
    """A cone on the sky [degree]; SetupFault ``order.invalid``."""
    return Cone(ra, dec, radius)
