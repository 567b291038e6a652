"""The samples of a point spread function's model that fit the stars best, kept near a smooth profile where stars say little.

The model is a smooth profile plus corrections sample by sample. Corrections are smooth over a part of the full width, and their size
is learnt from the stars themselves, ring by ring and for each degree of the polynomial (empirical Bayes, Morris 1983, JASA 78, 47): what
is no larger than its noise is shrunk away, what stands above it stays as it is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Float64
from spica.kernels.psf_fit import Linear, Stamps, apply_normal, linearise
from spica.kernels.psf_model import TAPS, psf_stamps

_RINGS = 10
"""Rings of samples that share the size of their corrections."""
_DOUBTFUL = 0.02
"""Least part of a ring's noise variance that a correction is granted."""
_SMALL = 0.02
"""Corrections below this part of the peak change light and places too little for another linearisation."""
_CLOSE = 1e-2
"""Conjugate gradients end when the residual has fallen to this part."""


@dataclass(frozen=True)
class Basis:
    """The terms in which the variation is solved for: Legendre polynomials of u and v of unit mean square.

    ``degrees`` (terms,) total degree of each (other linear terms: degree + 1); ``to_powers`` (terms, terms): powers' coefficients
    are ``to_powers @ coefficients``.
    """

    degrees: npt.NDArray[np.int64]
    to_powers: Float64

    def values(self, powers: Float64) -> Float64:
        """Values of the basis (n, terms) from those of the powers."""
        return np.asarray(powers @ self.to_powers)


def legendre_basis(degree: int, others: int = 0) -> Basis:
    """Products of Legendre polynomials of total degree at most `degree`, as sums of powers in PSFEx's order."""
    pairs = [(i, j) for j in range(degree + 1) for i in range(degree + 1 - j)]
    place = {pair: k for k, pair in enumerate(pairs)}
    terms = len(pairs) + others
    matrix = np.eye(terms)
    rows = [np.polynomial.legendre.leg2poly(np.eye(degree + 1)[i]) * np.sqrt(2 * i + 1) for i in range(degree + 1)]
    for k, (i, j) in enumerate(pairs):
        matrix[k, k] = 0.0
        for a, along in enumerate(rows[i][: i + 1]):
            for b, across in enumerate(rows[j][: j + 1]):
                matrix[place[a, b], k] += along * across
    degrees = np.array([i + j for i, j in pairs] + [degree + 1] * others, np.int64)
    return Basis(degrees, matrix)


class Grid(NamedTuple):
    """Pixels per sample: of the model, fine enough for its core, and of corrections to it, which are smooth."""

    model: float
    corrections: float


STEPS = (1.0, 2 / 3, 1 / 2, 2 / 5, 1 / 3, 1 / 4, 1 / 5)
"""Samplings: with these the interpolated light of a star does not depend on where in a pixel it lies."""
_PER_WIDTH, _PER_CORRECTION = 5.0, 3.2
"""Least samples per full width, of the model and of corrections to its profile."""


def grid_for(width: float, sampling: float = 0.0) -> Grid:
    """Samples fine enough for stars of a full width [pixel]; where `sampling` is not 0, that of the model."""
    coarse = next((step for step in STEPS if width / step >= _PER_CORRECTION), STEPS[-1])
    model = sampling or next((step for step in STEPS if width / step >= _PER_WIDTH), STEPS[-1])
    return Grid(model, max(coarse, model))


class Solved(NamedTuple):
    """What `solve` found.

    ``coefficients`` (terms, n, n) float32 in the basis; ``variance`` (terms, n, n) of them; ``used`` (stars,) 1 for those that
    were fitted; ``chi2`` (stars,) per degree of freedom; ``linear`` the problem about the last model.
    """

    coefficients: Float32
    variance: Float64
    used: Float64
    chi2: Float64
    linear: Linear


