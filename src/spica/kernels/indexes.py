"""Indexes of the sky: asterisms of bright stars by their shape, with which a pointing is found that no header tells."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@runtime_checkable
class Index(Protocol):
    """Asterisms of one range of sizes: the two stars farthest apart, A and B, and others between them.

    The shape of an asterism is its code: in the tangent plane, ξ + iη, every other star D has the two numbers
    x + iy = (1 + i) conj((D - A) / (B - A)). All lie in the circle about A and B; they go by x, whose sum is at most half
    their number, else A and B would change places (Lang et al. 2010, AJ 139, 1782).
    """

    @property
    def name(self) -> str:
        """For people."""

    @property
    def order(self) -> int:
        """Stars of an asterism."""

    @property
    def smallest(self) -> float:
        """Least angle between A and B [degree]."""

    @property
    def largest(self) -> float:
        """Greatest angle between A and B [degree]."""

    @property
    def count(self) -> int:
        """Asterisms."""

    @property
    def density(self) -> float:
        """Stars per square degree: as many all over the sky, or the part of it that the index is of."""

    def alike(self, codes: Float64, radius: Float64) -> tuple[Int64, Int64]:
        """Asterisms whose codes lie near others: all pairs of a row of `codes` (n, 2 order - 4) and an asterism.

        Parameters
        ----------
        codes : of asterisms seen.
        radius : (n,) how far the codes may be apart.
        """

    def members(self, asterisms: Int64) -> Int64:
        """(n, order) numbers of the stars of asterisms: A, B, the others."""

    def directions(self, stars: Int64) -> Float64:
        """(n, 3) unit vectors of stars, equatorial."""

    def near(self, directions: Float64, radius: Float64) -> tuple[Int64, Int64]:
        """Stars within a radius [degree] of each direction (n, 3): all pairs of a row and a star."""

    def brightness(self, stars: Int64) -> Float64:
        """What stars are sorted by, the smallest the brightest: a magnitude, or the order in which they were taken."""
