"""Questions about exposures, detectors, files and masters."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from spica.core.faults import SetupFault
from spica.core.records import Detector, Exposure, ExposureState, FileRecord, FrameType, Grain, Unit
from spica.registry import forms, where
from spica.registry.door import Door
from spica.registry.rows import DetectorRow, MasterRow
from spica.registry.schema import calibrations, copies, detectors, exposures, files, headers, products, readouts, units

_CHUNK = 5000


def exposure_list(door: Door, selection: str, limit: int | None, order: str) -> list[Exposure]:
    """Exposures that a selection takes, in the order of one of their columns (then by name)."""
    with door.read() as connection:
        query = select(exposures)
        condition = where.of_exposures(connection, selection)
        if condition is not None:
            query = query.where(condition)
        query = query.order_by(where.order_column(order), exposures.c.name).limit(limit)
        return [forms.exposure(row) for row in connection.execute(query)]


def exposure(door: Door, name: str) -> Exposure:
    """One exposure by name; SetupFault ``order.unknown-unit`` where there is none."""
    with door.read() as connection:
        row = connection.execute(select(exposures).where(exposures.c.name == name)).first()
    if row is None:
        raise SetupFault("order.unknown-unit", f"there is no exposure {name!r}", unit=name)
    return forms.exposure(row)


def detector_rows(door: Door, selection: str, frame_types: Collection[FrameType]) -> Iterator[DetectorRow]:
    """Compact rows of the detectors that a selection takes, ordered by exposure's name and detector."""
    columns = exposures.c
    query = select(
        *(columns.name, columns.id, detectors.c.detector, columns.camera, columns.frame_type, columns.state),
        *(columns.night, columns.mjd, columns.exposure_time, columns.band, columns.filter, columns.flat_kind),
        *(columns.bin_x, columns.bin_y, columns.readout_mode, columns.digest, detectors.c.digest),
        *(detectors.c.nx, detectors.c.ny, detectors.c.gain, columns.field),
    ).join_from(detectors, exposures, exposures.c.id == detectors.c.exposure)
    if frame_types:
        query = query.where(columns.frame_type.in_([FrameType(each).value for each in frame_types]))
    with door.read() as connection:
        condition = where.of_detectors(connection, selection)
        if condition is not None:
            query = query.where(condition)
        query = query.order_by(columns.name, detectors.c.detector)
        streaming = connection.execution_options(yield_per=_CHUNK)
        yield from _compact(tuple(row) for row in streaming.execute(query))


def _compact(rows: Iterable[tuple[Any, ...]]) -> Iterator[DetectorRow]:
    """Rows of the query above as records; equal texts are one object in memory."""
    frames, states = {each.value: each for each in FrameType}, {each.value: each for each in ExposureState}
    one: dict[str, str] = {}
    last: int | None = None
    first = place = ""
    facts: tuple[Any, ...] = ()
    for row in rows:
        (name, number, detector, camera, frame, state, night, mjd, time, band, filt, kind, bx, by, mode, *rest) = row
        digest, own, nx, ny, gain, field = rest
        if number != last:
            last = number
            camera, night, band, filt, kind, mode, place = (
                one.setdefault(text, text) for text in (camera, night, band, filt, kind, mode, field)
            )
            facts = (camera, frames[frame], states[state], night, mjd, time, band, filt, kind, (bx, by), mode, digest)
            first = name
        joint = blake2b(f"{digest}{own}".encode(), digest_size=20).hexdigest()
        yield DetectorRow._make((first, number, detector, *facts, joint, nx, ny, gain, place))


def detectors_of(
    door: Door, connection: Connection, pairs: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], Detector]:
    """Full records of detectors by exposure's name and number; those that are not recorded are left out."""
    names = [str(Unit(Grain.DETECTOR, (name, str(number)))) for name, number in pairs]

    def build() -> Select[Any]:
        return (
            select(detectors, readouts.c.amplifiers, exposures.c.name.label("exposure_name"))
            .join(units, units.c.id == detectors.c.unit)
            .join(exposures, exposures.c.id == detectors.c.exposure)
            .join(readouts, readouts.c.id == detectors.c.readout)
            .where(door.listing(units.c.name, "names"))
        )

    rows = connection.execute(door.once("detectors", build), {"names": door.listed(names)})
    return {(row.exposure_name, row.detector): forms.detector(row, row.exposure_name) for row in rows}