class _Rings:
    """Which ring each sample is in, and the normal matrices of the rings."""

    def __init__(self, n: int, sampling: float, reach: float, size: int) -> None:
        at = (np.arange(n) - n // 2) * sampling
        radius = np.hypot(at, at[:, None])
        self.step = reach / _RINGS
        self.samples = np.minimum((radius / self.step).astype(int), _RINGS)
        """Of each sample; the last is beyond all pixels that are fitted."""
        middle = size // 2
        v, u = np.mgrid[:size, :size] - middle
        self.pixels = np.minimum((np.hypot(u, v) / self.step).astype(int), _RINGS)

    def normal(self, linear: Linear, stamps: Stamps, used: Float64, sampling: float) -> Float64:
        """Normal matrices (rings, terms, terms) of a sample's terms, as if a star's weights were even in each ring."""
        count = np.bincount(self.pixels.ravel(), minlength=_RINGS + 1)[:_RINGS]
        flat = linear.weight.reshape(len(used), -1)
        member = (self.pixels.ravel()[:, None] == np.arange(_RINGS)).astype(np.float32)
        weight = (flat @ member / np.maximum(count, 1)) * (used * stamps.star[:, 0] ** 2)[:, None]
        values = stamps.values
        normal = np.einsum("sr,sk,sl->rkl", weight, values, values, optimize=True) * sampling**2
        return np.concatenate([normal, np.zeros((1, *normal.shape[1:]))])


def _smoother(n: int, width: float) -> Float64:
    """Gaussian filter of a standard deviation of `width` samples along one axis, (n, n), symmetric."""
    at = np.arange(n)
    kernel = np.exp(-0.5 * ((at - at[:, None]) / max(width, 1e-3)) ** 2)
    return np.asarray(kernel / kernel[n // 2].sum())


def _filtered(smooth: Float64, cube: Float64) -> Float64:
    return np.asarray(smooth @ cube @ smooth)


def _halves(stars: int) -> Float64:
    """1 and -1, so that stars in order of brightness make two halves alike (Thue and Morse)."""
    return np.array([1.0 - 2.0 * (k.bit_count() % 2) for k in range(stars)])


def _ridge(uphill: Float64, normal: Float64, kernel: Float64, basis: Basis, rings: _Rings) -> tuple[Float64, Float64]:
    """How strongly the corrections' seeds are held at 0, and how much more noise there is than is known, both (terms, rings + 1).

    The first step (the filtered gradient over the rings' normal matrices, filtered) has its noise through the filter four
    times, and what is sought six times. Its square above that of its noise is granted. The noise is what two halves of the stars
    differ by, if more than photons and sky make: unseen neighbours and shapes that no polynomial follows are noise, too.
    """
    middle, terms = kernel.shape[0] // 2, len(basis.degrees)
    fourth, sixth = (float(np.linalg.matrix_power(kernel, power)[middle, middle] ** 2) for power in (4, 6))
    weak = 1e-6 * np.trace(normal, axis1=1, axis2=2).max() / terms * np.eye(terms)
    inverse = np.asarray(np.linalg.inv(normal + weak), np.float64)
    inverse[_RINGS] = 0.0
    step, apart = (_filtered(kernel, _each(inverse, rings, each)) ** 2 for each in uphill)
    noise = fourth * np.diagonal(inverse, axis1=1, axis2=2)
    ridge, worse = np.full((terms, _RINGS + 1), 1e30), np.ones((terms, _RINGS + 1))
    for ring in np.unique(rings.samples[rings.samples < _RINGS]):
        here = rings.samples == ring
        for degree in np.unique(basis.degrees):
            rows = basis.degrees == degree
            known, seen = float(np.mean(noise[ring, rows])), float(np.mean(apart[rows][:, here]))
            expected = max(known, seen)
            worse[rows, ring] = expected / known
            granted = max(float(np.mean(step[rows][:, here])) - expected, _DOUBTFUL * expected) / sixth
            ridge[rows, ring] = worse[rows, ring] / granted
    return ridge, worse


def solve(
    stamps: Stamps,
    prior: Float32,
    basis: Basis,
    grid: Grid,
    error: tuple[float, float],
    *,
    reach: float,
    smooth: float,
    clip: float = 6.0,
    outlying: float = 4.0,
    held: npt.NDArray[np.bool_] | None = None,
    rounds: int = 2,
    iterations: int = 8,
) -> Solved:
    """Fit the corrections of a prior to stars.

    Parameters
    ----------
    stamps : Stamps
        Of the stars; their light and places are moved.
    prior : (terms, n, n) float32
        The smooth profile, in the basis.
    basis : Basis
        Of `legendre_basis`.
    grid : Grid
        Pixels per sample.
    error : two float
        Variance per electron of the stars' photons; error of the model as a part of it.
    reach : float
        Radius of the pixels that are fitted [pixel].
    smooth : float
        Standard deviation over which corrections are smooth [pixel].
    clip : float
        Pulls from which a pixel is left out.
    outlying : float
        Stars whose χ² is this many (robust) standard deviations above the others' are left out.
    held : (stars,) bool, optional
        Stars that are measured but not fitted.
    rounds, iterations : int
        Linearisations, and conjugate gradients' steps in each.

    Returns
    -------
    Solved
    """
    stars, size = stamps.light.shape[:2]
    terms, fine = prior.shape[:2]
    m = samples_across(reach, grid.corrections)
    linear, rings = _room(stars, size), _Rings(m, grid.corrections, reach, size)
    kernel = _smoother(m, smooth / grid.corrections)
    allowed = np.ones(stars) if held is None else np.where(held, 0.0, 1.0)
    both, gradient, side = (grid.model, grid.corrections), np.zeros((2, terms, m, m)), _halves(stars)
    seed, cube = np.zeros((terms, m, m)), prior
    ridge, worse = np.zeros((terms, _RINGS + 1)), np.ones((terms, _RINGS + 1))
    # First without a judgement of pixels: light and places come from a catalogue.
    linearise(stamps, cube, both, (*error, 0.0), allowed, side, linear, gradient)
    for number in range(rounds):
        used = allowed * ordinary(linear, outlying)
        linearise(stamps, cube, both, (*error, clip), used, side, linear, gradient)
        normal = rings.normal(linear, stamps, used, grid.corrections)
        uphill = _filtered(kernel, gradient)
        if number == 0:
            ridge, worse = _ridge(uphill, normal, kernel, basis, rings)
        right = uphill[0] - ridge[:, rings.samples] * seed
        seed += _conjugate(stamps, linear, used, kernel, (normal, rings), right, ridge, iterations)
        corrections = _filtered(kernel, seed).astype(np.float32)
        cube = prior + _refined(corrections, grid, fine)
        if np.abs(corrections).sum(axis=0).max() < _SMALL * prior[0].max():
            break
    used = allowed * ordinary(linear, outlying)
    linearise(stamps, cube, both, (*error, clip), used, side, linear, gradient)
    posterior = np.linalg.inv(rings.normal(linear, stamps, used, grid.corrections) + _diagonal(ridge))
    left = np.linalg.matrix_power(kernel, 2)[m // 2, m // 2] ** 2
    where = _Rings(fine, grid.model, reach, size).samples
    variance = left * (worse * np.diagonal(posterior, axis1=1, axis2=2).T)[:, where]
    return Solved(cube, variance, used, linear.chi2 / np.maximum(linear.pixels - 4.0, 1.0), linear)


def samples_across(reach: float, sampling: float) -> int:
    """Samples along each axis of the corrections to a model of that reach [pixel]."""
    return 2 * int(np.ceil(reach / sampling) + 2) + 1


def _refined(corrections: Float32, grid: Grid, n: int) -> Float32:
    """Corrections (terms, m, m) on the model's samples (terms, n, n)."""
    terms = len(corrections)
    middle = np.zeros(terms)
    return psf_stamps(corrections, np.eye(terms), grid.corrections / grid.model, middle, middle, n)[:, 0]


def _diagonal(ridge: Float64) -> Float64:
    """Matrices (rings + 1, terms, terms) of a ridge (terms, rings + 1)."""
    return np.asarray(ridge.T[:, :, None] * np.eye(ridge.shape[0]))


def left_over(stamps: Stamps, solved: Solved, most: int) -> Float32:
    """What is left of the first stars (most, size, size) as a part of their light; NaN where they were not fitted."""
    flux, sky = (stamps.star[:most, row, None, None].astype(np.float32) for row in (0, 3))
    left = (stamps.light[:most] - sky) / flux - solved.linear.planes[:most, 0]
    counts = (stamps.good[:most] > 0) & (solved.used[:most] > 0)[:, None, None]
    return np.where(counts, left, np.float32(np.nan))


def ordinary(linear: Linear, outlying: float) -> Float64:
    """1 for the stars whose χ² per degree of freedom is like the others', 0 for the others."""
    reduced = linear.chi2 / np.maximum(linear.pixels - 4.0, 1.0)
    good = np.isfinite(reduced) & (linear.pixels > 9.0)
    if np.count_nonzero(good) < 4:
        return good.astype(np.float64)
    middle = float(np.median(reduced[good]))
    scatter = 1.4826 * float(np.median(np.abs(reduced[good] - middle)))
    # With few degrees of freedom the spread of χ² itself is the least.
    spread = np.maximum(scatter, middle * np.sqrt(2.0 / np.maximum(linear.pixels - 4.0, 1.0)))
    return (good & (reduced < middle + outlying * spread)).astype(np.float64)


def _room(stars: int, size: int) -> Linear:
    return Linear(
        np.empty((stars, 4, size, size), np.float32),
        np.empty((stars, size, size), np.float32),
        np.empty((stars, 2, size), np.int64),
        np.empty((stars, 2, size, TAPS), np.float32),
        np.zeros((stars, 4, 4)),
        np.zeros(stars),
        np.zeros(stars),
    )


def _each(matrices: Float64, rings: _Rings, cube: Float64) -> Float64:
    """Multiply the terms of each sample by its ring's matrix."""
    out = np.empty_like(cube)
    for ring in range(_RINGS + 1):
        here = rings.samples == ring
        out[:, here] = matrices[ring] @ cube[:, here]
    return out


def _conjugate(
    stamps: Stamps,
    linear: Linear,
    used: Float64,
    kernel: Float64,
    precondition: tuple[Float64, _Rings],
    right: Float64,
    ridge: Float64,
    iterations: int,
) -> Float64:
    """Solve (K N K + ridge) x = right by conjugate gradients with the rings' matrices before them."""
    normal, rings = precondition
    inverse = np.asarray(np.linalg.inv(normal + _diagonal(ridge)), np.float64)
    ridge = ridge[:, rings.samples]
    answer, room = np.zeros_like(right), np.zeros_like(right)
    rest = right.copy()
    ready = _each(inverse, rings, rest)
    direction = ready.copy()
    product = float(np.sum(rest * ready))
    first = product
    for _ in range(iterations):
        if not product > _CLOSE**2 * first:
            break
        apply_normal(stamps, linear, used, _filtered(kernel, direction).astype(np.float32), room)
        image = _filtered(kernel, room) + ridge * direction
        length = product / float(np.sum(direction * image))
        answer += length * direction
        rest -= length * image
        ready = _each(inverse, rings, rest)
        before, product = product, float(np.sum(rest * ready))
        direction = ready + (product / before) * direction
    return answer
