"""What the air does to the places in one exposure: a Gaussian process over the residuals of a joint solution.

Turbulence shifts neighbouring stars alike, by some milliarcseconds over some minutes of arc, differently in every exposure. Its
correlation is von Kármán's (Léget et al. 2021, A&A 650, A81; Fortino et al. 2021, AJ 162, 106): amplitude and length come from the
pairs of an exposure's residuals, where the noise of single stars drops out. A field is believed only where it foretells stars that it
was not made from: each exposure is divided into parts, and each part compared with the field of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree
from scipy.special import gamma, kv

from spica.kernels.compiled import Float64, Int64
from spica.kernels.focal_model import Complex, Mosaic, Terms, frames, place
from spica.kernels.joint_astrometry import Fit, Known, Options, Seen, adjust, turns
from spica.kernels.leave_out import Values

_LEAST = 60
"""Stars at least for a field of their own."""
_MOST = 900
"""Stars at most, the most precise: the cost grows with the third power."""
_PARTS = 5
_SURE = 2.5
"""Standard deviations by which the stars left out have to be nearer with the field than without."""
_BINS = 14
_LENGTHS = 16


@dataclass(frozen=True)
class Field:
    """Displacements over one exposure: a Gaussian process with the correlation of von Kármán.

    Attributes
    ----------
    place : (n,) complex [degree], in the exposure's plane, of the stars that it was made from.
    weight : (n,) complex; the field is the sum of these with the correlations.
    without : (n,) complex [mas], what the others make of the field at each of these stars.
    sigma : rms per coordinate [mas]; `length` [degree].
    gain : mean squared displacement of stars left out, without the field over with it.
    """

    place: Complex
    weight: Complex
    without: Complex
    sigma: float
    length: float
    gain: float

    def at(self, place: Complex) -> Complex:
        """Displacement [mas] at places of the plane."""
        away = np.abs(place[:, None] - self.place[None, :])
        return np.asarray(self.sigma**2 * (von_karman(away / self.length) @ self.weight))


def von_karman(distance: Float64) -> Float64:
    """Correlation at distances in units of the length: 1 at 0, as u^(5/6) K_5/6(2πu)."""
    u = 2.0 * np.pi * np.maximum(distance, 1e-6)
    order = 5.0 / 6.0
    near = 2.0 ** (1.0 - order) / gamma(order)
    return np.asarray(np.where(u < 60.0, near * u**order * kv(order, np.minimum(u, 60.0)), 0.0))


def follow(
    mosaic: Mosaic, seen: Seen, known: Known, fit: Fit, options: Options, rounds: int = 2
) -> tuple[Fit, Seen, list[Field | None]]:
    """The solution with a field for each exposure that has one, by turns.

    Parameters
    ----------
    fit : without fields.
    rounds : how often fields and solution are made anew.

    Returns
    -------
    The solution, its detections with their displacements (`moved`), and the field of each exposure; the given ones where no
    exposure has a field.
    """
    before = np.zeros(seen.group.size, np.complex64) if seen.moved is None else seen.moved
    order = np.argsort(mosaic.exposure[seen.image], kind="stable")
    bounds = np.searchsorted(mosaic.exposure[seen.image][order], np.arange(mosaic.ra.size + 1))
    shift = np.zeros(seen.group.size, np.complex64)
    fields: list[Field | None] = [None] * mosaic.ra.size
    best, now = fit, seen
    for _ in range(rounds):
        turn = _turn_of(mosaic, now, best)
        made = [_one(mosaic, best, now, shift, turn, order[bounds[k] : bounds[k + 1]]) for k in range(mosaic.ra.size)]
        if not any(made):
            break
        fields = made
        shift = _shifts(mosaic, best.terms, now, turn, (fields, order, bounds))
        now = replace(seen, moved=before + shift)
        best = adjust(mosaic, best.terms, now, known, options)
    return best, now, fields


def _turn_of(mosaic: Mosaic, seen: Seen, fit: Fit) -> Complex:
    """How a step in the plane of each detection's exposure is turned at its place on the sky."""
    east, north = frames(fit.centre)
    return turns(mosaic, mosaic.exposure[seen.image], east[seen.group], north[seen.group])


def _one(mosaic: Mosaic, fit: Fit, seen: Seen, shift: Values, turn: Complex, rows: Int64) -> Field | None:
    """The field of one exposure from the residuals of its detections, each against the mean of the others."""
    rest = 1.0 - fit.share[rows]
    rows = rows[(fit.state.seen[rows] > 0.0) & (fit.state.seen_pull[rows] > 0.0) & (rest > 1e-3)]
    if rows.size < _LEAST:
        return None
    rest = 1.0 - fit.share[rows]
    context = mosaic.context[mosaic.sensor[seen.image[rows]]]
    own = seen.sigma[rows].astype(np.float64) ** 2
    # Of the total weight the others have the rest: their variance is own share over rest.
    total = own + fit.state.floor[context] ** 2
    variance = own + total * fit.share[rows] / rest
    rows = rows[np.argsort(variance, kind="stable")[:_MOST]]
    variance = np.sort(variance, kind="stable")[:_MOST]
    value = (fit.residual[rows] / (1.0 - fit.share[rows]) + shift[rows]) / turn[rows]
    where = place(mosaic, fit.terms, seen.image[rows], seen.x[rows], seen.y[rows]).plane
    return field_of(where, np.asarray(value, np.complex128), variance)


