"""Masters made elsewhere: read, checked, written in the survey's own form and registered like those made here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spica.core.camera import Camera, DetectorSpec
from spica.core.faults import DataFault, Outcome, SetupFault
from spica.core.images import Image
from spica.core.jobs import JobReport, ProductRecord, StepRecord
from spica.core.keys import digest
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar, Unit
from spica.core.task import Form
from spica.engine.writing import identity
from spica.files import checksums, fits, images, standard
from spica.files.planes import Plane
from spica.files.survey import Survey
from spica.instruments import tables
from spica.services.masters import night_start
from spica.services.surveys import camera_folders, opened

KINDS = ("bias", "dark", "flat", "fringe", "hot", "defects")
MASKS = frozenset({"hot", "defects"})
UNITS: Mapping[str, tuple[str, ...]] = {
    "bias": ("electron", "adu"),
    "dark": ("electron/s", "adu/s"),
    "flat": ("",),
    "fringe": ("",),
    "hot": ("",),
    "defects": ("",),
}
"""Units that a master of each kind may come in; the first is spica's own."""
EVER = (0.0, 1e6)
"""Validity of a master for which none was given, MJD."""
_FLAT = (0.2, 5.0)
"""A flat whose median lies outside of these is not normalised."""


@dataclass(frozen=True)
class Order:
    """What is imported, and what it is.

    Attributes
    ----------
    kind : 'bias', 'dark', 'flat', 'fringe', 'hot' or 'defects'.
    camera, band, detector : of what; '' and None take what the file says.
    unit : of its pixels, '' for what the file says (BUNIT), or spica's own.
    gain : electron/ADU of pixels in ADU, and of the read-out that it serves; None for that of the camera's table.
    binning, readout_mode : of the read-out that it serves; '' for what the file says, or 1x1 and none.
    first, last : nights that it serves, '' without end.
    """

    kind: str
    camera: str = ""
    band: str = ""
    detector: int | None = None
    unit: str = ""
    gain: float | None = None
    binning: str = ""
    readout_mode: str = ""
    first: str = ""
    last: str = ""


@dataclass(frozen=True)
class Imported:
    """One master that is registered now."""

    unit: str
    master: str
    detector: int
    path: str
    origin: str


@dataclass(frozen=True)
class _Read:
    """One image of a file."""

    image: Image
    detector: DetectorSpec
    header: Mapping[str, Scalar]


def bring_in(paths: Iterable[Path], order: Order, folder: Path | None) -> tuple[Imported, ...]:
    """Import masters: one image per detector, or several extensions of one file. All are checked before any is written.

    Raises
    ------
    SetupFault
        ``order.invalid`` where something is not known that neither order nor file tells; ``camera.*``, ``survey.*``.
    DataFault
        ``file.*``; ``calibration.shape`` where the pixels are not the detector's; ``calibration.unit`` where their unit
        (or what they say of themselves) cannot be that of such a master; ``header.wrong-camera``.
    """
    if order.kind not in KINDS:
        message = f"{order.kind!r} is no kind of master; there are {', '.join(KINDS)}"
        raise SetupFault("order.invalid", message, kind=order.kind)
    files = list(paths)
    with opened(folder) as house:
        for path in files:
            # One image at a time is held, so that a mosaic of any size can be imported: all are read twice.
            for read, facts in _masters(path, order, house.survey):
                _converted(order, read, facts)
        sums = {path: checksums.of_file(path) for path in files}
        block = {"block": f"imported-{digest(sorted(sums.values()))[:8]}"}
        reports = [
            _write(house.survey, order, sums[path], read, facts | block)
            for path in files
            for read, facts in _masters(path, order, house.survey)
        ]
        house.registry.record_many(reports)
    return tuple(
        Imported(str(report.unit), order.kind, each.facts["detector"], each.path, each.facts["origin"])
        for report in reports
        for each in report.products
    )


def _masters(path: Path, order: Order, survey: Survey) -> Iterator[tuple[_Read, dict[str, Any]]]:
    """The masters of a file with what they serve."""
    camera = _camera(path, order, survey)
    for read in _images(path, order, camera):
        yield read, _facts(path, order, camera, read)


