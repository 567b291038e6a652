"""Picture of a reference catalogue: how many rows a square degree holds, over the sky that it covers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm

from spica.core.reference import ReferenceInfo
from spica.files.hats import healpix
from spica.services.figures import GREY, new_figure, save

Int64 = npt.NDArray[np.int64]

_WHOLE = 60.0
"""Catalogues wider than this [degree] are drawn on a map of the whole sky."""
_MOST = 50_000
"""Cells that are drawn; more are gathered into coarser ones."""


def draw(info: ReferenceInfo, pixels: Int64, counts: Int64, path: Path) -> None:
    """Draw the density of a catalogue into a PNG file.

    Parameters
    ----------
    pixels, counts : cells of order `info.order` that hold rows, and how many.
    """
    order = info.order
    while pixels.size > _MOST:
        pixels, places = np.unique(pixels >> 2, return_inverse=True)
        counts = np.bincount(places, counts).astype(np.int64)
        order -= 1
    ra, dec = healpix.centres(pixels, order)
    density = counts / healpix.area(order)
    middle = np.degrees(np.angle(np.mean(np.exp(1j * np.radians(ra)))))
    east = (ra - middle + 180.0) % 360.0 - 180.0
    whole = max(float(np.ptp(east)), float(np.ptp(dec))) > _WHOLE
    figure = new_figure(9.0, 5.5 if whole else 7.0)
    norm = LogNorm(max(float(density.min()), 1e-3), max(float(density.max()), 2e-3))
    if whole:
        axes = figure.add_subplot(projection="mollweide")
        size = (1.2 * 72 * 7.0 * healpix.width(order) / 360) ** 2
        marks = axes.scatter(-np.radians(east), np.radians(dec), max(size, 0.2), density, marker="s", norm=norm)
        axes.set_xticklabels([])
    else:
        axes = figure.add_subplot()
        span = max(float(np.ptp(dec)), float(np.ptp(east * np.cos(np.radians(dec)))), healpix.width(order))
        size = (72 * 5.0 * healpix.width(order) / (1.2 * span)) ** 2
        marks = axes.scatter(middle + east, dec, size, density, marker="D", norm=norm, linewidths=0)
        axes.set_aspect(1.0 / np.cos(np.radians(float(np.median(dec)))), adjustable="datalim")
        axes.invert_xaxis()
        axes.set_xlabel("right ascension [degree]")
        axes.set_ylabel("declination [degree]")
    axes.grid(visible=True, color=GREY, alpha=0.3)
    figure.colorbar(marks, ax=axes, label="rows per square degree", shrink=0.8)
    axes.set_title(f"{info.name}: {info.rows} rows, {info.area:.4g} square degrees", fontsize=10)
    save(figure, path)
