"""Whether an alignment of stars with reference stars is true: refinement, matches, and the odds of chance.

Stars are places z = ξ + iη [degree] in a plane about the centre that the header tells; an alignment says where that
centre truly is, and maps z → c z + d z̄ to the tangent plane there (d or c is near 0 where nothing is stretched). The
false-alarm probability is that of as many matches by chance, the mean number of which is counted with the stars moved
aside, times the number of independent alignments that were possible. Compare the odds of Lang et al. 2010 (AJ 139, 1782).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.special import gammaln

from spica.kernels.tangent import tangent_deproject, tangent_project

Complex = npt.NDArray[np.complex128]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_ROUNDS = 12
_WORTH = 8.0
"""F of stretching above which it is believed."""
_ASIDE = 24
"""Displacements by which chance is counted."""
_HOPELESS = -1.0
"""Logarithm of the false-alarm probability, by the density of reference stars alone, above which no more is counted."""
_PLANES = 4
"""Tangent planes in which an alignment is refined, each about where the last one ended."""
_SAME = 0.02
"""Of the radius of matching: by how much another plane's stars may lie elsewhere."""


class Reference:
    """Reference stars on the sky, brightest first, found by place.

    Parameters
    ----------
    ra, dec : (k,) degrees, finite; brightest first.
    """

    def __init__(self, ra: Float64, dec: Float64) -> None:
        self.ra, self.dec = ra, dec
        self._tree = cKDTree(_unit(ra, dec)) if ra.size else None

    def near(self, ra: float, dec: float, radius: float, most: int) -> Int64:
        """Indices of the brightest `most` within `radius` [degree] of a place, brightest first."""
        if self._tree is None:
            return np.zeros(0, np.int64)
        chord = 2.0 * np.sin(0.5 * np.radians(min(radius, 180.0)))
        found = self._tree.query_ball_point(_unit(np.array(ra), np.array(dec)), chord, return_sorted=True)
        return np.asarray(found[:most], np.int64)

    def plane(self, which: Int64, ra: float, dec: float) -> Complex:
        """Places of some of them in the tangent plane about (ra, dec) [degree]."""
        xi, eta = tangent_project(self.ra[which], self.dec[which], ra, dec)
        return np.asarray(xi + 1j * eta)


def _unit(ra: Float64, dec: Float64) -> Float64:
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


@dataclass(frozen=True)
class Alignment:
    """Where the centre of the field is [degree], and the linear map z → along z + across z̄ of its plane."""

    ra: float
    dec: float
    along: complex
    across: complex

    def apply(self, places: Complex) -> Complex:
        """Places in the tangent plane about the true centre."""
        return np.asarray(self.along * places + self.across * np.conj(places))

    def moved(self, by: complex) -> "Alignment":
        """The same with its centre moved by a place of its plane [degree]; north is another one there, near a pole above all."""
        ra, dec = tangent_deproject(by.real, by.imag, self.ra, self.dec)
        # A step to the new north, towards the equator where the pole is nearer than the step.
        step = 1e-4 if dec < 0.0 else -1e-4
        xi, eta = tangent_project(float(ra), float(dec) + step, self.ra, self.dec)
        north = (complex(float(xi), float(eta)) - by) / step
        turn = 1j / north * abs(north)
        return Alignment(float(ra), float(dec), turn * self.along, turn * self.across)

    @property
    def mirrored(self) -> bool:
        """Whether the true sky is the mirror image of the nominal one."""
        return abs(self.across) > abs(self.along)

    @property
    def scale(self) -> float:
        """True over nominal scale: root of the ratio of areas."""
        return float(np.sqrt(abs(abs(self.along) ** 2 - abs(self.across) ** 2)))

    @property
    def angle(self) -> float:
        """Rotation from nominal to true plane, counter-clockwise (north to east is clockwise) [degree]."""
        return float(np.degrees(np.angle(self.across if self.mirrored else self.along)))

    @property
    def stretch(self) -> float:
        """Largest over smallest scale, less 1: 0 for a similarity."""
        small, large = sorted((abs(self.along), abs(self.across)))
        return float((large + small) / max(large - small, 1e-30) - 1.0)


class Matched(NamedTuple):
    """An alignment with its matches.

    alignment; stars and reference indices of the matches; their residuals [degree]; the radius of matching [degree]; mean
    number of matches by chance; decimal logarithm of the false-alarm probability; how many could match at most.
    """

    alignment: Alignment
    stars: Int64
    reference: Int64
    residual: Float64
    radius: float
    chance: float
    log_false: float
    possible: float

    @property
    def rms(self) -> float:
        """Of the residuals, per coordinate [degree]."""
        return float(np.sqrt(np.mean(self.residual**2) / 2.0)) if self.residual.size else np.nan