def field_of(where: Complex, value: Complex, variance: Float64) -> Field | None:
    """The field that displacements [mas] at places [degree] tell of; None where it does not foretell stars left out.

    Parameters
    ----------
    variance : (n,) of each displacement per coordinate [mas²], noise alone.
    """
    away = np.abs(where[:, None] - where[None, :])
    sigma, length = _amplitude(away, value, variance)
    if sigma <= 0.0:
        return None
    cover = sigma**2 * von_karman(away / length)
    part = np.arange(where.size) % _PARTS
    better, plain = np.empty(where.size), np.abs(value) ** 2 / variance
    for number in range(_PARTS):
        kept, left = np.flatnonzero(part != number), np.flatnonzero(part == number)
        foretold = cover[np.ix_(left, kept)] @ _solved(cover[np.ix_(kept, kept)], variance[kept], value[kept])
        better[left] = np.abs(value[left] - foretold) ** 2 / variance[left]
    # Outliers say nothing of either.
    cap = 25.0
    gained = np.minimum(plain, cap) - np.minimum(better, cap)
    if gained.mean() < _SURE * gained.std() / np.sqrt(gained.size):
        return None
    gain = float(np.minimum(plain, cap).mean() / np.minimum(better, cap).mean())
    inverse = cho_solve(cho_factor(cover + np.diag(variance)), np.eye(where.size))
    weight = inverse @ value
    # Leaving one out (Rasmussen & Williams 2006, section 5.4.2): a star must not vouch for itself.
    return Field(where, weight, value - weight / np.diag(inverse), sigma, length, gain)


def _solved(cover: Float64, variance: Float64, value: Complex) -> Complex:
    return np.asarray(cho_solve(cho_factor(cover + np.diag(variance)), value))


def _amplitude(away: Float64, value: Complex, variance: Float64) -> tuple[float, float]:
    """Amplitude per coordinate and length of the correlation that the pairs of stars have; 0 where they have none."""
    first, second = np.triu_indices(value.size, 1)
    distance = away[first, second]
    reach = float(np.quantile(distance, 0.6))
    near = distance < reach
    first, second, distance = first[near], second[near], distance[near]
    weight = 1.0 / (variance[first] + variance.min()) / (variance[second] + variance.min())
    product = 0.5 * (value[first] * value[second].conj()).real
    bins = np.minimum((_BINS * distance / reach).astype(np.int64), _BINS - 1)
    heavy = np.bincount(bins, weight, _BINS)
    there = heavy > 0
    measured = np.bincount(bins, weight * product, _BINS)[there] / heavy[there]
    middle = np.bincount(bins, weight * distance, _BINS)[there] / heavy[there]
    best = (np.inf, 0.0, 1.0)
    for length in np.geomspace(0.15 * reach, 6.0 * reach, _LENGTHS):
        # The residuals have lost their mean, and the pairs with it a constant.
        design = np.stack([von_karman(middle / length), np.ones(middle.size)], axis=1)
        scaled = np.sqrt(heavy[there])
        found = np.linalg.lstsq(design * scaled[:, None], measured * scaled, rcond=None)[0]
        off = float(np.sum(heavy[there] * (measured - design @ found) ** 2))
        if found[0] > 0.0 and off < best[0]:
            best = off, float(found[0]), float(length)
    return float(np.sqrt(best[1])), best[2]


def _shifts(
    mosaic: Mosaic, terms: Terms, seen: Seen, turn: Complex, made: tuple[Sequence[Field | None], Int64, Int64]
) -> Values:
    """Displacements of all detections [mas], east + i north."""
    fields, order, bounds = made
    out = np.zeros(seen.group.size, np.complex64)
    for number, field in enumerate(fields):
        rows = order[bounds[number] : bounds[number + 1]]
        if field is not None and rows.size:
            where = place(mosaic, terms, seen.image[rows], seen.x[rows], seen.y[rows]).plane
            there = field.at(where)
            # The stars that the field was made from, by their places: those of one exposure are never the same.
            near, itself = cKDTree(_points(field.place)).query(_points(where), distance_upper_bound=1e-9)
            known = np.flatnonzero(np.isfinite(near))
            there[known] = field.without[itself[known]]
            out[rows] = there * turn[rows]
    return out


def _points(place: Complex) -> Float64:
    return np.stack([place.real, place.imag], axis=1)
