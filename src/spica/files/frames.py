"""Frames as an observatory delivers them: raw amplifiers, and images that were reduced elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.camera import AmplifierSpec, Delivered
from spica.core.faults import DataFault
from spica.core.images import Float32, Image, Int32, RawDetector
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, Scalar
from spica.files import fits
from spica.files.cubes import mean_slice, mean_variance, mean_weight
from spica.files.fits import Hdu
from spica.files.original import Header
from spica.files.planes import Plane

Paths = Mapping[str, Path]
_TABLE = Delivered()
_FLOOR_ROWS = 256
_TAPS = 5
_DARK = 0.1
"""Part of the pixels that tells the noise."""
_STANDS_OUT = 3.0
"""Sigma above the sky."""


def read_raw(detector: Detector, paths: Paths, exposure: Exposure, original: list[Header] | None = None) -> RawDetector:
    """The raw pixels of one detector.

    Parameters
    ----------
    detector : its record.
    paths : checksum of each file that the record names to where it lies.
    exposure : its exposure; its plain values go into the header under their own names (``dark_time``, seconds).
    original : receives the headers of the files' primaries and of the HDUs that were read.

    Returns
    -------
    RawDetector
        One array per amplifier in ADU; amplifiers of one HDU share the array. In a cube with one image per amplifier
        each has its own; any other is read as the mean of its images (`spica.files.cubes`), whose number is `slices`.

    Raises
    ------
    DataFault
        ``file.*``; ``header.bad-geometry`` where an HDU is not there, holds no image, or is smaller than a section, and
        where the cubes of one detector differ in depth.
    """
    names = detector.amplifier_files or (detector.file,) * len(detector.hdus)
    held: dict[tuple[str, int, int], npt.NDArray[np.generic]] = {}
    depths: dict[tuple[str, int], int] = {}
    files: dict[str, tuple[memoryview, list[Hdu]]] = {}
    pixels = []
    for number, (name, hdu) in enumerate(zip(names, detector.hdus, strict=True)):
        path = _path(name, paths, detector)
        if name not in files:
            data = fits.open_bytes(path)
            files[name] = data, fits.layout(data, path)
        plane = _plane(*files[name], hdu, path)
        _fits_inside(detector, number, plane.shape, path)
        depth = depths[name, hdu] = _depth(plane, detector, path)
        key = name, hdu, number if plane.layers > depth else 0
        if key not in held:
            whole = depth == 1
            held[key] = plane.read(layer=key[2]) if whole else mean_slice(plane, _sharing(detector, names, key[:2]))
        pixels.append(held[key])
    if original is not None:
        original += _headers(files.values(), detector.hdus)
    slices = _one_depth(depths, paths, detector)
    return RawDetector(tuple(pixels), detector.amplifiers, detector.nx, detector.ny, facts(detector, exposure), slices)


def read_delivered(
    detector: Detector,
    paths: Paths,
    exposure: Exposure | None = None,
    delivered: Delivered = _TABLE,
    original: list[Header] | None = None,
) -> Image:
    """One detector's image that was reduced elsewhere, brought to electrons, with variance and our mask bits.

    Parameters
    ----------
    detector : its record; `planes` says where science, variance or weight, and mask lie; the gain of its first
        amplifier is electrons per delivered unit (of a rate: the exposure time is in it), the read noise electrons.
    paths : checksum to place of the files.
    exposure : its exposure, for the header; the file's EXPTIME where it is None.
    delivered : the camera table's section: what the values of the mask mean.
    original : receives the headers of the science plane's file: of its primary and of its HDU.

    Returns
    -------
    Image
        Pixels [electron], variance [electron²] (infinite where the weight is 0), mask. Without variance or weight the
        variance is that of the photons above the faintest level plus the noise seen between neighbouring pixels. Of
        cubes the mean, its variance, and all bits of their masks; a plane of one image beside them is that of the mean.
        The header holds the delivered sky solution.

    Raises
    ------
    DataFault
        ``file.*``; ``header.bad-geometry`` where planes differ in shape or depth.
    """
    planes = dict(detector.planes) or {"science": (detector.file, detector.hdus[0])}
    read = {name: _delivered_plane(*where, paths, detector) for name, where in planes.items()}
    plane, header = read["science"]
    slices = plane.layers
    if original is not None:
        path = _path(planes["science"][0], paths, detector)
        data = fits.open_bytes(path)
        original += _headers([(data, fits.layout(data, path))], (planes["science"][1],))
    for name, (other, _) in read.items():
        if other.shape != plane.shape or other.layers not in {1, slices}:
            message = f"{detector.exposure} detector {detector.detector}: {name} is {other.axes}, science {plane.axes}"
            raise DataFault("header.bad-geometry", message, plane=name, exposure=detector.exposure)
    amplifier = detector.amplifiers[0]
    seconds = exposure.exposure_time if exposure else _number(header.get("EXPTIME"))
    factor = amplifier.gain
    science = (mean_slice(plane, detector.amplifiers) if slices > 1 else _floats(plane)) * np.float32(factor)
    mask = np.zeros(science.shape, np.int32)
    if "mask" in read:
        bits = read["mask"][0]
        for layer in range(bits.layers):
            mask |= _mask(np.asarray(bits.read(layer=layer), np.int32), delivered)
    if "variance" in read:
        spread = read["variance"][0]
        variance = (mean_variance(spread) if spread.layers > 1 else _floats(spread)) * np.float32(factor * factor)
        variance[~np.isfinite(variance)] = np.inf
    elif "weight" in read:
        weight = read["weight"][0]
        variance = _inverse(mean_weight(weight) if weight.layers > 1 else _floats(weight), factor)
    else:
        variance = _model_variance(science, amplifier.read_noise, slices)
    if delivered.weight == "sky" and read.keys() & {"weight", "variance"}:
        variance += _source_photons(science, variance, slices)
    mask[~np.isfinite(science) | ~np.isfinite(variance) | (variance < 0)] |= np.int32(Mask.NO_DATA)
    cards: dict[str, Scalar] = {"BUNIT": "electron", "GAIN": float(slices), "GAINRAW": factor}
    cards |= {"RDNOISE": amplifier.read_noise, "SATURATE": amplifier.saturation * factor, "EXPTIME": seconds}
    if slices > 1:
        cards["NSLICES"] = slices
    return Image(science, variance, mask, cards | dict(detector.wcs))


def facts(detector: Detector, exposure: Exposure) -> dict[str, Scalar]:
    """The plain values of an exposure by name, the detector's number, and the delivered sky solution's cards."""
    plain: dict[str, Scalar] = {}
    for item in fields(exposure):
        value = getattr(exposure, item.name)
        if isinstance(value, str | int | float):
            plain[item.name] = str(value) if isinstance(value, str) else value
    return {**plain, "exposure": exposure.name, "detector": detector.detector, **detector.wcs}


def _headers(files: Iterable[tuple[memoryview, list[Hdu]]], wanted: Iterable[int]) -> list[Header]:
    """Headers of the primaries and of the HDUs wanted, file by file."""
    indices = sorted({0, *wanted})
    return [(index, hdus[index].text) for _, hdus in files for index in indices if index < len(hdus)]


def _path(name: str, paths: Paths, detector: Detector) -> Path:
    if name not in paths:
        message = f"{detector.exposure} detector {detector.detector}: no copy of file {name[:10]} is at hand"
        raise DataFault("file.missing", message, checksum=name, exposure=detector.exposure)
    return paths[name]


def _plane(data: memoryview, hdus: list[Hdu], index: int, path: Path) -> Plane:
    if index >= len(hdus):
        message = f"{path} has {len(hdus)} HDUs, not an HDU {index}"
        raise DataFault("header.bad-geometry", message, path=str(path), hdu=index)
    return Plane(data, hdus[index], path)


def _depth(plane: Plane, detector: Detector, path: Path) -> int:
    """Read-outs that an HDU holds: 1 where the images of a cube are the amplifiers."""
    layers, amplifiers = plane.layers, len(detector.amplifiers)
    if not detector.layered or layers == 1:
        return layers
    if layers != amplifiers:
        where = f"{path}: HDU {plane.hdu.index} {plane.hdu.name}"
        message = f"{where} holds {layers} images, neither one nor one for each of {amplifiers} amplifiers"
        raise DataFault("header.bad-geometry", message, path=str(path), hdu=plane.hdu.index, layers=layers)
    return 1


def _one_depth(depths: Mapping[tuple[str, int], int], paths: Paths, detector: Detector) -> int:
    """The number of read-outs that all HDUs of a detector agree on."""
    if len(set(depths.values())) > 1:
        told = ", ".join(f"HDU {hdu} of {paths[name]} {depth}" for (name, hdu), depth in depths.items())
        message = f"{detector.exposure} detector {detector.detector}: cubes of different depth: {told}"
        raise DataFault("header.bad-geometry", message, exposure=detector.exposure, hdus=told)
    return next(iter(depths.values()), 1)


def _sharing(detector: Detector, names: Iterable[str], place: tuple[str, int]) -> Iterator[AmplifierSpec]:
    """The amplifiers whose pixels lie in one HDU of one file."""
    for amplifier, where in zip(detector.amplifiers, zip(names, detector.hdus, strict=True), strict=True):
        if where == place:
            yield amplifier


def _fits_inside(detector: Detector, number: int, shape: tuple[int, int], path: Path) -> None:
    spec = detector.amplifiers[number]
    for section in (spec.data, spec.overscan, spec.prescan):
        if section is not None and (section[1] > shape[1] or section[3] > shape[0]):
            message = (
                f"{path}: section {section} of amplifier {spec.name} lies outside its {shape[1]} x {shape[0]} pixels"
            )
            raise DataFault("header.bad-geometry", message, path=str(path), amplifier=spec.name)


def _delivered_plane(checksum: str, index: int, paths: Paths, detector: Detector) -> tuple[Plane, dict[str, Scalar]]:
    """Where a plane's pixels lie, and its header over the primary's."""
    path = _path(checksum, paths, detector)
    data = fits.open_bytes(path)
    hdus = fits.layout(data, path)
    plane = _plane(data, hdus, index, path)
    return plane, {**hdus[0].header, **plane.hdu.header}


def _floats(plane: Plane) -> Float32:
    return plane.floats(0, plane.shape[0])


def _number(value: Scalar) -> float:
    return float(value) if isinstance(value, int | float) else 1.0


def _inverse(weight: Float32, factor: float) -> Float32:
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.float32(factor * factor) / weight
    variance[~(weight > 0)] = np.inf
    return variance


def _source_photons(science: Float32, variance: Float32, slices: int) -> Float32:
    """Variance of the light that stands out of the sky by more than `_STANDS_OUT` of its noise; less is noise itself.

    Were noise counted as light, pixels would weigh less where it happens to be positive, and sums by weight came out too low.
    """
    with np.errstate(invalid="ignore"):
        light = science - np.float32(_level(science))
        return np.where(light > _STANDS_OUT * np.sqrt(variance), light / np.float32(slices), np.float32(0))


def _level(science: Float32) -> float:
    """The lowest level that is common."""
    rows = science[:: max(1, len(science) // _FLOOR_ROWS)]
    finite = rows[np.isfinite(rows)]
    return float(np.median(finite)) if finite.size else 0.0


def _model_variance(science: Float32, read_noise: float, slices: int) -> Float32:
    """Photon noise above the lowest level that is common, plus the noise seen, never less than the read noise.

    The sky may have been subtracted: the noise between neighbours where it is dark carries its share. Of the mean of
    several images photons and read-out count over their number.
    """
    rows = science[:: max(1, len(science) // _FLOOR_ROWS)]
    floor = max(_dark_noise(np.asarray(rows, np.float32)), read_noise / slices**0.5) ** 2
    variance: Float32 = np.maximum(science - np.float32(_level(science)), np.float32(0)) / np.float32(
        slices
    ) + np.float32(floor)
    variance[~np.isfinite(science)] = np.inf
    return variance


def _dark_noise(rows: Float32) -> float:
    """Noise of rows as `spica.files.encode.noise` has it, where their neighbours are darkest: in a crowded field stars would count as noise.

    The pixels by which a place is chosen are none of those that are compared there, so that the choice does not favour any noise.
    """
    if rows.shape[1] < _TAPS:
        return 0.0
    left, one, middle, two, right = (rows[:, n : rows.shape[1] - _TAPS + 1 + n] for n in range(_TAPS))
    away, level = np.abs(2 * middle - left - right), one + two
    # What is all alike is no sky: an edge filled up, a dead column.
    told = np.isfinite(away) & np.isfinite(level) & ((away != 0) | (one != middle) | (two != middle) | (left != middle))
    if not np.any(told):
        return 0.0
    away, level = away[told], level[told]
    return float(1.482602 / math.sqrt(6.0) * np.median(away[level <= np.quantile(level, _DARK)]))


def _mask(values: Int32, delivered: Delivered) -> Int32:
    """Delivered mask values as our bits: what the table does not name is BAD."""
    out = np.zeros(values.shape, np.int32)
    if delivered.mask_form == "boolean":
        out[values != 0] = Mask.BAD
        return out
    names = {int(number): Mask[name] for number, name in delivered.mask_values.items() if name in Mask.__members__}
    ignored = {int(number) for number in delivered.mask_values} - set(names)
    if delivered.mask_form == "codes":
        for code in np.unique(values).tolist():
            if code != 0 and code not in ignored:
                out[values == code] = names.get(code, Mask.BAD)
        return out
    for number in range(31):
        set_here = (values >> number) & 1 != 0
        if number not in ignored and set_here.any():
            out[set_here] |= np.int32(names.get(number, Mask.BAD))
    return out
