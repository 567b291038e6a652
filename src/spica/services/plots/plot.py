"""One plot of a report: the numbers that it shows, how they are drawn, and why there is none where there is none."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

BLUE, GREY, ORANGE, INK = "#2f6690", "#7a8288", "#d1722c", "#1d2429"
BANDS: Mapping[str, tuple[str, str]] = {
    "u": ("#7b3fa0", "v"),
    "g": ("#2c8c4a", "o"),
    "r": ("#c8372d", "s"),
    "i": ("#8a5a2b", "D"),
    "z": ("#4a4a8a", "^"),
    "y": ("#2f6690", "P"),
}
"""Colour and mark of a band: told apart without colours, too."""
_OTHERS = (("#2f6690", "o"), ("#d1722c", "s"), ("#2c8c4a", "D"), ("#7b3fa0", "^"), ("#c8372d", "v"), ("#7a8288", "P"))
_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.18,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
    "lines.markersize": 4.0,
    "svg.hashsalt": "spica",
}
_DPI = 150
_DARK: dict[Any, Any] = {
    "figure.facecolor": "#141414",
    "savefig.facecolor": "#141414",
    "axes.facecolor": "#141414",
    **dict.fromkeys(("axes.labelcolor", "text.color", "xtick.color", "ytick.color"), "#e4e7ea"),
}
"""On top of the style: the same plot on a dark page."""


@dataclass(frozen=True, eq=False)
class Plot:
    """A plot before it is drawn.

    Attributes
    ----------
    name : of its files.
    title : what it shows.
    text : how it is read, in a sentence or two.
    draw : draws it into a figure; None where there is nothing to draw.
    data : the numbers that it is made of, by name.
    size : width and height [inch].
    missing : why there is nothing to draw, and what would help; '' where there is something.
    coloured : whether colours stand for numbers: on a dark page such a plot is drawn anew, others are inverted.
    """

    name: str
    title: str
    text: str
    draw: Callable[[Figure], None] | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    size: tuple[float, float] = (5.4, 4.0)
    missing: str = ""
    coloured: bool = False

    def without(self, why: str) -> Plot:
        """The same plot with nothing to draw, and the reason."""
        return Plot(self.name, self.title, self.text, missing=why)


def rendered(plot: Plot, form: Literal["png", "svg"], *, dark: bool = False) -> bytes:
    """The bytes of a plot: the same for the same numbers, without a date; light on `dark` where asked for.

    Raises
    ------
    ValueError
        For a plot without anything to draw.
    """
    if plot.draw is None:
        msg = f"{plot.name}: {plot.missing}"
        raise ValueError(msg)
    with rc_context(_STYLE | (_DARK if dark else {})):
        figure = Figure(figsize=plot.size, layout="constrained")
        FigureCanvasAgg(figure)
        plot.draw(figure)
        whole = io.BytesIO()
        metadata = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
        figure.savefig(whole, format=form, dpi=_DPI, metadata=metadata)
    return whole.getvalue()


def marks_of(bands: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and mark of each band, those without one of their own in turn."""
    others = iter(_OTHERS * (len(bands) // len(_OTHERS) + 1))
    return {band: BANDS[band] if band in BANDS else next(others) for band in bands}


def labelled(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Axes with their labels; a title within the figure only where it has several panels."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title, loc="left")


@dataclass(frozen=True, eq=False)
class Running:
    """A figure in bins of equal numbers along something: middles, values, their standard errors, counts."""

    middle: Floats
    value: Floats
    error: Floats
    count: Integers


def running(along: Floats, values: Floats, of: Callable[[Floats], tuple[float, float]], most: int = 12) -> Running:
    """`of` (value and its standard error) in at most so many bins of equal numbers, 20 each at least."""
    bins = min(most, along.size // 20)
    if bins < 1:
        return Running(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    parts = np.array_split(np.argsort(along, kind="stable"), bins)
    told = np.array([of(values[part]) for part in parts])
    middle = np.array([float(np.median(along[part])) for part in parts])
    return Running(middle, told[:, 0], told[:, 1], np.array([part.size for part in parts]))


def mean(values: Floats) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(np.mean(values)), float(np.std(values) / np.sqrt(max(values.size, 1)))


def width(values: Floats) -> tuple[float, float]:
    """Robust standard deviation about zero (1.4826 of the median size), and the standard error that a normal one has."""
    robust = 1.4826 * float(np.median(np.abs(values)))
    return robust, 1.17 * robust / np.sqrt(max(values.size, 1))


def radial_width(values: Floats) -> tuple[float, float]:
    """Width per coordinate of distances in two dimensions, from their median, and its standard error."""
    robust = float(np.median(values)) / float(np.sqrt(2.0 * np.log(2.0)))
    return robust, 0.72 * robust / np.sqrt(max(values.size, 1))


def within(values: Floats, share: float = 0.99, least: float = 0.0) -> float:
    """A limit of axes about zero that holds this share of the values."""
    finite = np.abs(values[np.isfinite(values)])
    return max(float(np.quantile(finite, share)) if finite.size else 1.0, least)
