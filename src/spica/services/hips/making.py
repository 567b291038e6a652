"""A HiPS of numbers: the stacks of a band as tiles of the sky in every order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spica.core.faults import DataFault, SetupFault
from spica.core.records import Scalar
from spica.files import atomic
from spica.files import hips as store
from spica.kernels import hips
from spica.kernels.compiled import Float32, Float64
from spica.services.hips.finishing import NUMBERS, Facts, finish, lower_orders, read_tile, small, sweep
from spica.services.hips.pieces import Opened, Piece, Window, open_pieces
from spica.services.progress import Step, Watcher, unwatched

_FORM = 1
"""Of tiles: raised where the same images would give others."""


@dataclass(frozen=True)
class HipsOrder:
    """What a HiPS is to be.

    Attributes
    ----------
    title : its name for people.
    released : date of its release, YYYY-MM-DDTHH:MMZ or a part of it.
    identifier : IVOA identifier; by the title where empty.
    order : of the deepest tiles; 0: as deep as the pixels of the finest image show.
    extra : more keywords of `properties`.
    """

    title: str
    released: str
    identifier: str = ""
    order: int = 0
    extra: Mapping[str, Scalar] | None = None


@dataclass(frozen=True)
class MadeHips:
    """A HiPS that was made.

    Attributes
    ----------
    order : of its deepest tiles.
    tiles : of all orders; `made` of them were made now, the others had been before.
    area : of sky with values [square degree].
    ra, dec, width : middle and width of the sky that it shows [degree].
    """

    path: str
    order: int
    tiles: int
    made: int
    area: float
    ra: float
    dec: float
    width: float


def make_hips(stacks: Sequence[Piece | Path], folder: Path, order: HipsOrder, watcher: Watcher = unwatched) -> MadeHips:
    """Make the HiPS of images of one band: FITS tiles of surface brightness, float32, NaN where there is no value.

    Images may overlap, and have any projection and scale: between their pixels linearly, by the area of each pixel, so that
    the sum of a source's pixels times the area of one is its flux. Where several have a value, see `Piece`. A pixel of a
    lower order is the mean of the values of four. Made again with other images, only tiles that differ are made.

    Parameters
    ----------
    stacks : image files; the first tells the unit, zero point and system.
    folder : to be, empty, or a HiPS that was made so before.

    Raises
    ------
    SetupFault
        ``order.invalid`` for a folder with other things, an order out of range, images on unlike scales; ``order.nothing``.
    DataFault
        ``file.*``, ``wcs.none``, ``wcs.unsupported``; ``data.no-pixels`` where no image has a value.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    opened, cards = open_pieces([each if isinstance(each, Piece) else Piece(each) for each in stacks])
    deepest = order.order or hips.deepest_order(min(each.scale for each in opened))
    if not hips.SHALLOWEST <= deepest <= hips.DEEPEST:
        message = f"a HiPS has tiles of orders {hips.SHALLOWEST} to {hips.DEEPEST} at the deepest, not {deepest}"
        raise SetupFault("order.invalid", message, order=deepest)
    before = store.begin(folder)
    spans = [each.cells(deepest) for each in opened]
    plan = _plan(opened, spans, deepest, cards)
    kept = store.unchanged(folder, deepest, NUMBERS, plan, before)
    sweep(folder, deepest, kept, NUMBERS)
    made = set(plan) - kept
    _deepest(opened, spans, made, (folder, deepest), cards, watcher)
    there = store.tiles_there(folder, deepest, NUMBERS)
    if not there:
        names = ", ".join(each.piece.path.name for each in opened[:3])
        raise DataFault("data.no-pixels", f"no pixel of {names} has a value", path=str(opened[0].piece.path))

    def join(level: int, cell: int) -> bool:
        four = {n: read_tile(folder, level + 1, 4 * cell + n, NUMBERS) for n in range(4)}
        pixels = hips.joined({number: tile for number, tile in four.items() if tile is not None})
        store.write_numbers(store.tile_path(folder, level, cell, NUMBERS), pixels, _told(level, cell, cards))
        return True

    gone = set(before) - kept
    lower = lower_orders(folder, deepest, NUMBERS, join, changed=made | gone, watcher=watcher)
    _allsky(folder, cards)
    facts = Facts(order.title, order.released, order.identifier, deepest, NUMBERS, order.extra or {})
    found = finish(folder, facts)
    store.finish(folder, plan, set(there))
    number = len(made & set(there)) + lower
    return MadeHips(str(folder), deepest, found.tiles, number, found.area, found.ra, found.dec, found.width)


