"""How likely it is that a source is a star: from how extended it looks, its error and its brightness, among its kind.

Stars and galaxies of one frame are told apart by a mixture that is fitted to them: stars look pointlike but for noise,
and for neighbours unseen that make some of them look a little extended; the extents of galaxies are spread in a
logarithmic bell that shifts with brightness; and the part of stars changes with brightness.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import erfc, erfcx, expit

from spica.kernels.compiled import Bools, Float64

_NAMES = (
    "offset",
    "drift",
    "noise",
    "floor",
    "blended",
    "blend",
    "extent",
    "growth",
    "width",
    "stars",
    "slope",
    "curve",
)
"""Of both: offset, and what of it grows with the square of the error; of stars: factor of the errors, scatter that does not fall with S/N, part that is blended, mean of what that
adds; of galaxies: extent at S/N 30, its slope with log10 S/N, width of its logarithm; logit of the part of stars at S/N
30, its slope with log10 S/N and curvature. Lengths in units of `_UNIT`, those below in logarithms."""
_UNIT = 1e-3
_TYPICAL = np.array([0.0, -0.06, 0.0, -1.8, -1.0, 0.3, 2.0, 0.7, -0.7, -0.3, 0.2, 0.0])
_FREEDOM = np.array([0.5, 0.04, 0.15, 0.7, 0.5, 0.7, 0.8, 0.5, 0.4, 1.0, 0.7, 0.4])
"""What simulated frames of many seeings and depths have, and by how much one may differ: a bell each."""
_MIDDLE = 1.5
_NODES = np.linspace(-2.4, 2.4, 9)
_SHARES = np.exp(-0.5 * _NODES**2) / np.sum(np.exp(-0.5 * _NODES**2))
_STRAY = 0.01
"""Part of both kinds that may look like anything."""
_RANGE = 0.1
_ENOUGH = 1000
"""Sources that tell the mixture."""
_FAINTEST = 5.0
_STEPS, _NUDGE, _FARTHEST, _GAIN = 12, 1e-3, 5.0, 0.05
"""Of the search: steps at most; in units of the bells, for slopes, and the farthest; the gain in log-likelihood that ends it."""


class Classes(NamedTuple):
    """Probability of being a star (n,), NaN where unknown, and the mixture's parameters by name."""

    star: Float64
    mixture: dict[str, float]


def star_probability(spread: Float64, error: Float64, snr: Float64, good: Bools | None = None) -> Classes:
    """Fit the mixture to the sources of a frame, and say of each how likely it is a star.

    Parameters
    ----------
    spread, error : (n,) float64
        SPREAD_MODEL and its standard error.
    snr : (n,) float64
        Signal-to-noise of the flux.
    good : (n,) bool, optional
        Sources that may teach: whole, unblemished.

    Returns
    -------
    Classes
        With few sources the mixture is the typical one, and more and more the frame's own as there are more.
    """
    known = np.isfinite(spread) & (error > 0.0) & np.isfinite(error) & (snr > 0.0)
    teaches = known & (snr > _FAINTEST) & (np.abs(spread) < 0.5 * _RANGE)
    if good is not None:
        teaches &= good
    rows = np.flatnonzero(teaches)
    rows = rows[:: max(rows.size // _ENOUGH, 1)]
    found = _fitted(spread[rows], error[rows], np.log10(snr[rows]) - _MIDDLE)
    star = np.full(spread.shape, np.nan)
    point, wide = _densities(found, spread[known], error[known], np.log10(snr[known]) - _MIDDLE)
    star[known] = point / (point + wide)
    plain = {name: float(value) for name, value in zip(_NAMES, found, strict=True)}
    return Classes(star, plain)


def _fitted(spread: Float64, error: Float64, bright: Float64) -> Float64:
    """The most probable parameters: steps by the scatter of the sources' slopes (Berndt et al. 1974), halved as needed."""

    def logarithms(steps: Float64) -> Float64:
        point, wide = _densities(_TYPICAL + _FREEDOM * steps, spread, error, bright)
        return np.log(point + wide)

    at = np.zeros(_TYPICAL.size)
    here = logarithms(at)
    for _ in range(_STEPS):
        slopes = np.stack([(logarithms(at + nudge) - here) / _NUDGE for nudge in _NUDGE * np.eye(at.size)])
        step = np.linalg.solve(slopes @ slopes.T + np.eye(at.size), slopes.sum(axis=1) - at)
        best = np.sum(here) - 0.5 * at @ at
        for part in (1.0, 0.5, 0.25, 0.1):
            trial = np.clip(at + part * step, -_FARTHEST, _FARTHEST)
            there = logarithms(trial)
            gain = np.sum(there) - 0.5 * trial @ trial - best
            if gain > 0.0:
                at, here = trial, there
                break
        if gain < _GAIN:
            break
    return np.asarray(_TYPICAL + _FREEDOM * at)


def _densities(theta: Float64, spread: Float64, error: Float64, bright: Float64) -> tuple[Float64, Float64]:
    """Density of stars, and of galaxies, at each source's spread, each times its part."""
    offset, drift, noise, floor, blended, blend, extent, growth, width, stars, slope, curve = theta
    noisy = (error / _UNIT) ** 2
    s = spread / _UNIT - offset - drift * noisy
    variance = np.exp(2.0 * noise) * noisy + np.exp(2.0 * floor)
    part = expit(blended)
    point = (1.0 - part) * _bell(s, variance) + part * _trailing_bell(s, variance, np.exp(blend))
    middle = np.exp(extent + growth * bright)[:, None] * np.exp(np.exp(width) * _NODES)
    # Each node stands for the bell between its neighbours.
    own = (0.7 * (_NODES[1] - _NODES[0]) * np.exp(width) * middle) ** 2
    wide = _bell(s[:, None] - middle, variance[:, None] + own) @ _SHARES
    stray = _STRAY * _UNIT / _RANGE
    fraction = expit(stars + slope * bright + curve * bright**2)
    return fraction * ((1.0 - _STRAY) * point + stray), (1.0 - fraction) * ((1.0 - _STRAY) * wide + stray)


def _bell(x: Float64, variance: Float64) -> Float64:
    return np.asarray(np.exp(-0.5 * x * x / variance) / np.sqrt(2.0 * np.pi * variance))


def _trailing_bell(x: Float64, variance: Float64, scale: float) -> Float64:
    """A Gaussian convolved with an exponential tail towards larger values."""
    at = (variance / scale - x) / np.sqrt(2.0 * variance)
    near = np.exp(-0.5 * x * x / variance) * erfcx(np.maximum(at, -5.0))
    far = np.exp(np.minimum(0.5 * variance / scale**2 - x / scale, 50.0)) * erfc(np.minimum(at, -5.0))
    return np.asarray(np.where(at > -5.0, near, far) / (2.0 * scale))
