"""PSF photometry and star/galaxy separation against source-extractor with a model of PSFEx, on known skies.

Each side has its own model, made beforehand from the same pixels (what that costs is another benchmark). One detector
of half the height: the peer takes minutes for a whole one. Stars and galaxies are also told apart on two more, of other
seeing. The comparison by magnitude is written to build/psf-bins.txt.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from benchmarks.calibration import _psf_peer as peer
from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from benchmarks.run import ROOT
from benchmarks.single_frames._compare import FEWEST
from benchmarks.single_frames._peers import Column, Found, chain, measured
from benchmarks.single_frames._scene import Scene, scenes
from spica.core.columns import Catalogue, PsfFlag
from spica.services.judging import spread
from spica.services.truth import match
from spica.tasks.psf import TASK as PSF
from spica.tasks.psf_measure import PsfMeasureSettings, psf_measure
from spica.tasks.stars import TASK as STARS

PEER = "source-extractor"
SEEING, OTHERS = 0.95, (0.8, 1.0)
"""Arcsec: of the comparison, and of two more for the kinds."""
SIZE = (2048, 2048)
ALONE, FAINT = 20.0, 0.01
"""A star is isolated without a source of a hundredth of its light this near [pixel]."""
KEPT, CONTAMINATION = 0.986, 0.008
"""Of stars, and by galaxies: what the Dark Energy Survey publishes of its sixth year."""
DEEP = 50.0

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Both:
    """What both sides made of the true sources that both found; fluxes over true light, places less true ones."""

    mag: Floats
    star: Bools
    flux: tuple[Floats, Floats]
    away: tuple[Floats, Floats]
    spread: tuple[Floats, Floats]
    snr: Floats


def figures() -> Iterator[Figure]:
    """CPU ratio, worst bins of the paired differences, kinds told apart, pulls of isolated stars."""
    scene = scenes((SEEING,), size=SIZE)[0]
    with tempfile.TemporaryDirectory() as name:
        peer.make_model(scene, Path(name))
        theirs = peer.source_extractor(Path(name))
    ours(scene)
    mine = ours(scene)
    pixels = scene.sky.size / 1e6
    goal = at_least(20, of_peer=True)
    speeds = pixels / mine.seconds, pixels / theirs.seconds
    label = f"PSF photometry of all sources, detection included, {pixels:.1f} Mpix"
    yield figure(label, speeds[0], "Mpix per CPU s", goal, peer=PEER, peer_value=speeds[1])
    yield figure("of these, the PSF fits and kinds", 1e3 * mine.cpu["psf_measure"] / pixels, "CPU ms per Mpix")
    both = paired(scene, mine, theirs)
    rows = table(both)
    _save(rows)
    for what in ("flux scatter", "flux bias", "position scatter"):
        worst = max((row for row in rows if row.what == what), key=lambda row: row.worse)
        yield figure(f"{what} of stars, ours worse in the worst bin ({worst.bin})", worst.worse, "sigma", at_most(2))
    shares = [float(np.mean(~both.star[chosen])) for chosen in _least_extended(both)]
    label = f"galaxies among the {100 * KEPT:g} % least extended of stars, S/N above {DEEP:g}, one detector"
    yield figure(label, shares[0], "", peer=PEER, peer_value=max(shares[1], 1e-6))
    yield from _kinds([(scene, mine)] + [(other, ours(other)) for other in scenes(OTHERS, size=SIZE)])
    yield from _pulls()


def ours(scene: Scene) -> Found:
    """The shipped chain to the catalogue, our model, then the task; with CPU seconds of all but the model."""
    cpu: dict[str, float] = {}
    held = measured(scene, chain(), cpu)
    model = psf_model(scene, held)
    with costing() as cost:
        made = psf_measure(PsfMeasureSettings(), scene.image, held["background"], held["sources"], model)
    cpu["psf_measure"] = cost.cpu
    table = made["psf_sources"]
    columns: dict[str, Column] = {"x": table["x_psf"], "y": table["y_psf"]}
    columns |= {"flux": table["flux_psf"], "flux_err": table["flux_psf_err"], "spread": table["spread_model"]}
    columns |= {"x_err": table["x_psf_err"], "y_err": table["y_psf_err"], "flags": table["flags_psf"]}
    columns |= {name: np.asarray(table[name], float) for name in ("snr_psf", "p_star")}
    return Found(columns, cpu)


def psf_model(scene: Scene, held: Mapping[str, Any]) -> Catalogue:
    """What the tasks `stars` and `psf` make of a detector."""
    stars = STARS.run(STARS.settings(), sources=held["sources"])["stars"]
    needs = {"science": scene.image, "background": held["background"], "sources": held["sources"], "stars": stars}
    made: Catalogue = PSF.run(PSF.settings(), **needs)["psf"]
    return made


def paired(scene: Scene, mine: Found, theirs: Found) -> Both:
    """The true sources that both sides found, by one rule; zero points are those of bright stars."""
    places, rows = scene.places, []
    for side in (mine, theirs):
        found, true = match(Catalogue({"x": side.columns["x"], "y": side.columns["y"]}), places)
        row = np.full(len(places), -1)
        row[true] = found
        rows.append(row)
    both = np.flatnonzero((rows[0] >= 0) & (rows[1] >= 0))
    star, mag = places["star"][both], places["mag"][both]
    fluxes, aways, spreads = [], [], []
    for side, row in zip((mine, theirs), rows, strict=True):
        here = row[both]
        part = np.asarray(side.columns["flux"], float)[here] / places["electrons"][both]
        fluxes.append(part / np.median(part[star & (mag < 19.0)]))
        aways.append(np.hypot(side.columns["x"][here] - places["x"][both], side.columns["y"][here] - places["y"][both]))
        spreads.append(np.asarray(side.columns["spread"], float)[here])
    here = rows[0][both]
    return Both(
        mag, star, (fluxes[0], fluxes[1]), (aways[0], aways[1]), (spreads[0], spreads[1]),
        np.asarray(mine.columns["snr_psf"], float)[here],
    )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One comparison of stars of one magnitude: medians of both sides, and how much worse ours is in sigma."""

    what: str
    bin: str
    number: int
    ours: float
    peer: float
    worse: float


