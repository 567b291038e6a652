"""Stars: which sources are single, whole, unsaturated stars, fit to model the point spread function from."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Column, Flag
from spica.core.psf import polynomial_terms
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.pairs import pairs_within
from spica.kernels.psf_cut import HALF_LIGHT
from spica.kernels.robust import half_sample_mode

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_STEP = 0.01
"""Of the grid of ln(size) on which the locus is sought."""
_CORE = 0.05
"""Stars' sizes are this near to their own in ln(size), and _SIDES compare it with what is around."""
_SIDES = (0.15, 0.30)
_BELOW = 0.6
"""Sources that are sharper than the stars by up to this in ln(size) speak against them."""
_EXPECTED, _UNEXPECTED = 0.5, 0.3
"""How far, in ln(size), the stars may be from where the width of bright peaks has them; what a crowd elsewhere is worth."""
_BRIGHTEST = 3000
"""So many of the brightest candidates are enough to find the locus."""
_PIXEL = 0.5
"""Half-light radius [pixel] below which light lies in a single pixel (0.40 for all of it): no optics make that."""
_ROUNDS = 6
_NARROWEST, _WIDEST = 0.004, 0.05
"""Bounds of the scatter of stars' concentrations about their locus."""
_LIKE = 0.12
"""Bright candidates whose ln(size) is this near to the locus begin the locus of concentrations,"""
_FAR = 0.35
"""and none that is farther away than this belongs to it."""
_PLAIN = 50.0
"""Signal-to-noise above which galaxies' sizes are not mistaken for stars'."""
_CELLS = (4, 8)
"""Cells along x and y from which stars are taken in turn where there are more than enough."""


class Reason(IntEnum):
    """What became of a candidate."""

    ACCEPTED = 0
    """A star of the model."""
    SATURATED = 1
    """Saturated, bled into, or beyond the range of linearity."""
    MASKED = 2
    """Bad or interpolated pixels, or no centre."""
    EDGE = 3
    """Touches the edge of the image."""
    UNMEASURED = 4
    """Without a finite size, error or place."""
    BLENDED = 5
    """Another source's light lies upon its core."""
    SMALL = 6
    """Below the stellar locus, or in one pixel: a cosmic ray or a defect."""
    LARGE = 7
    """Above the stellar locus: a galaxy or a blend."""
    ODD_SHAPE = 8
    """Its shape is not that of the other stars."""
    SURPLUS = 9
    """A star, but there are enough that are brighter, in its part of the detector too."""


class StarsSettings(Settings):
    """Which sources may be stars of the model."""

    least_snr: float = setting(20.0, "signal-to-noise of a candidate", gt=0)
    enough_stars: int = setting(30, "with fewer stars, fainter and more blended ones are looked at", ge=5)
    faintest_snr: float = setting(8.0, "signal-to-noise of a candidate where stars are few", gt=0)
    most_stars: int = setting(800, "no more stars than these are accepted", ge=20)
    blend: float = setting(0.01, "largest light of neighbours at the centre, as a part of the star's own", gt=0, lt=1)
    largest_blend: float = setting(0.05, "the same where stars are few", gt=0, lt=1)
    width: float = setting(3.0, "half width of the locus in standard deviations", gt=0)
    shape: float = setting(0.12, "a star's moments differ from the others' by no more than this part", gt=0, lt=1)
    degree: int = setting(
        2, "largest degree of the polynomial that the stars' size follows over the detector", ge=0, le=4
    )


class _Seen(NamedTuple):
    """Candidates: sources above the limit of signal-to-noise.

    ``size`` is the logarithm of the half-light radius, ``growth`` that of the ratio of the light in two apertures: how
    concentrated the source is.
    """

    rows: npt.NDArray[np.int64]
    x: Float64
    y: Float64
    flux: Float64
    snr: Float64
    size: Float64
    error: Float64
    growth: Float64
    growth_error: Float64
    e1: Float64
    e2: Float64


