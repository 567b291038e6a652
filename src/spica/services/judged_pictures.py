"""Pictures of a reduction judged against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from spica.core.mask import MEANINGS, Mask
from spica.core.records import Grain
from spica.files.frames import read_raw
from spica.services.figures import BLUE, GREY, ORANGE, new_figure, save
from spica.services.judging import BRIGHT, Matched, alone, expected_snr, inside, untouched
from spica.services.surveys import Opened
from spica.services.truth import Floats, Frame, Master

SHOWN_MASKS = (
    Mask.BAD,
    Mask.SATURATED,
    Mask.BLEED,
    Mask.COSMIC,
    Mask.TRAIL,
    Mask.NO_DATA,
    Mask.SUSPECT,
    Mask.CROSSTALK,
)
COLOURS = ((1.0, 0.3, 0.2), (1.0, 0.9, 0.2), (0.9, 0.6, 0.1), (0.3, 1.0, 0.4), (0.3, 0.8, 1.0), (0.6, 0.6, 0.6))
BINS = np.arange(-0.25, 3.0, 0.25)
"""Bins of completeness, in log10 of signal-to-noise."""


def limits(values: npt.NDArray[Any], low: float = 1.0, high: float = 99.0) -> tuple[float, float]:
    """Grey levels that show an image: these percentiles of its finite pixels."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    bottom, top = np.percentile(finite, [low, high])
    return float(bottom), float(top) if top > bottom else float(bottom) + 1.0


def show(axes: Axes, values: npt.NDArray[Any], title: str, scale: tuple[float, float] | None = None) -> None:
    """One image in grey with its scale beside it."""
    bottom, top = scale or limits(values)
    shown = axes.imshow(values, origin="lower", cmap="gray", vmin=bottom, vmax=top, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=6)
    figure = axes.get_figure()
    if figure is not None:
        figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.02).ax.tick_params(labelsize=6)


def raw_pixels(house: Opened, frame: Frame) -> npt.NDArray[Any]:
    """The raw pixels of a detector as read out, HDUs side by side [ADU]."""
    assert frame.unit.grain is Grain.DETECTOR  # noqa: S101 - frames are of detectors
    name, number = frame.unit.values[0], int(frame.unit.values[1])
    detector = house.registry.detectors([(name, number)])[name, number]
    files = house.registry.files({detector.file, *detector.amplifier_files} - {""})
    paths = {checksum: house.survey.path_of(record) for checksum, record in files.items()}
    raw = read_raw(detector, paths, house.registry.exposure(name))
    different = {id(pixels): pixels for pixels in raw.pixels}
    return np.hstack([pixels.astype(np.float64) for pixels in different.values()])


def frame_picture(house: Opened, frame: Frame, path: Path) -> None:
    """Raw, detrended, sources found and missed, mask: one detector."""
    figure = new_figure(12.0, 10.5)
    raw, made, found, mask = figure.subplots(2, 2).flat
    show(raw, raw_pixels(house, frame), f"raw [ADU], {frame.unit}")
    show(made, frame.image.pixels, "detrended [electron]")
    show(found, frame.image.pixels, f"{len(frame.sources)} sources found (blue); missed though S/N > 10 (orange)")
    found.plot(frame.sources["x"], frame.sources["y"], "o", mfc="none", mec=BLUE, ms=8, mew=0.9)
    missed = (expected_snr(frame) > 10.0) & inside(frame)
    missed[frame.true_rows] = False
    found.plot(frame.places["x"][missed], frame.places["y"][missed], "s", mfc="none", mec=ORANGE, ms=9, mew=0.9)
    found.set(xlim=made.get_xlim(), ylim=made.get_ylim())
    _mask(mask, frame)
    save(figure, path)


def _mask(axes: Axes, frame: Frame) -> None:
    """The mask in colours, one for each meaning that it has."""
    planes = np.zeros((*frame.image.shape, 3))
    bits = frame.image.mask if frame.image.mask is not None else np.zeros(frame.image.shape, np.int32)
    for number, bit in enumerate(SHOWN_MASKS):
        here = bits & int(bit) != 0
        if here.any():
            colour = COLOURS[number % len(COLOURS)]
            planes[here] = colour
            axes.plot([], [], "s", color=colour, label=f"{MEANINGS[str(bit.name)]}: {here.sum()}")
    axes.imshow(planes, origin="lower", interpolation="nearest")
    axes.set_title("mask", fontsize=9)
    axes.tick_params(labelsize=6)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, loc="upper right")


