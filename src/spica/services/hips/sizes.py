"""How much room HiPS will take on the disk, from the tiles of sky that they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spica.core.tiles import Tile
from spica.files import hips as store
from spica.files.cards import BLOCK
from spica.kernels import hips
from spica.kernels.placed import pixel_scale, placed

_NUMBER = BLOCK * (1 + -(-4 * hips.WIDTH**2 // BLOCK))
"""Bytes of a tile of numbers: a block of header, float32."""
_PICTURE = 3 * hips.WIDTH**2
"""Of a tile in colour, at most about: noise is hardly compressed."""
_ACROSS = 4
"""Places looked at along the side of a tile."""


def room_for(bands: Mapping[str, Sequence[Tile]], *, colour: bool) -> int:
    """Bytes of a HiPS of each band and, where `colour`, of one in colour, from the pixels and orders that they will have.

    Tiles of HiPS are whole, however little of them an image covers: where few do, they take many times the room of the stacks.
    """
    total = 0
    widest: set[tuple[int, int]] = set()
    for tiles in bands.values():
        cells = _cells(tiles)
        widest |= cells
        total += len(cells) * _NUMBER + _allsky(4)
    return total + (len(widest) * _PICTURE + _allsky(3) if colour and widest else 0)


def _cells(tiles: Sequence[Tile]) -> set[tuple[int, int]]:
    """Order and cell of each tile of a HiPS, of all orders."""
    known = [(placed(dict(tile.cards)), (tile.ny, tile.nx)) for tile in tiles]
    scales = [pixel_scale(sky, shape) for sky, shape in known]
    if not scales:
        return set()
    deepest = hips.deepest_order(min(scales))
    found: set[int] = set()
    for (sky, (ny, nx)), scale in zip(known, scales, strict=True):
        step = max(hips.WIDTH * hips.pixel_width(deepest) / scale / _ACROSS, 1.0)
        ys, xs = (np.linspace(-0.5, side - 0.5, int(side / step) + 2) for side in (ny, nx))
        ra, dec = sky.pixel_to_sky(*np.meshgrid(xs, ys))
        on = np.isfinite(ra) & np.isfinite(dec)
        found |= set(hips.cells_at(ra[on], dec[on], deepest).ravel().tolist())
    return {(order, cell >> 2 * (deepest - order)) for order in range(deepest + 1) for cell in found}


def _allsky(depth: int) -> int:
    """Of the picture of the whole sky, so many bytes a pixel."""
    return int(depth * store.ALLSKY_PIXELS**2 * 12 * 4**store.ALLSKY_ORDER)
