"""What a release shows of the whole sky: one catalogue of its objects, and HiPS of its bands and in colour with their coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spica.core.bands import by_wavelength
from spica.core.records import Unit
from spica.core.tiles import Tile
from spica.files import frozen
from spica.files.frozen import PublishedFile
from spica.files.published.publishing import publish_objects
from spica.services.hips import ColourHipsOrder, HipsOrder, Piece, colour_hips, make_hips
from spica.services.hips import room_for as hips_room
from spica.services.progress import Step, Watcher
from spica.services.publishing.parts import Part, band_of

STACK, OBJECTS = "stack", frozen.OBJECTS
"""Products that the sky is shown of."""


@dataclass(frozen=True)
class Sky:
    """What there is to be shown.

    Attributes
    ----------
    place : folder of the release that is being made.
    name, title, released : of the release; date, YYYY-MM-DD.
    stacks : image files by band, each with its tile.
    objects : catalogue files of the tiles.
    """

    place: Path
    name: str
    title: str
    released: str
    stacks: Mapping[str, Sequence[tuple[Path, Tile | None]]]
    objects: Sequence[Path]


def show(sky: Sky, watcher: Watcher) -> tuple[PublishedFile, ...]:
    """Make ``objects`` (HATS), ``hips/BAND`` and ``hips/colour``; each a folder that the manifest holds as a whole.

    Raises
    ------
    DataFault
        ``published.*``, ``file.*``, ``wcs.*``, ``data.no-pixels``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    folders = []
    if sky.objects:
        facts = {"obs_release_date": sky.released, "addendum_did": sky.name}
        watcher(Step("catalogue of objects", 0, len(sky.objects)))
        publish_objects(sky.objects, sky.place / OBJECTS, name=f"{sky.name}_objects", title=sky.title, facts=facts)
        folders.append(OBJECTS)
    for band, stacks in sky.stacks.items():
        order = HipsOrder(f"{sky.title or sky.name}, {band}", sky.released)
        pieces = [Piece(path, tile) for path, tile in stacks]
        make_hips(pieces, sky.place / "hips" / band, order, _named(watcher, f"HiPS of {band}"))
        folders.append(f"hips/{band}")
    if len(sky.stacks) > 1:
        bands = by_wavelength(sky.stacks)[::-1]
        three = bands if len(bands) < 3 else [bands[0], bands[(len(bands) - 1) // 2], bands[-1]]
        told = ColourHipsOrder(f"{sky.title or sky.name}, {' '.join(three)}", sky.released)
        sources = [sky.place / "hips" / band for band in three]
        colour_hips(sources, sky.place / "hips" / "colour", told, _named(watcher, "HiPS in colour"))
        folders.append("hips/colour")
    return tuple(frozen.whole_folder(sky.place, each) for each in folders)


def room_for(units: Mapping[Unit, Sequence[Part]]) -> int:
    """Bytes that `show` will write, about: each row of objects once more, and HiPS of all stacks."""
    bands: dict[str, list[Tile]] = {}
    objects = 0
    for unit, parts in units.items():
        products = [(product.name, product.size) for part in parts for product in part.products]
        objects += sum(size for name, size in products if name == OBJECTS)
        tile = next((part.tile for part in parts if part.tile is not None), None)
        if tile is not None and any(name == STACK for name, _ in products):
            bands.setdefault(band_of(unit), []).append(tile)
    return objects + hips_room(bands, colour=len(bands) > 1)


def _named(watcher: Watcher, stage: str) -> Watcher:
    return lambda step: watcher(replace(step, stage=stage))