def _camera(path: Path, order: Order, survey: Survey) -> Camera:
    """The camera that the order names, or the file; both must agree where both do."""
    told = _told(path)
    name = order.camera or told or survey.settings.camera
    if not name:
        message = f"{path} does not say of which camera it is"
        raise SetupFault("order.invalid", message, advice="name it with --camera", path=str(path))
    if told and told in tables.names(camera_folders(survey)) and told != name:
        raise DataFault("header.wrong-camera", f"{path} is of {told}, not of {name}", path=str(path), camera=told)
    return tables.load(name, camera_folders(survey))


def _told(path: Path) -> str:
    """The camera that spica's own header tells, '' where there is none."""
    for hdu in fits.layout(fits.open_bytes(path), path):
        if hdu.name == "SCIENCE":
            return str(hdu.header.get("INSTRUME") or "")
    return ""


def _images(path: Path, order: Order, camera: Camera) -> Iterator[_Read]:
    """The images of a file, each with its detector."""
    data = fits.open_bytes(path)
    hdus = [hdu for hdu in fits.layout(data, path) if images.is_image(hdu)]
    if any(hdu.name == "SCIENCE" for hdu in hdus):
        image = images.read_image(path)
        yield _Read(image, _detector(path, order, camera, image.header, ""), image.header)
        return
    if not hdus:
        raise DataFault("header.bad-geometry", f"{path} holds no image", path=str(path))
    if len(hdus) > 1 and order.detector is not None:
        hdus = hdus[:1]  # image and its own variance or mask, as other pipelines write them
    elif len(hdus) > 1 and len(named := [hdu for hdu in hdus if _by_name(camera, hdu.name)]) != len(hdus):
        hdus = named or hdus[:1]
    for hdu in hdus:
        plane = Plane(data, hdu, path)
        pixels = plane.floats(0, plane.shape[0]) if order.kind not in MASKS else plane.read().astype(np.float32)
        yield _Read(Image(pixels), _detector(path, order, camera, hdu.header, hdu.name), hdu.header)


def _by_name(camera: Camera, name: str) -> DetectorSpec | None:
    return next((d for d in camera.detectors if name and (name == d.name or name in d.hdus)), None)


def _detector(path: Path, order: Order, camera: Camera, header: Mapping[str, Scalar], name: str) -> DetectorSpec:
    """The detector that the order names, or the header's DETECTOR, or the extension's name, or the only one."""
    found = _by_name(camera, name)
    number = order.detector if order.detector is not None else header.get("DETECTOR")
    if number is None and found is None and len(camera.detectors) == 1:
        found = camera.detectors[0]
    if isinstance(number, int) and not isinstance(number, bool):
        found = next((d for d in camera.detectors if d.id == number), None)
    if found is None:
        message = f"{path}: it is not known of which detector of {camera.name} {name or 'its image'} is"
        raise SetupFault("order.invalid", message, advice="name it with --detector", path=str(path))
    return found


