"""Cut-outs of stacks, with all of their planes: about a place on the sky from every stack that covers it, or a box of a tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar, Unit
from spica.core.streams import Band
from spica.core.task import Form
from spica.files import refresh
from spica.files.images import FileRows, ImageSink, open_rows, read_identity
from spica.kernels.projection import projection
from spica.registry.store import Registry
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import opened

_BAND = 256
_NOTHING = {"science": np.nan, "variance": np.inf, "mask": int(Mask.NO_DATA), "epoch": np.nan}


@dataclass(frozen=True)
class Box:
    """Pixels of a tile, from 0, half open: x0, x1, y0, y1; they may go beyond its edge."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.y1 - self.y0, self.x1 - self.x0


@dataclass(frozen=True)
class StackCut:
    """One cut-out: of which stack, its box, the fraction of it on the tile, its file."""

    unit: str
    box: Box
    inside: float
    path: str


def stack_cutouts(
    to: Path,
    folder: Path | None,
    place: tuple[float, float] | Box,
    *,
    size: int = 64,
    tile: str = "",
    band: str = "",
    kind: str = "stack",
    watcher: Watcher = unwatched,
) -> list[StackCut]:
    """Write a part of stacks into a folder, in the order of tiles and bands; in bounded memory.

    The sky solution is moved with the cut; identity, figures of the quality and release stay. Pixels beyond the tile are NaN,
    and NO_DATA in the mask.

    Parameters
    ----------
    place : right ascension and declination [degree, ICRS], of every stack that covers it; or a box of the tile.
    size : pixels a side about a place on the sky.
    tile, band : these only; '' for all. A box needs the tile.
    kind : name of the image product of a tile and band.

    Raises
    ------
    SetupFault
        ``order.invalid`` for a place or box that cannot be, ``order.nothing`` where no stack covers it.
    DataFault
        ``file.*``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    _sensible(place, size, tile)
    with opened(folder) as house:
        root = house.survey.root
        products = _stacks(house.registry, tile, band, kind)
    found = [(product, box) for product in products if (box := _box_of(root / product.path, place, size)) is not None]
    if not found:
        chosen = "".join(f", {name} {value}" for name, value in (("tile", tile), ("band", band)) if value)
        advice = "'spica tiles' shows where they are, 'spica release status' which are made"
        raise SetupFault("order.nothing", f"no stack {kind!r}{chosen} covers {place}", advice=advice)
    cuts = []
    for number, (product, box) in enumerate(found, 1):
        name = f"{'_'.join(product.unit.values)}_{kind}_x{box.x0}_y{box.y0}_{box.shape[1]}x{box.shape[0]}.fits"
        cuts.append(StackCut(str(product.unit), box, cut(root / product.path, box, to / name), str(to / name)))
        watcher(Step("cutout", number, len(found), str(product.unit)))
    return cuts


def _sensible(place: tuple[float, float] | Box, size: int, tile: str) -> None:
    if isinstance(place, Box):
        if min(place.shape) < 1:
            raise SetupFault("order.invalid", f"{place} has no pixel: x0 < x1 and y0 < y1")
        if not tile:
            raise SetupFault("order.invalid", "a box is one of a tile: name it")
    elif not (0 <= place[0] < 360 and -90 <= place[1] <= 90):
        message = f"RA {place[0]}, Dec {place[1]} is not on the sky: RA from 0 to 360, Dec from -90 to 90 degrees"
        raise SetupFault("order.invalid", message, ra=place[0], dec=place[1])
    elif size < 1:
        raise SetupFault("order.invalid", f"a cut-out has one pixel a side or more, not {size}", size=size)


def _stacks(registry: Registry, tile: str, band: str, kind: str) -> list[ProductRecord]:
    """The newest of each tile and band."""
    units: set[Unit] = set()
    for each in registry.all_products():
        if each.unit.grain is Grain.TILE_BAND and each.name == kind and each.form is Form.IMAGE and not each.scratch:
            keys = each.unit.keys
            if tile in {"", keys["tile"]} and band in {"", keys["band"]}:
                units.add(each.unit)
    return [
        [each for each in registry.products_of(unit) if each.name == kind and each.path][-1]
        for unit in sorted(units, key=str)
    ]


def _box_of(path: Path, place: tuple[float, float] | Box, size: int) -> Box | None:
    """The box of a place, None where it falls beside the tile."""
    rows = open_rows(path)
    ny, nx = rows.shape
    if isinstance(place, Box):
        reaches = place.x0 < nx and place.x1 > 0 and place.y0 < ny and place.y1 > 0
        return place if reaches else None
    x, y = (float(each) for each in projection(rows.header).sky_to_pixel(*place))
    if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
        return None
    x0, y0 = (int(np.floor(each + 0.5)) - size // 2 for each in (x, y))
    return Box(x0, x0 + size, y0, y0 + size)


def cut(path: Path, box: Box, to: Path) -> float:
    """Write a box of an image product, all planes, exact; the fraction of it that the image has.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where the box lies outside of the image.
    """
    rows = open_rows(path)
    ny, nx = rows.shape
    left, right = max(box.x0, 0), min(box.x1, nx)
    low, high = max(box.y0, 0), min(box.y1, ny)
    if left >= right or low >= high:
        raise DataFault("data.no-pixels", f"{path}: {box} lies outside of {nx} x {ny} pixels", path=str(path))
    header: dict[str, Scalar] = dict(rows.header) | {"CUTX": box.x0, "CUTY": box.y0}
    for axis, start in (("CRPIX1", box.x0), ("CRPIX2", box.y0)):
        value = header.get(axis)
        if isinstance(value, int | float):
            header[axis] = value - start
    told = read_identity(path) | refresh.cards_of(path)
    sink = ImageSink(to, box.shape, told, lossless=True, header=header)
    try:
        for part in _bands(rows, box, (left, right), (low, high)):
            sink.write(part)
        sink.close()
    finally:
        sink.abandon()
    return (right - left) * (high - low) / (box.shape[0] * box.shape[1])


def _bands(rows: FileRows, box: Box, columns: tuple[int, int], there: tuple[int, int]) -> Iterator[Band]:
    left, right = columns
    for y0 in range(box.y0, box.y1, _BAND):
        y1 = min(y0 + _BAND, box.y1)
        low, high = max(y0, there[0]), min(y1, there[1])
        planes: dict[str, npt.NDArray[np.generic]] = {}
        for name in rows.planes:
            kind = np.int32 if name in {"mask", "number"} else np.float32
            made: npt.NDArray[np.generic] = np.full((y1 - y0, box.shape[1]), _NOTHING.get(name, 0), kind)
            if low < high:
                made[low - y0 : high - y0, left - box.x0 : right - box.x0] = rows.read(low, high, name)[:, left:right]
            planes[name] = made
        yield Band(y0 - box.y0, planes)