def table(both: Both) -> list[Row]:
    """Scatter and bias of fluxes and scatter of places of stars, magnitude by magnitude."""
    rows = []
    for low in range(16, 25):
        here = both.star & (both.mag >= low) & (both.mag < low + 1)
        here &= np.isfinite(both.flux[0] + both.flux[1] + both.away[0] + both.away[1])
        if np.count_nonzero(here) < FEWEST:
            continue
        off = [flux[here] - 1.0 for flux in both.flux]
        rows.append(_row("flux scatter", low, *(np.abs(each - np.median(each)) for each in off)))
        rows.append(_row("position scatter", low, *(away[here] for away in both.away)))
        rows.append(_bias(low, off[0], off[1]))
    return rows


def _row(what: str, low: int, mine: Floats, theirs: Floats) -> Row:
    """Deviations of the same sources, where far outliers count alike."""
    limit = 5.0 * max(float(np.median(mine)), float(np.median(theirs)))
    difference = np.minimum(mine, limit) - np.minimum(theirs, limit)
    error = float(np.std(difference)) / np.sqrt(difference.size)
    worse = float(np.mean(difference)) / error if error > 0.0 else 0.0
    return Row(what, f"{low}-{low + 1}", mine.size, float(np.median(mine)), float(np.median(theirs)), worse)


def _bias(low: int, mine: Floats, theirs: Floats) -> Row:
    """Medians, and the difference of their sizes in standard deviations by resampling the same sources."""
    rng = np.random.default_rng(low)
    drawn = rng.integers(0, mine.size, (400, mine.size))
    sizes = np.abs(np.median(mine[drawn], axis=1)) - np.abs(np.median(theirs[drawn], axis=1))
    bias = float(np.median(mine)), float(np.median(theirs))
    worse = (abs(bias[0]) - abs(bias[1])) / float(np.std(sizes))
    return Row("flux bias", f"{low}-{low + 1}", mine.size, *bias, worse)


def _least_extended(both: Both) -> Iterator[Bools]:
    """By either side's spread: the sources as little extended as all but a few stars are."""
    deep = both.snr > DEEP
    for value in both.spread:
        yield deep & (value <= np.quantile(value[deep & both.star], KEPT))