def _facts(path: Path, order: Order, camera: Camera, read: _Read) -> dict[str, Any]:
    """What the master serves, checked against the camera's table."""
    header, detector = read.header, read.detector
    binning = _binning(order.binning or str(header.get("CCDSUM") or "1 1"))
    shape = (detector.ny // binning[1], detector.nx // binning[0])
    if read.image.shape != shape:
        raise DataFault(
            "calibration.shape",
            f"{path}: it has {read.image.shape[1]} x {read.image.shape[0]} pixels, detector {detector.id} of {camera.name} "
            f"binned {binning[0]} x {binning[1]} has {shape[1]} x {shape[0]}",
            path=str(path),
            detector=detector.id,
        )
    band = order.band or (str(header.get("BAND") or "") if order.kind not in {"bias", "dark", "hot"} else "")
    if order.kind in {"flat", "fringe"} and not band:
        message = f"{path}: a {order.kind} is of a band"
        raise SetupFault("order.invalid", message, advice="name it with --band", path=str(path))
    gain = order.gain or float(np.mean([amplifier.gain for amplifier in detector.amplifiers]))
    return {
        "camera": camera.name,
        "detector": detector.id,
        "band": band,
        "shape": shape,
        "binning": binning,
        "readout_mode": order.readout_mode or str(header.get("READMODE") or ""),
        "valid_from": night_start(order.first) - camera.night_offset / 24 if order.first else EVER[0],
        "valid_to": night_start(order.last) + 1 - camera.night_offset / 24 if order.last else EVER[1],
        "gain": gain,
        "frames": int(str(header.get("NCOMBINE") or 0)),
        "flat_kind": "",
        "origin": str(path.absolute()),
    }


def _binning(text: str) -> tuple[int, int]:
    parts = text.replace("x", " ").replace(",", " ").split()
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise SetupFault("order.invalid", f"{text!r} is no binning", advice="write 2x2", binning=text)
    return int(parts[0]), int(parts[1])


def _write(survey: Survey, order: Order, checksum: str, read: _Read, facts: dict[str, Any]) -> JobReport:
    """Write one master in the survey's own form; the record of it as a job of its own."""
    unit = Unit(Grain.CALIBRATION, (facts["camera"], str(facts["detector"]), facts["band"], facts["block"]))
    settings = {**asdict(order), "origin": facts["origin"]}
    key = digest([checksum, str(unit), {name: facts[name] for name in sorted(facts)}, settings])
    image = _converted(order, read, facts)
    path = survey.product_path("masters", facts["block"], unit, order.kind, key, ".fits")
    full = standard.of_master(facts).header(image.header, image.shape)
    target = survey.path_of(path)
    images.write_image(target, Image(image.pixels, image.variance, image.mask, full), identity(key, unit, order.kind))
    product = ProductRecord(
        key=f"{key}/{order.kind}",
        name=order.kind,
        form=Form.IMAGE,
        unit=unit,
        job=key,
        path=path,
        checksum=checksums.of_file(target),
        size=target.stat().st_size,
        master=True,
        facts=facts,
    )
    step = StepRecord("import", "import", 1, settings, dict.fromkeys(settings, "order"))
    return JobReport(key, unit, "import", (step,), (), Outcome.DONE, (product,))


def _converted(order: Order, read: _Read, facts: Mapping[str, Any]) -> Image:
    """The image in spica's units; a defect mask as bits."""
    image, path = read.image, facts["origin"]
    if order.kind in MASKS:
        given = image.pixels if image.mask is None else image.mask
        bad = np.nan_to_num(given) != 0
        mask = np.where(bad, np.int32(Mask.BAD), np.int32(0))
        return Image(bad.astype(np.float32), None, mask, {"BUNIT": "", "NBAD": int(np.count_nonzero(bad))})
    factor = _factor(order, read, facts)
    pixels = (image.pixels * np.float32(factor)).astype(np.float32)
    good = np.isfinite(pixels)
    middle = float(np.median(pixels[good])) if good.any() else float("nan")
    if order.kind == "flat" and not _FLAT[0] <= middle <= _FLAT[1]:
        message = f"{path}: the median of this flat is {middle:.4g}, not about 1"
        raise DataFault("calibration.unit", message, path=path, median=middle)
    lost = ~good if order.kind != "flat" else ~(pixels > 0)
    mask = np.where(lost, np.int32(Mask.NO_DATA), np.int32(0))
    if image.mask is not None:
        mask |= image.mask
    variance = None if image.variance is None else (image.variance * np.float32(factor**2)).astype(np.float32)
    cards: dict[str, Scalar] = {"BUNIT": UNITS[order.kind][0], "LEVEL": middle}
    return Image(np.where(good, pixels, np.float32(0)), variance, mask, cards)


def _factor(order: Order, read: _Read, facts: Mapping[str, Any]) -> float:
    """What brings the pixels to spica's unit of this kind of master."""
    own = UNITS[order.kind][0]
    told = (order.unit or str(read.header.get("BUNIT") or own)).strip().lower()
    told = {"electrons": "electron", "e-": "electron", "counts": "adu", "electron / s": "electron/s", "1": ""}.get(
        told, told
    )
    if told not in UNITS[order.kind]:
        known = ", ".join(repr(unit) for unit in UNITS[order.kind])
        message = f"{facts['origin']}: a {order.kind} in {told!r} cannot be taken; it may be in {known}"
        raise DataFault("calibration.unit", message, advice="say it with --unit", path=facts["origin"], unit=told)
    return 1.0 if told == own else float(facts["gain"])
