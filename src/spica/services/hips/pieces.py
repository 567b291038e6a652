"""The images that a HiPS is made of: on one scale, each with its place on the sky, their rows read once and let go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import SetupFault
from spica.core.records import Scalar
from spica.core.tiles import Tile
from spica.files import checksums
from spica.files.images import FileRows, open_rows
from spica.kernels import hips
from spica.kernels.associate import unit_vectors
from spica.kernels.compiled import Float32, Float64
from spica.kernels.placed import Sky, bilinear, pixel_areas, pixel_scale
from spica.services.pictures import pixels_of, sky_of, zero_point_of

_AHEAD = 256
"""So many rows are read at least when some are asked for."""
_COARSE = 5
"""A tile is looked at in 32 × 32 places first."""
_FINE = 6
_ARCSEC2 = 3600.0**2
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Piece:
    """An image file that is put into a HiPS.

    Attributes
    ----------
    path : FITS with a sky solution; where ``NAME.weight.fits`` lies beside it, pixels of weight 0 have no value.
    tile : the tile of sky that it is of: where several have a value, that of the owner is taken. None, or where no owner has
        one: that of the image whose middle is nearest.
    """

    path: Path
    tile: Tile | None = None


@dataclass(frozen=True, eq=False)
class Opened:
    """A piece that was looked at.

    Attributes
    ----------
    rows, weight : its pixels, and those of its weight map.
    factor : what brings its unit to that of the first.
    digest : of its bytes and of what it owns.
    """

    piece: Piece
    rows: FileRows
    weight: FileRows | None
    sky: Sky
    factor: float
    digest: str

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.rows.shape

    @cached_property
    def scale(self) -> float:
        """Side of a pixel in its middle [degree]."""
        return pixel_scale(self.sky, self.shape)

    @cached_property
    def areas(self) -> Float32:
        """Areas of its pixels on a mesh [square arcsecond]."""
        found = pixel_areas(self.sky, self.shape) * np.float32(_ARCSEC2)
        return np.where(np.isfinite(found), found, np.float32(self.scale**2 * _ARCSEC2)).astype(np.float32)

    @cached_property
    def middle(self) -> Float64:
        """Unit vector of its middle."""
        ny, nx = self.shape
        return unit_vectors(*self.sky.pixel_to_sky((nx - 1) / 2, (ny - 1) / 2))

    def cells(self, order: int) -> dict[int, tuple[int, int]]:
        """Cells that it may reach into, and the rows [first, end) that they need."""
        ny, nx = self.shape
        step = max(hips.WIDTH * hips.pixel_width(order) / self.scale / 4.0, 1.0)
        ys, xs = (np.linspace(-0.5, side - 0.5, int(side / step) + 2) for side in (ny, nx))
        ra, dec = self.sky.pixel_to_sky(*np.meshgrid(xs, ys))
        on = np.isfinite(ra) & np.isfinite(dec)
        near = hips.with_neighbours(hips.cells_at(ra[on], dec[on], order), order)
        # Places of a coarse look lie this far apart at most, in pixels of the image: cells are not square everywhere.
        margin = 3.0 * hips.pixel_width(order) * 2 ** (hips.DEEPER - _COARSE) / self.scale + 2.0
        found = {}
        for cell in near.tolist():
            x, y = self.sky.sky_to_pixel(*hips.places(order, cell, _COARSE))
            inside = (x > -margin) & (x < nx - 1 + margin) & (y > -margin) & (y < ny - 1 + margin)
            if inside.any():
                low, high = float(y[inside].min()) - margin, float(y[inside].max()) + margin
                found[cell] = (max(int(low), 0), min(int(high) + 2, ny))
        return found

    def read(self, y0: int, y1: int) -> Float32:
        """Rows as they are in the file, NaN without value."""
        pixels = pixels_of(self.rows, y0, y1)
        if self.weight is not None:
            weight = np.asarray(self.weight.read(y0, y1), np.float32)
            pixels[~(weight > 0)] = np.nan
        return pixels

    def seen(self, window: Window, span: tuple[int, int], order: int, cell: int) -> Float32:
        """A tile [unit of the first per square arcsecond] whose rows are within `span`; NaN without value."""
        x, y = self.sky.sky_to_pixel(*hips.places(order, cell))
        first, pixels = window.rows(*span)
        values = bilinear(pixels, x, y - first)
        if np.isfinite(values).any():
            values *= np.float32(self.factor) / self._areas_at(order, cell)
        return values

    def _areas_at(self, order: int, cell: int) -> Float32:
        """Areas of its pixels at those of a tile, the same for 8 × 8 of them."""
        ny, nx = self.shape
        x, y = self.sky.sky_to_pixel(*hips.places(order, cell, _FINE))
        mesh = len(self.areas) - 1.0
        areas = bilinear(
            self.areas, np.clip(x * (mesh / max(nx - 1, 1)), 0, mesh), np.clip(y * (mesh / max(ny - 1, 1)), 0, mesh)
        )
        side = hips.WIDTH >> _FINE
        return areas.repeat(side, axis=0).repeat(side, axis=1)

    def rank(self, ra: Float64, dec: Float64) -> Float64:
        """Which of several images a place is taken from: the highest; owners first, then by the distance of their middle."""
        near = unit_vectors(ra, dec) @ self.middle
        return near if self.piece.tile is None else near + 4.0 * self.piece.tile.owns(ra, dec)


@dataclass
class Window:
    """Rows of an image that move upwards: each is read once, those below are let go."""

    image: Opened
    _first: int = 0
    _held: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def rows(self, y0: int, y1: int) -> tuple[int, Float32]:
        """First row of those that are held, and them: y0 to y1 at least; y0 never falls."""
        end = self._first + len(self._held)
        if y1 > end or y0 < self._first:
            ny = self.image.shape[0]
            fresh = self.image.read(max(end, y0), min(max(y1, end + _AHEAD), ny))
            kept = self._held[max(y0 - self._first, 0) :]
            self._held = np.concatenate((kept, fresh)) if len(kept) else fresh
            self._first = y0
        return self._first, self._held


def open_pieces(pieces: Sequence[Piece]) -> tuple[list[Opened], dict[str, Scalar]]:
    """Look at images; with them the cards that tell the unit of the HiPS.

    Raises
    ------
    SetupFault
        ``order.nothing`` where there are none; ``order.invalid`` where some tell their zero point and others do not, or of
        another magnitude system.
    DataFault
        ``file.*``, ``wcs.none``, ``wcs.unsupported``.
    """
    if not pieces:
        raise SetupFault("order.nothing", "a HiPS is made of one image at least")
    rows = [open_rows(piece.path) for piece in pieces]
    zeros = [zero_point_of(each.header) for each in rows]
    systems = [str(each.header.get("MAGSYS") or "") for each in rows]
    for piece, zero, system in zip(pieces, zeros, systems, strict=True):
        if (zero is None) != (zeros[0] is None) or system != systems[0]:
            told = f"zero point {zero}, system {system!r}; {pieces[0].path.name} {zeros[0]}, {systems[0]!r}"
            advice = "leave it out, or write MAGZERO (and MAGSYS) into its header"
            message = f"{piece.path} is on another scale than the first image: {told}"
            raise SetupFault("order.invalid", message, path=str(piece.path), advice=advice)
    opened = []
    for piece, each, zero in zip(pieces, rows, zeros, strict=True):
        beside = piece.path.with_name(piece.path.name.removesuffix(".fits") + ".weight.fits")
        weight = open_rows(beside) if beside != piece.path and beside.exists() else None
        factor = 1.0 if zero is None or zeros[0] is None else 10.0 ** (-0.4 * (zero - zeros[0]))
        digest = _digest(piece, beside if weight is not None else None)
        opened.append(Opened(piece, each, weight, sky_of(piece.path, dict(each.header)), factor, digest))
    cards: dict[str, Scalar] = {"BUNIT": f"{rows[0].header.get('BUNIT') or ''} arcsec-2".strip()}
    cards |= {} if zeros[0] is None else {"MAGZERO": zeros[0]}
    cards |= {"MAGSYS": systems[0]} if systems[0] else {}
    return opened, cards


def _digest(piece: Piece, weight: Path | None) -> str:
    """What decides the pixels that come from a piece, as a checksum."""
    told = [checksums.of_file(piece.path), "" if weight is None else checksums.of_file(weight)]
    told.append("" if piece.tile is None else json.dumps(piece.tile.plain(), sort_keys=True))
    return hashlib.blake2b("\n".join(told).encode(), digest_size=20).hexdigest()
