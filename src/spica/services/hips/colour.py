"""A HiPS of colours: the tiles of one to three bands as pictures, with the same levels for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spica.core.faults import DataFault, SetupFault
from spica.core.records import Scalar
from spica.files import hips as store
from spica.files.images import open_rows
from spica.files.pictures import write_png
from spica.kernels import colour
from spica.kernels.colour import Levels
from spica.kernels.compiled import Float32, Numbers
from spica.services.hips.finishing import (
    NUMBERS,
    PICTURES,
    Facts,
    finish,
    lower_orders,
    read_tile,
    small,
    sweep,
    thinning,
)
from spica.services.hips.making import MadeHips
from spica.services.pictures import zero_point_of
from spica.services.progress import Step, Watcher, unwatched

_FORM = 1
"""Of tiles: raised where the same numbers would give other pictures."""


@dataclass(frozen=True)
class ColourHipsOrder:
    """What a HiPS of colours is to be.

    Attributes
    ----------
    title, released, identifier, extra : as in `HipsOrder`.
    weights : of the channels; where empty such that the middle colour of what is well above the noise is white.
    faint, softening : black below the sky, and the end of the linear part of the scale [sigma].
    bright : white [sigma above the sky]; 0: by the brightest pixels.
    """

    title: str
    released: str
    identifier: str = ""
    weights: tuple[float, ...] = ()
    faint: float = 1.5
    bright: float = 0.0
    softening: float = 3.0
    extra: Mapping[str, Scalar] | None = None


@dataclass(frozen=True)
class _Bands:
    """HiPS of numbers, from red to blue, and what brings each to the zero point of the first."""

    folders: tuple[Path, ...]
    factors: tuple[float, ...]
    order: int

    def tile(self, order: int, cell: int) -> tuple[Float32, Float32, Float32] | None:
        """Red, green and blue of a tile; of two bands green is their mean; None where a band has no tile."""
        found = []
        for folder, factor in zip(self.folders, self.factors, strict=True):
            tile = read_tile(folder, order, cell, NUMBERS)
            if tile is None:
                return None
            found.append(np.asarray(tile * np.float32(factor), np.float32))
        red, blue = found[0], found[-1]
        return red, found[1] if len(found) == 3 else np.asarray((red + blue) / np.float32(2), np.float32), blue

    def cells(self) -> list[int]:
        """Cells of the deepest order that all bands have."""
        there = [set(store.tiles_there(folder, self.order, NUMBERS)) for folder in self.folders]
        return sorted(set.intersection(*there))


def colour_hips(bands: Sequence[Path], folder: Path, order: ColourHipsOrder, watcher: Watcher = unwatched) -> MadeHips:
    """Make the HiPS of colours of HiPS of bands that `make_hips` made: PNG tiles, clear where a band has no value.

    The scale is that of `spica picture colour` (Lupton et al. 2004), with one set of levels, taken evenly of all tiles, for
    the whole sky and every order: there are no seams. Made again, only tiles that differ are made.

    Parameters
    ----------
    bands : folders, from red to blue: three; two, where green is their mean; or one, which is drawn grey.
    folder : to be, empty, or a HiPS that was made so before.

    Raises
    ------
    SetupFault
        ``order.invalid`` for another number of bands or weights, or a folder with other things.
    DataFault
        ``file.*``; ``data.no-pixels`` where the bands have no sky in common.
    """
    given = _opened(bands)
    if len(order.weights) not in {0, 3}:
        raise SetupFault("order.invalid", f"weights are three numbers, not {len(order.weights)}")
    before = store.begin(folder)
    cells = given.cells()
    levels = _levels(given, cells, order, watcher)
    plan = _plan(given, cells, levels)
    kept = store.unchanged(folder, given.order, PICTURES, plan, before)
    sweep(folder, given.order, kept, PICTURES)

    def draw(level: int, cell: int) -> bool:
        tile = given.tile(level, cell)
        picture = None if tile is None else _drawn(tile, levels)
        if picture is not None:
            write_png(store.tile_path(folder, level, cell, PICTURES), picture)
        return picture is not None

    made = [cell for cell in cells if cell not in kept]
    number = 0
    for done, cell in enumerate(made, start=1):
        number += draw(given.order, cell)
        watcher(Step("tiles", done, len(made)))
    changed = set(before) - kept | set(made)
    number += lower_orders(folder, given.order, PICTURES, draw, changed=changed, watcher=watcher)
    picture = store.allsky(_small(given, levels), np.zeros(4, np.uint8))
    write_png(folder / f"Norder{store.ALLSKY_ORDER}" / f"Allsky.{PICTURES}", picture)
    extra = {"hips_rgb_bands": " ".join(each.name for each in given.folders), **(order.extra or {})}
    found = finish(folder, Facts(order.title, order.released, order.identifier, given.order, PICTURES, extra))
    store.finish(folder, plan, set(store.tiles_there(folder, given.order, PICTURES)))
    return MadeHips(str(folder), given.order, found.tiles, number, found.area, found.ra, found.dec, found.width)


def _opened(bands: Sequence[Path]) -> _Bands:
    """Look at the HiPS of the bands."""
    if not 1 <= len(bands) <= 3:
        raise SetupFault("order.invalid", f"colours are made of one to three bands, from red to blue, not {len(bands)}")
    orders, zeros = [], []
    for folder in bands:
        told = store.read_properties(folder)
        order = int(told["hips_order"]) if told.get("hips_order", "").isdigit() else -1
        there = store.tiles_there(folder, order, NUMBERS)
        if not there:
            message = f"{folder} has no tiles of numbers: 'spica hips make' makes them of stacks"
            raise DataFault("data.no-pixels", message, path=str(folder))
        orders.append(order)
        zeros.append(zero_point_of(open_rows(store.tile_path(folder, order, there[0], NUMBERS)).header))
    if len(set(orders)) > 1:
        unlike = ", ".join(f"{folder.name} {order}" for folder, order in zip(bands, orders, strict=True))
        advice = "make them again with one --order"
        raise SetupFault("order.invalid", f"the bands have deepest tiles of unlike orders: {unlike}", advice=advice)
    first = zeros[0]
    factors = [
        1.0 if first is None or zero is None or None in zeros else 10.0 ** (-0.4 * (zero - first)) for zero in zeros
    ]
    return _Bands(tuple(bands), tuple(factors), orders[0])


def _levels(bands: _Bands, cells: Sequence[int], order: ColourHipsOrder, watcher: Watcher) -> Levels:
    """One set of levels, from pixels evenly spread over all tiles."""
    step = thinning(len(cells))
    parts: list[list[Float32]] = [[], [], []]
    for done, cell in enumerate(cells, start=1):
        for part, pixels in zip(parts, bands.tile(bands.order, cell) or (), strict=False):
            part.append(pixels[::step, ::step])
        watcher(Step("levels", done, len(cells)))
    names = ", ".join(str(folder) for folder in bands.folders)
    if not cells:
        raise DataFault("data.no-pixels", f"{names} have no tile in common", path=str(bands.folders[0]))
    try:
        return colour.automatic(
            *([np.concatenate(part) for part in parts], (0.0, 0.0, 0.0)),
            weights=(1.0, 1.0, 1.0) if len(bands.folders) == 1 and not order.weights else order.weights,
            faint=order.faint,
            bright=order.bright,
            softening=order.softening,
        )
    except ValueError as error:
        raise DataFault("data.no-pixels", f"{names}: {error}", path=str(bands.folders[0])) from error


def _plan(bands: _Bands, cells: Sequence[int], levels: Levels) -> dict[int, str]:
    """What each tile is made of, as a checksum."""
    made_of = [store.made_of(folder) for folder in bands.folders]
    plan = {}
    for cell in cells:
        words = [repr(_FORM), repr(levels), repr(bands.factors), *(each.get(cell, "") for each in made_of)]
        plan[cell] = hashlib.blake2b("\n".join(words).encode(), digest_size=20).hexdigest()
    return plan


def _drawn(tile: Sequence[Float32], levels: Levels) -> Numbers | None:
    """Red, green, blue and opacity of a tile, uint8; None where no pixel has a value in all bands."""
    picture, good = colour.composite(tile, levels)
    if not good.any():
        return None
    return np.concatenate((colour.shades(picture), np.where(good, 255, 0).astype(np.uint8)[..., None]), axis=2)


def _small(bands: _Bands, levels: Levels) -> Iterator[tuple[int, Numbers]]:
    """Tiles of order 3 as they stand in the all-sky picture: of means of the numbers, not of the colours."""
    for cell in store.tiles_there(bands.folders[0], store.ALLSKY_ORDER, NUMBERS):
        tile = bands.tile(store.ALLSKY_ORDER, cell)
        picture = None if tile is None else _drawn([small(band) for band in tile], levels)
        if picture is not None:
            yield cell, picture
