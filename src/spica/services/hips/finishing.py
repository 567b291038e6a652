"""What every HiPS has besides its deepest tiles: lower orders, coverage, `properties`, a preview and a page."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np

from spica import __version__
from spica.core.records import Scalar
from spica.files import atomic
from spica.files import hips as store
from spica.files.hats.moc import Moc
from spica.files.hats.moc_files import write_moc
from spica.files.pictures import read_png
from spica.kernels import colour, hips
from spica.kernels.associate import unit_vectors
from spica.kernels.compiled import Float32, Float64, Numbers
from spica.kernels.projection import Projection
from spica.services.progress import Step, Watcher

NUMBERS, PICTURES = "fits", "png"
"""Endings of tiles."""
_COVERAGE = 5
"""Coverage is told by cells so much deeper than the deepest tiles, 16 × 16 pixels each."""
_PREVIEW = 512
_SHARP = 30.0
"""A viewer's white, above the sky [sigma]."""


class Facts(NamedTuple):
    """What `properties` tell besides what the tiles show."""

    title: str
    released: str
    identifier: str
    order: int
    suffix: str
    extra: Mapping[str, Scalar]


class Found(NamedTuple):
    """What the tiles show: sky with values [square degree], its middle and width [degree], number of tiles of all orders."""

    area: float
    ra: float
    dec: float
    width: float
    tiles: int


def read_tile(folder: Path, order: int, cell: int, suffix: str) -> Numbers | None:
    """A tile's pixels, numbers or colours with opacity, row 0 at the bottom; None where it is not there."""
    path = store.tile_path(folder, order, cell, suffix)
    if not path.exists():
        return None
    return store.read_numbers(path) if suffix == NUMBERS else read_png(path)


def sweep(folder: Path, order: int, kept: set[int], suffix: str) -> None:
    """Delete tiles of an order but those to be kept, and all of deeper orders."""
    for path in folder.glob("Norder*"):
        there = int(path.name[6:])
        for cell in store.tiles_there(folder, there, suffix) if there >= order else ():
            if there > order or cell not in kept:
                store.tile_path(folder, there, cell, suffix).unlink()


def lower_orders(
    folder: Path,
    deepest: int,
    suffix: str,
    make: Callable[[int, int], bool],
    *,
    changed: set[int],
    watcher: Watcher,
) -> int:
    """Make tiles of the orders below the deepest whose children changed; returns how many.

    Parameters
    ----------
    make : writes the tile of an order and cell; False where it has no value and there is none.
    changed : cells of the deepest order.
    """
    number = 0
    for order in range(deepest - 1, -1, -1):
        changed = {cell >> 2 for cell in changed}
        parents = {cell >> 2 for cell in store.tiles_there(folder, order + 1, suffix)}
        for cell in store.tiles_there(folder, order, suffix):
            if cell not in parents or cell in changed:
                store.tile_path(folder, order, cell, suffix).unlink()
        wanted = [cell for cell in sorted(parents) if not store.tile_path(folder, order, cell, suffix).exists()]
        number += sum(make(order, cell) for cell in wanted)
        watcher(Step("lower orders", deepest - order, deepest, f"order {order}"))
    return number


def finish(folder: Path, facts: Facts) -> Found:
    """Write coverage, `properties`, preview and page of a HiPS whose tiles are there."""
    deepest = store.tiles_there(folder, facts.order, facts.suffix)
    cells, sample, pixels = _looked_through(folder, facts, deepest)
    order = facts.order + _COVERAGE
    write_moc(folder / "Moc.fits", Moc.of_cells(order, cells))
    ra, dec, width = _extent(cells, order)
    fraction = cells.size / (12.0 * 4.0**order)
    tiles = sum(len(store.tiles_there(folder, each, facts.suffix)) for each in range(facts.order + 1))
    found = Found(pixels * hips.pixel_width(facts.order) ** 2, ra, dec, width, tiles)
    values = _values(facts, found, fraction)
    if facts.suffix == NUMBERS:
        values |= {"hips_pixel_bitpix": -32, **_cuts(sample)}
    _preview(folder, facts, found)
    _page(folder, facts, found, values)
    store.write_properties(folder, {**values, **facts.extra})
    return found


def _looked_through(folder: Path, facts: Facts, deepest: list[int]) -> tuple[Numbers, Float32, int]:
    """Cells of the coverage, a sample of the values, and how many pixels have one, from all tiles of the deepest order."""
    width = hips.WIDTH >> _COVERAGE
    inside, step = hips.numbering(_COVERAGE), thinning(len(deepest))
    cells, sample, number = [], [], 0
    for cell in deepest:
        pixels = read_tile(folder, facts.order, cell, facts.suffix)
        if pixels is None:
            continue
        good = np.isfinite(pixels) if pixels.ndim == 2 else pixels[..., 3] > 0
        number += int(np.count_nonzero(good))
        blocks = good.reshape(inside.shape[0], width, inside.shape[1], width).any(axis=(1, 3))
        cells.append((cell << (2 * _COVERAGE)) + inside[blocks])
        if pixels.ndim == 2:
            sample.append(pixels[::step, ::step])
    return np.concatenate(cells), np.concatenate(sample) if sample else np.zeros((0, 0), np.float32), number


def thinning(tiles: int) -> int:
    """Every which row and column of so many tiles are as many pixels as levels are taken of."""
    return max(1, int(np.ceil(np.sqrt(tiles * hips.WIDTH**2 / colour.SAMPLED))))


