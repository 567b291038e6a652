"""Pictures of a model of the point spread function: what it looks like, its width and shape over the detector, its stars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from spica.core.columns import Catalogue
from spica.core.psf import PsfModel
from spica.kernels.psf_look import Shapes, places_over, shapes_at
from spica.kernels.psf_model import psf_stamps
from spica.services.figures import BLUE, GREY, ORANGE, new_figure, save

_ACROSS, _ALONG = 12, 24
"""Places along the short and the long side of a detector at which maps are drawn."""
_LONGEST = 0.9
"""Of the whiskers, in distances of two places."""


def draw(title: str, model: PsfModel, stars: Catalogue, shape: tuple[int, int], path: Path) -> None:
    """Draw a model into a PNG file: nine places, width, ellipticity as whiskers, the χ² of its stars.

    Parameters
    ----------
    stars : what the task `psf` gives as `psf_stars`.
    shape : (ny, nx) of the detector.
    """
    figure = new_figure(13.0, 8.5)
    parts: Sequence[SubFigure] = np.ravel(
        np.asarray(figure.subfigures(1, 2, width_ratios=(1.0, 1.55)), object)
    ).tolist()
    left, right = parts
    _nine(left, model, shape)
    axes = right.subplots(2, 2, height_ratios=(1.7, 1.0))
    ny, nx = shape
    across, along = (_ACROSS, _ALONG) if ny >= nx else (_ALONG, _ACROSS)
    x, y = places_over(shape, across, along)
    found = shapes_at(model.coefficients, model.values(x, y), model.sampling, model.fwhm)
    marks = axes[0, 0].imshow(
        found.fwhm.reshape(along, across), origin="lower", extent=(-0.5, nx - 0.5, -0.5, ny - 0.5), cmap="viridis"
    )
    right.colorbar(marks, ax=axes[0, 0], shrink=0.8, label="[pixel]")
    _label(axes[0, 0], "full width at half maximum", "x [pixel]", "y [pixel]")
    _whiskers(axes[0, 1], found, (x, y), min(nx / across, ny / along))
    axes[0, 1].set_xlim(-0.5, nx - 0.5)
    axes[0, 1].set_ylim(-0.5, ny - 0.5)
    axes[0, 1].set_aspect("equal")
    _stars(axes[1], stars)
    made = f"{model.stars} stars, degree {model.degree}, {model.sampling:.3g} pixel per sample, χ² {model.chi2:.3f}"
    figure.suptitle(f"{title}\n{made}", fontsize=11)
    save(figure, path)


def _nine(figure: SubFigure, model: PsfModel, shape: tuple[int, int]) -> None:
    """The model at nine places, in a logarithmic scale, the highest place of the detector above."""
    size = 2 * int(3.0 * model.fwhm) + 1
    zero = np.zeros(9)
    values = model.values(*places_over(shape, 3, 3))
    drawn = psf_stamps(model.coefficients, values, model.sampling, zero, zero, size)[:, 0]
    axes = figure.subplots(3, 3)
    for number, stamp in enumerate(drawn):
        here = axes[2 - number // 3, number % 3]
        here.imshow(np.log10(np.maximum(stamp / stamp.max(), 1e-4)), origin="lower", vmin=-4, vmax=0, cmap="magma")
        here.set_xticks([])
        here.set_yticks([])
    axes[0, 1].set_title("the model, over four decades", fontsize=9)


def _whiskers(axes: Axes, found: Shapes, places: Sequence[npt.NDArray[np.float64]], step: float) -> None:
    """Lines along the long axes, as long as the ellipticity is large."""
    angle, largest = 0.5 * np.arctan2(found.e2, found.e1), max(float(np.nanmax(found.ellipticity)), 1e-4)
    length = _LONGEST * step * found.ellipticity / largest
    dx, dy = 0.5 * length * np.cos(angle), 0.5 * length * np.sin(angle)
    x, y = places
    axes.plot(np.stack([x - dx, x + dx]), np.stack([y - dy, y + dy]), color=BLUE, linewidth=1.0)
    _label(axes, f"shape: longest whisker an ellipticity of {largest:.3f}", "x [pixel]", "y [pixel]")


def _stars(axes: Sequence[Axes], stars: Catalogue) -> None:
    """χ² against light and over the detector; stars left out are crossed."""
    used, held = stars["used"] == 1, stars["held"] == 1
    for rows, mark, colour, name in (
        (used, ".", BLUE, "fitted"),
        (held, "o", ORANGE, "held out"),
        (~used & ~held, "x", GREY, "left out"),
    ):
        chi2 = np.clip(stars["chi2"][rows], 0.3, 30.0)
        axes[0].plot(np.maximum(stars["flux"][rows], 1.0), chi2, mark, color=colour, markersize=3, label=name)
    shown = used | held
    marks = axes[1].scatter(
        stars["x"][shown], stars["y"][shown], 6, stars["chi2"][shown], cmap="coolwarm", vmin=0.5, vmax=1.5
    )
    axes[1].figure.colorbar(marks, ax=axes[1], label="χ²")
    axes[0].set_xscale("log")
    axes[0].set_yscale("log")
    axes[0].legend(fontsize=7)
    _label(axes[0], "stars: χ² per degree of freedom", "light [electron]", "χ²")
    _label(axes[1], "stars: χ² by place", "x [pixel]", "y [pixel]")
    axes[1].set_aspect("equal")


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
