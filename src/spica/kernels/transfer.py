"""Photon transfer: moments of the difference of two flats, and the laws that gain and charge correlations obey.

Whole-array numpy: a pair is read once in a run, and none of it is worth a compiled kernel of its own.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from spica.kernels.compiled import Float64, Numbers
from spica.kernels.robust import robust_statistics

LAGS = ((1, 0), (0, 1), (1, 1), (2, 0), (0, 2))
"""Distances (along x, along y) at which covariances are measured."""
_CELL = 128
"""Pixels: slower differences between two flats (a lamp that moved) are taken out by means over cells of this size."""


class Moments(NamedTuple):
    """Of the difference of two frames.

    ``first``, ``second`` : mean signals. ``variance`` and ``covariances`` (parallel to ``LAGS``) of the difference,
    in the frames' unit squared; ``share`` and ``noise_share`` : how often the shot noise of the mean signal, and the
    variance of one read-out, are in them. ``pixels`` : how many were used.
    """

    first: float
    second: float
    variance: float
    covariances: tuple[float, ...]
    share: float
    noise_share: float
    pixels: int

    @property
    def mean(self) -> float:
        """Mean signal of both."""
        return 0.5 * (self.first + self.second)

    def times(self, factor: float) -> "Moments":
        """The same with all variances multiplied."""
        covariances = tuple(factor * each for each in self.covariances)
        return self._replace(variance=factor * self.variance, covariances=covariances)


def pair_moments(
    first: Numbers, second: Numbers, *, scaled: bool = True, by_row: int = 0, kappa: float = 5.0
) -> Moments:
    """Moments of the difference of two frames of the same light.

    Parameters
    ----------
    first, second : (ny, nx) arrays [ADU above bias]
    scaled : bool
        Bring both to their mean level first (flats). Then D = m (f1/m1 - f2/m2), and with shot noise p m_k / g of a
        pixel of response p (mean 1) Var D = (m/g) m (1/m1 + 1/m2) + n² m² (1/m1² + 1/m2²): the shares.
    by_row : int
        Not 0: scale every row by itself, each of this many colours of a mosaic apart: under a lamp that flickers (in
        colour too) a rolling shutter gives bands.
    kappa : float
        Pixels farther from the median than this many sigma (cosmic rays) are left out.

    Returns
    -------
    Moments
        NaN where fewer than 16 pixels are left, or a flat's mean is not positive.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    good = np.isfinite(a) & np.isfinite(b)
    mean_a, mean_b = _mean(a, good), _mean(b, good)
    share = noise_share = 2.0
    if scaled:
        if not (mean_a > 0.0 and mean_b > 0.0):
            return _nothing(mean_a, mean_b)
        m = 0.5 * (mean_a + mean_b)
        if by_row:
            scale_a, scale_b = _row_means(a, by_row), _row_means(b, by_row)
        else:
            scale_a, scale_b = np.full((1, 1), mean_a), np.full((1, 1), mean_b)
        good = good & (scale_a > 0.0) & (scale_b > 0.0)
        with np.errstate(divide="ignore"):
            ways = 1.0 / scale_a + 1.0 / scale_b, 1.0 / scale_a**2 + 1.0 / scale_b**2
            a, b = a * (m / scale_a), b * (m / scale_b)
        lit = np.isfinite(ways[1]) & (scale_a > 0.0) & (scale_b > 0.0)
        # A row's own mean takes its part of the variance away.
        taken = 1.0 - by_row / a.shape[1]
        share, noise_share = (m**power * float(way[lit].mean()) * taken for power, way in enumerate(ways, 1))
    difference = np.where(good, a - b, 0.0)
    good = _kept(difference, good, kappa)
    difference = _flattened(difference, good)
    good = _kept(difference, good, kappa)
    count = int(good.sum())
    if count < 16:
        return _nothing(mean_a, mean_b)
    difference = np.where(good, difference - difference[good].mean(), 0.0)
    variance = float(np.square(difference).sum() / (count - 1))
    return Moments(
        mean_a, mean_b, variance, tuple(_lagged(difference, good, lag) for lag in LAGS), share, noise_share, count
    )


