"""The detectors of one delivered file as records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from spica.core.camera import Camera, DetectorSpec
from spica.core.faults import DataFault
from spica.core.records import Detector, Exposure, ExposureState
from spica.instruments.layout import amplifier_of, hdus_of, planes_of, size
from spica.instruments.readout import assembled_size, readout
from spica.instruments.solutions import wcs_cards

Header = Mapping[str, Any]


def detectors(
    headers: Sequence[Header], camera: Camera, exposure: Exposure, checksum: str, filename: str = ""
) -> tuple[Detector, ...]:
    """Every detector that a file holds, in order of the camera table.

    Parameters
    ----------
    headers : one mapping per HDU, primary first.
    camera, exposure : its table and record.
    checksum : id of the file (`FileRecord.checksum`).
    filename : names the file in faults and tells the plane of a reduced frame.

    Returns
    -------
    tuple of Detector
        Raw frames: amplifiers as read out. One file per amplifier: that amplifier alone (records of the same detector
        are joined on ingest). Reduced frames: the planes of this file and one amplifier covering the image.
    """
    reduced = exposure.state is ExposureState.REDUCED
    found = hdus_of(camera, headers, filename, reduced=reduced)
    build = _reduced if reduced else _raw
    return tuple(
        build(headers, camera, spec, exposure, checksum, found[spec.id], filename)
        for spec in camera.detectors
        if spec.id in found
    )


def slices(headers: Sequence[Header], found: Sequence[Detector], filename: str = "") -> int:
    """How many read-outs of its pointing a raw file holds of each detector: 1, or the depth of its cubes.

    Cubes whose images are amplifiers are one read-out.

    Raises
    ------
    DataFault
        ``header.bad-geometry`` where cubes differ in depth, with the HDUs.
    """
    depths: dict[int, int] = {}
    for detector in found:
        for hdu in () if detector.planes else detector.hdus:
            depth = prod(size(headers[hdu])[2:])
            depths[hdu] = 1 if detector.layered and depth == len(detector.amplifiers) else depth
    if len(set(depths.values())) > 1:
        told = ", ".join(
            f"HDU {hdu} {headers[hdu].get('EXTNAME', '')} {depth}" for hdu, depth in sorted(depths.items())
        )
        message = f"{filename or 'file'}: cubes of different depth: {told}"
        raise DataFault("header.bad-geometry", message, file=filename, hdus=told)
    return next(iter(depths.values()), 1)


def _raw(
    headers: Sequence[Header],
    camera: Camera,
    spec: DetectorSpec,
    exposure: Exposure,
    checksum: str,
    hdus: tuple[int, ...],
    filename: str,
) -> Detector:
    if camera.layout == "amplifier":
        # The file knows one amplifier; the size of the assembled detector is the table's.
        only = spec.amplifiers[amplifier_of(camera, headers, spec, filename)].model_copy(update={"hdu": 0})
        alone = readout(headers, camera, spec.model_copy(update={"amplifiers": (only,)}), exposure, hdus)
        nx, ny = spec.nx // exposure.binning[0], spec.ny // exposure.binning[1]
        return Detector(exposure.name, spec.id, checksum, hdus, alone, nx, ny, (checksum,))
    amplifiers = readout(headers, camera, spec, exposure, hdus)
    nx, ny = assembled_size(amplifiers)
    return Detector(
        exposure=exposure.name,
        detector=spec.id,
        file=checksum,
        hdus=tuple(hdus[min(amplifier.hdu, len(hdus) - 1)] for amplifier in amplifiers),
        amplifiers=amplifiers,
        nx=nx,
        ny=ny,
        wcs=wcs_cards(headers, hdus[0], amplifiers),
    )


def _reduced(
    headers: Sequence[Header],
    camera: Camera,
    spec: DetectorSpec,
    exposure: Exposure,
    checksum: str,
    hdus: tuple[int, ...],
    filename: str,
) -> Detector:
    planes = planes_of(camera, headers, spec, filename)
    hdu = planes.get("science", hdus[0])
    amplifiers = readout(headers, camera, spec, exposure, (hdu,))
    nx, ny = assembled_size(amplifiers)
    return Detector(
        exposure=exposure.name,
        detector=spec.id,
        file=checksum,
        hdus=(hdu,),
        amplifiers=amplifiers,
        nx=nx,
        ny=ny,
        wcs=wcs_cards(headers, hdu),
        planes={plane: (checksum, index) for plane, index in planes.items()},
    )
