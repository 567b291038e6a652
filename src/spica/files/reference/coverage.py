"""How much of a region a reference catalogue covers, to the resolution in which its density is told."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.files.hats import healpix
from spica.files.hats.regions import Polygon
from spica.files.reference import store

Float64 = npt.NDArray[np.float64]

_PER_CELL = 9
"""Points laid over each cell of a footprint."""
_POINTS = (64, 4096)
"""At least and at most so many points over a footprint."""
THIN = 0.1
"""A cell that holds less than this fraction of what its neighbourhood holds counts as empty."""


class Coverage:
    """Where a catalogue has rows.

    A cell of the sky is covered where it holds at least `THIN` of the rows of a typical cell that has any. So a hole is
    seen where it holds a whole cell, `resolution` wide; cells that an edge runs through count as covered.

    Parameters
    ----------
    folder : of the catalogue.
    """

    def __init__(self, folder: Path) -> None:
        self.order = store.read_info(folder).order
        pixels, counts = store.read_density(folder)
        typical = float(np.median(counts)) if counts.size else 0.0
        self._pixels = pixels[counts >= THIN * typical]

    @cached_property
    def resolution(self) -> float:
        """Width of a cell [degree]."""
        return healpix.width(self.order)

    def of(self, footprints: Sequence[Polygon]) -> Float64:
        """Covered fraction ``(n,)`` of each footprint."""
        places = [each.grid(self._points(each)) for each in footprints]
        if not places:
            return np.zeros(0)
        cells = healpix.cells(
            np.concatenate([ra for ra, _ in places]), np.concatenate([dec for _, dec in places]), self.order
        )
        at = np.minimum(np.searchsorted(self._pixels, cells), max(self._pixels.size - 1, 0))
        there = self._pixels[at] == cells if self._pixels.size else np.zeros(cells.size, bool)
        sizes = np.array([ra.size for ra, _ in places])
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        return np.asarray(np.add.reduceat(there.astype(np.float64), starts) / sizes)

    def _points(self, footprint: Polygon) -> int:
        area = np.pi * footprint.bounds.radius**2
        return int(np.clip(_PER_CELL * area / healpix.area(self.order), *_POINTS))
