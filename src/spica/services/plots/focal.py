"""The focal plane as ground of a plot: outlines of detectors, limits, proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from spica.services.plots.plot import GREY, Floats, labelled
from spica.services.plots.records import Outlines

_NAMED = 12
"""More detectors than this are drawn without their names."""


@dataclass(frozen=True)
class Frame:
    """Limits of a focal plane [mm], a little wider than its detectors."""

    left: float
    right: float
    bottom: float
    top: float

    @classmethod
    def of(cls, outlines: Outlines) -> Frame:
        """Around these detectors."""
        low, high = (np.asarray(way(outlines.corners.reshape(-1, 2), axis=0)) for way in (np.min, np.max))
        room = 0.03 * float(np.max(high - low))
        return cls(float(low[0]) - room, float(high[0]) + room, float(low[1]) - room, float(high[1]) + room)

    @property
    def size(self) -> float:
        """The longer side [mm]."""
        return max(self.right - self.left, self.top - self.bottom)

    @property
    def figure(self) -> tuple[float, float]:
        """Width and height of a figure that it fits into [inch]."""
        shape = (self.top - self.bottom) / (self.right - self.left)
        return 5.4, float(np.clip(4.6 * shape + 0.8, 2.6, 7.0))

    def fit(self, axes: Axes) -> None:
        """Limits and labels; one scale for both axes."""
        axes.set_xlim(self.left, self.right)
        axes.set_ylim(self.bottom, self.top)
        axes.set_aspect("equal")
        axes.grid(visible=False)
        labelled(axes, "focal plane x [mm]", "focal plane y [mm]")


def outlined(axes: Axes, outlines: Outlines, *, named: bool = True) -> None:
    """Draw the detectors, the few with their names."""
    axes.add_collection(PolyCollection(list(outlines.corners), facecolor="none", edgecolor=GREY, linewidth=0.7))
    if named and outlines.detector.size <= _NAMED:
        for name, corners in zip(outlines.name, outlines.corners, strict=True):
            x, y = corners.min(axis=0)
            axes.annotate(str(name), (x, y), (3, 3), textcoords="offset points", fontsize=7.0, color=GREY)


def areas(cells: Floats) -> Floats:
    """Of quadrilaterals (n, 4, 2)."""
    x, y = cells[..., 0], cells[..., 1]
    following = np.roll(np.arange(4), -1)
    return np.asarray(0.5 * np.abs(np.sum(x * y[:, following] - x[:, following] * y, axis=1)))