def _extent(cells: Numbers, order: int) -> tuple[float, float, float]:
    """Middle and width of the sky that cells cover [degree]."""
    vectors = unit_vectors(*hips.centres(cells, order))
    mean = vectors.mean(axis=0)
    ra = float(np.degrees(np.arctan2(mean[1], mean[0])) % 360.0)
    dec = float(np.degrees(np.arctan2(mean[2], np.hypot(mean[0], mean[1]))))
    farthest = float(np.min(vectors @ unit_vectors(ra, dec)))
    width = 2.0 * np.degrees(np.arccos(np.clip(farthest, -1.0, 1.0))) + hips.WIDTH * hips.pixel_width(order)
    return ra, dec, float(min(width, 360.0))


def _values(facts: Facts, found: Found, fraction: float) -> dict[str, Scalar]:
    """`properties` of every HiPS."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", facts.title).strip("_") or "hips"
    return {
        "creator_did": facts.identifier or f"ivo://unregistered/P/{plain}",
        "obs_title": facts.title,
        "dataproduct_type": "image",
        "dataproduct_subtype": "" if facts.suffix == NUMBERS else "color",
        "hips_version": "1.4",
        "hips_builder": f"spica {__version__}",
        "hips_release_date": facts.released if "T" in facts.released else f"{facts.released}T00:00Z",
        "hips_status": "public master clonableOnce",
        "hips_frame": "equatorial",
        "hips_order": facts.order,
        "hips_order_min": 0,
        "hips_tile_width": hips.WIDTH,
        "hips_tile_format": facts.suffix,
        "hips_pixel_scale": hips.pixel_width(facts.order),
        "s_pixel_scale": hips.pixel_width(facts.order),
        "hips_initial_ra": f"{found.ra:.6f}",
        "hips_initial_dec": f"{found.dec:.6f}",
        "hips_initial_fov": min(found.width, 180.0),
        "moc_sky_fraction": fraction,
    }


def _cuts(sample: Float32) -> dict[str, Scalar]:
    """From which to which value a viewer shows, and all values of the sample."""
    values = sample[np.isfinite(sample)]
    if not values.size:
        return {}
    levels = colour.automatic((values[None],) * 3, (0.0, 0.0, 0.0), weights=(1.0, 1.0, 1.0))
    sky = levels.channels[0].sky
    shown = f"{sky + levels.black:.6g} {sky + _SHARP * levels.sigma:.6g}"
    return {"hips_pixel_cut": shown, "hips_data_range": f"{values.min():.6g} {values.max():.6g}"}


def _preview(folder: Path, facts: Facts, found: Found) -> None:
    """A small picture of the whole, as ``preview.jpg``."""
    from PIL import Image  # loads for a tenth of a second

    # The zenithal equal-area plane shows the whole sky: a radius r has there the length 2 sin(r/2).
    radius = np.degrees(2.0 * np.sin(np.radians(min(found.width, 360.0)) / 4.0))
    step = max(2.0 * radius / _PREVIEW, hips.pixel_width(facts.order))
    middle = (_PREVIEW - 1) / 2
    plane = Projection(
        "ZEA", np.array([found.ra, found.dec]), np.array([middle, middle]), np.array([[-step, 0.0], [0.0, step]])
    )
    y, x = np.mgrid[0:_PREVIEW, 0:_PREVIEW].astype(np.float64)
    order = facts.order
    while order > 0 and hips.pixel_width(order - 1) <= step:
        order -= 1
    seen = _seen(folder, order, facts.suffix, plane.pixel_to_sky(x, y))
    if facts.suffix == NUMBERS:
        grey, _ = colour.grey(seen)
        seen = np.repeat(colour.shades(grey)[..., None], 3, axis=2)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(seen[::-1, :, :3])).save(stream, "JPEG", quality=90)
    atomic.write_bytes(folder / "preview.jpg", stream.getvalue())


def _seen(folder: Path, order: int, suffix: str, place: tuple[Float64, Float64]) -> Numbers:
    """Pixels of a HiPS at places: numbers, NaN without value, or colours, black without."""
    ra, dec = place
    on = np.isfinite(ra) & np.isfinite(dec)
    cells = np.full(ra.shape, -1, np.int64)
    cells[on] = hips.cells_at(ra[on], dec[on], order + hips.DEEPER)
    seen: Numbers = np.full(ra.shape, np.nan, np.float32) if suffix == NUMBERS else np.zeros((*ra.shape, 4), np.uint8)
    tiles = np.where(on, cells >> (2 * hips.DEEPER), -1)
    for tile in np.unique(tiles[on]).tolist():
        pixels = read_tile(folder, order, tile, suffix)
        if pixels is not None:
            here = tiles == tile
            seen[here] = pixels[hips.pixel_of(cells[here])]
    return seen


def _page(folder: Path, facts: Facts, found: Found, values: Mapping[str, Scalar]) -> None:
    """``index.html``: the HiPS in Aladin Lite, from a copy beside it, or the preview and how to get one."""
    shown = str(values.get("hips_pixel_cut", "")).split()
    words = {
        "title": escape(facts.title),
        "name": json.dumps(facts.title).replace("<", "\\u003c"),
        "target": json.dumps(f"{found.ra:.6f} {found.dec:+.6f}"),
        "width": f"{min(found.width * 1.1, 180.0):.6g}",
        "options": json.dumps({"minCut": float(shown[0]), "maxCut": float(shown[1])} if shown else {}),
        "area": f"{found.area:.4g}",
        "order": str(facts.order),
        "tiles": str(found.tiles),
        "version": __version__,
    }
    page = resources.files(__package__ or "spica.services.hips").joinpath("page.html").read_text("utf-8")
    atomic.write_bytes(folder / "index.html", Template(page).substitute(words).encode())


def small(tile: Numbers) -> Float32:
    """A tile of numbers as it stands in the all-sky picture: means of values."""
    while len(tile) > store.ALLSKY_PIXELS:
        tile = hips.halved(tile)
    return tile
