"""Plots of two releases side by side."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from spica.files import atomic
from spica.services.plots.plot import BLUE, GREY, Plot, labelled, marks_of, rendered
from spica.services.publishing.compare import KEY, Comparison

_LINES = 40


def stacks(found: Comparison) -> Plot:
    """Each key figure of each stack in the second release against the first."""
    plot = Plot(
        "release-stacks",
        f"Stacks of {found.first} and {found.second}",
        f"Each stack's figure in {found.second} against {found.first}; on the line they are alike.",
    )
    panels = {
        name: [
            each
            for each in found.differences
            if each.figure == name and each.band and math.isfinite(each.first) and math.isfinite(each.second)
        ]
        for name in KEY
    }
    panels = {name: each for name, each in panels.items() if each}
    if not panels:
        return plot.without("the releases have no stack in common: see 'spica release status'")
    marks = marks_of(sorted({each.band for rows in panels.values() for each in rows}))
    wide = min(3, len(panels))
    high = -(-len(panels) // wide)

    def draw(figure: Figure) -> None:
        for number, (name, rows) in enumerate(panels.items(), 1):
            axes = figure.add_subplot(high, wide, number)
            both = [value for each in rows for value in (each.first, each.second)]
            margin = 0.06 * (max(both) - min(both)) or 0.02 * abs(both[0]) or 1.0
            ends = min(both) - margin, max(both) + margin
            axes.plot(ends, ends, color=GREY, linewidth=0.8)
            for band, (colour, mark) in marks.items():
                mine = [each for each in rows if each.band == band]
                axes.plot(
                    *([each.first for each in mine], [each.second for each in mine]),
                    *(mark,),
                    color=colour,
                    label=band,
                    alpha=0.8,
                )
            axes.set_xlim(ends)
            axes.set_ylim(ends)
            unit = f" [{rows[0].units}]" if rows[0].units else ""
            labelled(axes, found.first, found.second, f"{name}{unit}")
            if number == 1 and len(marks) > 1:
                axes.legend(loc="upper left")

    data = {name: np.array([(each.first, each.second) for each in rows]) for name, rows in panels.items()}
    return Plot(plot.name, plot.title, plot.text, draw, data, size=(3.1 * wide + 0.4, 2.9 * high))


def magnitudes(found: Comparison) -> Plot:
    """Median difference of the objects' magnitudes, tile by tile and band by band, with its error."""
    plot = Plot(
        "release-magnitudes",
        f"Magnitudes of {found.second} less {found.first}",
        "Median over the objects that both have, with its error; the pale bar is the scatter of single objects.",
    )
    rows = [each for each in found.stars if math.isfinite(each.offset)]
    if not rows:
        return plot.without("no catalogue of objects is in both, or none has three bright objects in common")
    # Of very many tiles those that differ most.
    rows = sorted(rows, key=lambda each: -abs(each.sigma))[:_LINES]
    rows.sort(key=lambda each: (each.tile, each.band))
    marks = marks_of(sorted({each.band for each in rows}))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0.0, color=GREY, linewidth=0.8)
        for place, each in enumerate(rows):
            colour, mark = marks[each.band]
            axes.errorbar(1e3 * each.offset, place, xerr=1e3 * each.scatter, color=BLUE, alpha=0.2, elinewidth=5.0)
            axes.errorbar(1e3 * each.offset, place, xerr=1e3 * each.error, fmt=mark, color=colour)
        axes.set_yticks(range(len(rows)), [f"{each.tile} {each.band}" for each in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        labelled(axes, "difference [mmag]", "")

    data = {"offset": np.array([each.offset for each in rows]), "error": np.array([each.error for each in rows])}
    return Plot(plot.name, plot.title, plot.text, draw, data, size=(5.6, 1.4 + 0.24 * len(rows)))


def write(folder: Path, found: Comparison) -> tuple[Path, ...]:
    """Draw what can be drawn into a folder, as PNG; answers the files.

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    made = []
    for plot in (stacks(found), magnitudes(found)):
        if plot.draw is not None:
            made.append(folder / f"{plot.name}.png")
            atomic.write_bytes(made[-1], rendered(plot, "png"))
    return tuple(made)
