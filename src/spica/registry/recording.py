"""Writing what intake has taken: all rows of a batch, table by table."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from spica.core.faults import FaultRecord
from spica.core.records import Detector, Exposure, FileRecord, Grain, Unit
from spica.registry import forms, units
from spica.registry.door import Door
from spica.registry.schema import copies, detectors, exposures, faults, files, headers, readouts
from spica.registry.text import stamp


@dataclass
class Taken:
    """What is to be written: exposures by name, detectors by exposure and number, files by checksum or place."""

    files: dict[str, FileRecord] = field(default_factory=dict)
    copies: dict[tuple[str, str], FileRecord] = field(default_factory=dict)
    headers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    exposures: dict[str, Exposure] = field(default_factory=dict)
    detectors: dict[tuple[str, int], Detector] = field(default_factory=dict)
    faults: list[tuple[str, FaultRecord]] = field(default_factory=list)


def write(door: Door, connection: Connection, taken: Taken) -> None:
    """Write all of it; exposures, detectors and copies that are there already are replaced."""
    now = door.now(connection)
    _write_files(door, connection, taken, now)
    wanted = {Unit(Grain.EXPOSURE, (name,)) for name in [*taken.exposures, *(name for name, _ in taken.faults)]}
    wanted |= {detector.unit for detector in taken.detectors.values()}
    numbers = units.numbers(door, connection, wanted)
    _write_exposures(door, connection, taken, numbers, now)
    _write_detectors(door, connection, taken, numbers)
    _write_faults(connection, taken, numbers, now)


def _write_files(door: Door, connection: Connection, taken: Taken, now: float) -> None:
    rows = [
        {"checksum": file.checksum, "size": file.size, "conformance": list(file.conformance), "recorded": now}
        for file in taken.files.values()
    ]
    door.insert_new(connection, files, rows)
    places = [
        {"checksum": file.checksum, "area": area, "path": path, "origin": file.origin, "mtime": file.mtime}
        for (area, path), file in taken.copies.items()
    ]
    door.upsert(connection, copies, places, ("checksum", "origin", "mtime"), keys=("area", "path"))
    texts = [
        {"checksum": checksum, "texts": zlib.compress(json.dumps(list(each)).encode(), 1)}
        for checksum, each in taken.headers.items()
    ]
    door.insert_new(connection, headers, texts)


def _write_exposures(door: Door, connection: Connection, taken: Taken, numbers: dict[Unit, int], now: float) -> None:
    rows = []
    for name, exposure in taken.exposures.items():
        facts = forms.exposure_facts(exposure)
        digest = stamp(facts)
        rows.append({**facts, "unit": numbers[Unit(Grain.EXPOSURE, (name,))], "digest": digest, "recorded": now})
    if rows:
        door.upsert(connection, exposures, rows, tuple(name for name in rows[0] if name not in {"id", "unit", "name"}))


def _write_detectors(door: Door, connection: Connection, taken: Taken, numbers: dict[Unit, int]) -> None:
    if not taken.detectors:
        return
    stamps: dict[tuple[Any, ...], str] = {}
    distinct: dict[str, dict[str, Any]] = {}
    for detector in taken.detectors.values():
        if detector.amplifiers not in stamps:
            plain = forms.amplifiers_packed(detector.amplifiers)
            stamps[detector.amplifiers] = stamp(plain)
            distinct[stamps[detector.amplifiers]] = {"digest": stamps[detector.amplifiers], "amplifiers": plain}
    readout_ids = door.remembered(connection, readouts, readouts.c.digest, distinct)
    names = {name for name, _ in taken.detectors}
    query = door.once(
        "exposure ids", lambda: select(exposures.c.name, exposures.c.id).where(door.listing(exposures.c.name, "names"))
    )
    exposure_ids = {row[0]: row[1] for row in connection.execute(query, {"names": door.listed(names)})}
    rows = []
    for (name, _), detector in taken.detectors.items():
        readout = stamps[detector.amplifiers]
        row = forms.detector_facts(detector, readout)
        row |= {"unit": numbers[detector.unit], "exposure": exposure_ids[name], "readout": readout_ids[readout]}
        rows.append(row)
    kept = {"unit", "exposure", "detector"}
    door.upsert(connection, detectors, rows, tuple(name for name in rows[0] if name not in kept))


def _write_faults(connection: Connection, taken: Taken, numbers: dict[Unit, int], now: float) -> None:
    """Faults of ingest: a repeated ingest does not say the same twice."""
    rows = []
    for name, fault in taken.faults:
        unit = numbers[Unit(Grain.EXPOSURE, (name,))]
        said = select(faults.c.id).where(
            faults.c.unit == unit,
            faults.c.code == fault.code,
            faults.c.message == fault.message,
            faults.c.cleared.is_(None),
        )
        if connection.execute(said.limit(1)).first() is None:
            rows.append(
                {**forms.fault_columns(fault), "unit": unit, "pipeline": "", "job": "", "outcome": "", "recorded": now}
            )
    if rows:
        connection.execute(faults.insert(), rows)
