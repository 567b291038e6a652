"""Regions of the sky that rows are asked for: cones, boxes, and polygons whose sides are great circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spica.core.faults import SetupFault
from spica.files.hats import healpix

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WIDEST = 60.0
"""A polygon reaches no farther from its middle than this [degree]."""


def vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Float64:
    """Unit vectors ``(n, 3)`` of positions [degree]."""
    a, d = np.radians(np.atleast_1d(ra)), np.radians(np.atleast_1d(dec))
    return np.stack((np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)), axis=-1)


def _position(vector: Float64) -> tuple[float, float]:
    ra = float(np.degrees(np.arctan2(vector[1], vector[0]))) % 360.0
    return ra, float(np.degrees(np.arctan2(vector[2], np.hypot(vector[0], vector[1]))))


@dataclass(frozen=True)
class Cone:
    """All within `radius` of a position, all in degrees."""

    ra: float
    dec: float
    radius: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.ra) and -90 <= self.dec <= 90 and 0 < self.radius <= 180):
            message = f"a cone of {self.radius} degrees about RA {self.ra}, Dec {self.dec} is not on the sky"
            raise SetupFault("order.invalid", message, ra=self.ra, dec=self.dec, radius=self.radius)

    def ranges(self) -> tuple[Int64, Int64]:
        """Ranges of cells of order 29 that hold it."""
        return healpix.cone_ranges(self.ra % 360.0, self.dec, self.radius)

    def contains(self, ra: Float64, dec: Float64) -> Bools:
        """Which positions lie in it; by the chord, which keeps the digits of small angles."""
        apart = vectors(ra, dec) - vectors(self.ra, self.dec)
        chord = 2 * np.sin(np.radians(self.radius) / 2)
        return np.asarray(np.einsum("ij,ij->i", apart, apart) <= chord**2)

    def grown(self, by: float) -> Cone:
        """All within `by` [degree] of it."""
        return Cone(self.ra, self.dec, min(self.radius + by, 180.0))


@dataclass(frozen=True)
class Polygon:
    """A simple polygon of at least three vertices ``((ra, dec), …)`` [degree], in either sense, joined by great circles.

    Its inside is the side of its middle (the mean of its vertices); it may hold a pole or reach over RA 0.
    """

    vertices: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, ra: Sequence[float] | Float64, dec: Sequence[float] | Float64) -> Polygon:
        """From arrays of vertices."""
        return cls(tuple((float(a), float(d)) for a, d in zip(ra, dec, strict=True)))

    def __post_init__(self) -> None:
        flat = np.asarray(self.vertices, dtype=np.float64).reshape(-1, 2)
        if len(set(self.vertices)) < 3 or not np.all(np.isfinite(flat)) or np.any(np.abs(flat[:, 1]) > 90):
            raise SetupFault("order.invalid", f"{self.vertices} are not the vertices of a polygon on the sky")
        if not self.bounds.radius <= WIDEST:
            message = f"a polygon may reach {WIDEST:.0f} degrees from its middle, not {self.bounds.radius:.1f}"
            raise SetupFault("order.invalid", message, advice="divide it")

    @cached_property
    def bounds(self) -> Cone:
        """A cone that holds it."""
        corners = self._corners
        middle = corners.mean(axis=0)
        size = float(np.linalg.norm(middle))
        if size < 0.1:  # vertices all around the sky have no middle
            return Cone(0.0, 0.0, 180.0)
        chord = np.linalg.norm(corners - middle / size, axis=1).max()
        radius = float(np.degrees(2 * np.arcsin(min(chord / 2, 1.0))))
        return Cone(*_position(middle), min(radius * (1 + 1e-9) + 1e-9, 180.0))

    @cached_property
    def _corners(self) -> Float64:
        flat = np.asarray(self.vertices, dtype=np.float64)
        return vectors(flat[:, 0], flat[:, 1])

    def ranges(self) -> tuple[Int64, Int64]:
        """Ranges of cells of order 29 that hold it."""
        flat = np.asarray(self.vertices, dtype=np.float64)
        return healpix.polygon_ranges(flat[:, 0] % 360.0, flat[:, 1], self.bounds.radius)

    def contains(self, ra: Float64, dec: Float64) -> Bools:
        """Which positions lie in it: in the gnomonic plane about its middle its sides are straight (even-odd rule)."""
        x, y, ahead = self._plane(vectors(ra, dec))
        u, v, _ = self._plane(self._corners)
        inside = np.zeros(x.size, dtype=bool)
        for k in range(u.size):
            u0, v0, u1, v1 = u[k - 1], v[k - 1], u[k], v[k]
            crosses = (v0 > y) != (v1 > y)
            if np.any(crosses):
                at = u0 + (y[crosses] - v0) * (u1 - u0) / (v1 - v0)
                inside[crosses] ^= x[crosses] < at
        return inside & ahead

    def grown(self, by: float) -> Cone:
        """A cone that holds all within `by` [degree] of it."""
        return self.bounds.grown(by)

    def grid(self, points: int) -> tuple[Float64, Float64]:
        """About `points` positions [degree] spread evenly over its inside, at least one."""
        u, v, _ = self._plane(self._corners)
        area = abs(float(np.sum(u * np.roll(v, -1) - np.roll(u, -1) * v))) / 2
        step = np.sqrt(area / points)
        gx = np.arange(u.min() + step / 2, u.max(), step)
        gy = np.arange(v.min() + step / 2, v.max(), step)
        x, y = (each.reshape(-1) for each in np.meshgrid(gx, gy))
        p, q, r = self._triad
        there = r + x[:, None] * p + y[:, None] * q
        ra = np.degrees(np.arctan2(there[:, 1], there[:, 0])) % 360.0
        dec = np.degrees(np.arctan2(there[:, 2], np.hypot(there[:, 0], there[:, 1])))
        inside = self.contains(ra, dec)
        if not np.any(inside):
            return np.array([self.bounds.ra]), np.array([self.bounds.dec])
        return ra[inside], dec[inside]

    @cached_property
    def _triad(self) -> tuple[Float64, Float64, Float64]:
        a, d = np.radians(self.bounds.ra), np.radians(self.bounds.dec)
        p = np.array([-np.sin(a), np.cos(a), 0.0])
        q = np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
        return p, q, vectors(self.bounds.ra, self.bounds.dec)[0]

    def _plane(self, points: Float64) -> tuple[Float64, Float64, Bools]:
        p, q, r = self._triad
        depth = points @ r
        ahead = depth > 0.1
        depth = np.where(ahead, depth, 1.0)
        return points @ p / depth, points @ q / depth, ahead


@dataclass(frozen=True)
class Box:
    """All between two right ascensions (from, to: over 0 where the first is the greater) and two declinations [degree].

    The lower edges belong to it, the upper ones only at the pole; equal right ascensions are all around the sky.
    """

    ra: tuple[float, float]
    dec: tuple[float, float]

    def __post_init__(self) -> None:
        if not (np.all(np.isfinite(self.ra)) and -90 <= self.dec[0] < self.dec[1] <= 90):
            message = (
                f"a box from RA {self.ra[0]} to {self.ra[1]}, Dec {self.dec[0]} to {self.dec[1]} is not on the sky"
            )
            raise SetupFault("order.invalid", message)

    def ranges(self) -> tuple[Int64, Int64]:
        """Ranges of cells of order 29 that hold it."""
        return healpix.box_ranges(self.ra, self.dec)

    def contains(self, ra: Float64, dec: Float64) -> Bools:
        """Which positions lie in it."""
        width = (self.ra[1] - self.ra[0]) % 360.0 or 360.0
        across = (ra - self.ra[0]) % 360.0 < width
        south, north = self.dec
        return np.asarray(across & (dec >= south) & ((dec < north) | (north >= 90.0)))


class Region(Protocol):
    """A part of the sky: the cells that hold it, and which positions lie in it."""

    def ranges(self) -> tuple[Int64, Int64]:
        """Ranges of cells of order 29 that hold it, rising and apart."""

    def contains(self, ra: Float64, dec: Float64) -> Bools:
        """Which positions [degree] lie in it."""


Bounded = Cone | Polygon
"""Regions that can be grown."""
