"""What a wrapped program needs, as plain files in its folder.

| need | files |
|---|---|
| image `science` | `science.fits` (float32 with the sky solution in its header), `science.weight.fits` (1 / variance, 0 where a pixel must not be used), `science.mask.fits` (int32); those that the image has |
| catalogue `sources` | `sources.ldac` (FITS_LDAC), with stamps of the image that stands beside it |
| model of a point spread function `psf` | `psf.psf` as SExtractor reads it |
| reference stars | `reference.ldac` as SCAMP reads a catalogue of the user's |
| products of members | `sources.ldac` with a pair of tables for each member; `science.list`, the images one path a line; values as `name.json`, by member |
| anything else | `name.json` |
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.core.records import Detector, Exposure, Scalar
from spica.core.streams import Rows
from spica.core.task import Member, Need
from spica.files import bintable, fits, standard
from spica.files.bintable import TableColumn
from spica.files.ldac import write_ldac
from spica.files.psfex import write_psfex

VIGNETTE = 35
"""Width of the stamps for PSFEx [pixel]."""
_COEFFICIENTS = "coefficients"
"""A column that only the catalogues of models of a point spread function have."""
_MAS = 3.6e6
_STRUCTURE = ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "BSCALE", "BZERO", "DATASUM", "CHECKSUM")


def materialise(needs: Sequence[Need], values: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Write the needs of a task into a folder; the path of each file by need, ``need.weight`` and ``need.mask``."""
    cards = _facts(values)
    images = [value for value in values.values() if isinstance(value, Image)]
    paths: dict[str, Path] = {}
    for need in needs:
        value = values[need.name]
        if value is None:
            continue
        if isinstance(value, Image):
            paths |= write_planes(folder, need.name, value, cards)
        elif isinstance(value, Catalogue) and _COEFFICIENTS in value.columns:
            paths[need.name] = folder / f"{need.name}.psf"
            write_psfex(paths[need.name], [PsfModel.from_catalogue(value)])
        elif isinstance(value, Catalogue):
            path = paths[need.name] = folder / f"{need.name}.ldac"
            if need.source == "reference":
                write_reference(path, value)
            else:
                write_ldac(path, value, {**cards, **value.header}, images[0] if images else None, VIGNETTE)
        elif isinstance(value, tuple) and value and isinstance(value[0], Member):
            heads = next((values[other.name] or {} for other in needs if other.source == "wcs"), {})
            paths |= _members(folder, need.name, value, cards, heads)
        else:
            path = paths[need.name] = folder / f"{need.name}.json"
            path.write_text(json.dumps(_plain(value), sort_keys=True, indent=1), encoding="utf-8")
    return paths


