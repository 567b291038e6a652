"""Objects on the seams of tiles: what two tiles saw at places a little apart is one object, and has one row.

A place decides which tile owns an object, and each tile measures its own. Where the two lie on different sides of the border, both tiles
own the object, or neither does. Rows of two tiles that are each other's nearest within a small radius are the same object; of those
that both own, and of those that neither owns, the one with the lowest identifier is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.tiles import vectors
from spica.files.catalogues import read_catalogue
from spica.kernels.identity import same_places

RADIUS = 0.5
"""Places of one object in two tiles agree to better than this [arcsec]."""
_HELD = 4
"""Tiles whose places are in memory at once."""
Rows = npt.NDArray[np.int64]
Row = tuple[int, int]
"""Number of the tile, row in it."""


@dataclass(frozen=True)
class Seam:
    """Rows of one tile that others decide about: own ones that are `left` to another tile, others' that are `taken`."""

    left: Rows
    taken: Rows


@dataclass(frozen=True, eq=False)
class _Places:
    """Of a tile: places [degree], which are its own, identifiers; and the cone that holds them."""

    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]
    own: npt.NDArray[np.bool_]
    identifier: Rows


@dataclass(eq=False)
class _Met:
    """Rows of two tiles that are one object and that both own, or neither: `pairs`, their identifiers, which of them are `owned`.

    `told`: by tile, the rows of objects that another tile, and no two, tells.
    """

    told: list[npt.NDArray[np.bool_]]
    pairs: list[tuple[Row, Row]] = field(default_factory=list)
    identifier: dict[Row, int] = field(default_factory=dict)
    owned: set[Row] = field(default_factory=set)

    def add(self, numbers: tuple[int, int], places: tuple[_Places, _Places], radius: float) -> None:
        """Compare two tiles."""
        mine, theirs = _same(*places, radius)
        own = places[0].own[mine].astype(np.int64) + places[1].own[theirs]
        self.told[numbers[0]][mine[own == 1]] = True
        self.told[numbers[1]][theirs[own == 1]] = True
        for both in zip(mine[own != 1].tolist(), theirs[own != 1].tolist(), strict=True):
            rows = (numbers[0], both[0]), (numbers[1], both[1])
            self.pairs.append(rows)
            for (number, row), at in zip(rows, places, strict=True):
                self.identifier[number, row] = int(at.identifier[row])
                if at.own[row]:
                    self.owned.add((number, row))


def seams(tiles: Mapping[str, Path], radius: float = RADIUS) -> dict[str, Seam]:
    """What is to be done about the rows of each tile; memory holds places of a few tiles at a time.

    Parameters
    ----------
    tiles : catalogue of objects of each tile; places are finite.
    radius : rows that are each other's nearest within it are one object [arcsec].
    """
    names = sorted(tiles)

    @lru_cache(_HELD)
    def places(number: int) -> _Places:
        table = read_catalogue(tiles[names[number]], ("ra", "dec", "own", "object_id"))
        ra, dec = (np.asarray(table[name], np.float64) for name in ("ra", "dec"))
        return _Places(ra, dec, np.asarray(table["own"]) == 1, np.asarray(table["object_id"], np.int64))

    cones = [_cone(places(number)) for number in range(len(names))]
    met = _Met([np.zeros(len(places(number).own), np.bool_) for number in range(len(names))])
    for one, two in _near(cones, np.radians(radius / 3600.0)):
        met.add((one, two), (places(one), places(two)), radius)
    left: list[list[int]] = [[] for _ in names]
    taken: list[list[int]] = [[] for _ in names]
    for group in _groups(met.pairs):
        owners = [row for row in group if row in met.owned]
        best = min(owners or group, key=lambda row: (met.identifier[row], row))
        for number, row in owners:
            if (number, row) != best:
                left[number].append(row)
        # One that a third tile owns is told by that.
        if not owners and not any(met.told[number][row] for number, row in group):
            taken[best[0]].append(best[1])
    return {
        name: Seam(np.array(sorted(left[number]), np.int64), np.array(sorted(taken[number]), np.int64))
        for number, name in enumerate(names)
    }


def _cone(of: _Places) -> tuple[npt.NDArray[np.float64], float]:
    """Middle and radius [radian] of a circle that holds all places of a tile."""
    if not of.ra.size:
        return np.array([0.0, 0.0, 1.0]), -np.pi
    place = vectors(of.ra, of.dec)
    middle = place.sum(axis=0)
    middle = middle / max(float(np.linalg.norm(middle)), 1e-12)
    return middle, float(np.arccos(np.clip((place @ middle).min(), -1.0, 1.0)))


def _near(cones: Sequence[tuple[npt.NDArray[np.float64], float]], slack: float) -> list[tuple[int, int]]:
    """Pairs of tiles whose circles are within `slack` [radian] of each other."""
    # Few publish, and it takes long to load.
    from scipy.spatial import cKDTree

    middles, wide = np.array([middle for middle, _ in cones]).reshape(-1, 3), np.array([each for _, each in cones])
    reach = float(np.clip(2.0 * wide.max(initial=0.0) + slack, 0.0, np.pi))
    pairs = cKDTree(middles).query_pairs(2.0 * np.sin(0.5 * reach) * (1.0 + 1e-9) + 1e-12, output_type="ndarray")
    apart = np.arccos(np.clip(np.sum(middles[pairs[:, 0]] * middles[pairs[:, 1]], axis=1), -1.0, 1.0))
    kept = pairs[apart <= wide[pairs[:, 0]] + wide[pairs[:, 1]] + slack]
    return [(int(one), int(two)) for one, two in sorted(map(tuple, np.sort(kept, axis=1).tolist()))]


def _same(first: _Places, second: _Places, radius: float) -> tuple[Rows, Rows]:
    """Rows of the two that are each other's nearest; only what lies in the box of the other is looked at."""
    near = []
    for here, there in ((first, second), (second, first)):
        margin = 2.0 * radius / 3600.0
        near.append(np.flatnonzero((here.dec >= there.dec.min() - margin) & (here.dec <= there.dec.max() + margin)))
    mine, theirs = same_places(
        (first.ra[near[0]], first.dec[near[0]]), (second.ra[near[1]], second.dec[near[1]]), radius
    )
    return near[0][mine], near[1][theirs]


def _groups(pairs: Sequence[tuple[Row, Row]]) -> list[list[Row]]:
    """Rows that pairs connect, each group in order."""
    group: dict[Row, list[Row]] = {}
    for one, two in pairs:
        joined = group.get(one, [one])
        other = group.get(two, [two])
        if joined is not other:
            joined = sorted({*joined, *other})
            for row in joined:
                group[row] = joined
    return [rows for row, rows in sorted(group.items()) if row == rows[0]]
