"""Reading one file's record anew: what stood before is replaced."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace

from sqlalchemy import Connection, delete, or_, select, update

from spica.core.faults import DataFault
from spica.core.records import Detector, Grain, IngestRecord, Unit
from spica.registry import ask, intake
from spica.registry.door import Door
from spica.registry.intake import FILE_CHANGED
from spica.registry.recording import Taken, write
from spica.registry.rows import Added, AddStatus
from spica.registry.schema import copies, detectors, exposures, faults, quarantine, units


def reload(door: Door, record: IngestRecord) -> Added:
    """Replace what is recorded of a file by this record; a file never seen is simply added.

    The file is known by its bytes, its place or its origin. What it held and no longer holds is removed, and an
    exposure that has no detector left. What other files hold stays theirs: a conflict is raised as by `add`.
    """
    name = record.exposure.name
    with door.write() as connection:
        door.lock_intake(connection)
        before = _checksums(connection, record)
        replaced = _forget(door, connection, record, before)
        known = intake.look_up(door, connection, [record])
        known.files.discard(record.file.checksum)
        known.places.pop((record.file.area, record.file.path), None)
        known.origins.pop(record.file.origin, None)
        # The record read anew is the one to believe about the exposure: it is not compared with the standing one.
        standing = known.exposures.pop(name, None)
        if standing is not None and standing.id != record.exposure.id:
            message = f"{record.file.path} says that exposure {name} is of {record.exposure.camera}, other files say {standing.camera}"
            raise DataFault("exposure.conflict", message, exposure=name, second=record.file.path)
        taken = Taken()
        answer = intake.decide(record, known, taken)
        write(door, connection, taken)
        _settle(door, connection, record)
    status = AddStatus.RELOADED if replaced or before else answer.status
    return Added(status, answer.exposure, answer.detectors)


def _checksums(connection: Connection, record: IngestRecord) -> set[str]:
    """The file's bytes, now and before."""
    file = record.file
    place = (copies.c.area == file.area) & (copies.c.path == file.path)
    origin = (copies.c.origin == file.origin) & (copies.c.origin != "")
    found = select(copies.c.checksum).where(or_(place, origin, copies.c.checksum == file.checksum))
    return set(connection.execute(found).scalars())


def _forget(door: Door, connection: Connection, record: IngestRecord, before: AbstractSet[str]) -> bool:
    """Take the file's parts out of the detectors that hold them; answers whether there were any."""
    held = (
        select(exposures.c.name, detectors.c.detector)
        .join(exposures, exposures.c.id == detectors.c.exposure)
        .where(or_(door.among(detectors.c.file, before), exposures.c.name == record.exposure.name))
    )
    pairs = {(name, number) for name, number in connection.execute(held)}
    kept, gone = Taken(), []
    for key, old in ask.detectors_of(door, connection, pairs).items():
        left = without(old, before)
        if left is None:
            gone.append(str(old.unit))
        elif left != old:
            kept.detectors[key] = left
    write(door, connection, kept)
    numbers = select(units.c.id).where(door.among(units.c.name, gone))
    connection.execute(delete(detectors).where(detectors.c.unit.in_(numbers)))
    names = {name for name, _ in pairs}
    empty = exposures.c.id.not_in(select(detectors.c.exposure))
    connection.execute(delete(exposures).where(door.among(exposures.c.name, names), empty))
    return bool(gone or kept.detectors)


def without(detector: Detector, files: AbstractSet[str]) -> Detector | None:
    """The detector less what some files hold of it; None where nothing is left."""
    if detector.planes:
        planes = {name: place for name, place in detector.planes.items() if place[0] not in files}
        if not planes:
            return None
        main = detector.file if detector.file not in files else next(iter(planes.values()))[0]
        return replace(detector, planes=planes, file=main)
    if not detector.amplifier_files:
        return None if detector.file in files else detector
    places = [place for place, file in enumerate(detector.amplifier_files) if file not in files]
    if not places:
        return None
    return replace(
        detector,
        file=detector.amplifier_files[places[0]],
        amplifiers=tuple(detector.amplifiers[place] for place in places),
        hdus=tuple(detector.hdus[place] for place in places),
        amplifier_files=tuple(detector.amplifier_files[place] for place in places),
    )


def _settle(door: Door, connection: Connection, record: IngestRecord) -> None:
    """The faults of the exposure's ingest, those of this file's change and the file's quarantine are over."""
    now = door.now(connection)
    unit = select(units.c.id).where(units.c.name == str(Unit(Grain.EXPOSURE, (record.exposure.name,))))
    ours, still_open = faults.c.pipeline == "", faults.c.cleared.is_(None)
    connection.execute(
        update(faults).where(faults.c.unit == unit.scalar_subquery(), ours, still_open).values(cleared=now)
    )
    paths = {record.file.path, record.file.origin} - {""}
    # The file may tell another exposure now: that it had changed was noted with the one that it told before.
    noted = select(faults.c.id, faults.c.evidence).where(faults.c.code == FILE_CHANGED, ours, still_open)
    over = [number for number, evidence in connection.execute(noted) if evidence.get("path") in paths]
    connection.execute(update(faults).where(door.among(faults.c.id, over)).values(cleared=now))
    held = update(quarantine).where(door.among(quarantine.c.path, paths), quarantine.c.released.is_(None))
    connection.execute(held.values(released=now))
