"""Comparing two catalogues of the same pixels against the truth, magnitude by magnitude.

Both sides are matched with one list of truth by one rule. A difference is paired: what both sides did with the same
source, so that the noise that they share cancels; it is given in its own standard deviations, positive where ours is
worse.

Who goes deeper finds more and errs more: neither says who detects better. Completeness and purity are therefore both
judged with one threshold of our side, `DEPTH`, that comes near the depth of the other; everything is counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from benchmarks.single_frames._peers import Found
from benchmarks.single_frames._scene import Scene
from spica.core.columns import Catalogue
from spica.kernels.aperture import circular_photometry
from spica.services.truth import match

EDGES = tuple(np.arange(16.0, 25.5, 1.0))
FEWEST = 30
"""Sources below which a bin says nothing."""
SAME = 2.0
"""Pixels within which two detections are one."""
DEPTH = 6.4
"""Peak S/N from which our detections count. Source-extractor measures its 5 sigma from a sky that the light of sources has
lifted: where both are told 5, it finds half of what has 6.7 on our side, and nearly nothing below 6."""
MARGIN = 24.0
"""Nearer to the edge than this [pixel] a detection may be the light of a source outside: of no use for the purity."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Side:
    """What one side measured of the true sources of all detectors, NaN where it did not find one.

    Attributes
    ----------
    found : whether it found the source.
    dx, dy : place minus true place [pixel].
    auto : magnitude minus true magnitude, of the Kron flux. aper : the same in each aperture, against the true light in
        that aperture, neighbours' included ``(n, apertures)``.
    sure : whether what it found is above `DEPTH`.
    true : of each detection, whether it is a true source; `mag` its measured magnitude, NaN at the edge; `alone` whether
        the other side has no false one there; `deep` whether it is above `DEPTH`.
    """

    found: Bools
    dx: Floats
    dy: Floats
    auto: Floats
    aper: Floats
    sure: Bools
    true: Bools
    mag: Floats
    alone: Bools
    deep: Bools


@dataclass(frozen=True)
class Row:
    """One comparison in one bin.

    ``ours`` and ``peer`` are what `what` says; ``worse`` is the paired difference in standard deviations, NaN where
    there is none to be had.
    """

    kind: str
    what: str
    bin: str
    number: int
    ours: float
    peer: float
    worse: float


def sides(scenes: Sequence[Scene], ours: Sequence[Found], peer: Sequence[Found]) -> tuple[Side, Side]:
    """Both sides against the truth of all detectors."""
    parts: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]] = ([], [])
    for scene, one, other in zip(scenes, ours, peer, strict=True):
        radii = (3.0, 5.0, 8.0)
        places = scene.places
        true_aper = circular_photometry(scene.light, scene.light, places["x"], places["y"], radii).flux
        for mine, theirs, into in ((one, other, parts[0]), (other, one, parts[1])):
            into.append(_against(scene, mine, theirs, true_aper))
    return (
        Side(*map(np.concatenate, zip(*parts[0], strict=True))),
        Side(*map(np.concatenate, zip(*parts[1], strict=True))),
    )


