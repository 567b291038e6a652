"""Plots of point spread functions: width and ellipticity over the focal plane, the models, their stars."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from spica.services.plots.focal import Frame, areas, outlined
from spica.services.plots.plot import BLUE, GREY, ORANGE, Floats, Plot, labelled
from spica.services.plots.records import Outlines, Shapes, Stars

_NONE = "no detector has a model of its PSF: run a pipeline with the step psf, such as calibrate"
_LONGEST = 0.9
"""Of the whiskers, in distances of two places."""
_DECADES = 4


def _median_of(shapes: Shapes) -> Shapes:
    """One row for each place, the median over exposures; a single exposure comes out as it is."""
    keys = np.round(np.stack([shapes.focal_x, shapes.focal_y], axis=-1) * 1e3).astype(np.int64)
    _, first, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    made = shapes.select(first)
    place = place.ravel()
    for name in ("fwhm", "e_x", "e_y"):
        values = getattr(shapes, name)
        order = np.lexsort((values, place))
        start = np.searchsorted(place[order], np.arange(first.size + 1))
        low, high = (start[:-1] + start[1:] - 1) // 2, (start[:-1] + start[1:]) // 2
        getattr(made, name)[:] = 0.5 * (values[order][low] + values[order][high])
    return made


def size_map(shapes: Shapes | None, outlines: Outlines) -> Plot:
    """Full width at half maximum over the focal plane."""
    plot = Plot(
        "psf-size",
        "PSF size over the focal plane",
        "Full width at half maximum of the PSF's models, the pixel's own width included; of several exposures the median. A tilt or a bowl is the "
        "focus, steps between detectors are their heights.",
    )
    known = None if shapes is None else shapes.select(np.isfinite(shapes.fwhm))
    if known is None or not known.fwhm.size:
        return plot.without(_NONE)
    made = _median_of(known)
    frame = Frame.of(outlines)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        cells = PolyCollection(list(made.cells), array=made.fwhm, cmap="viridis", edgecolors="face", linewidth=0.3)
        axes.add_collection(cells)
        outlined(axes, outlines, named=False)
        frame.fit(axes)
        figure.colorbar(cells, ax=axes, shrink=0.85, label="full width at half maximum [arcsec]")

    data = {"x": made.focal_x, "y": made.focal_y, "fwhm": made.fwhm}
    width, height = frame.figure
    return Plot(plot.name, plot.title, plot.text, draw, data, (width, height * 0.92), coloured=True)


def shape_map(shapes: Shapes | None, outlines: Outlines) -> Plot:
    """Ellipticity over the focal plane, as whiskers along the long axes."""
    plot = Plot(
        "psf-shape",
        "PSF ellipticity over the focal plane",
        "Whiskers along the long axis of the PSF, as long as it is elliptical (1 - b/a); of several exposures the mean shape's median. All in one "
        "direction: tracking or wind; a pattern about the middle: optics.",
    )
    known = None if shapes is None else shapes.select(np.isfinite(shapes.e_x) & np.isfinite(shapes.e_y))
    if known is None or not known.fwhm.size:
        return plot.without(_NONE)
    made = _median_of(known)
    size = np.hypot(made.e_x, made.e_y)
    angle = 0.5 * np.arctan2(made.e_y, made.e_x)
    frame = Frame.of(outlines)
    step = float(np.sqrt(np.median(areas(made.cells))))
    largest = max(float(np.max(size)), 1e-4)
    dx, dy = (_LONGEST * step * size / largest * part(angle) for part in (np.cos, np.sin))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        outlined(axes, outlines)
        x, y = made.focal_x, made.focal_y
        axes.plot(np.stack([x - dx / 2, x + dx / 2]), np.stack([y - dy / 2, y + dy / 2]), color=BLUE, linewidth=1.2)
        axes.set_title(f"longest whisker: {largest:.3f}, median {np.median(size):.3f}", loc="right", fontsize=8.5)
        frame.fit(axes)

    data = {"x": made.focal_x, "y": made.focal_y, "ellipticity": size, "angle": np.degrees(angle)}
    return Plot(plot.name, plot.title, plot.text, draw, data, frame.figure)


def model_map(
    stamps: npt.NDArray[np.float32] | None, places: Floats, outlines: Outlines, why: str = "", where: str = ""
) -> Plot:
    """The models themselves, drawn where they are in the focal plane, in a logarithmic scale.

    Parameters
    ----------
    stamps : (n, size, size) models of unit light, in the directions of the detectors' pixels.
    places : (n, 2) their middles [mm].
    why : there are none.
    where : of the detector that they are taken at, for the text.
    """
    plot = Plot(
        "psf-models",
        "PSF models",
        f"The model {where or 'in the middle of each detector'}, over {_DECADES} decades of light, each in the directions of its "
        "detector's pixels.",
    )
    if stamps is None or not len(stamps):
        return plot.without(why or _NONE)
    frame = Frame.of(outlines)
    step = _nearest(places, frame.size)
    peak = stamps.max(axis=(1, 2), keepdims=True)
    shown = np.log10(np.maximum(stamps / peak, 10.0**-_DECADES))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        outlined(axes, outlines)
        for (x, y), stamp in zip(places, shown, strict=True):
            box = (x - 0.42 * step, x + 0.42 * step, y - 0.42 * step, y + 0.42 * step)
            drawn = axes.imshow(
                stamp, origin="lower", extent=box, vmin=-_DECADES, vmax=0, cmap="magma", interpolation="nearest"
            )
        frame.fit(axes)
        figure.colorbar(drawn, ax=axes, shrink=0.85, label="log₁₀ of the part of the peak")

    width, height = frame.figure
    data = {"stamps": stamps, "places": places}
    return Plot(plot.name, plot.title, plot.text, draw, data, (width, height * 0.92), coloured=True)


def _nearest(places: Floats, size: float) -> float:
    """Smallest distance between two places, along the axis where they are farther apart [mm]."""
    if len(places) < 2:
        return 0.8 * size
    away = np.abs(places[:, None, :] - places[None, :, :]).max(axis=-1)
    np.fill_diagonal(away, np.inf)
    return float(away.min())


def star_map(stars: Stars | None, outlines: Outlines, why: str = "") -> Plot:
    """χ² of the models' stars by light and over the focal plane."""
    plot = Plot(
        "psf-stars",
        "Stars of the PSF models",
        "χ² per degree of freedom of each star, by light and by place (of those fitted or held out). It rises with light "
        "where bright stars are wider than faint ones; patches are what the polynomial does not follow.",
        size=(5.4, 6.6),
    )
    if stars is None or not stars.chi2.size:
        return plot.without(why or _NONE)
    frame = Frame.of(outlines)
    kinds = (
        (~stars.used & ~stars.held, "x", GREY, "left out"),
        (stars.used, ".", BLUE, "fitted"),
        (stars.held, "o", ORANGE, "held out"),
    )

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, height_ratios=(1.0, 1.5))
        for rows, mark, colour, name in kinds:
            chi2 = np.clip(stars.chi2[rows], 0.2, 50.0)
            above.plot(np.maximum(stars.flux[rows], 1.0), chi2, mark, color=colour, markersize=3, label=name)
        above.axhline(1.0, color=GREY, linewidth=0.8)
        above.set_xscale("log")
        above.set_yscale("log")
        above.set_ylim(0.15, 160.0)
        above.legend(loc="upper left", ncols=3)
        labelled(above, "light [electron]", "χ²")
        shown = stars.used | stars.held
        outlined(below, outlines, named=False)
        marks = below.scatter(
            stars.focal_x[shown], stars.focal_y[shown], 7, stars.chi2[shown], cmap="coolwarm", vmin=0.5, vmax=1.5
        )
        frame.fit(below)
        figure.colorbar(marks, ax=below, shrink=0.85, label="χ²")

    data = {
        "flux": stars.flux,
        "chi2": stars.chi2,
        "used": stars.used,
        "held": stars.held,
        "x": stars.focal_x,
        "y": stars.focal_y,
    }
    return Plot(plot.name, plot.title, plot.text, draw, data, plot.size, coloured=True)
