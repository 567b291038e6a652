"""A published catalogue taken in: read, converted, judged, sorted by place, written as HATS, and only then put in place."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, SetupFault
from spica.core.reference import REFERENCE_COLUMNS, ReferenceInfo, ReferenceSource, declaration
from spica.files import atomic, checksums
from spica.files.hats import healpix
from spica.files.hats.spilling import Spill, partitions
from spica.files.hats.writing import Writer
from spica.files.reference import mapping, reading, store
from spica.files.reference.converting import REASONS, TWICE, Reader, judge
from spica.files.reference.learning import Learned
from spica.files.reference.mapping import ColumnMapping

LARGEST = 500_000
"""Rows of a partition."""
_ENOUGH = 10
"""Rows that the middle one of the cells holds in which density is told: an empty one is a gap, not chance."""
_COARSEST = 3

Watch = Callable[[str, int], None]
"""Told the name of the file and the rows read so far."""


@dataclass(frozen=True)
class ImportOrder:
    """What to take in.

    Attributes
    ----------
    name : of the catalogue.
    files : tables, or HATS folders.
    mapping : a user's mapping, else the shipped ones are tried.
    epoch : Julian year of rows whose epoch the files do not tell.
    replace, add : what to do where there is a catalogue of that name.
    largest : rows of a partition.
    """

    name: str
    files: tuple[Path, ...]
    mapping: Path | None = None
    epoch: float | None = None
    replace: bool = False
    add: bool = False
    largest: int = LARGEST


@dataclass(frozen=True)
class Imported:
    """The catalogue as it is now, and whether anything was done."""

    info: ReferenceInfo
    changed: bool


def take_in(parent: Path, order: ImportOrder, watch: Watch = lambda *_: None) -> Imported:
    """Make, replace or enlarge a reference catalogue; the same files again are nothing to do.

    Memory does not grow with the number of rows. A kill leaves the old catalogue or none.

    Raises
    ------
    SetupFault
        ``refcat.exists`` where there is one of that name made from other files, ``refcat.mapping``, ``order.invalid``.
    DataFault
        ``refcat.columns``, ``refcat.epoch``, ``refcat.nothing``, ``file.*``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    store.check_name(order.name)
    if order.replace and order.add:
        raise SetupFault("order.invalid", "a catalogue is either replaced or added to, not both")
    with store.alone(parent):
        folder = parent / order.name
        old = store.read_info(folder) if (folder / store.ABOUT).exists() and not order.replace else None
        sums = {path: _checksum(path) for path in dict.fromkeys(order.files)}
        known = {source.checksum for source in old.sources} if old else set()
        fresh = [path for path, value in sums.items() if value not in known]
        if old is not None and not fresh and (order.add or len(known) == len(set(sums.values()))):
            return Imported(old, changed=False)
        if old is not None and not order.add:
            message = f"there is a reference catalogue {order.name!r} made from other files"
            raise SetupFault("refcat.exists", message, name=order.name)
        with atomic.passing_folder(parent, order.name) as passing, atomic.disk_faults(parent):
            made = passing / "made"
            info = _build(made, passing, order, _Input(tuple(fresh), sums, old, folder), watch)
            store.swap(made, folder)
    return Imported(info, changed=True)


@dataclass(frozen=True)
class _Input:
    """New files with their checksums, and the catalogue that they are added to."""

    files: tuple[Path, ...]
    sums: dict[Path, str]
    old: ReferenceInfo | None
    folder: Path


def _checksum(path: Path) -> str:
    """Of a file, or of the files of a HATS folder."""
    if not path.is_dir():
        return checksums.of_file(path)
    state = hashlib.blake2b(digest_size=20)
    for table in reading.open_tables(path):
        state.update(checksums.of_file(table.path).encode())
    return state.hexdigest()


def _build(made: Path, passing: Path, order: ImportOrder, given: _Input, watch: Watch) -> ReferenceInfo:
    known = (mapping.read(order.mapping),) if order.mapping else mapping.shipped()
    readers = [(path, list(_readers(path, known, order.epoch))) for path in given.files]
    chosen = {reader.mapping.name for _, each in readers for reader, _ in each}
    if len(chosen) > 1:
        message = f"these are files of different kinds ({', '.join(sorted(chosen))}): import each kind apart"
        raise SetupFault("order.invalid", message)
    bands = _bands(given, readers)
    everything = [reader for _, each in readers for reader, _ in each]
    columns = _columns(everything, given.old)
    declared = [declaration(name) for name in columns]
    told = all(reader.tells_identifier for reader in everything)
    spill = Spill(passing, declared, identifier="source_id", by_identifier=told)
    rejected: Counter[str] = Counter()
    if given.old is not None:
        rejected.update(given.old.rejected)
        _put_back(spill, given)
    sources = [] if given.old is None else list(given.old.sources)
    for path, each in readers:
        rows = 0
        for chunk in _chunks(each):
            rows += _put_aside(spill, chunk, rejected, numbered=not each[0][0].tells_identifier)
            watch(path.name, spill.rows)
        size = path.stat().st_size if path.is_file() else store.size_of(path)
        sources.append(ReferenceSource(path.name, size, given.sums[path], rows))
    rejected[TWICE] += spill.find_twice()
    rejections = {reason: rejected[reason] for reason in REASONS if rejected[reason]}
    if spill.rows == 0:
        shown = ", ".join(f"{reason}: {number}" for reason, number in rejections.items()) or "the tables are empty"
        message = f"no row of {', '.join(path.name for path in given.files)} can be used ({shown})"
        raise DataFault("refcat.nothing", message, reasons=shown)
    writer, known_of = Writer(made, order.name, declared), Learned()
    for partition in partitions(spill.counts, order.largest):
        rows_of = spill.take(partition)
        if len(rows_of):
            writer.write(partition, rows_of)
            known_of.add(rows_of)
    title = given.old.title if given.old else everything[0].mapping.title
    name = given.old.mapping if given.old else everything[0].mapping.name
    return _describe(writer, known_of, order, (title, name, bands, tuple(sources), rejections))