def _kinds(made: list[tuple[Scene, Found]]) -> Iterator[Figure]:
    """Galaxies among stars where as many of the deep stars are kept as asked; probabilities against frequencies."""
    stars, chances, snrs, singles = [], [], [], []
    for scene, found in made:
        places = scene.places
        rows, true = match(Catalogue({"x": found.columns["x"], "y": found.columns["y"]}), places)
        stars.append(places["star"][true])
        chances.append(found.columns["p_star"][rows])
        snrs.append(found.columns["snr_psf"][rows])
        singles.append(_single(scene, true))
    star, chance, snr = np.concatenate(stars), np.concatenate(chances), np.concatenate(snrs)
    deep, single = snr > DEEP, np.concatenate(singles)
    name = f"seeing {min(OTHERS):g} to {max(OTHERS):g} arcsec, S/N above {DEEP:g}"
    for which, chosen in (("stars", star), ("stars that are not mixed with other light", star & single)):
        cut = float(np.quantile(chance[deep & chosen], 1.0 - KEPT))
        share = float(np.mean(~star[deep & (chance >= cut)]))
        yield figure(f"galaxies where {100 * KEPT:g} % of {which} are kept, {name}", share, "", at_most(CONTAMINATION))
    yield figure(f"stars kept by p_star > 0.5, {name}", float(np.mean(chance[deep & star] > 0.5)), "")
    yield figure(
        f"galaxies among them, {name}", float(np.mean(~star[deep & (chance > 0.5)])), "", at_most(CONTAMINATION)
    )
    known = np.isfinite(chance)
    bins = np.clip((chance[known] * 10).astype(int), 0, 9)
    off = [abs(float(np.mean(star[known][bins == k])) - float(np.mean(chance[known][bins == k]))) for k in range(10)]
    yield figure("p_star against the share of stars, worst tenth, all S/N", max(off), "", at_most(0.1))


def _single(scene: Scene, true: npt.NDArray[np.int64]) -> Bools:
    """Which of the true sources have no more than a tenth of their light from others within 1.6 FWHM."""
    points, light = np.column_stack([scene.places["x"], scene.places["y"]]), scene.places["electrons"]
    near = cKDTree(points).query_ball_point(points[true], 1.6 * scene.fwhm)
    other = np.array([sum(light[each] for each in some) for some in near]) - light[true]
    return np.asarray(other < 0.1 * light[true], bool)


def _pulls() -> Iterator[Figure]:
    """Pulls of isolated stars above S/N 10, of a field of which nothing is too faint to be seen."""
    scene = scenes((SEEING,), density=400.0, bright=17.0, faint=22.0, stars=1.0, size=SIZE)[0]
    mine, places = ours(scene), scene.places
    rows, true = match(Catalogue({"x": mine.columns["x"], "y": mine.columns["y"]}), places)
    points = np.column_stack([places["x"], places["y"]])
    near = cKDTree(points).query_ball_point(points[true], ALONE)
    light = places["electrons"]
    alone = np.array(
        [sum(light[other] > FAINT * light[own] for other in some) == 1 for own, some in zip(true, near, strict=True)]
    )
    good = alone & (mine.columns["snr_psf"][rows] > 10.0) & (mine.columns["flags"][rows] & ~PsfFlag.BLENDED == 0)
    rows, true = rows[good], true[good]
    part = mine.columns["flux"][rows] / light[true]
    zero = float(np.median(part[mine.columns["snr_psf"][rows] > 100.0]))
    pulls = {
        "flux": (part / zero - 1.0) * light[true] / mine.columns["flux_err"][rows],
        "x": (mine.columns["x"][rows] - places["x"][true]) / mine.columns["x_err"][rows],
        "y": (mine.columns["y"][rows] - places["y"][true]) / mine.columns["y_err"][rows],
    }
    yield figure("isolated stars, S/N > 10", rows.size, "stars")
    for name, values in pulls.items():
        yield figure(f"pulls of {name}, width away from 1", abs(spread(values) - 1.0), "", at_most(0.1))


def _save(rows: list[Row]) -> None:
    path = ROOT / "build" / "psf-bins.txt"
    path.parent.mkdir(exist_ok=True)
    lines = [f"{'what':<20}{'mag':<8}{'n':>6}{'ours':>10}{'peer':>10}{'worse by sigma':>16}"]
    lines += [
        f"{row.what:<20}{row.bin:<8}{row.number:>6}{row.ours:>10.4f}{row.peer:>10.4f}{row.worse:>16.2f}"
        for row in sorted(rows, key=lambda row: row.what)
    ]
    path.write_text("\n".join(lines) + "\n")
