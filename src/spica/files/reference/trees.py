"""The kd-trees of astrometry.net's index files, read where they lie: what is near some places, touching no more pages than needed.

Layout (as such files have it): a balanced binary tree in one array, children of node k at 2k + 1 and 2k + 2. Inner nodes have
a splitting value whose lowest bits tell the axis; leaves have the number of their last point; points are scaled to unsigned
integers: x = low + integer / scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Raw = npt.NDArray[Any]

_CHUNK = 100_000
"""Places that go down the tree at once."""
_HELD = 2_000_000
"""Points whose distance is taken at once."""


def axis_mask(axes: int) -> int:
    """The bits of a splitting value that tell the axis."""
    return (1 << (axes - 1).bit_length()) - 1


@dataclass(frozen=True, eq=False)
class Tree:
    """A kd-tree of points.

    Attributes
    ----------
    points : (n, d) scaled integers, mapped.
    split : (inner nodes,) splitting value and axis.
    last : (leaves,) last point of each leaf.
    low, scale : what integers mean.
    number : (n,) what each point is the number of, where that is not its place.
    """

    points: Raw
    split: Raw
    last: Raw
    low: Float64
    scale: float
    number: Raw | None

    def values(self, which: Int64) -> Float64:
        """(m, d) places of points, by their place in the tree."""
        return np.asarray(self.points[which] / self.scale + self.low)

    def near(self, places: Float64, radius: Float64) -> tuple[Int64, Int64]:
        """All pairs of a place (row of `places`) and a point within the place's radius, in order of the places."""
        found = [
            self._near(places[begin : begin + _CHUNK], radius[begin : begin + _CHUNK], begin)
            for begin in range(0, len(places), _CHUNK)
        ]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        one, other = (np.concatenate(part) for part in zip(*found, strict=True))
        other = other if self.number is None else self.number[other].astype(np.int64)
        order = np.lexsort((other, one))
        return one[order], other[order]

    def _near(self, places: Float64, radius: Float64, begin: int) -> tuple[Int64, Int64]:
        """The same for some; places are numbered from `begin`, points as they lie."""
        which, leaf = self._leaves(places, radius)
        ends = self.last.astype(np.int64) + 1
        first = np.concatenate([[0], ends[:-1]])[leaf]
        counts = ends[leaf] - first
        ones, others = [], []
        at, total = 0, np.cumsum(counts)
        while at < leaf.size:
            before = int(total[at - 1]) if at else 0
            stop = max(int(np.searchsorted(total, before + _HELD, side="right")), at + 1)
            many = counts[at:stop]
            one = np.repeat(which[at:stop], many)
            other = np.arange(one.size) + np.repeat(first[at:stop] - (np.cumsum(many) - many), many)
            apart = self.values(other) - places[one]
            close = np.einsum("ij,ij->i", apart, apart) <= radius[one] ** 2
            ones.append(one[close] + begin)
            others.append(other[close])
            at = stop
        if not ones:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(ones), np.concatenate(others)

    def _leaves(self, places: Float64, radius: Float64) -> tuple[Int64, Int64]:
        """Pairs of a place and a leaf that may hold points near it."""
        inner, mask = self.split.size, axis_mask(places.shape[1])
        low, high = ((places + step * radius[:, None] - self.low) * self.scale for step in (-1.0, 1.0))
        which, node = np.arange(len(places)), np.zeros(len(places), np.int64)
        for _ in range(int(inner + 1).bit_length() - 1):
            split = self.split[node].astype(np.int64)
            axis = split & mask
            # The lowest bits are lost to the axis: points of either side may lie between the value and the next one.
            left = low[which, axis] <= split | mask
            right = high[which, axis] >= split & ~mask
            which = np.concatenate([which[left], which[right]])
            node = np.concatenate([2 * node[left] + 1, 2 * node[right] + 2])
        return which, node - inner
