"""A smooth point spread function over a detector: a Moffat profile whose width and shape are polynomials of the place."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Float64
from spica.kernels.psf_solve import Basis
from spica.kernels.stars import Moffats

_ROUNDS = 4
_CLIP = 3.5
"""Stars whose width or shape is this many robust standard deviations off tell nothing of it."""
_STEEPEST = 60.0
"""Exponents beyond are a Gaussian's."""


@dataclass(frozen=True)
class Profiles:
    """Moffat profiles at m places: ``fwhm`` [pixel], distortions ``e1``, ``e2``, ``beta``, all (m,)."""

    fwhm: Float64
    e1: Float64
    e2: Float64
    beta: Float64


@dataclass(frozen=True)
class Varying:
    """Polynomials of (u, v) in PSFEx's order: of ln fwhm, e1, e2, and one 1/β; of how many stars they are."""

    degree: int
    width: Float64
    e1: Float64
    e2: Float64
    inverse_beta: float
    stars: int

    def at(self, u: npt.ArrayLike, v: npt.ArrayLike) -> Profiles:
        """The profiles at places."""
        values = powers(self.degree, np.atleast_1d(np.asarray(u, float)), np.atleast_1d(np.asarray(v, float)))
        e1, e2 = values @ self.e1, values @ self.e2
        # An extrapolated shape stays one.
        much = np.maximum(np.hypot(e1, e2) / 0.9, 1.0)
        beta = np.full(len(values), 1.0 / self.inverse_beta)
        return Profiles(np.exp(values @ self.width), e1 / much, e2 / much, beta)


def terms_of(degree: int) -> int:
    """Terms of a polynomial of a total degree."""
    return (degree + 1) * (degree + 2) // 2


def powers(degree: int, u: Float64, v: Float64) -> Float64:
    """Values of the powers (m, terms) in PSFEx's order."""
    return np.stack([u**i * v**j for j in range(degree + 1) for i in range(degree + 1 - j)], axis=-1)


def fit_profiles(found: Moffats, weight: Float64, u: Float64, v: Float64, degree: int) -> Varying | None:
    """Polynomials through the stars' own profiles, robustly; None where none has one.

    Parameters
    ----------
    found : Moffats
        Of the stars.
    weight : (n,)
        Of each star: the square of its signal-to-noise, with a limit.
    u, v : (n,)
        Places.
    degree : int
        Of the polynomials; less where there are not three stars for each term.
    """
    quantities = np.stack([np.log(found.fwhm), found.e1, found.e2])
    good = np.isfinite(quantities).all(axis=0) & np.isfinite(found.beta)
    if not good.any():
        return None
    while degree > 0 and np.count_nonzero(good) < 3 * terms_of(degree):
        degree -= 1
    for _ in range(_ROUNDS):
        answer, off = _polynomials(quantities, good, weight, powers(degree, u, v))
        limit = _CLIP * np.maximum(1.4826 * np.median(np.abs(off[:, good]), axis=1), 1e-4)
        kept = np.isfinite(found.beta) & (np.abs(off) < limit[:, None]).all(axis=0)
        if np.count_nonzero(kept) < 3 * answer.shape[0] or np.array_equal(kept, good):
            break
        good = kept
    # Of the degrees the one that predicts best (Akaike's criterion as corrected by Hurvich & Tsai 1989, Biometrika 76, 297).
    number, best = int(np.count_nonzero(good)), (np.inf, degree, answer)
    for order in range(degree + 1):
        answer, off = _polynomials(quantities, good, weight, powers(order, u, v))
        misfit = (weight[good] * off[:, good] ** 2).sum(axis=1) + 1e-30
        terms = answer.shape[0]
        score = number * float(np.log(misfit).sum()) + 2.0 * answer.size * number / max(number - terms - 1, 1)
        best = min(best, (score, order, answer), key=lambda each: each[0])
    inverse = _median(1.0 / found.beta[good], weight[good])
    _, order, answer = best
    return Varying(order, answer[:, 0], answer[:, 1], answer[:, 2], max(inverse, 1.0 / _STEEPEST), number)


def _polynomials(
    quantities: Float64, good: npt.NDArray[np.bool_], weight: Float64, design: Float64
) -> tuple[Float64, Float64]:
    """Coefficients (terms, quantities) through the good stars, and what all stars are off (quantities, n)."""
    root = np.sqrt(weight[good])[:, None]
    answer = np.linalg.lstsq(design[good] * root, quantities[:, good].T * root, rcond=None)[0]
    return np.asarray(answer, np.float64), quantities - (design @ answer).T


def _median(values: Float64, weight: Float64) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


def one_profile(fwhm: float, beta: float = 3.0) -> Varying:
    """A round profile that is the same everywhere."""
    zero = np.zeros(1)
    return Varying(0, np.array([np.log(fwhm)]), zero, zero, 1.0 / beta, 0)


def draw_profiles(profiles: Profiles, n: int, sampling: float) -> Float32:
    """Samples (m, n, n) of light per pixel of sources of unit light in their middle sample."""
    at = (np.arange(n) - n // 2) * sampling
    dx, dy = at[None, None, :], at[None, :, None]
    beta = profiles.beta[:, None, None]
    half = 2.0 ** (1.0 / beta) - 1.0
    shape = np.sqrt(1.0 - profiles.e1**2 - profiles.e2**2)
    both = 8.0 / (profiles.fwhm**2 * shape)
    xx, yy, xy = 0.5 * both * (1 - profiles.e1), 0.5 * both * (1 + profiles.e1), -0.5 * both * profiles.e2
    xx, yy, xy = xx[:, None, None], yy[:, None, None], xy[:, None, None]
    form = xx * dx * dx + 2.0 * xy * dx * dy + yy * dy * dy
    peak = (beta - 1.0) * half * np.sqrt(xx * yy - xy * xy) / np.pi
    return np.asarray(peak * np.exp(-beta * np.log1p(half * form)), np.float32)


def prior_cube(varying: Varying, basis: Basis, degree: int, n: int, sampling: float) -> Float32:
    """The profile as samples for each term of the basis: a fit to its images at a grid of places."""
    nodes = np.cos(np.pi * (np.arange(degree + 3) + 0.5) / (degree + 3))
    u, v = (axis.ravel() for axis in np.meshgrid(nodes, nodes))
    images = draw_profiles(varying.at(u, v), n, sampling).reshape(u.size, -1)
    terms = terms_of(degree)
    values = basis.values(np.pad(powers(degree, u, v), ((0, 0), (0, len(basis.degrees) - terms))))[:, :terms]
    cube = np.zeros((len(basis.degrees), n, n), np.float32)
    cube[:terms] = (np.linalg.pinv(values) @ images).reshape(terms, n, n)
    return cube


def of_unit_light(cube: npt.ArrayLike, basis: Basis, degree: int, sampling: float) -> Float32:
    """Coefficients of the powers (terms, n, n) of a model in a basis, scaled so that it sums to 1 on pixels everywhere."""
    nodes = np.cos(np.pi * (np.arange(degree + 2) + 0.5) / (degree + 2))
    u, v = (axis.ravel() for axis in np.meshgrid(nodes, nodes))
    values, samples = powers(degree, u, v), np.asarray(cube, np.float64)
    images = basis.values(values) @ samples.reshape(len(samples), -1)
    images /= images.sum(axis=1, keepdims=True) * sampling**2
    answer = np.linalg.pinv(values) @ images
    return np.asarray(answer.reshape(-1, *samples.shape[1:]), np.float32)
