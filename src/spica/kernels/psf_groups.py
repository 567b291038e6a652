"""Which sources have to be fitted at once: friends of friends, divided where too many hang together.

SciPy's trees and graphs are imported where there are pairs: they take as long to load as half of all kernels.
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float64, Int64

_SHRINK = 0.8
_TRIES = 8


class Groups(NamedTuple):
    """Groups by decreasing flux of their brightest member: group g is ``members[start[g] : start[g + 1]]``.

    ``number`` (n,) is each source's group; ``near`` (pairs, 2) are pairs of sources of different groups within each other's reach.
    """

    start: Int64
    members: Int64
    number: Int64
    near: Int64


def groups(x: Float64, y: Float64, flux: Float64, link: float, largest: int, reach: Float64) -> Groups:
    """Join sources nearer to each other than `link`, no more than `largest` in one group.

    A larger group is taken apart at a link shorter by a fifth, again and again: what hangs together more closely stays.

    Parameters
    ----------
    x, y : (n,) float64 [pixel]
    flux : (n,) float64
        Brightness, for the order; not a number counts as none.
    link : float [pixel]
    largest : int
    reach : (n,) float64 [pixel]
        How far the light of each matters to others.
    """
    number = np.zeros(x.size, np.int64)
    if x.size == 0:
        return Groups(np.zeros(1, np.int64), number, number, np.zeros((0, 2), np.int64))
    places = np.column_stack([x, y])
    pairs = _pairs(places, max(link, 2.0 * float(np.max(reach, initial=0.0))))
    apart = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T)
    linked, short = pairs[apart < link], apart[apart < link]
    number = _components(linked, x.size)
    for _ in range(_TRIES):
        large = np.bincount(number)[number] > largest
        if not np.any(large):
            break
        link *= _SHRINK
        kept = (short < link) | ~large[linked[:, 0]]
        linked, short = linked[kept], short[kept]
        number = _components(linked, x.size)
    number = _chopped(number, y, largest)
    bright = np.where(np.isfinite(flux), flux, -np.inf)
    top = np.full(number.max() + 1, -np.inf)
    np.maximum.at(top, number, bright)
    rank = np.empty(top.size, np.int64)
    rank[np.argsort(-top, kind="stable")] = np.arange(top.size)
    number = rank[number]
    members = np.argsort(number, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=top.size))])
    touching = (apart < reach[pairs].sum(axis=1)) & (number[pairs[:, 0]] != number[pairs[:, 1]])
    return Groups(start.astype(np.int64), members, number, pairs[touching].astype(np.int64))


def _pairs(places: Float64, within: float) -> Int64:
    if len(places) < 2:
        return np.zeros((0, 2), np.int64)
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(places).query_pairs(within, output_type="ndarray"), np.int64)


def _components(pairs: Int64, n: int) -> Int64:
    if len(pairs) == 0:
        return np.arange(n)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _chopped(number: Int64, y: Float64, largest: int) -> Int64:
    """Groups that no link takes apart (sources on top of each other) cut by rows."""
    order = np.lexsort((y, number))
    first = np.concatenate([[True], np.diff(number[order]) != 0])
    place = np.arange(number.size) - np.flatnonzero(first)[np.cumsum(first) - 1]
    cut = first | (place % largest == 0)
    made = np.empty_like(number)
    made[order] = np.cumsum(cut) - 1
    return made
