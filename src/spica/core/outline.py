"""Where a unit lies on the sky: a polygon about its pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spica.core.records import Unit

_Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Outline:
    """The outline of a detector or an exposure.

    Attributes
    ----------
    unit : what it is of.
    ra, dec : vertices [degree, ICRS], in order around it; joined by great circles.
    """

    unit: Unit
    ra: tuple[float, ...]
    dec: tuple[float, ...]

    @classmethod
    def of(cls, unit: Unit, given: Mapping[str, Any]) -> Outline:
        """From what a task gives as `Form.OUTLINE`: ``ra`` and ``dec``.

        Raises
        ------
        ValueError
            Fewer than three vertices, or some that are not on the sky.
        """
        ra, dec = (tuple(float(value) for value in given.get(name, ())) for name in ("ra", "dec"))
        if len(ra) != len(dec) or len(ra) < 3 or not all(map(math.isfinite, (*ra, *dec))) or max(map(abs, dec)) > 90.0:
            msg = f"{len(ra)} and {len(dec)} numbers are not the vertices of an outline on the sky"
            raise ValueError(msg)
        return cls(unit, tuple(value % 360.0 for value in ra), dec)

    @cached_property
    def _corners(self) -> list[_Vector]:
        return [_vector(ra, dec) for ra, dec in zip(self.ra, self.dec, strict=True)]

    @cached_property
    def _middle(self) -> _Vector:
        return _mean(self._corners)

    @property
    def middle(self) -> tuple[float, float]:
        """Mean of its vertices: right ascension, declination [degree]."""
        x, y, z = self._middle
        return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))

    @property
    def radius(self) -> float:
        """Largest distance of a vertex from the middle [degree]."""
        chord = max(math.dist(self._middle, corner) for corner in self._corners)
        return math.degrees(2.0 * math.asin(min(0.5 * chord, 1.0)))

    def contains(self, ra: float, dec: float) -> bool:
        """Whether a position lies in it: in the gnomonic plane about its middle sides are straight (even-odd rule)."""
        here = _plane(self._middle, _vector(ra, dec))
        if here is None:
            return False
        corners = [_plane(self._middle, corner) for corner in self._corners]
        inside = False
        for before, after in zip([corners[-1], *corners[:-1]], corners, strict=True):
            if before is None or after is None:
                return False
            if (before[1] > here[1]) != (after[1] > here[1]):
                crossing = before[0] + (here[1] - before[1]) * (after[0] - before[0]) / (after[1] - before[1])
                inside ^= here[0] < crossing
        return inside


def hull(outlines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Vertices of the smallest convex outline about several (Andrew 1979, in the plane at their middle).

    Parameters
    ----------
    outlines : right ascensions and declinations [degree] of each; all within 80 degrees of their middle.

    Raises
    ------
    ValueError
        For a vertex that the plane does not hold.
    """
    points = [(a % 360.0, d) for ra, dec in outlines for a, d in zip(ra, dec, strict=True)]
    middle = _mean([_vector(*point) for point in points])
    seen = set()
    for point in points:
        place = _plane(middle, _vector(*point))
        if place is None:
            msg = f"a vertex at {point} degrees is 90 degrees or more from the middle of the outlines"
            raise ValueError(msg)
        seen.add((place, point))
    placed = sorted(seen)
    chain: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for half in (placed, placed[::-1]):
        start = len(chain)
        for each in half:
            while len(chain) - start >= 2 and _turn(chain[-2][0], chain[-1][0], each[0]) <= 0.0:
                chain.pop()
            chain.append(each)
        chain.pop()
    return tuple(point[0] for _, point in chain), tuple(point[1] for _, point in chain)


def apart(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Angle between two positions [degree]."""
    chord = math.dist(_vector(ra1, dec1), _vector(ra2, dec2))
    return math.degrees(2.0 * math.asin(min(0.5 * chord, 1.0)))


def _vector(ra: float, dec: float) -> _Vector:
    level = math.cos(math.radians(dec))
    return level * math.cos(math.radians(ra)), level * math.sin(math.radians(ra)), math.sin(math.radians(dec))


def _dot(one: _Vector, two: _Vector) -> float:
    return one[0] * two[0] + one[1] * two[1] + one[2] * two[2]


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _mean(corners: Sequence[_Vector]) -> _Vector:
    """Direction of the mean of unit vectors."""
    mean = [sum(corner[k] for corner in corners) for k in range(3)]
    size = math.hypot(*mean) or 1.0
    return mean[0] / size, mean[1] / size, mean[2] / size


def _plane(middle: _Vector, vector: _Vector) -> tuple[float, float] | None:
    """Place in the plane that touches the sky at the middle; None beyond 90 degrees."""
    x, y, z = middle
    depth = x * vector[0] + y * vector[1] + z * vector[2]
    if depth <= 1e-9:
        return None
    level = math.hypot(x, y)
    east = (-y / level, x / level, 0.0) if level > 1e-12 else (0.0, 1.0, 0.0)
    north = (-z * east[1], z * east[0], x * east[1] - y * east[0])
    return _dot(east, vector) / depth, _dot(north, vector) / depth
