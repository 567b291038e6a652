"""Cross-identification: which detections of many images are of one source.

Friends of friends on the sphere, with two laws more: a group holds one detection of an image at most, and the groups do
not depend on the order of the detections. The cost grows as the number of detections, however many images see a place:
detections that share a small cell of the sky are friends, and only the cells are compared with their neighbours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spica.kernels.compiled import Bools, Float64, Int64

_ARCSEC = np.pi / 648_000.0
_FINENESS = 4.0
"""Cells per linking length."""
_ROUNDS = 5
"""A group that holds two detections of an image is divided by a linking length of half the size, so many times at most."""


@dataclass(frozen=True)
class Groups:
    """Which source each detection is of.

    Attributes
    ----------
    group : (n,) int64
        Number of the source, from 0 without gaps, in the order of each source's first detection; -1 for one left over.
    count : int
        How many sources there are.
    blended : (n,) bool
        Left over: nearer to another detection of its image than positions can tell.
    """

    group: Int64
    count: int
    blended: Bools


def unit_vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Float64:
    """Vectors (n, 3) of positions [degree]."""
    east, north = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    level = np.cos(north)
    return np.stack([level * np.cos(east), level * np.sin(east), np.sin(north)], axis=-1)


def friends(ra: Float64, dec: Float64, image: Int64, radius: float) -> Groups:
    """Group detections that lie together on the sky.

    Parameters
    ----------
    ra, dec : (n,) arrays [degree]
    image : (n,) int64
        Which list each detection is of: one source has one detection in each list at most. The reference catalogue is
        a list like any other.
    radius : float [arcsec]
        Linking length. Detections nearer than half of it are always linked, beyond 1.7 of it never directly.

    Returns
    -------
    Groups
        A group within which two detections are of one image is divided by halved linking lengths; where that does not
        help, each image keeps the detection nearest to the group's median, and the others are left over.
    """
    group = _link(ra, dec, radius)
    for _ in range(_ROUNDS):
        twice = _clashing(group, image)
        if not np.any(twice):
            break
        radius *= 0.5
        rows = np.flatnonzero(twice)
        # Numbers beyond all others: the pieces of a divided group never meet those of another, see the pairing below.
        parts = _link(ra[rows], dec[rows], radius)
        _, group[rows] = np.unique(np.stack([group[rows], parts]), axis=1, return_inverse=True)
        group[rows] += ra.size
        group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    blended = _surplus(ra, dec, group, image)
    return Groups(*_numbered(np.where(blended, -1, group)), blended)


def _link(ra: Float64, dec: Float64, radius: float) -> Int64:
    """Friends of friends, by cells of the sky."""
    size = radius / 3600.0 / _FINENESS
    row = np.floor((dec + 90.0) / size).astype(np.int64)
    level = np.cos(np.radians((row + 0.5) * size - 90.0))
    column = np.floor(ra * np.maximum(level, 0.0) / size).astype(np.int64)
    cells, cell = np.unique(row * np.int64(360.0 / size + 2) + column, return_inverse=True)
    vectors = unit_vectors(ra, dec)
    weight = np.bincount(cell, minlength=cells.size)
    middle = np.stack([np.bincount(cell, vectors[:, k], cells.size) / weight for k in range(3)], axis=1)
    pairs = cKDTree(middle).query_pairs(radius * _ARCSEC, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (cells.size, cells.size))
    joined: Int64 = connected_components(graph, directed=False)[1].astype(np.int64)
    return joined[cell]


def _clashing(group: Int64, image: Int64) -> Bools:
    """Members of groups that hold two detections of one image."""
    pair = group * (int(image.max(initial=0)) + 1) + image
    order = np.argsort(pair, kind="stable")
    same = pair[order][1:] == pair[order][:-1]
    bad = np.zeros(int(group.max(initial=-1)) + 1, bool)
    bad[group[order][1:][same]] = True
    return np.asarray(bad[group], bool)


def _surplus(ra: Float64, dec: Float64, group: Int64, image: Int64) -> Bools:
    """All but the nearest detection of each image to the median of its group."""
    out = np.zeros(group.size, bool)
    rows = np.flatnonzero(_clashing(group, image))
    if rows.size == 0:
        return out
    order = rows[np.argsort(group[rows], kind="stable")]
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        east = (ra[members] - ra[members[0]] + 180.0) % 360.0 - 180.0
        east = (east - np.median(east)) * np.cos(np.radians(dec[members[0]]))
        far = np.hypot(east, dec[members] - np.median(dec[members]))
        ranked = members[np.lexsort((dec[members], ra[members], far, image[members]))]
        out[ranked[1:][np.diff(image[ranked]) == 0]] = True
    return out


def _numbered(group: Int64) -> tuple[Int64, int]:
    """Numbers from 0 without gaps in the order of first appearance; -1 stays."""
    kept = group >= 0
    _, first, inverse = np.unique(group[kept], return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(first.size)
    out = np.full(group.size, -1, np.int64)
    out[kept] = rank[inverse]
    return out, int(first.size)
