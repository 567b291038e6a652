"""Cross-identification: which detections of many images are of one source.

Friends of friends on the sphere, with two laws more: a group holds one detection of an image at most, and the groups do
not depend on the order of the detections. The cost grows as the number of detections, however many images see a place:
detections that share a small cell of the sky are friends, and only the cells are compared with their neighbours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spica.kernels.compiled import Bools, Float64

Numbering = npt.NDArray[Any]
"""Whole numbers, int32 where there is one for each detection."""

_ARCSEC = np.pi / 648_000.0
_FINENESS = 4.0
"""Cells per linking length."""
_CHUNK = 1 << 18
_ROUNDS = 5
"""A group that holds two detections of an image is divided by a linking length of half the size, so many times at most."""


@dataclass(frozen=True)
class Groups:
    """Which source each detection is of.

    Attributes
    ----------
    group : (n,) int32
        Number of the source, from 0 without gaps, in the order of each source's first detection; -1 for one left over.
    count : int
        How many sources there are.
    blended : (n,) bool
        Left over: nearer to another detection of its image than positions can tell.
    """

    group: Numbering
    count: int
    blended: Bools


def unit_vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Float64:
    """Vectors (n, 3) of positions [degree]."""
    east, north = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    level = np.cos(north)
    return np.stack([level * np.cos(east), level * np.sin(east), np.sin(north)], axis=-1)


def friends(ra: Float64, dec: Float64, image: Numbering, radius: float) -> Groups:
    """Group detections that lie together on the sky.

    Parameters
    ----------
    ra, dec : (n,) arrays [degree]
    image : (n,) integers
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
        _, pieces = np.unique(np.stack([group[rows], parts]), axis=1, return_inverse=True)
        group[rows] = pieces + (int(group.max()) + 1)
        group = _dense(group)
    blended = _surplus(ra, dec, group, image)
    group[blended] = -1
    return Groups(*_numbered(group), blended)


def _link(ra: Float64, dec: Float64, radius: float) -> Numbering:
    """Friends of friends, by cells of the sky."""
    size = radius / 3600.0 / _FINENESS
    row = np.floor((dec + 90.0) / size).astype(np.int64)
    key = np.cos(np.radians((row + 0.5) * size - 90.0))
    key = np.floor(ra * np.maximum(key, 0.0) / size).astype(np.int64)
    key += row * np.int64(360.0 / size + 2)
    del row
    order = np.argsort(key, kind="stable")
    key = key[order]
    start = np.flatnonzero(np.diff(key, prepend=key[:1] - 1))
    del key
    middle = np.empty((start.size, 3))
    bounds = np.append(start, ra.size)
    # Some cells at a time: directions of all detections at once would be the largest array of all.
    for first in range(0, start.size, _CHUNK):
        last = min(first + _CHUNK, start.size)
        rows = order[bounds[first] : bounds[last]]
        total = np.add.reduceat(unit_vectors(ra[rows], dec[rows]), start[first:last] - bounds[first], axis=0)
        middle[first:last] = total / np.diff(bounds[first : last + 1])[:, None]
    pairs = cKDTree(middle).query_pairs(radius * _ARCSEC, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (start.size, start.size))
    joined = connected_components(graph, directed=False)[1].astype(np.int32)
    out = np.empty(ra.size, np.int32)
    out[order] = np.repeat(joined, np.diff(bounds))
    return out


def _dense(group: Numbering) -> Numbering:
    """The same groups, numbered from 0 without gaps in their order."""
    there = np.zeros(int(group.max(initial=-1)) + 1, bool)
    there[group] = True
    number = np.cumsum(there, dtype=np.int32)
    number -= 1
    return np.asarray(number[group])


def _clashing(group: Numbering, image: Numbering) -> Bools:
    """Members of groups that hold two detections of one image."""
    images = int(image.max(initial=0)) + 1
    pair = group.astype(np.int64)
    pair *= images
    pair += image
    pair.sort()
    bad = np.zeros(int(group.max(initial=-1)) + 1, bool)
    bad[pair[1:][pair[1:] == pair[:-1]] // images] = True
    return np.asarray(bad[group], bool)


def _surplus(ra: Float64, dec: Float64, group: Numbering, image: Numbering) -> Bools:
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


def _numbered(group: Numbering) -> tuple[Numbering, int]:
    """Numbers from 0 without gaps in the order of first appearance; -1 stays."""
    rows = np.flatnonzero(group >= 0)
    first = np.full(int(group.max(initial=-1)) + 1, -1, np.int64)
    # Of repeated places the last one assigned stays: the first row.
    first[group[rows[::-1]]] = rows[::-1]
    there = np.flatnonzero(first >= 0)
    rank = np.empty(first.size, np.int32)
    rank[there[np.argsort(first[there], kind="stable")]] = np.arange(there.size)
    out = np.full(group.size, -1, np.int32)
    out[rows] = rank[group[rows]]
    return out, int(there.size)