def _allsky(folder: Path, cards: Mapping[str, Scalar]) -> None:
    order = store.ALLSKY_ORDER
    tiles = {cell: read_tile(folder, order, cell, NUMBERS) for cell in store.tiles_there(folder, order, NUMBERS)}
    parts = ((cell, small(tile)) for cell, tile in tiles.items() if tile is not None)
    picture = store.allsky(parts, np.array(np.nan, np.float32))
    store.write_numbers(folder / f"Norder{order}" / f"Allsky.{NUMBERS}", picture, cards)


def _plan(
    opened: Sequence[Opened], spans: Sequence[Mapping[int, tuple[int, int]]], order: int, cards: Mapping[str, Scalar]
) -> dict[int, str]:
    """What each tile is made of, as a checksum."""
    reach: dict[int, list[str]] = {}
    for each, span in zip(opened, spans, strict=True):
        for cell in span:
            reach.setdefault(cell, []).append(f"{each.digest} {each.factor!r}")
    common = f"{_FORM} {order} {sorted(cards.items())!r}"
    return {
        cell: hashlib.blake2b("\n".join([common, *names]).encode(), digest_size=20).hexdigest()
        for cell, names in sorted(reach.items())
    }


def _told(order: int, cell: int, cards: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {"ORDER": order, "NPIX": cell, **cards}


def _deepest(
    opened: Sequence[Opened],
    spans: Sequence[Mapping[int, tuple[int, int]]],
    wanted: set[int],
    place: tuple[Path, int],
    cards: Mapping[str, Scalar],
    watcher: Watcher,
) -> None:
    """Make tiles of the deepest order, image by image; those that several reach into wait on the disk for the last of them."""
    folder, order = place
    last = {cell: number for number, span in enumerate(spans) for cell in span}
    reach = {cell: sum(cell in span for span in spans) for cell in wanted}
    total, done = sum(reach.values()), 0
    with atomic.passing_folder(folder, "waiting") as waiting:
        for number, (each, span) in enumerate(zip(opened, spans, strict=True)):
            window = Window(each)
            for cell in sorted(wanted & set(span), key=lambda cell: (span[cell], cell)):
                values = each.seen(window, span[cell], order, cell)
                if reach[cell] > 1:
                    at = hips.places(order, cell)
                    values = _chosen(waiting / f"{cell}.npz", values, each, at, last=last[cell] == number)
                if last[cell] == number and np.isfinite(values).any():
                    path = store.tile_path(folder, order, cell, NUMBERS)
                    store.write_numbers(path, values, _told(order, cell, cards))
                done += 1
                watcher(Step("tiles", done, total, each.piece.path.name))


def _chosen(path: Path, values: Float32, image: Opened, place: tuple[Float64, Float64], *, last: bool) -> Float32:
    """Values of the images so far, each from the one of the highest rank; they are kept for the next unless it is the last."""
    good = np.isfinite(values)
    rank = np.full(values.shape, -np.inf)
    if good.any():
        rank[good] = image.rank(place[0][good], place[1][good])
    if path.exists():
        with np.load(path) as kept:
            better = rank > kept["rank"]
            values, rank = np.where(better, values, kept["values"]), np.where(better, rank, kept["rank"])
    if last:
        path.unlink(missing_ok=True)
    else:
        with atomic.disk_faults(path):
            np.savez(path, values=values, rank=rank)
    return values
