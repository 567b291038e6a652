"""Picture of what measures a camera: photon-transfer curves, their misfits, the linearity of the flats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from spica.services.figures import GREY, new_figure, save
from spica.services.measuring import Curve

_NAMED = 12
"""More amplifiers than this are drawn without names."""


def draw(title: str, curves: Sequence[Curve], path: Path) -> None:
    """Draw the curves of all amplifiers into a PNG file."""
    figure = new_figure(11.0, 9.0)
    left, right = figure.subplots(2, 2, height_ratios=(1.6, 1.0))
    colours = colormaps["viridis"](np.linspace(0.0, 0.9, max(len(curves), 1)))
    for curve, colour in zip(curves, colours, strict=True):
        name = f"{curve.detector} {curve.amplifier}"
        mean, shot = np.array(curve.curve["mean"]), np.array(curve.curve["shot"])
        error, model = np.array(curve.curve["error"]), np.array(curve.curve["model"])
        left[0].errorbar(mean, shot, error, fmt=".", color=colour, label=name)
        left[0].plot(mean, model, color=colour, linewidth=0.8)
        if curve.curve["left_out"]:
            left[0].plot(*np.transpose(curve.curve["left_out"]), "x", color=colour, alpha=0.6)
        left[1].plot(mean, shot / mean * curve.gain, ".-", color=colour, linewidth=0.5)
        right[0].errorbar(mean, shot / model - 1.0, error / model, fmt=".-", color=colour, linewidth=0.5)
        if curve.ramp is not None:
            signal, misfit = np.array(curve.ramp["signal"]), np.array(curve.ramp["residual"])
            right[1].plot(signal, 1e3 * misfit, ".", color=colour)
    _label(left[0], "photon transfer (×: saturated, left out)", "mean signal [ADU]", "shot noise [ADU²]")
    left[0].set_xscale("log")
    left[0].set_yscale("log")
    _label(left[1], "pixels repel: shot noise against Poisson's", "mean signal [ADU]", "gain × variance / mean")
    _label(right[0], "misfit of the curves", "mean signal [ADU]", "variance / model - 1")
    _label(right[1], "linearity, after correction", "mean signal [ADU]", "signal / light - 1 [10⁻³]")
    if len(curves) <= _NAMED:
        left[0].legend(fontsize=7)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.grid(visible=True, color=GREY, alpha=0.2)
