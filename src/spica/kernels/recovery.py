"""How many of the sources that are there are found, by their magnitude: a curve through counts, and its limits.

A source is found where its signal-to-noise, whose error is 1, exceeds a threshold t. Of sources of magnitude m it has the mean
t 10^(-0.4 (m - m50)); so the part that is found is c Φ(κ (10^(-0.4 (m - m50)) - 1)) with κ near t, and c what is lost whatever
its brightness, beside and upon others.
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Bools, Float64

_START = (0.97, 5.0)
_STEP = 1e-4
_FEWEST = 30


class Recovery(NamedTuple):
    """The curve of largest likelihood: limit m50 of half of what is found at all, steepness κ, plateau c; covariance of the three."""

    middle: float
    steepness: float
    plateau: float
    covariance: Float64

    def fraction(self, magnitude: Float64) -> Float64:
        """Part of the sources of these magnitudes that is found."""
        return _curve(np.array([self.middle, np.log(self.steepness), _odds(self.plateau)]), magnitude)

    def limit(self, part: float) -> tuple[float, float]:
        """Magnitude at which this part of all sources is found, and its standard error; NaN where it never is."""
        at = np.array([self.middle, np.log(self.steepness), _odds(self.plateau)])
        here = _limit(at, part)
        slopes = np.array(
            [(_limit(at + step, part) - _limit(at - step, part)) / (2 * _STEP) for step in _STEP * np.eye(3)]
        )
        return here, float(np.sqrt(max(slopes @ self.covariance @ slopes, 0.0)))


def _odds(part: float) -> float:
    return float(np.log(part / (1.0 - part)))


def _curve(at: Float64, magnitude: Float64) -> Float64:
    from scipy.special import expit, ndtr

    bright = 10.0 ** (-0.4 * (magnitude - at[0]))
    return np.asarray(expit(at[2]) * ndtr(np.exp(at[1]) * (bright - 1.0)))


def _limit(at: Float64, part: float) -> float:
    from scipy.special import expit, ndtri

    share = part / expit(at[2])
    if share >= 1.0:
        return float("nan")
    bright = 1.0 + ndtri(share) / np.exp(at[1])
    return float(at[0] - 2.5 * np.log10(bright)) if bright > 0.0 else float("nan")


def recovery(magnitude: Float64, found: Bools) -> Recovery | None:
    """Fit the curve to sources of known magnitude, found or not; None where there are too few of either kind.

    The likelihood is that of each source by itself (no bins); the covariance is the inverse of its curvature.
    """
    from scipy.optimize import minimize

    hits, number = int(np.count_nonzero(found)), found.size
    if min(hits, number - hits) < _FEWEST:
        return None

    def loss(at: Float64) -> float:
        chance = np.clip(_curve(at, magnitude), 1e-6, 1.0 - 1e-6)
        # A plateau of 1 is not forbidden, but it lies at infinity: a whisper of a prior, one source more found and one lost.
        share = 1.0 / (1.0 + np.exp(-at[2]))
        prior = np.log(max(share, 1e-12)) + 0.2 * np.log(max(1.0 - share, 1e-12))
        return -float(np.sum(np.log(np.where(found, chance, 1.0 - chance))) + prior)

    order = np.sort(magnitude)
    start = order[min(hits, number - 1)]
    best = minimize(loss, [start, np.log(_START[1]), _odds(_START[0])], method="Nelder-Mead", options={"maxiter": 2000})
    at = np.asarray(best.x)
    scale = np.array([0.01, 0.02, 0.1])
    curvature = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            a, b = scale[i] * np.eye(3)[i], scale[j] * np.eye(3)[j]
            mixed = loss(at + a + b) - loss(at + a - b) - loss(at - a + b) + loss(at - a - b)
            curvature[i, j] = mixed / (4.0 * scale[i] * scale[j])
    covariance = np.asarray(np.linalg.pinv(0.5 * (curvature + curvature.T)), np.float64)
    return Recovery(float(at[0]), float(np.exp(at[1])), float(1.0 / (1.0 + np.exp(-at[2]))), covariance)


def wilson(hits: Float64, number: Float64) -> tuple[Float64, Float64]:
    """Bounds of a fraction at one standard deviation (Wilson 1927, JASA 22, 209); 0 and 1 of none."""
    n = np.maximum(number, 1.0)
    part = hits / n
    middle, half = (part + 0.5 / n) / (1.0 + 1.0 / n), np.sqrt(part * (1.0 - part) / n + 0.25 / n**2) / (1.0 + 1.0 / n)
    return np.where(number > 0, middle - half, 0.0), np.where(number > 0, middle + half, 1.0)