def _facts(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Cards of the records among the needs: exposure, and the delivered sky solution of the detector."""
    cards: dict[str, Scalar] = {}
    for value in values.values():
        if isinstance(value, Exposure):
            cards |= standard.of_exposure(value)
        if isinstance(value, Detector):
            cards |= dict(value.wcs)
    return cards


def write_planes(folder: Path, name: str, image: Image, cards: Mapping[str, Scalar]) -> dict[str, Path]:
    """Write an image as plain FITS files, its weight and mask beside it."""
    own = dict(cards)
    if any(key.startswith("CTYPE") for key in image.header):
        own = {key: value for key, value in own.items() if not _of_the_sky(key)}
    header = {**own, **image.header}
    usable = np.isfinite(image.pixels)
    if image.mask is not None:
        usable &= (image.mask & int(Mask.unusable())) == 0
    paths = {name: folder / f"{name}.fits"}
    write_plain(paths[name], np.where(np.isfinite(image.pixels), image.pixels, np.float32(0)), header)
    weight = usable.astype(np.float32)
    if image.variance is not None:
        good = usable & np.isfinite(image.variance) & (image.variance > 0)
        weight = np.where(good, 1 / np.where(good, image.variance, 1), 0).astype(np.float32)
    paths[f"{name}.weight"] = folder / f"{name}.weight.fits"
    write_plain(paths[f"{name}.weight"], weight, header)
    if image.mask is not None:
        paths[f"{name}.mask"] = folder / f"{name}.mask.fits"
        write_plain(paths[f"{name}.mask"], image.mask, header)
    return paths


def _of_the_sky(key: str) -> bool:
    return key.startswith(("CTYPE", "CRVAL", "CRPIX", "CD1_", "CD2_", "PV1_", "PV2_", "CDELT", "CUNIT", "PC1_", "PC2_"))


def write_plain(path: Path, pixels: npt.NDArray[Any], header: Mapping[str, Scalar]) -> None:
    """One image in the primary HDU, neither compressed nor scaled."""
    raw = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))
    bits = raw.dtype.itemsize * (8 if raw.dtype.kind == "i" else -8)
    ny, nx = raw.shape
    structure = [("SIMPLE", True, ""), ("BITPIX", bits, ""), ("NAXIS", 2, ""), ("NAXIS1", nx, ""), ("NAXIS2", ny, "")]
    told = [(key, value, "") for key, value in header.items() if key not in _STRUCTURE]
    told.sort(key=lambda card: card[0] != "WCSAXES")
    with path.open("wb") as stream:
        stream.write(fits.header_bytes([*structure, *told], fits.data_sum(raw)))
        stream.write(raw.tobytes())
        stream.write(fits.padding(raw.nbytes))


def write_reference(path: Path, stars: Catalogue) -> None:
    """Reference stars as SCAMP reads a catalogue of the user's (ASTREF_CATALOG FILE)."""
    names = [name for name in stars.columns if name.startswith("mag_") and not name.endswith("_err")]
    good = np.isfinite(stars["ra"]) & np.isfinite(stars["dec"])
    count = int(good.sum())

    def column(name: str, scale: float, missing: float) -> npt.NDArray[Any]:
        if name not in stars.columns:
            return np.full(count, missing)
        values = np.asarray(stars[name], np.float64)[good] * scale
        return np.where(np.isfinite(values), values, missing)

    magnitude = max(names, key=lambda name: int(np.isfinite(stars[name]).sum()), default="")
    columns = [
        TableColumn("X_WORLD", column("ra", 1, 0), "deg"),
        TableColumn("Y_WORLD", column("dec", 1, 0), "deg"),
        TableColumn("ERRA_WORLD", column("ra_err", 1 / _MAS, 1e-5).astype(np.float32), "deg"),
        TableColumn("ERRB_WORLD", column("dec_err", 1 / _MAS, 1e-5).astype(np.float32), "deg"),
        TableColumn("ERRTHETA_WORLD", np.zeros(count, np.float32), "deg"),
        TableColumn("MAG", column(magnitude, 1, 99).astype(np.float32), "mag"),
        TableColumn("MAGERR", column(f"{magnitude}_err", 1, 0.1).astype(np.float32), "mag"),
        TableColumn("OBSDATE", column("epoch", 1, 2000.0), "yr"),
    ]
    head = np.array([["SIMPLE  =                    T".ljust(80), "END".ljust(80)]], "S80")
    path.write_bytes(
        bintable.primary()
        + bintable.table("LDAC_IMHEAD", [TableColumn("Field Header Card", head)])
        + bintable.table("LDAC_OBJECTS", columns)
    )


def _members(
    folder: Path,
    name: str,
    members: Sequence[Member],
    cards: Mapping[str, Scalar],
    heads: Mapping[Any, Mapping[str, Scalar]],
) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    if all(isinstance(member.value, Catalogue) for member in members):
        whole = paths[name] = folder / f"{name}.ldac"
        part = folder / f"{name}.part"
        with whole.open("wb") as stream:
            stream.write(bintable.primary())
            for member in members:
                write_ldac(part, member.value, {**cards, **member.value.header, **_head(heads, member.unit)})
                stream.write(part.read_bytes()[len(bintable.primary()) :])
        part.unlink()
    elif all(isinstance(member.value, Image | Rows) for member in members):
        listed = []
        for number, member in enumerate(members):
            # One at a time: those of a stack do not fit into memory together.
            image = member.value if isinstance(member.value, Image) else _whole(member.value)
            listed.append(write_planes(folder, f"{name}-{number:04d}", image, cards)[f"{name}-{number:04d}"])
        paths[name] = folder / f"{name}.list"
        paths[name].write_text("".join(f"{path}\n" for path in listed), encoding="utf-8")
    elif all(isinstance(member.value, Mapping) for member in members):
        path = paths[name] = folder / f"{name}.json"
        values = {member.unit: _plain(member.value) for member in members}
        path.write_text(json.dumps(values, sort_keys=True, indent=1), encoding="utf-8")
    units = paths[f"{name}.units"] = folder / f"{name}.units"
    units.write_text("".join(f"{member.unit}\n" for member in members), encoding="utf-8")
    return paths


def _whole(rows: Rows) -> Image:
    """An image that is read by rows, all of it."""
    planes: dict[str, Any] = dict.fromkeys(("variance", "mask"))
    for plane in planes:
        try:
            planes[plane] = rows.read(0, rows.shape[0], plane)
        except KeyError:
            continue  # the product has none
    return Image(np.asarray(rows.read(0, rows.shape[0]), np.float32), **planes, header=rows.header)


def _head(heads: Mapping[Any, Mapping[str, Scalar]], unit: str) -> dict[str, Scalar]:
    """Cards of a member's image, its size first, of those of all: by detector, or by exposure and detector."""
    number = unit.rpartition("/")[2]
    found = heads.get(unit) or heads.get(int(number) if number.isdigit() else number) or {}
    return {key: value for key, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
