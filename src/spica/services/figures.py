"""Drawings: a camera's focal plane, a pipeline's graph. Matplotlib without a screen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon

from spica.core.camera import Camera, DetectorSpec
from spica.files import atomic

BLUE, GREY, ORANGE = "#2f6690", "#7a8288", "#d1722c"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, drawn in memory."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically and without a date in it."""
    with atomic.writing(path, durable=False) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": None})


def corners(detector: DetectorSpec, pixel_size: float) -> list[tuple[float, float]]:
    """The four corners of a detector in the focal plane, millimetres, beginning at its pixel (0, 0).

    Parameters
    ----------
    detector : place, size and orientation.
    pixel_size : micrometres.
    """
    half_x, half_y = (size * pixel_size / 2000.0 for size in (detector.nx, detector.ny))
    turn = math.radians(detector.rotation)
    placed = []
    sign = -1.0 if detector.flip else 1.0
    for x, y in (
        (-sign * half_x, -half_y),
        (sign * half_x, -half_y),
        (sign * half_x, half_y),
        (-sign * half_x, half_y),
    ):
        placed.append(
            (
                detector.x_mm + x * math.cos(turn) - y * math.sin(turn),
                detector.y_mm + x * math.sin(turn) + y * math.cos(turn),
            )
        )
    return placed


def focal_plane(camera: Camera, path: Path) -> None:
    """Draw the detectors of a camera in the focal plane, each with its number, name and read-out corner."""
    outlines = {detector.id: corners(detector, camera.pixel_size) for detector in camera.detectors}
    xs = [x for outline in outlines.values() for x, _ in outline]
    ys = [y for outline in outlines.values() for _, y in outline]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    figure = new_figure(9.0, max(4.0, min(12.0, 9.0 * high / wide + 1.0)))
    axes = figure.add_subplot()
    rafts = sorted({detector.raft for detector in camera.detectors})
    shades = {raft: BLUE if index % 2 == 0 else ORANGE for index, raft in enumerate(rafts)}
    font = max(4.0, min(10.0, 110.0 / math.sqrt(len(outlines)) / 2.2))
    for detector in camera.detectors:
        outline = outlines[detector.id]
        axes.add_patch(Polygon(outline, facecolor=shades[detector.raft], alpha=0.25, edgecolor=shades[detector.raft]))
        _amplifiers(axes, detector, outline)
        middle = (sum(x for x, _ in outline) / 4.0, sum(y for _, y in outline) / 4.0)
        axes.annotate(f"{detector.id}\n{detector.name}", middle, ha="center", va="center", fontsize=font)
        axes.plot(*outline[0], marker=".", color=GREY, markersize=3)
    axes.set_aspect("equal")
    axes.margins(0.03)
    axes.autoscale_view()
    axes.set_xlabel("focal plane x [mm]")
    axes.set_ylabel("focal plane y [mm]")
    axes.set_title(f"{camera.title}: {len(outlines)} detectors (dot: pixel 0, 0; dashes: amplifiers)", fontsize=10)
    save(figure, path)


def _amplifiers(axes: Axes, detector: DetectorSpec, outline: Sequence[tuple[float, float]]) -> None:
    """Dashed lines between the amplifiers of a detector."""
    (ox, oy), (rx, ry), _, (ux, uy) = outline
    for amplifier in detector.amplifiers:
        x0, x1, y0, y1 = amplifier.detector
        places = []
        for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)):
            s, t = x / detector.nx, y / detector.ny
            places.append((ox + s * (rx - ox) + t * (ux - ox), oy + s * (ry - oy) + t * (uy - oy)))
        axes.plot([x for x, _ in places], [y for _, y in places], linestyle="--", linewidth=0.4, color=GREY)


def graph(
    title: str,
    layers: Sequence[Sequence[str]],
    notes: Mapping[str, str],
    arrows: Sequence[tuple[str, str, str]],
    path: Path,
) -> None:
    """Draw boxes in layers from top to bottom, with labelled arrows between them.

    Parameters
    ----------
    layers : names of the boxes of each layer.
    notes : second line of a box, by its name.
    arrows : (from box, to box, label).
    """
    widest = max(len(layer) for layer in layers)
    figure = new_figure(max(6.0, 2.6 * widest), max(3.0, 1.25 * len(layers) + 0.6))
    axes = figure.add_subplot()
    places: dict[str, tuple[float, float]] = {}
    for depth, layer in enumerate(layers):
        for index, name in enumerate(layer):
            places[name] = (index - (len(layer) - 1) / 2.0, -float(depth))
    for name, (x, y) in places.items():
        axes.add_patch(
            FancyBboxPatch(
                (x - 0.38, y - 0.22), 0.76, 0.44, boxstyle="round,pad=0.02", facecolor="#e7eef4", edgecolor=BLUE
            )
        )
        axes.annotate(name, (x, y + 0.07), ha="center", va="center", fontsize=9, weight="bold")
        axes.annotate(notes.get(name, ""), (x, y - 0.11), ha="center", va="center", fontsize=6.5, color=GREY)
    for index, (start, end, label) in enumerate(arrows):
        (x0, y0), (x1, y1) = places[start], places[end]
        bend = 0.0 if abs(y0 - y1) < 1.5 else 0.25 * (1 if index % 2 else -1)
        style = {"arrowstyle": "->", "color": GREY, "connectionstyle": f"arc3,rad={bend}"}
        axes.annotate("", (x1, y1 + 0.25), (x0, y0 - 0.25), arrowprops=style)
        share = 0.35 + 0.3 * ((index * 37) % 10) / 10.0
        axes.annotate(label, (x0 + share * (x1 - x0), y0 + share * (y1 - y0)), fontsize=6.5, color=ORANGE, ha="center")
    axes.set_xlim(-widest / 2.0 - 0.1, widest / 2.0 + 0.1)
    axes.set_ylim(-len(layers) + 0.4, 0.6)
    axes.set_axis_off()
    axes.set_title(title, fontsize=11)
    save(figure, path)
