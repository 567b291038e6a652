"""Maps of coverage (MOC, IVOA Recommendation 2.0): parts of the sky as ranges of HEALPix cells of order 29, nested.

Made of cells, cones, boxes and polygons; joined, cut and turned inside out exactly, since all of it is done on whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.files.hats import healpix
from spica.files.hats.healpix import DEEPEST, Int64, merged

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WHOLE = 12 << 2 * DEEPEST
"""Cells of order 29 on the sphere."""


@dataclass(frozen=True, eq=False)
class Moc:
    """A part of the sky.

    Attributes
    ----------
    first, end : ranges [first, end) of nested cells of order 29, rising and apart.
    """

    first: Int64
    end: Int64

    @classmethod
    def of(cls, first: npt.ArrayLike, end: npt.ArrayLike) -> Moc:
        """From ranges in any order, which may overlap; empty ones are left out."""
        low, high = np.asarray(first, np.int64).ravel(), np.asarray(end, np.int64).ravel()
        there = high > low
        return cls(*merged(low[there], high[there]))

    @classmethod
    def of_cells(cls, order: int, pixels: npt.ArrayLike) -> Moc:
        """From nested cells of an order."""
        cells, shift = np.asarray(pixels, np.int64).ravel(), 2 * (DEEPEST - order)
        return cls.of(cells << shift, (cells + 1) << shift)

    @classmethod
    def of_cone(cls, ra: float, dec: float, radius: float, order: int) -> Moc:
        """The cells of an order that a cone [degree] touches."""
        return cls(*healpix.cone_ranges(ra, dec, radius, order))

    @classmethod
    def of_box(cls, ra: tuple[float, float], dec: tuple[float, float], order: int) -> Moc:
        """The cells of an order that a box touches, which may reach over right ascension 0 [degree].

        Within ten degrees of a pole all right ascensions are taken.
        """
        return cls(*healpix.box_ranges(ra, dec, order))

    @classmethod
    def of_outlines(cls, outlines: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]], order: int) -> Moc:
        """The cells of an order that any of some polygons of great circles touches: vertices [degree]."""
        found = [
            healpix.polygon_ranges(np.asarray(ra, np.float64) % 360.0, np.asarray(dec, np.float64), 1.0, order)
            for ra, dec in outlines
        ]
        if not found:
            return cls.of([], [])
        return cls.of(*(np.concatenate(each) for each in zip(*found, strict=True)))

    @property
    def fraction(self) -> float:
        """Part of the sphere."""
        return float(np.sum(self.end - self.first, dtype=np.float64)) / WHOLE

    @property
    def area(self) -> float:
        """Area [square degree]."""
        return self.fraction * 12 * healpix.area(0)

    @property
    def order(self) -> int:
        """The finest order that its ranges need."""
        bounds = np.concatenate([self.first, self.end])
        for order in range(DEEPEST):
            if not np.any(bounds & ((1 << 2 * (DEEPEST - order)) - 1)):
                return order
        return DEEPEST

    def __bool__(self) -> bool:
        return bool(self.first.size)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Moc) and np.array_equal(self.first, other.first) and np.array_equal(self.end, other.end)
        )

    def __hash__(self) -> int:
        return hash((self.first.tobytes(), self.end.tobytes()))

    def __or__(self, other: Moc) -> Moc:
        return Moc.of(np.concatenate([self.first, other.first]), np.concatenate([self.end, other.end]))

    def __invert__(self) -> Moc:
        edges = np.concatenate([[0], np.stack([self.first, self.end], axis=1).ravel(), [WHOLE]])
        return Moc.of(edges[::2], edges[1::2])

    def __and__(self, other: Moc) -> Moc:
        return ~(~self | ~other)

    def __sub__(self, other: Moc) -> Moc:
        return ~(~self | other)

    def degraded(self, order: int) -> Moc:
        """The cells of a coarser order that it touches."""
        shift = 2 * (DEEPEST - order)
        return Moc.of(self.first >> shift << shift, -(-self.end >> shift) << shift)

    def touches(self, other: Moc) -> bool:
        """Whether the two share a cell."""
        after = np.searchsorted(self.end, other.first, side="right")
        there = after < self.first.size
        return bool(np.any(self.first[after[there]] < other.end[there]))

    def ranges(self) -> tuple[Int64, Int64]:
        """Its ranges: so it is a region that catalogues are asked for."""
        return self.first, self.end

    def contains(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> Bools:
        """Which positions [degree] lie in it."""
        return self.holds(healpix.cells(np.asarray(ra, np.float64) % 360.0, dec))

    def holds(self, cells: Int64) -> Bools:
        """Which cells of order 29 are its own."""
        at = np.searchsorted(self.first, cells, side="right") - 1
        if not self.first.size:
            return np.zeros(np.shape(cells), np.bool_)
        return np.asarray((at >= 0) & (cells < self.end[np.maximum(at, 0)]), np.bool_)

    def spans(self) -> Iterator[tuple[int, Int64, Int64]]:
        """Its largest cells, order by order from the coarsest: ranges [first, end) of pixels of that order."""
        first, end = self.first, self.end
        for order in range(DEEPEST + 1):
            shift = 2 * (DEEPEST - order)
            low, high = -(-first >> shift), end >> shift
            whole = high > low
            if np.any(whole):
                yield order, low[whole], high[whole]
            rest_first = np.concatenate([first[~whole], first[whole], high[whole] << shift])
            rest_end = np.concatenate([end[~whole], low[whole] << shift, end[whole]])
            there = rest_end > rest_first
            first, end = rest_first[there], rest_end[there]
            if not first.size:
                return
