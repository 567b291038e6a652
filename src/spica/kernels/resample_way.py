"""Where the pixels of a tile come from: the way to the pixels of an image.

It is exact on a coarse grid and linear between its nodes; the grid is made finer until that is good to `TOLERANCE`.
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float64
from spica.kernels.projection import Projection
from spica.kernels.wcs import TangentWcs, pixel_to_sky, sky_to_pixel

TOLERANCE = 1e-3
"""Largest error of the way to the input pixels [pixel]."""
CHUNK = 64
"""Widest cell of the grid."""
MARGIN = 8
"""Pixels without a value around an image, so that sums over neighbours need no bounds."""
LEVEL = 0.01
"""Slope of the tile's rows in an image up to which it is summed along them."""
_NOWHERE = -1e9
_STRETCH = (0.8, 1.25)


class Way(NamedTuple):
    """The way from pixels of a tile to those of an image.

    ``nodes`` (4, gy, gx) float64: x, y of the image, the factor of the flux and the level of the sky, at tile pixels
    ``(x0 + step i, y0 + step j)``. ``level``: the tile's rows run along the image's, within `LEVEL` of a slope.
    """

    x0: int
    y0: int
    step: int
    nodes: Float64
    level: bool = False

    @property
    def height(self) -> tuple[int, int]:
        """First and last (half open) row of the tile that the image may reach."""
        return self.y0, self.y0 + self.step * (self.nodes.shape[1] - 1)


def _exact(projection: Projection, wcs: TangentWcs, x: Float64, y: Float64) -> tuple[Float64, Float64]:
    return sky_to_pixel(wcs, *projection.pixel_to_sky(x, y))


