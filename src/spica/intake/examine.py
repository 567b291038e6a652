"""From one delivered file to its record: verified, translated, its detectors and read-out told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spica.core.camera import Camera
from spica.core.faults import DataFault
from spica.core.records import Exposure, FileRecord, IngestRecord, Scalar
from spica.files.verify import inspect_file
from spica.instruments.detectors import detectors, slices
from spica.instruments.headers import recognise, translate
from spica.intake.find import Candidate

Headers = Sequence[Mapping[str, Scalar]]


def examine(
    candidate: Candidate | Path,
    cameras: Sequence[Camera],
    camera: Camera | None = None,
    fallback: Camera | None = None,
    *,
    sums: bool = True,
) -> IngestRecord:
    """All that one file says.

    Parameters
    ----------
    candidate : the file (or its path).
    cameras : tables to recognise it among.
    camera : the camera that the order names; a header of another one is refused.
    fallback : taken where no table recognises the header.
    sums : compare the sums stored in the file (DATASUM, CHECKSUM) with its bytes.

    Returns
    -------
    IngestRecord
        `file.path` is where the file lies now, absolute; `spica.intake.place` gives it its place in the survey.

    Raises
    ------
    DataFault
        ``file.*`` where the file is at fault, ``header.*`` where its headers are. Only this file is refused.
    """
    if isinstance(candidate, Path):
        candidate = Candidate(candidate, str(candidate.absolute()))
    if candidate.fault is not None:
        raise candidate.fault
    found = inspect_file(candidate.path, sums=sums)
    status = candidate.path.stat()
    file = FileRecord(
        checksum=found.checksum,
        size=found.size,
        path=str(candidate.path.absolute()),
        origin=candidate.origin,
        conformance=found.conformance,
        mtime=status.st_mtime,
    )
    return _record(file, found.headers, tuple(hdu.text for hdu in found.hdus), cameras, camera, fallback)


def _record(
    file: FileRecord,
    headers: Headers,
    texts: tuple[str, ...],
    cameras: Sequence[Camera],
    camera: Camera | None,
    fallback: Camera | None,
) -> IngestRecord:
    name = Path(file.origin.rpartition("!")[2]).name
    table = choose(headers, cameras, camera, fallback, name)
    exposure: Exposure = translate(headers, table, name)
    found = detectors(headers, table, exposure, file.checksum, name)
    depth = slices(headers, found, name)
    if depth > 1:
        exposure = replace(exposure, extra={**exposure.extra, "slices": depth})
    return IngestRecord(file, exposure, found, texts)


def choose(
    headers: Headers, cameras: Sequence[Camera], camera: Camera | None, fallback: Camera | None, filename: str
) -> Camera:
    """The camera table that a file is read by.

    Raises
    ------
    DataFault
        ``header.unknown-camera``; ``header.wrong-camera`` where the order names one camera and the header is another's.
    """
    others = [table for table in cameras if camera is None or table.name != camera.name]
    if camera is not None and _is_of(headers, [camera], filename) is not None:
        return camera
    seen = _is_of(headers, others, filename)
    if camera is not None and seen is not None:
        message = f"{filename} is of {seen.name}, the order says {camera.name}"
        raise DataFault("header.wrong-camera", message, file=filename, camera=seen.name, named=camera.name)
    known = camera or seen or fallback
    return known if known is not None else recognise(headers, others, filename)


def _is_of(headers: Headers, cameras: Sequence[Camera], filename: str) -> Camera | None:
    try:
        return recognise(headers, cameras, filename)
    except DataFault as fault:
        if fault.code != "header.unknown-camera":
            raise
        return None
