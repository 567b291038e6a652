"""Reference catalogues from online services, around the survey's exposures or a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from spica.core.faults import Fault, SetupFault
from spica.files.hats import healpix
from spica.files.hats.regions import Bounded, Cone, Polygon
from spica.files.reference import store
from spica.intake import online
from spica.services.footprints import footprints
from spica.services.progress import Step, Watcher, unwatched
from spica.services.references import TakenIn, bring_in
from spica.services.surveys import locate, opened

FETCHED = ".fetched"
"""Folder beside the catalogues where answers are kept."""


@dataclass(frozen=True)
class Lost:
    """A cell of the sky that could not be fetched: its centre [degree], and why."""

    ra: float
    dec: float
    code: str
    message: str


@dataclass(frozen=True)
class Fetched:
    """What a fetch made: cells asked for, those that were here already, rows, those lost, and the catalogue."""

    service: str
    cells: int
    kept: int
    rows: int
    lost: tuple[Lost, ...]
    taken: TakenIn | None


def known() -> tuple[tuple[str, str, str], ...]:
    """Services: name, title, address."""
    return tuple((each.name, each.title, each.url) for each in online.services().values())


def fetch(
    name: str,
    service: str,
    folder: Path | None,
    *,
    where: str = "",
    place: tuple[float, float, float] | None = None,
    margin: float = 0.1,
    faintest: float = float("inf"),
    url: str = "",
    watcher: Watcher = unwatched,
) -> Fetched:
    """Fetch a catalogue around exposures (or a place) and take it in; what was fetched before is not asked for again.

    Parameters
    ----------
    name : of the catalogue in the survey; one that is there is added to.
    service : `spica.intake.online.services`.
    where : exposures.
    place : RA, Dec, radius [degree] instead of exposures.
    margin : degrees beyond the detectors.
    faintest : magnitude, in the service's band.
    url : another address of the service.

    Raises
    ------
    SetupFault
        ``online.unknown``, ``order.invalid`` for a bad name, ``program.missing``, ``where.invalid``; ``order.nothing`` where no exposure has a place.
    """
    asked = online.service(service, url)
    store.check_name(name)
    parent = locate(folder).references
    regions: Sequence[Bounded] = [Cone(*place)] if place else _of_exposures(folder, where)
    cells = online.cells_around(regions, margin)
    cache = parent / FETCHED
    kept = sum(online.file_of(cache, asked, int(cell), faintest).exists() for cell in cells)
    files: list[Path] = []
    lost: list[Lost] = []
    for number, cell in enumerate(cells):
        ra, dec = (float(each[0]) for each in healpix.centres(cells[number : number + 1], online.ORDER))
        try:
            files.append(online.fetch(asked, int(cell), faintest, cache))
        except SetupFault:
            raise
        except Fault as fault:
            lost.append(Lost(ra, dec, fault.code, fault.message))
        watcher(Step("cells", number + 1, len(cells), f"RA {ra:.2f}, Dec {dec:+.2f}"))
    filled = [path for path in files if pq.read_metadata(path).num_rows]
    rows = sum(pq.read_metadata(path).num_rows for path in filled)
    taken = None
    if filled:
        add = name in store.names(parent)
        taken = bring_in(name, filled, folder, epoch=asked.epoch, add=add, watcher=watcher)
    return Fetched(service, len(cells), kept, rows, tuple(lost), taken)


def _of_exposures(folder: Path | None, where: str) -> list[Polygon]:
    with opened(folder) as house:
        outlines = [outline for each in footprints(house, where) for _, outline in each.outlines]
    if not outlines:
        message = f"no exposure of the sky where {where or 'anything'} tells its place"
        raise SetupFault("order.nothing", message, where=where)
    return outlines
