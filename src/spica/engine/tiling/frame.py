"""The image of a tile: its projection, its size, and what lies on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import SetupFault
from spica.core.tiles import Tile
from spica.kernels.projection import Projection, projection

Floats = npt.NDArray[np.float64]
LARGEST = 100_000
"""Pixels along a side: beyond this a tile is surely a mistake."""
_SIDE = 33
"""Places along each side of a region by which its image is bounded."""


@dataclass(frozen=True)
class Frame:
    """How tiles are drawn: FITS code of the projection, pixel [arcsec], margin beyond what they own [arcsec]."""

    code: str
    scale: float
    margin: float

    def about(self, ra: float, dec: float, turn: float = 0.0) -> Projection:
        """A projection about a place [degree] with that place at pixel (0, 0), north up, or `turn` degrees east of it."""
        step, angle = self.scale / 3600.0, math.radians(turn)
        cos, sin = math.cos(angle), math.sin(angle)
        cd = step * np.array([[-cos, sin], [sin, cos]])
        return Projection(self.code, np.array([ra % 360.0, dec]), np.zeros(2), cd)

    def tile(self, name: str, plane: Projection, ra: Floats, dec: Floats, **rest: Any) -> Tile:
        """The tile about places [degree], with its margin, on the pixels of a plane.

        Raises
        ------
        SetupFault
            ``release.invalid`` where the projection does not hold it, or it has more than `LARGEST` pixels a side.
        """
        x, y = plane.sky_to_pixel(ra, dec)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise SetupFault(
                "release.invalid",
                f"the projection {self.code} does not hold the tile {name}: choose a smaller size",
                tile=name,
            )
        more = self.margin / self.scale
        # Rounded outward, but for what is only the rounding of the mathematics.
        x0, y0 = (math.floor(float(part.min()) - more + 1e-6) for part in (x, y))
        x1, y1 = (math.ceil(float(part.max()) + more - 1e-6) for part in (x, y))
        return framed(name, plane, (x0, x1 + 1, y0, y1 + 1), **rest)


def framed(name: str, plane: Projection, pixels: tuple[int, int, int, int], **rest: Any) -> Tile:
    """The tile of pixels x0 to x1, y0 to y1 (half open) of a plane."""
    x0, x1, y0, y1 = pixels
    nx, ny = x1 - x0, y1 - y0
    if max(nx, ny) > LARGEST:
        raise SetupFault(
            "release.invalid",
            f"the tile {name} would have {nx} by {ny} pixels: choose a smaller size, more patches, or a larger scale",
            tile=name,
        )
    own = Projection(plane.code, plane.crval, plane.crpix - np.array([x0, y0]), plane.cd)
    ra, dec = outline_of(own, nx, ny)
    return Tile(name, nx, ny, own.cards(), (tuple(ra.tolist()), tuple(dec.tolist())), **rest)


def outline_of(plane: Projection, nx: int, ny: int, each: int = 4) -> tuple[Floats, Floats]:
    """Vertices around the pixels of an image, `each` a side, counted as the pixels' edges."""
    along = np.arange(each) / each
    x = np.concatenate([along, np.ones(each), 1.0 - along, np.zeros(each)]) * nx - 0.5
    y = np.concatenate([np.zeros(each), along, np.ones(each), 1.0 - along]) * ny - 0.5
    return plane.pixel_to_sky(x, y)


def edge_of_box(ra: tuple[float, float], dec: tuple[float, float]) -> tuple[Floats, Floats]:
    """Places along the edge of a box in right ascension and declination, which may cross 0 [degree]."""
    width = (ra[1] - ra[0]) % 360.0 or 360.0
    part = np.linspace(0.0, 1.0, _SIDE)
    east, north = ra[0] + part * width, dec[0] + part * (dec[1] - dec[0])
    level = np.ones(_SIDE)
    return (
        np.concatenate([east, east, level * ra[0], level * (ra[0] + width)]) % 360.0,
        np.concatenate([level * dec[0], level * dec[1], north, north]),
    )


def touches(tile: Tile, outlines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[bool]:
    """Whether convex outlines (vertices [degree]) share more than an edge with a tile's image."""
    plane = projection(tile.cards)
    found = []
    for ra, dec in outlines:
        x, y = plane.sky_to_pixel(np.asarray(ra), np.asarray(dec))
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            found.append(False)  # on the other side of the sky
            continue
        found.append(_meet(np.stack([x, y], 1), tile.nx, tile.ny))
    return found


def _meet(corners: Floats, nx: int, ny: int) -> bool:
    """Whether a convex polygon (n, 2) meets the pixels of an image: no line along one of their sides parts them."""
    box = np.array([[-0.5, -0.5], [nx - 0.5, -0.5], [nx - 0.5, ny - 0.5], [-0.5, ny - 0.5]])
    sides = np.roll(corners, -1, 0) - corners
    normals = np.concatenate([np.eye(2), np.stack([-sides[:, 1], sides[:, 0]], 1)])
    one, two = corners @ normals.T, box @ normals.T
    apart = np.maximum(one.min(0) - two.max(0), two.min(0) - one.max(0))
    # In pixels; a side of no length parts nothing.
    length = np.hypot(*normals.T)
    return bool((apart < -1e-6 * length)[length > 0.0].all())