def stars(settings: StarsSettings, sources: Catalogue) -> Products:
    """Find the stellar locus in size and light, and judge each candidate by it.

    The locus is the narrowest crowd of sizes: stars share one size, galaxies and cosmic rays do not. It is sought as the excess of the
    half-light radii's density over its surroundings, near to where the width of bright peaks has it. The bright stars so found
    say how concentrated stars are (the ratio of the light in two apertures, which does not depend on brightness as half-light
    radii do), and how that changes over the detector: by this all candidates are judged.

    Returns
    -------
    stars : Catalogue of the candidates: source_id, x, y, flux, snr, half_light_radius, accepted (0 or 1), reason (`Reason`).
    star_numbers : metrics, how many candidates ended how.

    No candidate accepted is a result, too: what needs stars says so.
    """
    expected = _expected(sources)
    seen, reason = _judge(settings, sources, settings.least_snr, settings.blend, expected)
    if np.count_nonzero(reason == Reason.ACCEPTED) < settings.enough_stars:
        seen, reason = _judge(settings, sources, settings.faintest_snr, settings.largest_blend, expected)
    surplus = _surplus(seen, reason == Reason.ACCEPTED, settings.most_stars)
    reason[surplus] = Reason.SURPLUS
    accepted = reason == Reason.ACCEPTED
    columns = {
        "source_id": sources["source_id"][seen.rows],
        "x": seen.x,
        "y": seen.y,
        "flux": seen.flux,
        "snr": seen.snr.astype(np.float32),
        "half_light_radius": sources["half_light_radius"][seen.rows],
        "accepted": accepted.astype(np.int32),
        "reason": reason.astype(np.int32),
    }
    typical = float(np.exp(np.median(seen.size[accepted]))) if accepted.any() else float("nan")
    header = {"STARSIZE": typical, "STARSEEN": len(seen.rows), "STARGOOD": int(accepted.sum())}
    numbers = {f"candidates_{each.name.lower()}": Measured(float(np.count_nonzero(reason == each))) for each in Reason}
    return {"stars": Catalogue(columns, header, _DECLARED), "star_numbers": numbers}


def _expected(sources: Catalogue) -> float:
    """Ln of the stars' half-light radius by the width of the filter that found them, NaN where it is not known."""
    width = sources.header.get("FILTFWHM")
    return float(np.log(HALF_LIGHT * width)) if isinstance(width, int | float) and width > 0 else float("nan")


def _judge(
    settings: StarsSettings, sources: Catalogue, least_snr: float, blend: float, expected: float
) -> tuple[_Seen, npt.NDArray[np.int64]]:
    """Candidates above a limit, and what becomes of each."""
    seen = _candidates(sources, least_snr, expected)
    reason = _spoilt(seen, sources["flags"][seen.rows].astype(np.int64))
    fit = reason == Reason.ACCEPTED
    if not fit.any():
        return seen, reason
    start = _locus(seen, fit, expected)
    blended = fit & (_overlaps(seen, sources, float(np.exp(start))) > blend)
    alone = fit & ~blended
    if not alone.any():
        alone = fit
    middle, scatter = _follow(seen, alone & (np.abs(seen.size - start) < _LIKE), settings.degree)
    off = (seen.growth - middle) / np.hypot(scatter, seen.growth_error)
    away = seen.size - start
    reason[fit & ((off < -settings.width) | (away < -_FAR))] = Reason.SMALL
    reason[fit & ((off > settings.width) | (away > _FAR))] = Reason.LARGE
    reason[(reason == Reason.ACCEPTED) & blended] = Reason.BLENDED
    good = reason == Reason.ACCEPTED
    reason[good & _odd(seen, good, settings.shape)] = Reason.ODD_SHAPE
    return seen, reason


def _candidates(sources: Catalogue, least_snr: float, expected: float) -> _Seen:
    rows = np.flatnonzero(sources["snr"] >= least_snr)
    column = {name: sources[name][rows].astype(np.float64) for name in ("x", "y", "flux_auto", "snr", "x2", "y2", "xy")}
    radius = sources["half_light_radius"][rows].astype(np.float64)
    error = sources["half_light_radius_err"][rows].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.log(radius)
        relative = np.where(np.isfinite(error) & (radius > 0), error / radius, np.inf)
        both = column["x2"] + column["y2"]
        e1, e2 = (column["x2"] - column["y2"]) / both, 2.0 * column["xy"] / both
    growth, spread = _growth(sources, rows, expected)
    return _Seen(
        rows, column["x"], column["y"], column["flux_auto"], column["snr"], size, relative, growth, spread, e1, e2
    )


