"""Plots of kinds: stars against galaxies, and the stellar locus in colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from spica.services.plots.plot import BLUE, GREY, ORANGE, Floats, Plot, labelled
from spica.services.plots.records import Points

_ORDER = ("u", "g", "G", "BP", "B", "V", "r", "R", "RP", "i", "I", "z", "y", "Y", "J", "H", "Ks", "K")
"""Bands by their wavelength."""
_APART = 0.7 / 3600.0
"""Places nearer than this are of one source [deg]."""
_SURE = 0.9
_BRIGHT = 20.0


def plane(points: Points | None, why: str = "") -> Plot:
    """SPREAD_MODEL against magnitude, coloured by the probability of being a star."""
    plot = Plot(
        "star-galaxy",
        "Stars and galaxies",
        "SPREAD_MODEL of clean sources by magnitude, in the colour of their probability of being a star. Stars lie along 0, "
        "galaxies above; dashed is the median error, on both sides of 0.",
    )
    rows = None if points is None else points.select(points.clean & np.isfinite(points.spread) & (points.snr > 3.0))
    if rows is None or not rows.mag.size:
        return plot.without(
            why or "no source has a PSF fit: run a pipeline with the step psf_measure, such as calibrate"
        )
    known = np.isfinite(rows.p_star)
    low = float(np.quantile(rows.spread, 0.005))
    high = float(np.quantile(rows.spread, 0.98))
    order = np.argsort(rows.mag, kind="stable")
    parts = np.array_split(order, max(min(order.size // 30, 20), 1))
    middle = np.array([np.median(rows.mag[part]) for part in parts])
    error = np.array([np.median(rows.spread_error[part]) for part in parts])
    scale = "magnitude" if np.all(rows.calibrated) else "magnitude (nominal)"

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(rows.mag[~known], rows.spread[~known], "x", color=GREY, markersize=2.5, alpha=0.5)
        marks = axes.scatter(
            rows.mag[known], rows.spread[known], 6, rows.p_star[known], cmap="coolwarm", vmin=0, vmax=1, linewidths=0,
            rasterized=True,
        )  # fmt: skip
        for sign in (-1.0, 1.0):
            axes.plot(middle, sign * error, "--", color=rcParams["text.color"], linewidth=0.9)
        room = 0.12 * (high - low)
        axes.set_ylim(min(low, -2.0 * float(np.median(error))) - room, high + room)
        figure.colorbar(marks, ax=axes, label="probability of being a star")
        labelled(axes, scale, "SPREAD_MODEL")

    data = {"mag": rows.mag, "spread": rows.spread, "p_star": rows.p_star, "error_at": middle, "error": error}
    return Plot(plot.name, plot.title, plot.text, draw, data, coloured=True)


def by_wavelength(bands: Sequence[str]) -> list[str]:
    """Bands from blue to red, unknown ones last."""
    return sorted(set(bands), key=lambda band: (_ORDER.index(band) if band in _ORDER else len(_ORDER), band))


def locus(points: Points | None, reference: dict[str, Floats] | None = None, why: str = "") -> Plot:
    """Colour against colour of the stars seen in three neighbouring bands or more, beside those of the reference.

    Parameters
    ----------
    reference : magnitudes of reference stars by band, NaN where unknown.
    why : it cannot be drawn.
    """
    plot = Plot(
        "stellar-locus",
        "Stellar locus",
        "Colours of stars that were seen in three bands (probability above 0.9, signal-to-noise above 20), and those of the "
        "reference catalogue's stars. An offset between the two is an error of a zero point, a width is that of the photometry.",
    )
    if points is None:
        return plot.without(
            why or "no source has a PSF fit: run a pipeline with the step psf_measure, such as calibrate"
        )
    bands = by_wavelength(points.band.tolist())
    if len(bands) < 3:
        there = ", ".join(bands) or "none"
        return plot.without(
            why or f"two colours need three bands, there is {there} here: the page of the night has all of its bands"
        )
    chosen = points.select((points.p_star > _SURE) & points.clean & (points.snr > _BRIGHT) & np.isfinite(points.mag))
    three = _best(chosen, bands)
    mags = joined(chosen, three)
    if not mags.shape[1]:
        return plot.without(f"no star was seen in {', '.join(three)} with a signal-to-noise above {_BRIGHT:.0f}")
    blue, red = mags[0] - mags[1], mags[1] - mags[2]
    other = np.zeros((2, 0))
    if reference is not None and all(band in reference for band in three):
        first, second, third = (reference[band] for band in three)
        other = np.stack([first - second, second - third])
        other = other[:, np.isfinite(other).all(axis=0)]
    nominal = "" if bool(np.all(chosen.calibrated)) else ", nominal zero points"

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(*other, ".", color=ORANGE, markersize=3, alpha=0.55, label="reference", rasterized=True)
        axes.plot(
            blue, red, "o", color=BLUE, markersize=2.6, alpha=0.7, markeredgewidth=0, label="measured", rasterized=True
        )
        both = [np.concatenate(pair) for pair in ((blue, other[0]), (red, other[1]))]
        (left, right), (bottom, top) = (_limits(values) for values in both)
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        axes.legend(loc="upper left")
        labelled(axes, f"{three[0]} - {three[1]} [mag{nominal}]", f"{three[1]} - {three[2]} [mag]")

    data = {"bands": list(three), "blue": blue, "red": red, "reference_blue": other[0], "reference_red": other[1]}
    return Plot(plot.name, plot.title, plot.text, draw, data)


def _limits(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.01, 0.99])
    room = 0.2 + 0.1 * (high - low)
    return float(low - room), float(high + room)


def _best(chosen: Points, bands: Sequence[str]) -> tuple[str, str, str]:
    """The three neighbouring bands with most stars in the poorest of them."""
    counts = {band: int(np.count_nonzero(chosen.band == band)) for band in bands}
    triples = [(bands[k], bands[k + 1], bands[k + 2]) for k in range(len(bands) - 2)]
    return max(triples, key=lambda three: min(counts[band] for band in three))


def joined(points: Points, bands: Sequence[str]) -> Floats:
    """Mean magnitudes (bands, n) of the sources seen in all of the bands, told apart by their places."""
    scale = float(np.cos(np.radians(np.median(points.dec)))) if points.dec.size else 1.0
    trees, means = [], []
    for band in bands:
        mine = points.select(points.band == band)
        place, mag = _merged(np.stack([mine.ra * scale, mine.dec], axis=-1), mine)
        trees.append(cKDTree(place))
        means.append(mag)
    if any(tree.n == 0 for tree in trees):
        return np.zeros((len(bands), 0))
    found, rows = np.ones(trees[0].n, bool), [np.arange(trees[0].n)]
    for tree in trees[1:]:
        distance, near = tree.query(trees[0].data, distance_upper_bound=_APART)
        found &= np.isfinite(distance)
        rows.append(np.minimum(near, tree.n - 1))
    return np.stack([mag[row[found]] for mag, row in zip(means, rows, strict=True)])


def _merged(place: Floats, points: Points) -> tuple[Floats, Floats]:
    """Sources of one band seen several times: place of the best detection, weighted mean magnitude."""
    if not len(place):
        return np.zeros((0, 2)), np.zeros(0)
    order = np.argsort(-points.snr, kind="stable")
    place, mag, weight = place[order], points.mag[order], points.snr[order] ** 2
    # Each detection belongs to the best one around it.
    owner = np.array([min(near) for near in cKDTree(place).query_ball_point(place, _APART)])
    owner = owner[owner]
    light = np.bincount(owner, weight * mag, len(mag))
    total = np.bincount(owner, weight, len(mag))
    kept = total > 0.0
    return place[kept], light[kept] / total[kept]