def log_tail(matches: int, mean: float) -> float:
    """Decimal logarithm of (an upper bound of) the Poisson probability of at least so many matches."""
    if matches <= mean or matches == 0:
        return 0.0
    mean = max(mean, 1e-12)
    log = matches * np.log(mean) - mean - gammaln(matches + 1.0) - np.log1p(-mean / (matches + 1.0))
    return float(min(log / np.log(10.0), 0.0))


def mutual(ones: Complex, others: Complex | cKDTree, radius: float) -> tuple[Int64, Int64, Float64]:
    """Pairs of nearest neighbours, each the other's, within a radius: indices of both and their distance."""
    tree = others if isinstance(others, cKDTree) else cKDTree(_points(others))
    distance, other = tree.query(_points(ones), distance_upper_bound=radius)
    near = np.flatnonzero(np.isfinite(distance))
    near = near[np.argsort(distance[near], kind="stable")]
    _, first = np.unique(other[near], return_index=True)
    one = near[np.sort(first)]
    return one, np.asarray(other[one], np.int64), np.asarray(distance[one])


def _points(places: Complex) -> Float64:
    return np.stack([places.real, places.imag], axis=-1)


def fitted(places: Complex, true: Complex, *, mirrored: bool, stretched: bool) -> tuple[complex, complex, complex]:
    """Least-squares coefficients of z, z̄ and 1; without stretch one of the first two is 0."""
    middle, centre = complex(places.mean()), complex(true.mean())
    z, w = places - middle, true - centre
    size = float(np.vdot(z, z).real)
    one, other = complex(np.vdot(z, w)) / max(size, 1e-300), complex(np.dot(z, w)) / max(size, 1e-300)
    if stretched:
        # Normal equations of z and z̄: [s, q̄; q, s] with s = Σ|z|², q = Σz².
        skew = complex(np.dot(z, z)) / max(size, 1e-300)
        rest = max(1.0 - abs(skew) ** 2, 1e-12)
        one, other = (one - skew.conjugate() * other) / rest, (other - skew * one) / rest
    else:
        one, other = (0j, other) if mirrored else (one, 0j)
    return one, other, centre - one * middle - other * middle.conjugate()


class Search(NamedTuple):
    """How an alignment is tried: radii of matching from coarse to fine, stars and reference stars that take part."""

    coarse: float
    fine: float
    stars: int
    depth: float
    """Reference stars per star in the field, at most."""


def refined(stars: Complex, reference: Reference, start: Alignment, search: Search, trials: float) -> Matched | None:
    """Improve an alignment by its own matches within ever smaller radii; None where it has none.

    Parameters
    ----------
    stars : (n,) places [degree], brightest first, the origin is the centre of the field.
    reference : reference stars.
    start : the alignment to begin with, good to `search.coarse`.
    search : radii [degree] and numbers.
    trials : decimal logarithm of the number of alignments among which this one was chosen.
    """
    places = stars[: search.stars]
    most = int(np.ceil(search.depth * max(places.size, 10) / filled(places)))
    extent = float(np.abs(places).max())
    scale = abs(start.along) + abs(start.across)
    which = reference.near(start.ra, start.dec, 1.02 * scale * extent + 2.0 * search.coarse, most)
    if which.size < 2:
        return None
    state, radius = start, search.coarse
    for _ in range(_PLANES):
        tree = cKDTree(_points(reference.plane(which, state.ra, state.dec)))
        fit = _settled(places, tree, state, (radius, search.fine))
        if fit is None:
            return None
        state, radius = Alignment(state.ra, state.dec, fit[0], fit[1]).moved(fit[2]), search.fine
        # Moved by little, the plane is the same: its north turns by little too, unless a pole is near.
        if np.radians(abs(fit[2])) * extent < _SAME * search.fine * np.cos(np.radians(state.dec)):
            break
    return _judged(places, reference, state, (search.fine, most, extent), trials)