def _growth(sources: Catalogue, rows: npt.NDArray[np.int64], expected: float) -> tuple[Float64, Float64]:
    """Ln of the ratio of the light in two apertures, the inner one about as wide as stars are, and its error."""
    radii = np.array([float(sources.header.get(f"APER{n}") or np.nan) for n in (1, 2, 3)])
    inner = int(np.isfinite(expected) and radii[0] < 0.8 * np.exp(expected))
    flux, error = sources["flux_aper"][rows].astype(np.float64), sources["flux_aper_err"][rows].astype(np.float64)
    small, large = flux[:, inner], flux[:, inner + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        # The light of the inner one is in both: the noise is that of the ring between them, and their share of it.
        ring = np.maximum(error[:, inner + 1] ** 2 - error[:, inner] ** 2, 0.0)
        share = (large / small - 1.0) * error[:, inner]
        return np.log(large / small), np.sqrt(ring + share**2) / large


def _spoilt(seen: _Seen, flags: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Reasons that a candidate's own flags and figures give."""
    reason = np.full(len(seen.rows), int(Reason.ACCEPTED), np.int64)
    numbers = seen.size + seen.error + seen.growth + seen.growth_error + seen.x + seen.y + seen.flux + seen.e1 + seen.e2
    finite = np.isfinite(numbers) & (seen.flux > 0)
    reason[~finite] = Reason.UNMEASURED
    reason[finite & (seen.size < np.log(_PIXEL))] = Reason.SMALL
    for bits, why in (
        (Flag.BAD_PIXELS | Flag.INTERPOLATED | Flag.CENTROID_FAILED | Flag.POSITION_UNSURE, Reason.MASKED),
        (Flag.TRUNCATED, Reason.EDGE),
        (Flag.SATURATED | Flag.SUSPECT, Reason.SATURATED),
    ):
        reason[flags & bits != 0] = why
    return reason


def _locus(seen: _Seen, fit: Bools, expected: float) -> float:
    """ln(size) at which the sizes' density exceeds its surroundings most."""
    rows = np.flatnonzero(fit)
    rows = rows[np.argsort(-seen.snr[rows], kind="stable")][:_BRIGHTEST]
    size, spread = seen.size[rows], np.hypot(np.minimum(seen.error[rows], 0.2), 0.02)
    margin = int(np.ceil(_SIDES[1] / _STEP)) + 1
    grid = np.arange(size.min() / _STEP - margin, size.max() / _STEP + margin + 1) * _STEP
    density = _density(size, spread, grid)
    inside, side = round(_CORE / _STEP), [round(edge / _STEP) for edge in _SIDES]
    core = np.convolve(density, np.ones(2 * inside + 1), "same") * _STEP
    ring = np.zeros(2 * side[1] + 1)
    ring[: side[1] - side[0] + 1] = ring[side[1] + side[0] :] = 1.0
    around = np.convolve(density, ring / ring.sum(), "same") * (2 * inside + 1) * _STEP
    # An excess of a few among few is worth as much as it stands above chance.
    score = np.maximum(core - around, 0.0) / np.sqrt(core + around + 1.0)
    # Nothing is sharper than a star: a crowd of galaxies has the stars below it. Cosmic rays are farther off.
    up_to = np.concatenate([[0.0], np.cumsum(density) * _STEP])
    place = np.arange(grid.size)
    sharper = up_to[np.maximum(place - side[0] + 1, 0)] - up_to[np.maximum(place - round(_BELOW / _STEP), 0)]
    score *= core / np.maximum(core + sharper, 1e-9)
    if np.isfinite(expected):
        # It may be wrong altogether.
        score *= _UNEXPECTED + (1.0 - _UNEXPECTED) * np.exp(-0.5 * ((grid - expected) / _EXPECTED) ** 2)
    return float(grid[np.argmax(score)])


def _density(size: Float64, spread: Float64, grid: Float64) -> Float64:
    """Sizes per unit of ln(size), each spread by its error (to the next of a few widths)."""
    # All that plan or work know of this task; few do it, and it takes a second to load.
    from scipy.signal import fftconvolve

    density = np.zeros(grid.size)
    kind = np.round(2.0 * np.log2(spread)).astype(np.int64)
    edges = np.append(grid, grid[-1] + _STEP) - 0.5 * _STEP
    for each in np.unique(kind):
        width = 2.0 ** (0.5 * each)
        at = np.arange(-np.ceil(4.0 * width / _STEP), np.ceil(4.0 * width / _STEP) + 1) * _STEP
        profile = np.exp(-0.5 * (at / width) ** 2)
        density += fftconvolve(np.histogram(size[kind == each], edges)[0], profile / profile.sum() / _STEP, "same")
    return density


def _follow(seen: _Seen, like: Bools, degree: int) -> tuple[Float64, float]:
    """The growth of a star at each candidate's place, and the scatter about it, from candidates of stars' size.

    It begins with the bright ones, whose sizes are not mistaken, and takes in the fainter ones that agree.
    """
    rows = np.flatnonzero(like)
    if rows.size == 0:
        return np.full(len(seen.rows), np.median(seen.growth)), _WIDEST
    rows = rows[np.argsort(-seen.snr[rows], kind="stable")]
    first = rows[: max(int(np.count_nonzero(seen.snr[rows] >= _PLAIN)), 10)]
    middle, scatter = np.full(len(seen.rows), np.median(seen.growth[first])), _WIDEST
    u, v = (2.0 * (axis - axis.min()) / max(float(np.ptp(axis)), 1.0) - 1.0 for axis in (seen.x, seen.y))
    for turn in range(_ROUNDS):
        among = first if turn < _ROUNDS // 2 else rows
        width = np.hypot(scatter, seen.growth_error[among])
        near = among[np.abs(seen.growth[among] - middle[among]) < 3.0 * width]
        if near.size < 3:
            break
        allowed = max((d for d in range(degree + 1) if near.size >= 10 * len(polynomial_terms(d))), default=0)
        design = np.stack([u**i * v**j for i, j in polynomial_terms(allowed)], axis=-1)
        weight = 1.0 / np.hypot(scatter, seen.growth_error[near])
        answer = np.linalg.lstsq(design[near] * weight[:, None], seen.growth[near] * weight, rcond=None)[0]
        # Where there are no stars a polynomial says nothing.
        middle = np.clip(design @ answer, seen.growth[near].min(), seen.growth[near].max())
        # Galaxies lie on one side: the crowd itself is the middle, and its other side tells its width.
        off = seen.growth[near] - middle[near]
        crowd = half_sample_mode(off)
        middle = middle + crowd
        below = off[off < crowd] - crowd
        if below.size:
            square = (1.4826 * float(np.median(below))) ** 2 - float(np.median(seen.growth_error[near])) ** 2
            scatter = float(np.clip(np.sqrt(max(square, 0.0)), _NARROWEST, _WIDEST))
    return middle, scatter


def _overlaps(seen: _Seen, sources: Catalogue, radius: float) -> Float64:
    """Light of all other sources at the centre of each candidate, as a part of its own, for Moffat profiles (β = 3)."""
    alpha = radius / HALF_LIGHT * 0.5 / np.sqrt(2.0 ** (1.0 / 3.0) - 1.0)
    mine, other = pairs_within((seen.x, seen.y), (sources["x"], sources["y"]), 6.0 * radius)
    alien = other != seen.rows[mine]
    mine, other = mine[alien], other[alien]
    square = (sources["x"][other] - seen.x[mine]) ** 2 + (sources["y"][other] - seen.y[mine]) ** 2
    light = np.nan_to_num(np.maximum(sources["flux_auto"][other], 0.0)) * (1.0 + square / alpha**2) ** -3
    total = np.bincount(mine, light, minlength=len(seen.rows))
    return np.asarray(np.divide(total, seen.flux, out=np.full(total.size, np.inf), where=seen.flux > 0))


def _odd(seen: _Seen, good: Bools, limit: float) -> Bools:
    """Whether the moments are not like those of most stars: trailed frames have trailed stars."""
    if not good.any():
        return good
    away = np.hypot(seen.e1 - np.median(seen.e1[good]), seen.e2 - np.median(seen.e2[good]))
    return np.asarray(away > np.maximum(limit, 5.0 * float(np.median(away[good])) + 2.0 / seen.snr))


def _surplus(seen: _Seen, accepted: Bools, most: int) -> npt.NDArray[np.int64]:
    """Rows of stars beyond the brightest `most`, taken in turn from cells of the detector."""
    rows = np.flatnonzero(accepted)
    if rows.size <= most:
        return np.zeros(0, np.int64)
    cell = np.zeros(rows.size, np.int64)
    for axis, number in ((seen.x[rows], _CELLS[0]), (seen.y[rows], _CELLS[1])):
        part = ((axis - axis.min()) / max(float(np.ptp(axis)), 1.0) * number).astype(np.int64)
        cell = cell * number + np.minimum(part, number - 1)
    order = np.lexsort((-seen.snr[rows], cell))
    first = np.searchsorted(cell[order], np.arange(_CELLS[0] * _CELLS[1]))
    turn = np.arange(rows.size) - first[cell[order]]
    taken = np.lexsort((-seen.snr[rows[order]], turn))
    return np.asarray(rows[order[taken[most:]]])


_DECLARED = {
    column.name: column
    for column in (
        Column("flux", "f8", "electron", "phot.flux", "Kron flux"),
        Column("accepted", "i4", "", "meta.code", "1 for a star of the PSF's model, 0 otherwise"),
        Column("reason", "i4", "", "meta.code", "what became of the candidate, spica.tasks.stars.Reason"),
    )
}

TASK = Task(
    name="stars",
    version=2,
    grain=Grain.DETECTOR,
    settings=StarsSettings,
    needs=(Need("sources"),),
    gives=(
        Give(
            "stars", Form.CATALOGUE, meaning="candidates for the PSF's model, each accepted or with the reason why not"
        ),
        Give("star_numbers", Form.METRICS, meaning="how many candidates for the PSF's model ended how"),
    ),
    run=stars,
)

DEEP = replace(TASK, name="deep_stars", grain=Grain.TILE_BAND)
"""The same of a stack."""
