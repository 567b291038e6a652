"""Pictures of a joint solution: residuals over the focal plane, against magnitude and place, and pulls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from spica.core.columns import Catalogue
from spica.services.figures import GREY, new_figure, save

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_CELLS = 6
"""Arrows along the longer side of a detector."""
_LEAST = 3
"""Detections that an arrow stands for, at least."""


def draw(solution: Catalogue, matches: Catalogue, path: Path) -> None:
    """Draw four panels into a PNG file.

    Parameters
    ----------
    solution, matches : products of the task `solve`.
    """
    used = (matches["used"] == 1) & (matches["detector"] >= 0)
    figure = new_figure(11.0, 9.0)
    panels = figure.subplots(2, 2)
    _arrows(panels[0, 0], solution, matches, used)
    _against_magnitude(panels[0, 1], matches, used)
    _against_place(panels[1, 0], matches, used)
    _pulls(panels[1, 1], matches, used)
    save(figure, path)


def _place(solution: Catalogue, row: int, x: Floats, y: Floats) -> Floats:
    """Places (2, n) [arcmin] of pixels in the plane that touches the sky, west to the right, without the distortion."""
    away = np.stack([x - solution["crpix"][row, 0], y - solution["crpix"][row, 1]])
    return np.asarray([[-60.0], [60.0]] * (solution["cd"][row].reshape(2, 2) @ away))


def _arrows(axes: Axes, solution: Catalogue, matches: Catalogue, used: Bools) -> None:
    """Mean residuals of all exposures in cells of the focal plane, as it lies in the first exposure."""
    ends: list[tuple[float, float, float, float]] = []
    for row in np.flatnonzero(solution["exposure_id"] == solution["exposure_id"][0]).tolist():
        wide, high = float(solution["nx"][row]), float(solution["ny"][row])
        border = _place(solution, row, np.array([0, wide, wide, 0, 0]), np.array([0, 0, high, high, 0]))
        axes.plot(*border, color=GREY, linewidth=0.6)
        rows = np.flatnonzero(used & (matches["detector"] == solution["detector"][row]))
        side = max(wide, high) / _CELLS
        column, line = (
            np.clip(matches[name][rows] // side, 0, size // side).astype(np.int64)
            for name, size in (("x", wide - 1.0), ("y", high - 1.0))
        )
        for cell in np.unique(line * 1000 + column):
            mine = rows[line * 1000 + column == cell]
            if mine.size >= _LEAST:
                x, y = (np.array([(part + 0.5) * side]) for part in (cell % 1000, cell // 1000))
                (u,), (v,) = _place(solution, row, x, y)
                ends.append(
                    (u, v, -float(np.mean(matches["off_east"][mine])), float(np.mean(matches["off_north"][mine])))
                )
    if ends:
        x, y, u, v = np.array(ends).T
        arrows = axes.quiver(x, y, u, v, angles="xy", width=0.003)
        length = max(float(np.median(np.hypot(u, v))), 1e-3)
        axes.quiverkey(arrows, 0.85, 1.03, length, f"{length:.2g} mas", labelpos="E")
    axes.set_aspect("equal")
    axes.set_title("mean residuals in the focal plane", fontsize=9, loc="left")
    axes.set_xlabel("west [arcmin]")
    axes.set_ylabel("north [arcmin]")


def _against_magnitude(axes: Axes, matches: Catalogue, used: Bools) -> None:
    rows = used & np.isfinite(matches["mag"])
    away = np.hypot(matches["off_east"][rows], matches["off_north"][rows]) / np.sqrt(2.0)
    axes.scatter(matches["mag"][rows], away, s=2, color=GREY, alpha=0.4, linewidths=0, rasterized=True)
    _running(axes, matches["mag"][rows].astype(np.float64), away.astype(np.float64))
    axes.set_yscale("log")
    axes.set_xlabel("magnitude")
    axes.set_ylabel("residual per coordinate [mas]")


def _running(axes: Axes, along: Floats, values: Floats, bins: int = 15) -> None:
    """The rms in bins of equal numbers."""
    if along.size < 5 * bins:
        return
    order = np.argsort(along, kind="stable")
    parts = np.array_split(order, bins)
    axes.plot([np.median(along[part]) for part in parts], [np.sqrt(np.mean(values[part] ** 2)) for part in parts], "k-")


def _against_place(axes: Axes, matches: Catalogue, used: Bools) -> None:
    for name, colour in (("off_east", "tab:blue"), ("off_north", "tab:red")):
        parts = np.array_split(np.flatnonzero(used)[np.argsort(matches["y"][used], kind="stable")], 30)
        parts = [part for part in parts if part.size > 1]
        middle = [float(np.median(matches["y"][part])) for part in parts]
        mean = [float(np.mean(matches[name][part])) for part in parts]
        error = [float(np.std(matches[name][part]) / np.sqrt(part.size)) for part in parts]
        axes.errorbar(middle, mean, error, fmt=".", color=colour, label=name.removeprefix("off_"))
    axes.axhline(0.0, color=GREY)
    axes.legend(fontsize=8)
    axes.set_xlabel("y on the detector [pixel]")
    axes.set_ylabel("mean residual [mas]")


def _pulls(axes: Axes, matches: Catalogue, used: Bools) -> None:
    """Against what normal errors would give: a Rayleigh distribution of unit width."""
    pull = matches["pull"][used & (matches["pull"] > 0)]
    edges = np.linspace(0.0, 5.0, 41)
    if pull.size:
        axes.hist(pull, edges.tolist(), density=True, color=GREY, alpha=0.6)
    axes.plot(edges, edges * np.exp(-0.5 * edges**2), "k-")
    axes.set_xlabel("distance from the others, in standard deviations")
    width = float(np.sqrt(0.5 * np.mean(pull**2))) if pull.size else float("nan")
    axes.set_title(f"pulls: width {width:.3f}", fontsize=9)