def sources_picture(frames: Sequence[Frame], stars: Matched, path: Path) -> None:
    """Photometry, positions, completeness and pulls of all frames."""
    figure = new_figure(12.0, 9.0)
    photometry, positions, completeness, pulls = figure.subplots(2, 2).flat
    error = 1.0857 * stars.error / np.maximum(stars.flux, 1e-3)
    sure = error < 0.2
    given = (stars.mag[sure], stars.residual[sure], error[sure])
    photometry.errorbar(*given, fmt=".", color=BLUE, ecolor=GREY, elinewidth=0.6, ms=4)
    photometry.axhline(0.0, color=ORANGE, linewidth=0.8)
    photometry.set(xlabel="true magnitude", ylabel="measured - true [mag]", ylim=(-0.3, 0.3))
    photometry.set_title(f"{sure.sum()} clean stars with errors below 0.2 mag, aperture of 5 pixels", fontsize=10)
    bright = stars.snr > BRIGHT
    positions.plot(stars.dx, stars.dy, ".", color=GREY, ms=3, label="all")
    positions.plot(stars.dx[bright], stars.dy[bright], ".", color=ORANGE, ms=5, label=f"S/N > {BRIGHT:.0f}")
    positions.set(xlabel="x - true x [pixel]", ylabel="y - true y [pixel]", xlim=(-0.4, 0.4), ylim=(-0.4, 0.4))
    positions.set_aspect("equal")
    positions.set_title("places", fontsize=10)
    positions.legend(fontsize=8)
    _completeness(completeness, frames)
    _pulls(pulls, stars)
    save(figure, path)


def _completeness(axes: Axes, frames: Sequence[Frame]) -> None:
    snr, found = [], []
    for frame in frames:
        fair = inside(frame) & untouched(frame) & (frame.types == "star") & alone(frame)
        have = np.zeros(len(frame.places), dtype=bool)
        have[frame.true_rows] = True
        snr.append(expected_snr(frame)[fair])
        found.append(have[fair])
    value, have = np.concatenate(snr), np.concatenate(found)
    log = np.log10(np.maximum(value, 1e-3))
    middles, shares, errors = [], [], []
    for low, high in pairwise(BINS):
        here = (log >= low) & (log < high)
        if here.any():
            share = float(have[here].mean())
            middles.append(10.0 ** (0.5 * (low + high)))
            shares.append(share)
            errors.append(float(np.sqrt(max(share * (1.0 - share), 0.25 / here.sum()) / here.sum())))
    axes.errorbar(middles, shares, errors, fmt="o-", color=BLUE, ms=4)
    axes.axvline(5.0, color=ORANGE, linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set(xlabel="expected signal-to-noise (optimal filter)", ylabel="found", ylim=(-0.03, 1.05))
    axes.set_title("completeness of lone stars", fontsize=10)


def _pulls(axes: Axes, stars: Matched) -> None:
    flux = (stars.flux - stars.expected * 10.0 ** (-0.4 * stars.offset)) / stars.error
    both = {"x, y": np.concatenate([stars.dx / stars.x_err, stars.dy / stars.y_err]), "flux": flux[np.isfinite(flux)]}
    edges = np.linspace(-6.0, 6.0, 49)
    for (name, values), colour in zip(both.items(), (BLUE, ORANGE), strict=True):
        axes.hist(values, edges.tolist(), density=True, histtype="step", color=colour, label=name)
    axes.plot(edges, np.exp(-0.5 * edges**2) / np.sqrt(2.0 * np.pi), color=GREY, linewidth=0.8, label="normal")
    axes.set(xlabel="(measured - true) / error", ylabel="density")
    axes.set_title("pulls", fontsize=10)
    axes.legend(fontsize=8)


def masters_picture(masters: Sequence[Master], path: Path) -> None:
    """Each kind of master of one detector: made, true, difference."""
    chosen = {(master.kind, master.band): master for master in reversed(masters)}
    rows = [chosen[key] for key in sorted(chosen)]
    figure = new_figure(11.5, 3.6 * len(rows))
    for axes, master in zip(figure.subplots(len(rows), 3, squeeze=False), rows, strict=True):
        title = f"{master.kind}{f' {master.band}' if master.band else ''}, detector {master.detector}"
        scale = limits(master.true)
        show(axes[0], np.where(master.good, master.made, np.nan), f"{title}: made", scale)
        show(axes[1], master.true, "true", scale)
        off: Floats = np.where(master.good, master.made - master.true, np.nan)
        show(axes[2], off, "made - true", limits(off))
    save(figure, path)