def _nothing(first: float, second: float) -> Moments:
    return Moments(first, second, np.nan, (np.nan,) * len(LAGS), 2.0, 2.0, 0)


def _mean(values: Float64, good: Numbers) -> float:
    """Mean without the farthest values: those of hot pixels and cosmic rays."""
    return robust_statistics(values[good], kappa=6.0).mean if good.any() else np.nan


def _row_means(values: Float64, colours: int) -> Float64:
    """Mean of each row and colour at the pixels of that colour, (ny, nx), outliers left out."""
    means = np.empty_like(values)
    for colour in range(colours):
        mine = values[:, colour::colours]
        middle = np.nanmedian(mine, axis=1, keepdims=True)
        width = 1.4826 * np.nanmedian(np.abs(mine - middle), axis=1, keepdims=True)
        near = np.where(np.abs(mine - middle) <= 8.0 * np.maximum(width, 1e-12), mine, np.nan)
        means[:, colour::colours] = np.nanmean(near, axis=1, keepdims=True)
    return means


def _kept(difference: Float64, good: Numbers, kappa: float) -> Numbers:
    if not good.any():
        return good
    found = robust_statistics(difference[good], iterations=0)
    width = found.sigma if found.sigma > 0.0 else found.deviation
    return good & (np.abs(difference - found.median) <= kappa * max(width, 1e-12))


def _flattened(difference: Float64, good: Numbers) -> Float64:
    """The difference without its means over cells, which a lamp's slow change leaves."""
    flat = difference.copy()
    ny, nx = difference.shape
    for y in _cells(ny):
        for x in _cells(nx):
            here = good[y, x]
            if here.any():
                flat[y, x] -= difference[y, x][here].mean()
    return flat