def file_records(door: Door, checksums: Iterable[str] | None) -> dict[str, FileRecord]:
    """Files by checksum, each with its first copy; all files for None."""
    query = select(files, copies.c.path, copies.c.area, copies.c.origin, copies.c.mtime).join(
        copies, copies.c.checksum == files.c.checksum
    )
    if checksums is not None:
        query = query.where(door.among(files.c.checksum, checksums))
    with door.read() as connection:
        rows = connection.execute(query.order_by(files.c.checksum, copies.c.id.desc()))
        return {
            row.checksum: FileRecord(
                *(row.checksum, row.size, row.path, row.area, row.origin, tuple(row.conformance), row.mtime)
            )
            for row in rows
        }


def copies_of(door: Door, checksum: str) -> list[tuple[str, str]]:
    """Area and path of every copy of a file, oldest first."""
    query = select(copies.c.area, copies.c.path).where(copies.c.checksum == checksum).order_by(copies.c.id)
    with door.read() as connection:
        return [(area, path) for area, path in connection.execute(query)]


def detectors_in_file(door: Door, path: str) -> list[tuple[str, int]]:
    """Exposure and detector of each record of a file, by the path it came from or lies at, or the end of either."""
    tail = "%/" + path.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    places = or_(
        copies.c.origin == path,
        copies.c.path == path,
        copies.c.origin.like(tail, escape="\\"),
        copies.c.path.like(tail, escape="\\"),
    )
    query = (
        select(exposures.c.name, detectors.c.detector)
        .join(exposures, exposures.c.id == detectors.c.exposure)
        .join(copies, copies.c.checksum == detectors.c.file)
        .where(places)
        .distinct()
        .order_by(exposures.c.name, detectors.c.detector)
    )
    with door.read() as connection:
        return [(name, number) for name, number in connection.execute(query)]


def known_file(door: Door, path: str, size: int, mtime: float) -> str | None:
    """Checksum of a file delivered from `path` before with this size and time of modification."""
    query = (
        select(files.c.checksum)
        .join(copies, copies.c.checksum == files.c.checksum)
        .where(copies.c.origin == path, files.c.size == size, copies.c.mtime == mtime)
    )
    with door.read() as connection:
        return connection.execute(query.limit(1)).scalar()


def header_texts(door: Door, checksum: str) -> tuple[str, ...]:
    """Each HDU's header as text, primary first; empty where none was kept."""
    with door.read() as connection:
        packed = connection.execute(select(headers.c.texts).where(headers.c.checksum == checksum)).scalar()
    return tuple(json.loads(zlib.decompress(packed))) if packed else ()


def masters(door: Door, camera: str | None, kind: str | None) -> list[MasterRow]:
    """Masters whose bytes are there, oldest record first."""
    columns = calibrations.c
    query: Select[Any] = (
        select(
            calibrations, products.c.job, products.c.path, products.c.checksum, products.c.recorded, products.c.facts
        )
        .join(products, products.c.key == columns.product)
        .where(products.c.forgotten.is_(False))
    )
    if camera is not None:
        query = query.where(columns.camera == camera)
    if kind is not None:
        query = query.where(columns.name == kind)
    with door.read() as connection:
        rows = connection.execute(query.order_by(products.c.recorded, columns.product))
        return [
            MasterRow(
                *(row.product, row.name, row.camera, row.detector, row.band, (row.ny, row.nx), (row.bin_x, row.bin_y)),
                *(row.readout_mode, row.valid_from, row.valid_to, row.block),
                *(row.job, row.path, row.checksum, row.recorded),
                *_told(row.facts),
            )
            for row in rows
        ]


def _told(facts: Mapping[str, Any]) -> tuple[float, int, str, str]:
    """What a master's facts say beyond what it serves: gain, frames, kind of flat, where it was made."""
    return (
        float(facts.get("gain") or 0.0),
        int(facts.get("frames") or 0),
        str(facts.get("flat_kind") or ""),
        str(facts.get("origin") or ""),
    )
