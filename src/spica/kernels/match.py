"""Nearest-neighbour matching of two lists: mutual best pairs within a radius, on the sky or in a plane."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float64, Int64, as_coordinates


@dataclass(frozen=True)
class Matches:
    """Pairs of the first and second list, in rising order of ``first``.

    ``first`` and ``second`` are indices; ``distance`` is in arcsec on the sky, in the unit of the input in a plane.
    """

    first: Int64
    second: Int64
    distance: Float64


def unit_vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Float64:
    """Return the (n, 3) unit vectors of positions [degree]."""
    alpha, delta = np.radians(as_coordinates(ra)), np.radians(as_coordinates(dec))
    return np.stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=1)


def _nearest(points: Float64, tree: Any, reach: float) -> tuple[Float64, Int64]:
    """Distance and index of the nearest point of the tree; of equally near ones the lowest index."""
    distances, indices = tree.query(points, k=min(2, tree.n), distance_upper_bound=reach)
    if tree.n == 1:
        return distances, indices.astype(np.int64)
    equal = (distances[:, 0] == distances[:, 1]) & np.isfinite(distances[:, 0])
    lowest = np.where(equal, indices.min(axis=1), indices[:, 0])
    return distances[:, 0], lowest.astype(np.int64)


def _mutual(one: Float64, two: Float64, reach: float) -> Matches:
    """Pairs in which each is the other's nearest within reach; rows that are not finite match nothing."""
    # Imported here: the kernels are loaded in every worker, most of which match nothing.
    from scipy.spatial import cKDTree

    rows, columns = (np.flatnonzero(np.isfinite(points).all(axis=1)) for points in (one, two))
    if rows.size == 0 or columns.size == 0:
        none = np.empty(0, dtype=np.int64)
        return Matches(none, none, np.empty(0))
    # The tree's bound is exclusive; the radius itself belongs to the match.
    bound = np.nextafter(reach, np.inf)
    distance, partner = _nearest(one[rows], cKDTree(two[columns]), bound)
    _, back = _nearest(two[columns], cKDTree(one[rows]), bound)
    near = np.isfinite(distance)
    own = np.arange(rows.size)[near]
    chosen = back[partner[near]] == own
    first = own[chosen]
    return Matches(rows[first], columns[partner[first]], distance[first])


def match_sky(
    ra1: npt.ArrayLike, dec1: npt.ArrayLike, ra2: npt.ArrayLike, dec2: npt.ArrayLike, radius: float
) -> Matches:
    """Match two lists of sky positions: pairs in which each is the other's nearest neighbour.

    Parameters
    ----------
    ra1, dec1 : (n,) arrays [degree]
        First list.
    ra2, dec2 : (m,) arrays [degree]
        Second list.
    radius : float [arcsec]
        Largest separation.

    Returns
    -------
    Matches
        The same pairs, exchanged, when the lists are exchanged; of equally near partners the one of lowest index.
    """
    chord = 2.0 * np.sin(0.5 * np.radians(radius / 3600.0))
    found = _mutual(unit_vectors(ra1, dec1), unit_vectors(ra2, dec2), float(chord))
    angle = 2.0 * np.arcsin(np.minimum(0.5 * found.distance, 1.0))
    return Matches(found.first, found.second, np.degrees(angle) * 3600.0)


def match_plane(x1: npt.ArrayLike, y1: npt.ArrayLike, x2: npt.ArrayLike, y2: npt.ArrayLike, radius: float) -> Matches:
    """Match two lists of plane positions (pixels, say) as `match_sky` does; radius and distances in their unit."""
    one = np.stack([as_coordinates(x1), as_coordinates(y1)], axis=1)
    two = np.stack([as_coordinates(x2), as_coordinates(y2)], axis=1)
    return _mutual(one, two, radius)
