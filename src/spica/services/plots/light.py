"""Plots of brightness: zero points by time and airmass, depth, pulls of fluxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spica.services.plots.astrometry import pull_plot
from spica.services.plots.plot import GREY, INK, Bools, Floats, Plot, labelled, marks_of, running, width
from spica.services.plots.records import Depths, Points, Residuals, Words, ZeroPoints
from spica.services.plots.stars import by_wavelength

_NONE = "no zero point was measured: run a pipeline with the step solve or zero_point, such as calibrate"


def against_usual(zeros: ZeroPoints, *, zenith: bool) -> Floats:
    """Zero points minus what the camera's table says, at the exposure's airmass or at the zenith [mag].

    Relative ones, and those of bands without a usual one, are told from the median of their band.
    """
    usual = zeros.usual - (0.0 if zenith else zeros.extinction * (zeros.airmass - 1.0))
    away = np.where(zeros.tied, zeros.zero - usual, np.nan)
    for band in np.unique(zeros.band):
        for mine in ((zeros.band == band) & ~zeros.tied, (zeros.band == band) & zeros.tied & np.isnan(zeros.usual)):
            if mine.any():
                away[mine] = zeros.zero[mine] - np.median(zeros.zero[mine])
    return np.asarray(away)


def by_time(zeros: ZeroPoints | None) -> Plot:
    """Zero points through the night, less what is usual at their airmass."""
    plot = Plot(
        "zero-points-time",
        "Zero points by time",
        "Zero point of each exposure minus the camera's usual one at its airmass: 0 is a clear sky and a clean mirror, clouds "
        "fall below. Bars reach over the detectors; open marks are relative (no reference magnitudes).",
    )
    known = _known(zeros)
    if known is None:
        return plot.without(_NONE)
    away = against_usual(known, zenith=False)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        _marked(axes, known, known.hours, away)
        labelled(axes, "hours since noon UTC", "zero point - usual [mag]")

    data = {"hours": known.hours, "away": away, "band": known.band, "tied": known.tied, "exposure": known.exposure}
    return Plot(plot.name, plot.title, plot.text, draw, data)


def by_airmass(zeros: ZeroPoints | None) -> Plot:
    """Zero points against airmass, less the camera's usual ones at the zenith; its usual extinction as lines."""
    plot = Plot(
        "zero-points-airmass",
        "Zero points by airmass",
        "Zero point minus the camera's usual one at the zenith; lines fall as the usual extinction of each band does. A clear "
        "night runs along them.",
    )
    known = _known(zeros)
    if known is not None:
        known = known.select(np.isfinite(known.airmass))
    if known is None or not known.zero.size:
        return plot.without(_NONE if _known(zeros) is None else "the headers tell no airmass")
    away = against_usual(known, zenith=True)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _marked(axes, known, known.airmass, away)
        last = float(np.max(known.airmass)) + 0.05
        for band, (colour, _) in marks_of(by_wavelength(known.band.tolist())).items():
            slope = known.extinction[known.band == band][0]
            if np.isfinite(slope):
                axes.plot([1.0, last], [0.0, -slope * (last - 1.0)], "--", color=colour, linewidth=0.9)
        labelled(axes, "airmass", "zero point - usual at the zenith [mag]")

    data = {
        "airmass": known.airmass,
        "away": away,
        "band": known.band,
        "slope": known.extinction,
        "exposure": known.exposure,
    }
    return Plot(plot.name, plot.title, plot.text, draw, data)


def _known(zeros: ZeroPoints | None) -> ZeroPoints | None:
    rows = None if zeros is None else zeros.select(np.isfinite(zeros.zero))
    return rows if rows is not None and rows.zero.size else None


def _marked(axes: Axes, known: ZeroPoints, along: Floats, away: Floats) -> None:
    bars = np.hypot(known.error, 0.5 * known.spread)
    bars = np.where(known.tied, bars, 0.5 * known.spread)
    _by_band(axes, (along, away, bars), (known.band, known.tied, known.chosen))


def _by_band(axes: Axes, values: tuple[Floats, Floats, Floats], kinds: tuple[Words, Bools, Bools]) -> None:
    """Marks with bars in the colours of the bands: open where not tied, ringed where chosen among others."""
    (along, away, bars), (bands, full, chosen) = values, kinds
    for band, (colour, mark) in marks_of(by_wavelength(bands.tolist())).items():
        for rows, face in ((bands == band) & full, colour), ((bands == band) & ~full, "none"):
            if rows.any():
                told: dict[str, Any] = {"fmt": mark, "color": colour, "markerfacecolor": face, "elinewidth": 0.8}
                axes.errorbar(along[rows], away[rows], bars[rows], label=str(band), **told)
    if not chosen.all() and chosen.any():
        axes.plot(along[chosen], away[chosen], "o", mfc="none", mec=INK, markersize=11, label="this one")
    kept = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(kept.values(), kept.keys(), loc="best", ncols=min(len(kept), 4))
    axes.margins(y=0.18)


