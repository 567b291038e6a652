"""Tiles of HiPS: which HEALPix cell each pixel of a tile is, where it lies, and four tiles as one of the order above.

A tile of order K is a HEALPix cell (nested) seen as 512 × 512 cells of order K + 9 (IVOA recommendation HiPS 1.0, section 4.1).
Arrays are as in FITS, row 0 at the bottom: columns run along the north-western side of a cell, rows against the north-eastern one,
so that the eastern corner is at the lower left and the northern one at the lower right.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Float64, Int64

DEEPER = 9
WIDTH = 1 << DEEPER
SHALLOWEST = 3
"""Every HiPS goes as deep as this at least: an all-sky picture is of this order."""
DEEPEST = 29 - DEEPER
_COARSER = 1.1
"""Pixels of a HiPS may be so much wider than those that it is made of."""


def pixel_width(order: int) -> float:
    """Width of a pixel of tiles of an order, the root of its area [degree]."""
    return math.degrees(math.sqrt(math.pi / 3.0)) / 2.0 ** (order + DEEPER)


def deepest_order(scale: float) -> int:
    """The order whose tiles hold all that pixels of a width [degree] show."""
    wanted = math.ceil(math.log2(pixel_width(0) / (scale * _COARSER)))
    return min(max(wanted, SHALLOWEST), DEEPEST)


def numbering(deeper: int = DEEPER) -> Int64:
    """Number of each pixel of a tile among the cells in it, ``(2^deeper, 2^deeper)``."""
    spread = np.zeros(1 << deeper, np.int64)
    for bit in range(deeper):
        spread |= ((np.arange(1 << deeper) >> bit) & 1) << (2 * bit)
    return np.asarray(spread[::-1, None] | (spread[None, :] << 1))


def pixel_of(number: npt.ArrayLike, deeper: int = DEEPER) -> tuple[Int64, Int64]:
    """Row and column of cells by their number in a tile: what `numbering` says the other way round."""
    cells = np.asarray(number, np.int64)
    rows, columns = np.zeros_like(cells), np.zeros_like(cells)
    for bit in range(deeper):
        rows |= ((cells >> (2 * bit)) & 1) << bit
        columns |= ((cells >> (2 * bit + 1)) & 1) << bit
    return (1 << deeper) - 1 - rows, columns


def places(order: int, cell: int, deeper: int = DEEPER) -> tuple[Float64, Float64]:
    """Right ascension and declination [degree] of the pixels of a tile, ``(2^deeper, 2^deeper)``."""
    cells = (cell << (2 * deeper)) + numbering(deeper)
    ra, dec = centres(cells.ravel(), order + deeper)
    return ra.reshape(cells.shape), dec.reshape(cells.shape)


def centres(cells: Int64, order: int) -> tuple[Float64, Float64]:
    """Middles of cells [degree]."""
    # Half a second to load, which those who make no HiPS do not pay.
    from cdshealpix import nested

    lon, lat = nested.healpix_to_lonlat(cells, order, num_threads=1)
    return np.asarray(lon.deg), np.asarray(lat.deg)


def cells_at(ra: npt.ArrayLike, dec: npt.ArrayLike, order: int) -> Int64:
    """The cell of an order that each place [degree] lies in, in their shape."""
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested

    lon, lat = np.broadcast_arrays(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    found = nested.lonlat_to_healpix(
        Longitude(lon.ravel(), unit=units.deg), Latitude(lat.ravel(), unit=units.deg), order, num_threads=1
    )
    return np.asarray(found).astype(np.int64).reshape(lon.shape)


def with_neighbours(cells: Int64, order: int) -> Int64:
    """Cells and those that touch them, rising, each once."""
    from cdshealpix import nested

    around = np.asarray(nested.neighbours(np.unique(cells), order, num_threads=1)).astype(np.int64)
    return np.unique(around[around >= 0])


def joined(children: Mapping[int, Float32]) -> Float32:
    """A tile from those of the order below: each pixel the mean of the values of four.

    Parameters
    ----------
    children : tiles by their number within this one, 0 to 3; NaN where there is no value, as where one is left out.
    """
    tile = np.full((WIDTH, WIDTH), np.nan, np.float32)
    half = WIDTH // 2
    for number, child in children.items():
        row, column = pixel_of(number, 1)
        tile[row * half : (row + 1) * half, column * half : (column + 1) * half] = halved(child)
    return tile


def halved(tile: Float32) -> Float32:
    """Means of squares of 2 × 2 pixels, of those that have a value; NaN where none has one."""
    ny, nx = tile.shape
    four = tile.reshape(ny // 2, 2, nx // 2, 2)
    good = np.isfinite(four)
    number = np.count_nonzero(good, axis=(1, 3))
    total = np.sum(np.where(good, four, np.float32(0)), axis=(1, 3), dtype=np.float64)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(np.float32)
