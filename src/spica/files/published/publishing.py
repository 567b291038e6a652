"""The objects of tiles as one catalogue: each place once, sorted by place, in the layout of HATS.

Memory does not grow with the number of objects. The same catalogues give the same bytes, in whatever order they are named.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault, SetupFault
from spica.files import atomic
from spica.files.catalogues import read_columns, read_header, read_parts
from spica.files.hats.spilling import Spill, partitions
from spica.files.hats.writing import Writer
from spica.files.published.seams import Seam, seams
from spica.files.published.store import PublishedInfo, write_info

IDENTIFIER, OWN, TILE = "object_id", "own", "tile"
LARGEST = 200_000
"""Rows of a partition."""
ROW_GROUP = 1 << 11
"""Rows that a look-up reads at least: a catalogue of objects has many columns."""

Watch = Callable[[str, int], None]
"""Told the name of the tile and the rows written aside so far."""


@dataclass(frozen=True)
class _Input:
    """The catalogue of a tile."""

    path: Path
    tile: str
    bands: tuple[str, ...]
    columns: tuple[Column, ...]


def publish_objects(
    catalogues: Iterable[Path],
    folder: Path,
    *,
    name: str,
    title: str = "",
    facts: Mapping[str, str | int | float] | None = None,
    largest: int = LARGEST,
    watch: Watch = lambda *_: None,
) -> PublishedInfo:
    """Write the objects that tiles own as one catalogue.

    Parameters
    ----------
    catalogues : files of the product `objects`, one a tile.
    folder : where; made as a whole, or not at all.
    name, title : of the catalogue: letters, digits and ``_.+-``, and what it is in words.
    facts : further properties, such as ``obs_release_date``.
    largest : rows of a partition, unless its cell is of order 10.

    Returns
    -------
    PublishedInfo : rows, tiles, columns; what was left out.

    Raises
    ------
    SetupFault
        ``published.exists`` where the folder holds anything; ``order.invalid`` where two catalogues are of one tile.
    DataFault
        ``published.columns`` where tiles do not agree on a column; ``published.nothing``; ``file.*`` of catalogues.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SetupFault("published.exists", f"{folder} holds something already", path=str(folder))
    given = _inputs(catalogues)
    columns = _columns(given)
    with atomic.passing_folder(folder.parent, folder.name) as passing, atomic.disk_faults(folder):
        spill = Spill(passing, columns, identifier=IDENTIFIER, by_identifier=True)
        owned, others, same = {}, 0, 0
        decided = seams({each.tile: each.path for each in given})
        for each in given:
            seam = decided[each.tile]
            owned[each.tile], left = _put_aside(spill, each, seam)
            others += left - seam.left.size
            same += seam.left.size
            watch(each.tile, spill.rows)
        if not spill.rows:
            message = f"none of {len(given)} catalogues has an object that its tile owns"
            raise DataFault("published.nothing", message, path=str(folder))
        twice = same + spill.find_twice()
        made = passing / "made"
        writer = Writer(made, name, columns, ROW_GROUP)
        for partition in partitions(spill.counts, largest):
            rows = spill.take(partition)
            if len(rows):
                writer.write(partition, rows)
        info = PublishedInfo(
            name=name,
            title=title,
            checksum=writer.checksum,
            rows=writer.rows,
            columns=columns,
            partitions=tuple(writer.partitions),
            tiles=owned,
            bands=tuple(dict.fromkeys(band for each in given for band in each.bands)),
            not_own=others,
            twice=twice,
        )
        told: dict[str, str | int | float] = {"obs_title": title} if title else {}
        told["hats_max_rows"] = max(each.rows for each in writer.partitions)
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        writer.finish(told | {"hats_estsize": math.ceil(size / 1024)} | dict(facts or {}))
        write_info(made, info)
        if folder.exists():
            folder.rmdir()
        shutil.move(made, folder)
    return info


def _inputs(catalogues: Iterable[Path]) -> list[_Input]:
    """The catalogues by the names of their tiles, which no two share."""
    found: dict[str, _Input] = {}
    for path in catalogues:
        header = read_header(path)
        columns = read_columns(path)
        lacking = {IDENTIFIER, OWN, "ra", "dec"} - {each.name for each in columns}
        if lacking or "TILE" not in header:
            what = f"column {min(lacking)!r}" if lacking else "the name of its tile"
            message = f"{path} is no catalogue of a tile's objects: it lacks {what}"
            raise DataFault("published.columns", message, path=str(path))
        tile = str(header["TILE"])
        if tile in found:
            message = f"{path} and {found[tile].path} are both of tile {tile!r}"
            raise SetupFault("order.invalid", message, path=str(path), tile=tile)
        found[tile] = _Input(path, tile, tuple(str(header.get("BANDS", "")).split()), columns)
    return [found[tile] for tile in sorted(found)]


def _columns(given: list[_Input]) -> tuple[Column, ...]:
    """Identifier, tile, and all columns that any tile has, in the order met; `own` is 1 for all and left out."""
    met: dict[str, tuple[Column, _Input]] = {}
    for each in given:
        for column in each.columns:
            before, where = met.setdefault(column.name, (column, each))
            if (before.dtype, before.size, before.unit) != (column.dtype, column.size, column.unit):
                kinds = [f"{one.dtype} [{one.unit}] × {one.size}" for one in (column, before)]
                message = f"column {column.name!r} is {kinds[0]} in tile {each.tile}, {kinds[1]} in {where.tile}"
                raise DataFault("published.columns", message, path=str(each.path), column=column.name)
    everywhere = set.intersection(*({column.name for column in each.columns} for each in given)) if given else set()
    width = max((len(each.tile.encode()) for each in given), default=1)
    tile = Column(TILE, f"S{width}", "", "meta.id;obs.field", "tile of the release that owns the object")
    first = [met[IDENTIFIER][0], tile] if given else [tile]
    rest = [
        column if name in everywhere or column.dtype[0] == "f" else _partial(column)
        for name, (column, _) in met.items()
        if name not in {IDENTIFIER, TILE, OWN}
    ]
    return (*first, *rest)


def _partial(column: Column) -> Column:
    return replace(column, meaning=f"{column.meaning}; -1 where the tile lacks it")


def _put_aside(spill: Spill, given: _Input, seam: Seam) -> tuple[int, int]:
    """Put the rows that the tile owns aside, as its seams have it; answers how many they are, and how many are not told."""
    own_rows = others = start = 0
    for part in read_parts(given.path):
        own = part[OWN] == 1
        for rows, whose in ((seam.left, False), (seam.taken, True)):
            own[rows[(rows >= start) & (rows < start + len(part))] - start] = whose
        start += len(part)
        count = int(np.count_nonzero(own))
        others += len(part) - count
        own_rows += count
        spill.add(_named(part, own, given.tile))
    return own_rows, others


def _named(part: Catalogue, own: np.ndarray, tile: str) -> dict[str, np.ndarray]:
    columns = {name: values[own] for name, values in part.columns.items() if name != OWN}
    columns["ra"] = np.where(columns["ra"] == 360.0, 0.0, columns["ra"])
    return columns | {TILE: np.full(int(np.count_nonzero(own)), tile.encode())}