def depth(points: Points | None, depths: Depths | None, why: str = "") -> Plot:
    """Signal-to-noise of point sources by magnitude, and the light at which it is 5."""
    plot = Plot(
        "depth",
        "Depth",
        "Signal-to-noise of point sources by magnitude, band by band. The limit (dotted) is the light of a point source of 5 σ "
        "by the noise of faint sources' fits: it holds for a clean place of the sky.",
    )
    rows = (
        None
        if points is None
        else points.select((points.p_star > 0.5) & points.clean & (points.snr > 2.0) & np.isfinite(points.mag))
    )
    if rows is None or depths is None or not rows.mag.size:
        return plot.without(
            why or "no source has a PSF fit: run a pipeline with the step psf_measure, such as calibrate"
        )
    bands = by_wavelength(rows.band.tolist())
    limits = {band: float(np.median(depths.limit[(depths.band == band) & depths.chosen])) for band in bands}
    nominal = "" if bool(np.all(rows.calibrated)) else " (nominal)"

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for band, (colour, mark) in marks_of(bands).items():
            mine = rows.band == band
            axes.plot(
                rows.mag[mine], rows.snr[mine], mark, color=colour, markersize=2.2, alpha=0.4, markeredgewidth=0,
                rasterized=True, label=f"{band}: 5 σ at {limits[band]:.2f}",
            )  # fmt: skip
            axes.axvline(limits[band], color=colour, linewidth=1.0, linestyle=":")
        axes.axhline(5.0, color=GREY, linewidth=0.8)
        axes.set_yscale("log")
        axes.legend(loc="upper right", markerscale=2.0, frameon=True, framealpha=0.92, edgecolor="none")
        labelled(axes, f"magnitude{nominal}", "signal-to-noise")

    data = {"mag": rows.mag, "snr": rows.snr, "band": rows.band, "limits": limits}
    return Plot(plot.name, plot.title, plot.text, draw, data)


def depth_by_time(depths: Depths | None, why: str = "") -> Plot:
    """Depth of the exposures through the night."""
    plot = Plot(
        "depth-time",
        "Depth by time",
        "Light of a point source of 5 σ of each exposure: seeing, sky and clouds together. Bars reach over the detectors; open marks rest on "
        "nominal zero points.",
    )
    rows = None if depths is None else depths.select(np.isfinite(depths.limit))
    if rows is None or not rows.limit.size:
        return plot.without(why or "no depth is known: run a pipeline with the step psf_measure, such as calibrate")
    if rows.limit.size == 1:
        return plot.without("there is one exposure: the page of the night shows its course")

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _by_band(axes, (rows.hours, rows.limit, 0.5 * rows.spread), (rows.band, rows.calibrated, rows.chosen))
        labelled(axes, "hours since noon UTC", "5 σ point source [mag]")

    data = {"hours": rows.hours, "limit": rows.limit, "band": rows.band, "exposure": rows.exposure}
    return Plot(plot.name, plot.title, plot.text, draw, data)


def pulls(residuals: Residuals | None) -> Plot:
    """Differences of magnitudes from the mean of the others over their errors."""
    plot = Plot(
        "pulls-fluxes",
        "Pulls of fluxes",
        "Magnitude of a detection minus the mean of the others of its source, in standard deviations (size only). Width 1 at all "
        "magnitudes: errors are honest; above 1 at the bright end: flat field, clouds, variable stars.",
        size=(5.4, 5.4),
    )
    if residuals is None or not np.any(residuals.mag_used):
        return plot.without("no zero points were solved for: run a pipeline with the step solve, such as calibrate")
    rows = residuals.select(residuals.mag_used & (residuals.mag_pull > 0.0) & np.isfinite(residuals.mag))
    if rows.mag.size < 20:
        return plot.without(f"{rows.mag.size} detections can be compared with others of their source, 20 are needed")
    line = running(rows.mag, rows.mag_pull, width)
    return pull_plot(plot, rows.mag, rows.mag_pull, line, width(rows.mag_pull), radial=False)
