"""Taking in what was delivered: many records in one transaction, each judged against what is known.

Everything that judging needs is read at once for the whole batch (`Known`), judging is plain Python, and all rows
are written together: a mosaic of 62 detectors costs a dozen statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import CompoundSelect, Connection, Select, select, union

from spica.core.camera import AmplifierSpec
from spica.core.faults import DataFault, InternalFault
from spica.core.records import Detector, Exposure, FileRecord, IngestRecord
from spica.registry import ask, forms
from spica.registry.door import Door
from spica.registry.recording import Taken, write
from spica.registry.rows import Added, AddStatus
from spica.registry.schema import copies, detectors, exposures, files

FILE_CHANGED = "file.changed"
_MJD_TOLERANCE = 1.0 / 86400.0
_TIME_TOLERANCE = 0.1
"""Files of one exposure may tell its start within a second and its length within 0.1 s (shutters are curtains)."""


@dataclass
class Known:
    """What the registry knows about a batch, kept up to date while the batch is judged.

    `files`: checksums; `places`: (area, path) to checksum; `origins`: origin to checksum; `names`: exposure id to name;
    `exposures`: by name; `detectors`: those that the batch speaks of; `paths`: checksum to path; `holders`: checksum
    of a detector's main file to its exposure.
    """

    files: set[str]
    places: dict[tuple[str, str], str]
    origins: dict[str, str]
    names: dict[int, str]
    exposures: dict[str, Exposure]
    detectors: dict[tuple[str, int], Detector]
    paths: dict[str, str]
    holders: dict[str, str]


def add_many(door: Door, records: Sequence[IngestRecord]) -> list[Added]:
    """Record a batch in one transaction; a record at fault is answered as refused and does not stop the rest."""
    with door.write() as connection:
        door.lock_intake(connection)
        known = look_up(door, connection, records)
        taken = Taken()
        answers = [_judge(record, known, taken) for record in records]
        write(door, connection, taken)
    return answers


def _judge(record: IngestRecord, known: Known, taken: Taken) -> Added:
    try:
        return decide(record, known, taken)
    except (DataFault, InternalFault) as fault:
        if record.exposure.name in known.exposures:
            taken.faults.append((record.exposure.name, fault.record()))
        return Added(AddStatus.REFUSED, record.exposure.name, _numbers(record), fault.record())


def _numbers(record: IngestRecord) -> tuple[int, ...]:
    return tuple(detector.detector for detector in record.detectors)


def decide(record: IngestRecord, known: Known, taken: Taken) -> Added:
    """What becomes of one record; known and taken are brought up to date."""
    file, exposure = record.file, record.exposure
    forms.exposure_facts(exposure)
    if file.checksum in known.files:
        _note_copy(file, known, taken)
        return Added(AddStatus.KNOWN, exposure.name, _numbers(record))
    before = known.places.get((file.area, file.path)) or (known.origins.get(file.origin) if file.origin else None)
    if before is not None:
        return _changed(record, before, known, taken)
    clash = known.names.get(exposure.id)
    if clash is not None and clash != exposure.name:
        raise InternalFault(
            "exposure.id-clash",
            f"exposures {clash} and {exposure.name} have the same identifier {exposure.id}",
            first=clash,
            second=exposure.name,
        )
    status = AddStatus.NEW
    if exposure.name in known.exposures:
        _check_agreement(known.exposures[exposure.name], record, known)
        status = AddStatus.COMPLETED
    placed = [_place(detector, record, known) for detector in record.detectors]
    known.names[exposure.id] = exposure.name
    if status is AddStatus.NEW:
        known.exposures[exposure.name] = taken.exposures[exposure.name] = exposure
    for detector in placed:
        key = (detector.exposure, detector.detector)
        known.detectors[key] = taken.detectors[key] = detector
        known.holders[detector.file] = exposure.name
    known.files.add(file.checksum)
    taken.files[file.checksum] = file
    if record.headers:
        taken.headers[file.checksum] = record.headers
    _note_copy(file, known, taken)
    return Added(status, exposure.name, _numbers(record))


def _note_copy(file: FileRecord, known: Known, taken: Taken) -> None:
    place = (file.area, file.path)
    known.paths.setdefault(file.checksum, file.path)
    if known.places.setdefault(place, file.checksum) == file.checksum:
        taken.copies[place] = file
    if file.origin:
        known.origins[file.origin] = file.checksum


def _changed(record: IngestRecord, before: str, known: Known, taken: Taken) -> Added:
    """The same path with other bytes: the old record stands, the fault says so."""
    holder = known.holders.get(before, record.exposure.name)
    path = record.file.origin or record.file.path
    fault = DataFault(
        FILE_CHANGED,
        f"{path} was delivered before with other bytes (exposure {holder})",
        path=path,
        before=before,
        now=record.file.checksum,
    ).record()
    taken.faults.append((holder, fault))
    return Added(AddStatus.CHANGED, holder, _numbers(record), fault)


def _check_agreement(old: Exposure, record: IngestRecord, known: Known) -> None:
    """Two files of one exposure must tell the same exposure."""
    new = record.exposure
    exact = ("id", "camera", "frame_type", "state", "night", "band", "filter", "binning", "readout_mode")
    differing = [name for name in exact if getattr(old, name) != getattr(new, name)]
    if abs(old.mjd - new.mjd) > _MJD_TOLERANCE:
        differing.append("mjd")
    if abs(old.exposure_time - new.exposure_time) > _TIME_TOLERANCE:
        differing.append("exposure_time")
    if old.extra.get("slices", 1) != new.extra.get("slices", 1):
        differing.append("slices")
    if not differing:
        return
    other = next((file for file, holder in known.holders.items() if holder == old.name), "")
    raise DataFault(
        "exposure.conflict",
        f"{record.file.path} and {known.paths.get(other, other)} both claim exposure {new.name} "
        f"but disagree about {', '.join(differing)}",
        exposure=new.name,
        first=known.paths.get(other, other),
        second=record.file.path,
        differing=", ".join(differing),
    )


def _place(detector: Detector, record: IngestRecord, known: Known) -> Detector:
    """The detector as it will stand: new, or merged with amplifiers or planes delivered before."""
    old = known.detectors.get((record.exposure.name, detector.detector))
    if old is None:
        return detector
    merged = merge(old, detector)
    if merged is not None:
        return merged
    first = known.paths.get(old.file, old.file)
    raise DataFault(
        "exposure.conflict",
        f"{first} and {record.file.path} both claim detector {detector.detector} of exposure {record.exposure.name}",
        exposure=record.exposure.name,
        detector=detector.detector,
        first=first,
        second=record.file.path,
    )


def merge(old: Detector, new: Detector) -> Detector | None:
    """One detector of two files that hold different amplifiers or planes of it; None where they overlap.

    The order of delivery does not matter: amplifiers go by name, the main file is the one of the first amplifier or of
    the science plane.
    """
    if (old.nx, old.ny) != (new.nx, new.ny):
        return None
    if old.planes and new.planes and not set(old.planes) & set(new.planes):
        planes = dict(sorted({**old.planes, **new.planes}.items()))
        main = new if "science" in new.planes else old
        return replace(main, planes=planes, wcs=main.wcs or old.wcs or new.wcs)
    names = {spec.name for spec in old.amplifiers} & {spec.name for spec in new.amplifiers}
    if names or not old.amplifiers or not new.amplifiers or old.planes or new.planes:
        return None
    parts = sorted(_parts(old) + _parts(new), key=lambda part: part[0].name)
    return replace(
        old,
        file=parts[0][2],
        amplifiers=tuple(spec for spec, _, _ in parts),
        hdus=tuple(hdu for _, hdu, _ in parts),
        amplifier_files=tuple(file for _, _, file in parts),
        wcs=old.wcs or new.wcs,
    )


def _parts(detector: Detector) -> list[tuple[AmplifierSpec, int, str]]:
    sources = detector.amplifier_files or (detector.file,) * len(detector.amplifiers)
    return list(zip(detector.amplifiers, detector.hdus, sources, strict=True))


def look_up(door: Door, connection: Connection, records: Sequence[IngestRecord]) -> Known:
    """Read what judging a batch needs."""
    given = {
        "checksums": door.listed({record.file.checksum for record in records}),
        "paths": door.listed({record.file.path for record in records}),
        "origins": door.listed({record.file.origin for record in records} - {""}),
        "names": door.listed({record.exposure.name for record in records}),
        "ids": door.listed({record.exposure.id for record in records}),
    }
    known = Known(files=set(), places={}, origins={}, names={}, exposures={}, detectors={}, paths={}, holders={})
    known.files.update(row[0] for row in connection.execute(door.once("known files", lambda: _files(door)), given))
    for area, path, origin, checksum in connection.execute(door.once("known copies", lambda: _copies(door)), given):
        known.places[area, path] = checksum
        known.origins[origin] = checksum
    for row in connection.execute(door.once("known exposures", lambda: _exposures(door)), given):
        known.exposures[row.name] = forms.exposure(row)
        known.names[row.id] = row.name
    if known.exposures:
        pairs = {(detector.exposure, detector.detector) for record in records for detector in record.detectors}
        known.detectors = ask.detectors_of(door, connection, pairs)
    before = set(known.places.values()) | set(known.origins.values())
    if before or known.exposures:
        holding = {"files": door.listed(before), "exposures": door.listed(known.names)}
        for file, name, path in connection.execute(door.once("known holders", lambda: _holders(door)), holding):
            known.holders[file] = name
            known.paths[file] = path
    return known


def _files(door: Door) -> Select[Any]:
    return select(files.c.checksum).where(door.listing(files.c.checksum, "checksums"))


def _copies(door: Door) -> Select[Any]:
    """Copies at the same place or from the same origin, oldest first (two parts: each has its index)."""
    columns = copies.c.area, copies.c.path, copies.c.origin, copies.c.checksum, copies.c.id
    both = union(
        select(*columns).where(door.listing(copies.c.path, "paths")),
        select(*columns).where(door.listing(copies.c.origin, "origins")),
    ).subquery()
    return select(both.c.area, both.c.path, both.c.origin, both.c.checksum).order_by(both.c.id)


def _exposures(door: Door) -> CompoundSelect[Any]:
    return union(
        select(exposures).where(door.listing(exposures.c.name, "names")),
        select(exposures).where(door.listing(exposures.c.id, "ids")),
    )


def _holders(door: Door) -> CompoundSelect[Any]:
    """Main files with the exposures they belong to and where they lie."""
    joined = (
        select(detectors.c.file, exposures.c.name, copies.c.path)
        .join(exposures, exposures.c.id == detectors.c.exposure)
        .join(copies, copies.c.checksum == detectors.c.file)
    )
    return union(
        joined.where(door.listing(detectors.c.file, "files")),
        joined.where(door.listing(detectors.c.exposure, "exposures")),
    )
