"""Plots of positions: residuals over the focal plane, against colour, magnitude and place, and their pulls."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spica.services.plots.focal import Frame, areas, outlined
from spica.services.plots.plot import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    Floats,
    Integers,
    Plot,
    Running,
    labelled,
    mean,
    radial_width,
    running,
    within,
)
from spica.services.plots.records import Outlines, Residuals

_CELLS = ((4, 6), (12, 4), (30, 3))
"""Arrows along each side of a detector, at most, up to so many detectors; two where there are more."""
_LEAST = 5
"""Detections that an arrow stands for, at least."""
_NONE = "no joint solution holds a detection of it: run a pipeline with the step solve, such as calibrate"
_EAST, _NORTH = "east", "north"


def arrows(residuals: Residuals | None, outlines: Outlines) -> Plot:
    """Mean residuals in cells of the focal plane, with the outlines of the detectors."""
    plot = Plot(
        "residual-arrows",
        "Residuals of positions over the focal plane",
        "Mean of detection minus source in cells of each detector: what shows a pattern is distortion that the solution does "
        "not take up. Arrows of pure noise point anywhere.",
    )
    if residuals is None or not np.any(residuals.used):
        return plot.without(_NONE)
    used = residuals.select(residuals.used)
    cells, (x, y, dx, dy, error) = _cells(used)
    if not x.size:
        return plot.without(f"no cell of a detector holds {_LEAST} detections that count")
    frame = Frame.of(outlines)
    length = max(float(np.quantile(np.hypot(dx, dy), 0.9)), 1e-3)
    # Nine of ten arrows end before their neighbour begins.
    pitch = float(np.sqrt(np.median(areas(outlines.corners)))) / cells

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        outlined(axes, outlines)
        quiver = axes.quiver(
            x, y, dx, dy, angles="xy", color=BLUE, width=0.0035, scale=length / pitch, scale_units="xy"
        )
        # The title keeps the place that the key needs.
        axes.set_title(" ", loc="right", fontsize=12)
        axes.quiverkey(quiver, 0.80, 1.02, length, f"{length:.2g} mas", labelpos="E", coordinates="axes")
        frame.fit(axes)

    data = {"x": x, "y": y, "dx": dx, "dy": dy, "error": error}
    return Plot(plot.name, plot.title, plot.text, draw, data, frame.figure)


def _cells(used: Residuals) -> tuple[int, tuple[Floats, ...]]:
    """Cells along a side; middles [mm], mean residuals and their standard error [mas] of the cells that hold enough."""
    numbers, counts = np.unique(used.detector, return_counts=True)
    most = next((cells for detectors, cells in _CELLS if numbers.size <= detectors), 2)
    cells = int(np.clip(np.sqrt(np.median(counts) / (2 * _LEAST)), 1, most))
    place = np.searchsorted(numbers, used.detector)
    column, row = (np.clip((part * cells).astype(np.int64), 0, cells - 1) for part in (used.part_x, used.part_y))
    cell = (place * cells + row) * cells + column
    # A detection that makes up its source's mean has no residual: it must not count for more than half of all do.
    weight = 1.0 / np.maximum(used.expected, np.median(used.expected)) ** 2
    total = np.bincount(cell, weight)
    kept = np.flatnonzero(np.bincount(cell) >= _LEAST)

    def averaged(values: Floats) -> Floats:
        return np.asarray(np.bincount(cell, weight * values)[kept] / total[kept])

    means = (averaged(each) for each in (used.focal_x, used.focal_y, used.along_x, used.along_y))
    error = np.sqrt(np.bincount(cell, (weight * used.expected) ** 2)[kept]) / total[kept]
    return cells, (*means, error)


def against_magnitude(residuals: Residuals | None) -> Plot:
    """Size of residuals per coordinate by magnitude, beside the errors that were told."""
    plot = Plot(
        "residual-magnitude",
        "Residuals of positions by magnitude",
        "Size per coordinate of the distance from the source's mean (points), its running scatter, and the error that the "
        "solution expects of such detections. The two agree where errors are honest.",
    )
    if residuals is None or not np.any(residuals.used):
        return plot.without(_NONE)
    rows = residuals.select(residuals.used & np.isfinite(residuals.mag))
    if not rows.mag.size:
        return plot.without("no magnitudes were asked of the solution's detections: their light is too faint for it")
    away = np.hypot(rows.east, rows.north) / np.sqrt(2.0)
    scatter = running(rows.mag, np.hypot(rows.east, rows.north), radial_width)
    told = running(rows.mag, rows.expected, lambda values: (float(np.median(values)), 0.0))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(rows.mag, away, ".", color=GREY, alpha=0.35, markersize=2.5, markeredgewidth=0, rasterized=True)
        axes.errorbar(scatter.middle, scatter.value, scatter.error, fmt="o-", color=BLUE, label="scatter")
        axes.plot(told.middle, told.value, "--", color=ORANGE, label="error told")
        axes.set_yscale("log")
        axes.set_ylim(max(0.03 * float(np.min(told.value, initial=1e3)), 1e-2), None)
        axes.legend(loc="upper left")
        labelled(axes, "magnitude", "residual per coordinate [mas]")

    data = {"mag": rows.mag, "away": away, **_told("scatter", scatter), **_told("error", told)}
    return Plot(plot.name, plot.title, plot.text, draw, data)


def _told(name: str, line: Running) -> dict[str, Floats | Integers]:
    return {f"{name}_at": line.middle, name: line.value, f"{name}_error": line.error}


def against_colour(residuals: Residuals | None, colour: str, why: str = "") -> Plot:
    """Mean residuals by colour: what the atmosphere and the optics do with light of different colours.

    Parameters
    ----------
    colour : what it is, such as ``g - i``.
    why : no colours are known.
    """
    plot = Plot(
        "residual-colour",
        "Residuals of positions by colour",
        "Mean residual of stars of a colour, east and north. A slope is refraction in the air or in the optics that depends on "
        "colour and that the solution does not model.",
    )
    if residuals is None or not np.any(residuals.used):
        return plot.without(_NONE)
    rows = residuals.select(residuals.used & np.isfinite(residuals.colour))
    if rows.colour.size < 20:
        return plot.without(why or f"{rows.colour.size} detections that count have a colour, 20 are needed")
    lines = {_EAST: running(rows.colour, rows.east, mean), _NORTH: running(rows.colour, rows.north, mean)}

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _both(axes, lines)
        labelled(axes, f"{colour} [mag]", "mean residual [mas]")

    data = {"colour": rows.colour, **_told(_EAST, lines[_EAST]), **_told(_NORTH, lines[_NORTH])}
    return Plot(plot.name, plot.title, plot.text, draw, data)


def _both(axes: Axes, lines: dict[str, Running]) -> None:
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    for (name, line), colour, mark in zip(lines.items(), (BLUE, ORANGE), ("o-", "s--"), strict=True):
        axes.errorbar(line.middle, line.value, line.error, fmt=mark, color=colour, label=name, linewidth=1.0)
    top = max((float(np.max(np.abs(line.value) + line.error, initial=0.0)) for line in lines.values()), default=1.0)
    axes.set_ylim(-1.35 * top, 1.35 * top)
    axes.legend(loc="upper right", ncols=2)


def against_place(residuals: Residuals | None) -> Plot:
    """Mean residuals by column and by row, all detectors laid upon each other: what a detector itself does."""
    plot = Plot(
        "residual-place",
        "Residuals of positions by place on the detector",
        "Mean residual along x by column and along y by row, the detectors laid upon each other: steps and waves are of the "
        "detectors (stitching, tree rings, edges).",
        size=(5.4, 5.0),
    )
    if residuals is None or not np.any(residuals.used):
        return plot.without(_NONE)
    rows = residuals.select(residuals.used)
    if rows.x.size < 40:
        return plot.without(f"{rows.x.size} detections count, 40 are needed")
    across = running(rows.x, rows.along_x, mean, 30)
    along = running(rows.y, rows.along_y, mean, 30)

    def draw(figure: Figure) -> None:
        for axes, line, name, colour in zip(
            figure.subplots(2, 1), (across, along), ("x", "y"), (BLUE, ORANGE), strict=True
        ):
            axes.axhline(0.0, color=GREY, linewidth=0.8)
            axes.errorbar(line.middle, line.value, line.error, fmt=".-", color=colour, linewidth=0.8)
            labelled(axes, f"{name} [pixel]", f"along {name} [mas]")

    data = {**_told("across", across), **_told("along", along)}
    return Plot(plot.name, plot.title, plot.text, draw, data, plot.size)


def pulls(residuals: Residuals | None) -> Plot:
    """Distances from the mean of the others over their errors: by magnitude, and their distribution."""
    plot = Plot(
        "pulls-positions",
        "Pulls of positions",
        "Distance of a detection from the mean of the others of its source, in standard deviations. Width 1 at all magnitudes: "
        "errors are honest; below 1 they are too large.",
        size=(5.4, 5.4),
    )
    if residuals is None or not np.any(residuals.used):
        return plot.without(_NONE)
    rows = residuals.select(residuals.used & (residuals.pull > 0.0))
    if rows.pull.size < 20:
        return plot.without(f"{rows.pull.size} detections can be compared with others of their source, 20 are needed")
    bright = np.isfinite(rows.mag)
    line = running(rows.mag[bright], rows.pull[bright], radial_width)
    return pull_plot(plot, rows.mag, rows.pull, line, radial_width(rows.pull), radial=True)


def pull_plot(
    plot: Plot, mag: Floats, pull: Floats, line: Running, whole: tuple[float, float], *, radial: bool
) -> Plot:
    """Pulls by magnitude with their running width above, their distribution with what it should be below."""
    top = min(max(within(pull, 0.995), 4.0), 8.0)

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1)
        above.plot(mag, pull, ".", color=GREY, alpha=0.35, markersize=2.5, markeredgewidth=0, rasterized=True)
        above.errorbar(line.middle, line.value, line.error, fmt="o-", color=BLUE, label="width")
        above.axhline(1.0, color=ORANGE, linewidth=1.0, linestyle="--")
        above.set_ylim(0.0, top)
        above.legend(loc="upper left")
        labelled(above, "magnitude", "pull")
        edges = np.linspace(0.0, top, 41)
        below.hist(pull, edges.tolist(), density=True, color=BLUE, alpha=0.45)
        normal = edges * np.exp(-0.5 * edges**2) if radial else np.sqrt(2.0 / np.pi) * np.exp(-0.5 * edges**2)
        below.plot(edges, normal, "--", color=ORANGE, label="honest errors")
        below.text(
            0.98, 0.62, f"width {whole[0]:.3f} ± {whole[1]:.3f}", transform=below.transAxes, ha="right", color=INK
        )
        below.legend(loc="upper right")
        labelled(below, "pull", "density")

    data = {"mag": mag, "pull": pull, "width": np.array(whole), **_told("widths", line)}
    return Plot(plot.name, plot.title, plot.text, draw, data, plot.size)