def _settled(
    places: Complex, tree: cKDTree, state: Alignment, radii: tuple[float, float]
) -> tuple[complex, complex, complex] | None:
    """Coefficients of z, z̄ and 1 in the plane of an alignment, by its own matches within ever smaller radii."""
    radius, fine = radii
    sky = tree.data[:, 0] + 1j * tree.data[:, 1]
    fit, old = (state.along, state.across, 0j), np.zeros(0, np.int64)
    for _ in range(_ROUNDS):
        one, other, _ = mutual(fit[0] * places + fit[1] * np.conj(places) + fit[2], tree, radius)
        if one.size < 3:
            return None
        fit = _robust(places[one], sky[other], mirrored=state.mirrored)
        if radius <= fine and np.array_equal(one, old):
            break
        old = one
        radius = max(0.6 * radius, fine)
    return fit


def _robust(places: Complex, true: Complex, *, mirrored: bool) -> tuple[complex, complex, complex]:
    """Coefficients with outliers left out; stretched only where that is plainly better."""
    keep = np.ones(places.size, bool)
    for _ in range(4):
        fit = _plainest(places[keep], true[keep], mirrored=mirrored)
        off = np.abs(fit[0] * places + fit[1] * np.conj(places) + fit[2] - true)
        new = off <= 3.0 * float(np.median(off[keep])) + 1e-12
        if new.sum() < 3 or np.array_equal(new, keep):
            break
        keep = new
    return fit


def _plainest(places: Complex, true: Complex, *, mirrored: bool) -> tuple[complex, complex, complex]:
    """A similarity, or a linear map where its two more parameters are worth it (F test)."""
    plain = fitted(places, true, mirrored=mirrored, stretched=False)
    if places.size < 8:
        return plain
    full = fitted(places, true, mirrored=mirrored, stretched=True)
    small, large = (
        float(np.sum(np.abs(fit[0] * places + fit[1] * np.conj(places) + fit[2] - true) ** 2)) for fit in (full, plain)
    )
    return full if (large - small) * (places.size - 3) > _WORTH * small else plain


def _judged(
    places: Complex, reference: Reference, state: Alignment, how: tuple[float, int, float], trials: float
) -> Matched | None:
    """The matches of an alignment, and the odds that as many come by chance."""
    radius, most, extent = how
    scale = abs(state.along) + abs(state.across)
    which = reference.near(state.ra, state.dec, 1.02 * scale * extent + 25.0 * radius, most)
    if which.size < 2:
        return None
    sky = reference.plane(which, state.ra, state.dec)
    there = state.apply(places)
    one, other, _ = mutual(there, sky, radius)
    residual = np.abs(there[one] - sky[other])
    chance = max(_evenly(there, sky, radius), 0.5 / _ASIDE)
    log = log_tail(one.size, chance) + trials
    if log < _HOPELESS:
        chance = _by_chance(there, sky, radius, chance)
        log = log_tail(one.size, chance) + trials
    inside = float(np.mean(np.abs(sky) < scale * extent)) * sky.size
    possible = float(min(places.size, inside * filled(places)))
    return Matched(state, one, which[other], residual, radius, chance, log, possible)


def filled(places: Complex) -> float:
    """Part of the circle about the centre that the stars fill."""
    if places.size < 3:
        return 1.0
    area = 12.0 * float(np.sqrt(max(np.linalg.det(np.cov(places.real, places.imag)), 0.0)))
    return float(np.clip(area / (np.pi * float(np.abs(places).max()) ** 2), 0.05, 1.0))


def _evenly(there: Complex, sky: Complex, radius: float) -> float:
    """Mean number of matches by chance that the density of reference stars lets expect."""
    return float(there.size * sky.size * (radius / float(np.abs(sky).max())) ** 2)


def _by_chance(there: Complex, sky: Complex, radius: float, least: float) -> float:
    """Mean number of matches with the stars moved aside, `least` at least."""
    angle = 2.0 * np.pi * np.arange(_ASIDE) / _ASIDE
    aside = radius * np.linspace(6.0, 20.0, _ASIDE)[(7 * np.arange(_ASIDE)) % _ASIDE] * np.exp(1j * angle)
    tree = cKDTree(_points(sky))
    moved = there[None, :] + aside[:, None]
    distance, other = tree.query(_points(moved), distance_upper_bound=radius)
    counts = np.array([np.unique(found[np.isfinite(far)]).size for far, found in zip(distance, other, strict=True)])
    # Clustered stars and reference stars make chance matches come in swarms: the spread tells.
    spread = max(1.0, float(counts.var()) / max(float(counts.mean()), 1e-9)) if counts.mean() > 1 else 1.0
    return float(max(counts.mean(), least)) * float(np.sqrt(spread))