def _cells(length: int) -> list[slice]:
    edges = np.linspace(0, length, max(round(length / _CELL), 1) + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def _lagged(difference: Float64, good: Numbers, lag: tuple[int, int]) -> float:
    """Covariance with the pixel at this distance, the mean of both diagonals where there are two."""
    dx, dy = lag
    ny, nx = difference.shape
    total, count = 0.0, 0
    for step in {dx, -dx} if dy else {dx}:
        here = (slice(0, ny - dy), slice(max(0, -step), nx - max(0, step)))
        there = (slice(dy, ny), slice(max(0, step), nx - max(0, -step)))
        total += float((difference[here] * difference[there]).sum())
        count += int((good[here] & good[there]).sum())
    return total / count if count else np.nan


class Transfer(NamedTuple):
    """A photon-transfer curve's law.

    ``gain`` [electron/ADU]; ``a00`` [1/electron], relative change of a pixel's area per electron in it; their errors,
    and the reduced chi-square of the fit (NaN without degrees of freedom).
    """

    gain: float
    gain_error: float
    a00: float
    a00_error: float
    chi2: float


def shot_variance(mean: Numbers, gain: float, a00: float) -> Float64:
    """Shot noise [ADU²] at a mean signal [ADU] of pixels that repel what follows.

    C00 = [exp(2 a00 μ g) - 1] / (2 g² a00): Astier et al. (2019), A&A 629, A36, eq. 16, without read noise.
    """
    argument = 2.0 * a00 * gain * np.asarray(mean, dtype=np.float64)
    factor = np.where(
        np.abs(argument) < 1e-9, 1.0 + 0.5 * argument, np.expm1(argument) / np.where(argument, argument, 1)
    )
    return np.asarray(mean / gain * factor)


def fit_transfer(mean: Numbers, shot: Numbers, relative: Numbers, *, curved: bool) -> Transfer:
    """Gain and a00 from shot noise against mean signal.

    Parameters
    ----------
    mean, shot : (n,) arrays [ADU, ADU²]
    relative : (n,) array
        Relative error of each `shot`.
    curved : bool
        Fit a00; else it is 0, as where all flats have one level.
    """
    start = float(np.median(mean / shot))
    scale = float(np.max(mean) * start)

    def misfit(p: Float64) -> Float64:
        model = shot_variance(mean, start * p[0], p[1] / scale if curved else 0.0)
        return np.asarray((shot / model - 1.0) / relative)

    found = least_squares(misfit, [1.0, 0.0] if curved else [1.0], x_scale="jac")
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    freedom = len(mean) - len(found.x)
    chi2 = 2.0 * float(found.cost) / freedom if freedom > 0 else np.nan
    errors = np.sqrt(np.diag(covariance) * max(chi2, 1.0) if freedom > 0 else np.diag(covariance))
    a00 = (float(found.x[1]) / scale, float(errors[1]) / scale) if curved else (0.0, np.nan)
    return Transfer(start * float(found.x[0]), start * float(errors[0]), *a00, chi2)


def fit_area_change(mean: Numbers, covariance: Numbers, error: Numbers, gain: float, a00: float) -> tuple[float, float]:
    """Relative change [1/electron] of a pixel's area per electron in the pixel at some distance, and its error.

    C = a μ² (1 + 4/3 a00 g μ): Astier et al. (2019), eq. 20 to the next order, where the nearest pixels count alone.
    """
    law = np.asarray(mean, dtype=np.float64) ** 2 * (1.0 + 4.0 / 3.0 * a00 * gain * np.asarray(mean))
    weight = 1.0 / np.asarray(error, dtype=np.float64) ** 2
    norm = float((weight * law * law).sum())
    value = float((weight * law * covariance).sum()) / norm
    misfit = float((weight * (covariance - value * law) ** 2).sum())
    freedom = len(law) - 1
    stretch = max(misfit / freedom, 1.0) if freedom > 0 else 1.0
    return value, float(np.sqrt(stretch / norm))


class Linearity(NamedTuple):
    """How measured signal x follows the light: rate * time = x (1 + c0 x + c1 x² …).

    ``rate`` [ADU/second], ``coefficients`` [1/ADU, 1/ADU² …], their errors, and the relative ``residuals`` of each
    frame's signal after correction.
    """

    rate: float
    coefficients: tuple[float, ...]
    errors: tuple[float, ...]
    residuals: tuple[float, ...]


def fit_linearity(signal: Numbers, seconds: Numbers, degree: int) -> Linearity | None:
    """Coefficients of non-linearity from flats of a steady lamp.

    The scatter of the lamp, which is in proportion to the signal, rules the errors: they are taken from the residuals.
    None where there are too few frames for that, or times that span less than a factor of two.
    """
    x, time = np.asarray(signal, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    if (
        len(x) == 0
        or len(np.unique(time)) < degree + 2
        or len(x) < degree + 3
        or time.max() < 2.0 * time.min()
        or x.min() <= 0.0
    ):
        return None
    top = x.max()
    # Divided by the signal, all rows have the same relative error: 1 = rate T/x - c0 x - c1 x² …
    design = np.column_stack([time / x, *(-((x / top) ** (power + 1)) for power in range(degree))])
    normal = np.linalg.inv(design.T @ design)
    found = normal @ design.T @ np.ones(len(x))
    residuals = 1.0 - design @ found
    scatter = float(residuals @ residuals) / (len(x) - len(found))
    errors = np.sqrt(np.diag(normal) * scatter)
    powers = top ** np.arange(1, degree + 1)
    return Linearity(
        float(found[0]),
        tuple((found[1:] / powers).tolist()),
        tuple((errors[1:] / powers).tolist()),
        tuple(residuals.tolist()),
    )


def linearised(signal: Numbers, coefficients: Sequence[float]) -> tuple[Float64, Float64]:
    """True signal x (1 + c0 x + c1 x² …) [ADU] and its derivative by x."""
    x = np.asarray(signal, dtype=np.float64)
    true, slope = x.copy(), np.ones_like(x)
    for power, coefficient in enumerate(coefficients, 2):
        true += coefficient * x**power
        slope += power * coefficient * x ** (power - 1)
    return true, slope
