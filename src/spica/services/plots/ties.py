"""Plots of what holds zero points together: errors on the sky, and what the flat field got wrong over the focal plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spica.services.plots.focal import Frame, outlined
from spica.services.plots.plot import GREY, ORANGE, Floats, Plot, labelled, within
from spica.services.plots.records import Flats, Outlines, Ties
from spica.services.plots.stars import by_wavelength

_MOST = 4
"""Bands with a panel of their own."""


def ties_map(ties: Ties | None) -> Plot:
    """Errors of zero points on the sky, band by band; what nothing ties stands out."""
    plot = Plot(
        "zero-points-ties",
        "Where zero points are weakly tied",
        "Detectors on the sky in the colour of their zero point's standard error, with all that lies between it and the reference's magnitudes. "
        "Hatched: tied to none. Exposures that hang together by common sources are one island; the number of islands is above each panel.",
    )
    if ties is None or not ties.error.size:
        return plot.without("no joint solution has zero points: run a pipeline with the step solve, such as calibrate")
    bands = by_wavelength(ties.band.tolist())[:_MOST]
    middle = float(np.degrees(np.angle(np.sum(np.exp(1j * np.radians(ties.corners[..., 0]))))))
    ra = (ties.corners[..., 0] - middle + 180.0) % 360.0 - 180.0
    narrow = max(float(np.cos(np.radians(np.mean(ties.corners[..., 1])))), 0.05)
    corners = np.stack([ra + middle, ties.corners[..., 1]], axis=-1)
    error = np.where(ties.tied, 1e3 * ties.error, np.nan)
    top = float(np.nanmax(error)) if np.isfinite(error).any() else 1.0
    wide, high = (float(np.ptp(corners[..., axis])) for axis in (0, 1))

    def draw(figure: Figure) -> None:
        panels = _panels(figure, len(bands))
        shown: PolyCollection | None = None
        for axes, band in zip(panels, bands, strict=True):
            mine = ties.band == band
            # The weakest lie on top.
            order = np.flatnonzero(mine & ties.tied)[np.argsort(error[mine & ties.tied], kind="stable")]
            shown = PolyCollection(list(corners[order]), array=error[order], cmap="viridis", alpha=0.6, linewidth=0.4)
            shown.set_clim(0.0, top)
            axes.add_collection(shown)
            loose = list(corners[mine & ~ties.tied])
            axes.add_collection(PolyCollection(loose, facecolor="none", edgecolor=ORANGE, hatch="///", linewidth=0.6))
            axes.autoscale()
            axes.set_aspect(1.0 / narrow)
            axes.invert_xaxis()
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value % 360.0:.6g}")
            islands = np.unique(ties.island[mine]).size
            labelled(
                axes, "right ascension [deg]", "declination [deg]", f"{band}: {islands} island{'s'[: islands != 1]}"
            )
        if shown is not None:
            figure.colorbar(shown, ax=panels, shrink=0.85, label="standard error of the zero point [mmag]")

    data = {"band": ties.band, "error": error, "island": ties.island, "tied": ties.tied, "exposure": ties.exposure}
    return Plot(plot.name, plot.title, plot.text, draw, data, _size(len(bands), high / (wide * narrow)), coloured=True)


def illumination(flats: Flats | None, outlines: Outlines) -> Plot:
    """What the flat field got wrong, over the focal plane, band by band."""
    plot = Plot(
        "illumination",
        "What the flat field got wrong",
        "What a place adds to its detector's zero point, by stars that were seen in several places (star flat): light in the flat field that "
        "stars do not have makes it bow. Magnitudes have it taken off.",
    )
    if flats is None or not flats.value.size:
        return plot.without(
            "no joint solution fitted it: run a pipeline with the step solve and flat_degree 2 or 3, on dithered exposures of a field"
        )
    bands = by_wavelength(flats.band.tolist())[:_MOST]
    frame = Frame.of(outlines)
    limit = within(1e3 * flats.value, 1.0, 0.1)

    def draw(figure: Figure) -> None:
        panels = _panels(figure, len(bands))
        shown: PolyCollection | None = None
        for axes, band in zip(panels, bands, strict=True):
            mine = flats.select(flats.band == band)
            value = 1e3 * mine.value
            shown = PolyCollection(list(mine.cells), array=value, cmap="RdBu_r", edgecolors="face", linewidth=0.3)
            shown.set_clim(-limit, limit)
            axes.add_collection(shown)
            outlined(axes, outlines, named=False)
            frame.fit(axes)
            axes.set_title(f"{band}: {np.ptp(value):.1f} mmag from least to most", loc="left", color=GREY)
        if shown is not None:
            figure.colorbar(shown, ax=panels, shrink=0.85, label="added to the zero point [mmag]")

    data = {"band": flats.band, "value": flats.value, "cells": flats.cells}
    shape = (frame.top - frame.bottom) / (frame.right - frame.left)
    return Plot(plot.name, plot.title, plot.text, draw, data, _size(len(bands), shape), coloured=True)


def _panels(figure: Figure, count: int) -> Sequence[Axes]:
    rows = (count + 1) // 2
    return [figure.add_subplot(rows, min(count, 2), number + 1) for number in range(count)]


def _size(count: int, shape: float) -> tuple[float, float]:
    """Of a figure with so many panels of a height over width [inch]."""
    wide = 5.4 if count == 1 else 7.6
    each = float(np.clip(shape * wide * 0.8 / min(count, 2), 2.0, 6.0))
    return wide, each * ((count + 1) // 2) + 0.8


def cells_over(size: tuple[float, float], count: int) -> tuple[Floats, Floats, Floats]:
    """Middles x, y (n,) of cells over an image [pixel], and their corners (n, 4, 2); `count` along its short side."""
    short = min(size)
    across, along = (max(round(count * side / short), 1) for side in size)
    wide, high = size[0] / across, size[1] / along
    x, y = (
        part.ravel()
        for part in np.meshgrid((np.arange(across) + 0.5) * wide - 0.5, (np.arange(along) + 0.5) * high - 0.5)
    )
    half = 0.5 * np.array([(-wide, -high), (wide, -high), (wide, high), (-wide, high)])
    return x, y, np.stack([x, y], axis=-1)[:, None, :] + half
