"""Plots of stacks: completeness, number counts, colours of objects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from spica.core.columns import Catalogue
from spica.services.plots.plot import GREY, ORANGE, Floats, Plot, labelled, marks_of

_FEW = 10
_SURE = 10.0


def completeness(table: Catalogue, limits: Mapping[str, float]) -> Plot:
    """Part of the injected sources that was found, by magnitude, a line for each size.

    Parameters
    ----------
    table : product `completeness`.
    limits : metrics of that task; those of 80 % and 50 % are marked.
    """
    plot = Plot(
        "completeness",
        "Completeness",
        "Part of the stars and galaxies put into the stack that was found again, with bounds of one standard deviation; galaxies by "
        "their half-light radius. Dotted: the magnitudes at which 80 % and 50 % of the stars are found.",
    )
    sizes = np.unique(table["size"])
    if not sizes.size:
        return plot.without("nothing was put into the stack: run a pipeline with the step completeness")
    middle = 0.5 * (table["mag_low"] + table["mag_high"]).astype(np.float64)
    marked = [limits[name] for name in ("completeness_star_80", "completeness_star_50") if name in limits]
    marks = marks_of([f"{size:g}" for size in sizes])

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for size in sizes:
            rows = table["size"] == size
            value = table["completeness"][rows]
            below, above = value - table["completeness_low"][rows], table["completeness_high"][rows] - value
            colour, mark = marks[f"{size:g}"]
            name = f"galaxies, {size:g} pixel" if size > 0 else "stars"
            bars = np.maximum([below, above], 0.0)
            axes.errorbar(middle[rows], value, bars, fmt=mark, color=colour, linewidth=0.9, label=name)
        for limit in marked:
            axes.axvline(limit, color=GREY, linestyle=":", linewidth=0.9)
        axes.set_ylim(-0.03, 1.05)
        axes.legend(loc="lower left")
        labelled(axes, "magnitude", "completeness")

    return Plot(plot.name, plot.title, plot.text, draw, {"mag": middle, "completeness": table["completeness"]})


def counts(magnitudes: Floats, area: float, limit: float = float("nan"), step: float = 0.5) -> Plot:
    """Sources by magnitude, per square degree.

    Parameters
    ----------
    magnitudes : of all sources; those that are not numbers count for none.
    area : in which they were found [deg²].
    limit : magnitude of 80 % completeness, marked.
    step : bins [mag].
    """
    plot = Plot(
        "number-counts",
        "Number counts",
        "Sources by magnitude, per square degree and magnitude, with Poisson errors. Dotted: the magnitude of 80 % completeness, "
        "beyond which they fall short of the sky's.",
    )
    known = magnitudes[np.isfinite(magnitudes)]
    if known.size < _FEW or not area > 0:
        return plot.without(f"{known.size} sources have a magnitude")
    edges = np.arange(np.floor(known.min() / step), np.ceil(known.max() / step) + 1) * step
    number = np.histogram(known, edges)[0].astype(np.float64)
    seen = number > 0
    middle, scale = (0.5 * (edges[1:] + edges[:-1]))[seen], 1.0 / (area * step)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        value = number[seen] * scale
        axes.errorbar(middle, value, np.sqrt(number[seen]) * scale, fmt="o", color=ORANGE, linewidth=0.9)
        axes.set_yscale("log")
        if np.isfinite(limit):
            axes.axvline(limit, color=GREY, linestyle=":", linewidth=0.9)
        labelled(axes, "magnitude", "sources per deg² and mag")

    return Plot(plot.name, plot.title, plot.text, draw, {"mag": middle, "density": number[seen] * scale})


def colours(objects: Catalogue, bands: tuple[str, str, str]) -> Plot:
    """Colour against colour of a tile's objects, by light in apertures that are matched.

    Parameters
    ----------
    objects : product `objects`.
    bands : three of its bands, from blue to red.
    """
    plot = Plot(
        "object-colours",
        "Colours of objects",
        f"Colours of objects above {_SURE:g} sigma in the three bands, in apertures that hold the same part of each.",
    )
    lost = [band for band in bands if f"flux_colour_{band}" not in objects.columns]
    if lost:
        return plot.without(f"the objects have no light in {', '.join(lost)}")
    sure = np.ones(len(objects), np.bool_)
    for band in bands:
        sure &= objects[f"flux_colour_{band}"] > _SURE * objects[f"flux_colour_err_{band}"]
    if np.count_nonzero(sure) < _FEW:
        return plot.without(f"{np.count_nonzero(sure)} objects are above {_SURE:g} sigma in {', '.join(bands)}")
    blue, middle, red = (objects[f"mag_colour_{band}"][sure].astype(np.float64) for band in bands)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(blue - middle, middle - red, "o", color=ORANGE, markersize=2.5, alpha=0.6, rasterized=True)
        labelled(axes, f"{bands[0]} - {bands[1]}", f"{bands[1]} - {bands[2]}")

    return Plot(plot.name, plot.title, plot.text, draw, {"blue": blue - middle, "red": middle - red})