def _readers(
    path: Path, known: tuple[ColumnMapping, ...], epoch: float | None
) -> Iterator[tuple[Reader, reading.Table]]:
    for table in reading.open_tables(path):
        reader = Reader(mapping.choose(path, table.names, known), table.names, epoch)
        if not reader.tells_epoch:
            message = f"{path}: no column tells the epoch of the positions ({reader.mapping.title})"
            raise DataFault("refcat.epoch", message, path=str(path))
        yield reader, table


def _bands(given: _Input, readers: list[tuple[Path, list[tuple[Reader, reading.Table]]]]) -> dict[str, str]:
    """Bands and their systems; SetupFault ``order.invalid`` where two files do not agree on one."""
    found = dict(given.old.bands) if given.old else {}
    for path, each in readers:
        kept = store.read_info(path).bands if path.is_dir() and (path / store.ABOUT).exists() else {}
        for reader, _ in each:
            for band, spec in reader.bands.items():
                system = kept.get(band, spec.system)
                if found.setdefault(band, system) != system:
                    message = f"{path}: magnitudes in {band} are {system}, those of other files {found[band]}"
                    raise SetupFault("order.invalid", message, band=band)
    return found


def _columns(readers: list[Reader], old: ReferenceInfo | None) -> tuple[str, ...]:
    """All columns that any file fills, ours first, then the magnitudes in the order met."""
    met = dict.fromkeys([*(old.columns if old else ()), *(name for each in readers for name in each.columns)])
    ours = [name for name in REFERENCE_COLUMNS if name in met]
    return tuple(ours + [name for name in met if name not in REFERENCE_COLUMNS])


def _chunks(readers: list[tuple[Reader, reading.Table]]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    for reader, table in readers:
        for chunk in table.chunks(reader.kinds):
            yield reader.convert(chunk)


def _put_back(spill: Spill, given: _Input) -> None:
    """The rows that the catalogue has already."""
    ours = {each.name: each for each in mapping.shipped()}["spica"]
    for table in reading.open_tables(given.folder):
        reader = Reader(ours, table.names)
        for chunk in table.chunks(reader.kinds):
            spill.add(reader.convert(chunk))


def _put_aside(spill: Spill, columns: dict[str, npt.NDArray[Any]], rejected: Counter[str], *, numbered: bool) -> int:
    """Put the usable rows aside and count the others; answers how many were read."""
    size = columns["ra"].size
    bad = judge(columns)
    for reason, rows in bad.items():
        rejected[reason] += int(np.count_nonzero(rows))
    good = ~np.any(list(bad.values()), axis=0)
    usable = {name: values[good] for name, values in columns.items()}
    if numbered:
        usable["source_id"] = spill.rows + 1 + np.arange(usable["ra"].size)
    usable["ra"] = np.where(usable["ra"] == 360.0, 0.0, usable["ra"])
    spill.add(usable)
    return size


def _describe(
    writer: Writer,
    learned: Learned,
    order: ImportOrder,
    about: tuple[str, str, dict[str, str], tuple[ReferenceSource, ...], dict[str, int]],
) -> ReferenceInfo:
    title, mapped, bands, sources, rejected = about
    counts = writer.coarse if writer.fine.full else writer.fine
    depth = counts.order
    while depth > _COARSEST and counts.middle(depth) < _ENOUGH:
        depth -= 1
    cells, inside = counts.cells(depth)
    store.write_density(writer.folder, cells, inside)
    warnings = []
    if learned.right_ascensions[1] < 24.0:
        warnings.append(
            "ra-below-24: all right ascensions are below 24: are they hours? "
            'A mapping with unit = "hourangle" converts them'
        )
    columns = tuple(each.name for each in writer.columns)
    if "ra_err" not in columns:
        warnings.append("position-errors-missing: no column tells how good the positions are")
    info = ReferenceInfo(
        name=order.name,
        title=title,
        mapping=mapped,
        checksum=writer.checksum,
        rows=writer.rows,
        columns=columns,
        bands=bands,
        epochs=learned.epochs,
        largest_motion=learned.motion,
        area=cells.size * healpix.area(depth),
        order=depth,
        partitions=tuple(writer.partitions),
        sources=sources,
        rejected=rejected,
        warnings=tuple(warnings),
    )
    largest = max(each.rows for each in writer.partitions)
    facts: dict[str, str | int | float] = {"hats_max_rows": max(largest, order.largest)}
    writer.finish(facts | {"hats_estsize": math.ceil(store.size_of(writer.folder) / 1024)})
    store.write_info(writer.folder, info)
    return info