def way(projection: Projection, tile: tuple[int, int], wcs: TangentWcs, shape: tuple[int, int]) -> Way | None:
    """The way from the pixels of a tile (ny, nx) to those of an image (ny, nx); None where it lies outside.

    The factor of the flux is that of the areas: an output pixel's in input pixels. The sky is 0.

    Raises
    ------
    ValueError
        Where no grid is fine enough: the two are of quite other scales.
    """
    box = _footprint(projection, tile, wcs, shape)
    if box is None:
        return None
    step = CHUNK
    while step >= 4:
        # A ring of nodes beyond: for the slopes at the edge.
        x = np.arange(box[0] // step - 1, -(-box[1] // step) + 2) * step
        y = np.arange(box[2] // step - 1, -(-box[3] // step) + 2) * step
        xs, ys = np.meshgrid(x.astype(np.float64), y.astype(np.float64))
        there = np.stack(_exact(projection, wcs, xs, ys))
        half = 0.5 * step
        exact = np.stack(_exact(projection, wcs, xs[:-1, :-1] + half, ys[:-1, :-1] + half))
        between = 0.25 * (there[:, 1:, 1:] + there[:, :-1, 1:] + there[:, 1:, :-1] + there[:, :-1, :-1])
        inside = (exact[0] > -half) & (exact[0] < shape[1] + half) & (exact[1] > -half) & (exact[1] < shape[0] + half)
        if not inside.any() or np.abs(between - exact)[:, inside].max() < TOLERANCE:
            slopes = [np.gradient(each, float(step), edge_order=2) for each in there]
            area = np.abs(slopes[0][1] * slopes[1][0] - slopes[0][0] * slopes[1][1])
            lost = ~np.isfinite(there).all(axis=0) | ~np.isfinite(area)
            nodes = np.stack([*there, area, np.zeros(area.shape)])
            # A cell with a corner that is nowhere gives nothing.
            nodes[:, lost] = np.array([_NOWHERE, _NOWHERE, 0.0, 0.0])[:, None]
            return Way(int(x[0]), int(y[0]), step, nodes, _is_level(nodes, step))
        step //= 2
    raise ValueError("no grid of 4 pixels or more leads to the image's pixels within 0.001 pixel")


def _is_level(nodes: Float64, step: int) -> bool:
    # A node that leads nowhere is far from its neighbours.
    along, down = np.diff(nodes[0], axis=1), np.diff(nodes[1], axis=1)
    stretched = (along < _STRETCH[0] * step) | (along > _STRETCH[1] * step)
    return not bool(stretched.any()) and bool(np.all(np.abs(down) <= LEVEL * along))


def _footprint(
    projection: Projection, tile: tuple[int, int], wcs: TangentWcs, shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """x0, x1, y0, y1 (half open) of the tile's pixels that an image may reach."""
    along = [np.linspace(-0.5, size - 0.5, max(size // 64, 2)) for size in (shape[1], shape[0])]
    edges = [(along[0], np.full(along[0].size, y)) for y in (-0.5, shape[0] - 0.5)]
    edges += [(np.full(along[1].size, x), along[1]) for x in (-0.5, shape[1] - 0.5)]
    x, y = (np.concatenate(each) for each in zip(*edges, strict=True))
    xs, ys = projection.sky_to_pixel(*pixel_to_sky(wcs, x, y))
    good = np.isfinite(xs) & np.isfinite(ys)
    if not good.any():
        return None
    box = [each for values in (xs[good], ys[good]) for each in (values.min() - 2, values.max() + 3)]
    x0, x1 = max(int(max(box[0], -1e6)), 0), min(int(min(box[1], 1e6)), tile[1])
    y0, y1 = max(int(max(box[2], -1e6)), 0), min(int(min(box[3], 1e6)), tile[0])
    return (x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None


def turned(path: Way) -> Way:
    """The same way from a tile whose rows and columns have been exchanged."""
    nodes = np.ascontiguousarray(path.nodes.transpose(0, 2, 1))
    return Way(path.y0, path.x0, path.step, nodes, _is_level(nodes, path.step))


def mirrored(path: Way, nx: int) -> Way:
    """The same way to an image of `nx` columns whose columns have been put in the opposite order."""
    nodes = path.nodes.copy()
    there = nodes[0] > 0.1 * _NOWHERE
    nodes[0, there] = nx - 1 - nodes[0, there]
    return path._replace(nodes=nodes, level=_is_level(nodes, path.step))


def heading(path: Way) -> tuple[float, float]:
    """Columns and rows of the image that a step of one pixel along the tile's rows leads on, in the middle of the way."""
    x, y = path.nodes[0], path.nodes[1]
    good = (x > 0.1 * _NOWHERE) & (y > 0.1 * _NOWHERE)
    both = good[:, 1:] & good[:, :-1]
    if not both.any():
        return 1.0, 0.0
    along, across = (float(np.median(np.diff(each, axis=1)[both])) / path.step for each in (x, y))
    return along, across


class Reach(NamedTuple):
    """Least and largest row of an image on each row of a way's nodes, (gy,) float64; not finite: none."""

    low: Float64
    high: Float64


def reach(path: Way) -> Reach:
    """The rows of the image to which the nodes of a way lead."""
    x, y = path.nodes[0], path.nodes[1]
    near = (x > 0.1 * _NOWHERE) & (y > 0.1 * _NOWHERE)
    low, high = np.where(near, y, np.inf).min(axis=1), np.where(near, y, -np.inf).max(axis=1)
    some = np.flatnonzero(near.any(axis=1))
    if some.size:
        # What has a node that leads nowhere gives nothing: any number does there.
        low, high = (np.interp(np.arange(len(y)), some, each[some]) for each in (low, high))
    return Reach(low, high)


def spans(path: Way, rows: Reach, height: int, tile: int, ny: int, taps: int) -> list[tuple[int, int]]:
    """Rows of an image of `ny` (half open, with neighbours, margin included) that each band of a tile comes from.

    Parameters
    ----------
    height, tile : rows of a band and of the tile.
    taps : neighbours of the kernel along an axis.
    """
    bands, last = -(-tile // height), len(rows.low) - 1
    if not np.isfinite(rows.low[0]):
        return [(0, 0)] * bands
    y = np.arange(bands * height)
    at = (y - path.y0) / path.step
    out = (at < 0.0) | (at > last) | (y >= tile)
    low, high = (
        np.where(out, away, np.clip(np.interp(at, np.arange(last + 1), each), -1e6, 1e6)).reshape(bands, height)
        for each, away in zip(rows, (np.inf, -np.inf), strict=True)
    )
    # A level row that slopes is summed in columns beyond its ends too: of those it may pass one row more.
    first = np.maximum(np.floor(low.min(axis=1)) - taps // 2, -MARGIN)
    stop = np.minimum(np.floor(high.max(axis=1)) + taps // 2 + 2, ny + MARGIN)
    some = (first < ny) & (stop > 0) & (first < stop)
    return [(int(a), int(b)) if there else (0, 0) for a, b, there in zip(first, stop, some, strict=True)]