def _true(side: Found, scene: Scene) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Detections that are true sources, and which."""
    return match(Catalogue({"x": side.columns["x"], "y": side.columns["y"]}), scene.places)


def _against(scene: Scene, mine: Found, theirs: Found, true_aper: Floats) -> tuple[Any, ...]:
    places, n = scene.places, len(scene.places)
    rows, true_rows = _true(mine, scene)
    found, sure = (np.zeros(n, dtype=bool) for _ in range(2))
    found[true_rows] = True
    deep = np.ones(mine.number, dtype=bool)
    if "snr_peak" in mine.columns:
        deep = mine.columns["snr_peak"] >= DEPTH
    sure[true_rows] = deep[rows]
    dx, dy, auto = (np.full(n, np.nan) for _ in range(3))
    aper = np.full(true_aper.shape, np.nan)
    dx[true_rows] = mine.columns["x"][rows] - places["x"][true_rows]
    dy[true_rows] = mine.columns["y"][rows] - places["y"][true_rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        auto[true_rows] = -2.5 * np.log10(mine.columns["flux_auto"][rows] / places["electrons"][true_rows])
        aper[true_rows] = -2.5 * np.log10(mine.columns["flux_aper"][rows] / true_aper[true_rows])
        zero = np.median(places["mag"] + 2.5 * np.log10(places["electrons"]))
        mag = zero - 2.5 * np.log10(mine.columns["flux_auto"])
        x, y = mine.columns["x"], mine.columns["y"]
        ny, nx = scene.sky.shape
        mag[(np.minimum(x, y) < MARGIN) | (x > nx - 1 - MARGIN) | (y > ny - 1 - MARGIN)] = np.nan
    true = np.zeros(mine.number, dtype=bool)
    true[rows] = True
    return found, dx, dy, auto, aper, sure, true, mag, _alone(mine, theirs, scene), deep


def _alone(mine: Found, theirs: Found, scene: Scene) -> Bools:
    """Which detections have no false one of the other side at their place: what both take for a source is no difference."""
    points, others = (np.column_stack([side.columns["x"], side.columns["y"]]) for side in (mine, theirs))
    false = np.ones(theirs.number, dtype=bool)
    false[_true(theirs, scene)[0]] = False
    if not np.any(false):
        return np.ones(mine.number, dtype=bool)
    near, _ = cKDTree(others[false]).query(points, distance_upper_bound=SAME)
    return np.asarray(~np.isfinite(near), bool)


def table(scenes: Sequence[Scene], ours: Side, peer: Side) -> list[Row]:
    """All comparisons, by kind of source and magnitude."""
    mag = np.concatenate([scene.places["mag"] for scene in scenes])
    star = np.concatenate([scene.places["star"] for scene in scenes])
    rows: list[Row] = []
    for low, high in pairwise(EDGES):
        name = f"{low:g}-{high:g}"
        for kind, chosen in (("stars", star), ("galaxies", ~star)):
            here = chosen & (mag >= low) & (mag < high)
            if np.count_nonzero(here) >= FEWEST:
                rows += _of_sources(kind, name, here, ours, peer)
        everything = tuple(np.ones(side.mag.size, dtype=bool) for side in (ours, peer))
        rows += _purity("purity", name, (low, high), (ours, peer), (ours.deep, peer.deep))
        rows += _purity("purity at full depth", name, (low, high), (ours, peer), everything)
    return rows


def _of_sources(kind: str, name: str, here: Bools, ours: Side, peer: Side) -> list[Row]:
    rows = [
        _completeness(kind, "completeness", name, here, ours.sure, peer.sure),
        _completeness(kind, "completeness at full depth", name, here, ours.found, peer.found),
    ]
    both = here & ours.found & peer.found
    if np.count_nonzero(both) < FEWEST:
        return rows
    rows.append(_scatter(kind, "position scatter [pixel]", name, *(_away(side, both) for side in (ours, peer))))
    fluxes = [("AUTO", ours.auto[both], peer.auto[both])]
    fluxes += [(f"aperture {k + 1}", ours.aper[both, k], peer.aper[both, k]) for k in range(ours.aper.shape[1])]
    for word, mine, theirs in fluxes:
        good = np.isfinite(mine) & np.isfinite(theirs)
        if np.count_nonzero(good) < FEWEST:
            continue
        a, b = mine[good], theirs[good]
        bias = float(np.median(a)), float(np.median(b))
        rows.append(_scatter(kind, f"{word} scatter [mag]", name, np.abs(a - bias[0]), np.abs(b - bias[1])))
        rows.append(Row(kind, f"{word} bias [mag]", name, a.size, *bias, float("nan")))
    return rows


def _completeness(kind: str, what: str, name: str, here: Bools, ours: Bools, peer: Bools) -> Row:
    only_ours = int(np.count_nonzero(here & ours & ~peer))
    only_peer = int(np.count_nonzero(here & peer & ~ours))
    number = int(np.count_nonzero(here))
    # McNemar: of the sources that one side alone has, either should have half.
    worse = (only_peer - only_ours) / np.sqrt(max(only_peer + only_ours, 1))
    share, peer_share = (float(np.count_nonzero(here & found) / number) for found in (ours, peer))
    return Row(kind, what, name, number, share, peer_share, float(worse))


def _away(side: Side, chosen: Bools) -> Floats:
    """Distance from the true place, the median offset of the bin taken out."""
    dx, dy = side.dx[chosen], side.dy[chosen]
    return np.asarray(np.hypot(dx - np.median(dx), dy - np.median(dy)))


def _scatter(kind: str, what: str, name: str, mine: Floats, theirs: Floats) -> Row:
    """Deviations (positive) of the same sources: medians, and the mean difference where far outliers count alike."""
    a, b = float(np.median(mine)), float(np.median(theirs))
    limit = 5.0 * max(a, b)
    difference = np.minimum(mine, limit) - np.minimum(theirs, limit)
    spread = float(np.std(difference) / np.sqrt(difference.size))
    worse = float(np.mean(difference)) / spread if spread > 0.0 else 0.0
    return Row(kind, what, name, mine.size, a, b, worse)


def _purity(
    what: str, name: str, limits: tuple[float, float], both: tuple[Side, Side], counted: tuple[Bools, ...]
) -> list[Row]:
    inside = [(side.mag >= limits[0]) & (side.mag < limits[1]) & some for side, some in zip(both, counted, strict=True)]
    numbers = [int(np.count_nonzero(chosen)) for chosen in inside]
    if min(numbers) < FEWEST:
        return []
    false = [int(np.count_nonzero(chosen & ~side.true)) for side, chosen in zip(both, inside, strict=True)]
    # Of the false ones only those that the other side does not have differ; more detections may have more of them.
    own = [int(np.count_nonzero(chosen & ~side.true & side.alone)) for side, chosen in zip(both, inside, strict=True)]
    scale = numbers[0] / numbers[1]
    worse = (own[0] - scale * own[1]) / np.sqrt(max(own[0] + scale**2 * own[1], 1.0))
    share, peer_share = (1.0 - count / number for count, number in zip(false, numbers, strict=True))
    return [Row("detections", what, name, numbers[0], share, peer_share, float(worse))]
