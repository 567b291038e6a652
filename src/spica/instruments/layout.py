"""Which file and HDU of a delivery holds which detector and plane."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from spica.core.camera import Camera, DetectorSpec
from spica.core.faults import DataFault
from spica.instruments.problems import PropertyError, refuse
from spica.instruments.rules import Reader

Header = Mapping[str, Any]

_MOST_AXES = 999
"""FITS 4.0, 4.4.1.1."""


def size(header: Header) -> tuple[int, ...]:
    """NAXIS1, NAXIS2, … of an HDU's pixels (of the image where it is tile-compressed); () where it has none."""
    prefix = "Z" if header.get("ZIMAGE") else ""
    if str(header.get("XTENSION", "IMAGE")).strip() in {"BINTABLE", "TABLE"} and not prefix:
        return ()
    count = _whole(header.get(f"{prefix}NAXIS"))
    return tuple(_whole(header.get(f"{prefix}NAXIS{axis}")) for axis in range(1, min(count, _MOST_AXES) + 1))


def _whole(value: object) -> int:
    """A number of pixels; 0 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def image_hdus(headers: Sequence[Header]) -> list[int]:
    """Indices of the HDUs that hold an image of two or more axes."""
    return [index for index, header in enumerate(headers) if len(axes := size(header)) >= 2 and all(axes)]


def ordered(headers: Sequence[Header]) -> list[Header]:
    """The headers that speak of the exposure: the primary, then the first HDU that holds pixels."""
    images = image_hdus(headers)
    return [headers[0], *(headers[index] for index in images[:1] if index)] if headers else []


def hdus_of(
    camera: Camera, headers: Sequence[Header], filename: str = "", *, reduced: bool = False
) -> dict[int, tuple[int, ...]]:
    """Which HDUs of a raw or reduced file hold which detectors.

    Parameters
    ----------
    camera : its table; `layout` says whether the file holds the mosaic, one detector, or one amplifier.
    headers : one mapping per HDU, primary first.
    filename : names the file in faults.
    reduced : the amplifiers are merged: one HDU per detector is looked for.

    Returns
    -------
    dict
        Detector id to HDU indices: one per entry of the detector's `hdus` for raw frames (for one amplifier per file
        only that one's), one for reduced frames. Detectors that the file lacks are not there.

    Raises
    ------
    DataFault
        ``header.bad-geometry`` where no detector is found or the HDUs of one are incomplete; ``header.missing`` where
        the header of a one-detector file does not say which.
    """
    images = image_hdus(headers)
    found: dict[int, tuple[int, ...]] = {}
    if camera.layout == "mosaic":
        found = {spec.id: _match(spec, headers, images, filename, reduced) for spec in camera.detectors}
        found = {number: indices for number, indices in found.items() if indices}
    elif images:
        spec = camera.detector(_number(camera, headers, filename))
        single = reduced or camera.layout == "amplifier" or len(spec.hdus) == 1
        found = {spec.id: tuple(images[:1]) if single else _match(spec, headers, images, filename, reduced)}
    if not found:
        names = ", ".join(str(header.get("EXTNAME", index)) for index, header in enumerate(headers))
        raise DataFault(
            "header.bad-geometry",
            f"{filename or 'file'}: no HDU holds a detector of {camera.name} (HDUs: {names})",
            camera=camera.name,
            file=filename,
            hdus=names,
        )
    return found


def _match(
    spec: DetectorSpec,
    headers: Sequence[Header],
    images: list[int],
    filename: str,
    reduced: bool,  # noqa: FBT001 - passed on as given
) -> tuple[int, ...]:
    found = [index for wanted in spec.hdus for index in _find(wanted, headers, images)[:1]]
    if reduced:
        return tuple(found[:1])
    if found and len(found) < len(spec.hdus):
        raise DataFault(
            "header.bad-geometry",
            f"{filename or 'file'}: detector {spec.name} has {len(found)} of its {len(spec.hdus)} HDUs",
            detector=spec.name,
            file=filename,
            found=len(found),
            expected=len(spec.hdus),
        )
    return tuple(found)


def _find(wanted: str | int, headers: Sequence[Header], images: list[int]) -> list[int]:
    """HDUs of an EXTNAME, of ``EXTNAME,EXTVER``, or the one at an index (the next with pixels where it has none)."""
    if isinstance(wanted, int):
        return [index for index in images if index >= wanted]
    name, _, version = wanted.partition(",")
    return [
        index
        for index in images
        if str(headers[index].get("EXTNAME", "")).strip().lower() == name.lower()
        and (not version or str(headers[index].get("EXTVER", 1)) == version)
    ]


def _number(camera: Camera, headers: Sequence[Header], filename: str) -> int:
    """Detector of a file that holds one."""
    if "detector" not in camera.header and len(camera.detectors) == 1:
        return camera.detectors[0].id
    try:
        word = Reader(camera, ordered(headers), filename).text("detector")
    except PropertyError as error:
        raise refuse([error.problem], camera.name, filename) from error
    for spec in camera.detectors:
        if word in {str(spec.id), spec.name}:
            return spec.id
    raise DataFault(
        "header.bad-geometry",
        f"{filename or 'file'}: {camera.name} has no detector {word!r}",
        camera=camera.name,
        file=filename,
        detector=word,
    )


def amplifier_of(camera: Camera, headers: Sequence[Header], spec: DetectorSpec, filename: str = "") -> int:
    """Index of the amplifier that a one-amplifier file holds; ``header.missing`` where the header does not say."""
    try:
        word = Reader(camera, ordered(headers), filename).text("amplifier")
    except PropertyError as error:
        raise refuse([error.problem], camera.name, filename) from error
    names = [amplifier.name for amplifier in spec.amplifiers]
    if word not in names:
        raise DataFault(
            "header.bad-geometry",
            f"{filename or 'file'}: detector {spec.name} has no amplifier {word!r} ({', '.join(names)})",
            detector=spec.name,
            file=filename,
            amplifier=word,
        )
    return names.index(word)


def role(camera: Camera, filename: str) -> str:
    """Which plane of a reduced exposure a file holds, from its name: 'science' unless the table says otherwise."""
    found = re.search(camera.delivered.pattern, PurePath(filename).name) if camera.delivered.pattern else None
    return camera.delivered.roles.get(found[1], "science") if found else "science"


def planes_of(camera: Camera, headers: Sequence[Header], spec: DetectorSpec, filename: str = "") -> dict[str, int]:
    """The planes of one detector that a reduced file holds: plane to HDU index."""
    images = image_hdus(headers)
    named = {
        plane: index
        for plane, extname in camera.delivered.hdus.items()
        for index in _find(extname, headers, images)[:1]
    }
    if "science" in named:
        return named
    found = hdus_of(camera, headers, filename, reduced=True).get(spec.id, ())
    return {role(camera, filename): found[0]} if found else {}
