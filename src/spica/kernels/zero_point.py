"""Zero points of the detectors of one exposure against reference magnitudes.

The difference of a star's reference magnitude and its measured one is its detector's zero point, a colour term, a polynomial
over the detector, and noise: that of both magnitudes, and a scatter of its own which the two systems have against each other
(passbands, variable stars) and which is fitted with the rest by maximum likelihood.
"""

from dataclasses import dataclass

import numpy as np

from spica.kernels.compiled import Bools, Float64, Int64
from spica.kernels.focal_model import pixel_basis
from spica.kernels.leave_out import factors, robust_scale

_NORMAL = 0.674490
_STEPS = 40
_OPEN = 1.0
"""What is not known of a colour or spatial term before [mag]."""


@dataclass(frozen=True)
class Pairs:
    """Stars that are in both lists.

    Attributes
    ----------
    detector : (n,) int64, from 0.
    x, y : (n,) [pixel]; `size` (detectors, 2) of the detectors.
    mag, sigma : measured, of zero point 0.
    known, known_sigma : of the reference.
    colour : minus that of the zero point's star; 0 where there is no colour term.
    """

    detector: Int64
    x: Float64
    y: Float64
    size: Float64
    mag: Float64
    sigma: Float64
    known: Float64
    known_sigma: Float64
    colour: Float64


@dataclass(frozen=True)
class ZeroPoints:
    """What came out.

    Attributes
    ----------
    zero, error : (detectors,) [mag]; NaN for a detector without stars.
    used : (n,) which pairs count; `count` (detectors,) how many.
    colour, colour_error : of the colour term.
    flat : (terms,) of the polynomial over a detector without its constant [mag].
    scatter : of the systems against each other [mag].
    slope, slope_error : of reference against calibrated magnitudes: 1 where fluxes are linear.
    residual : (n,) reference minus calibrated magnitude.
    """

    zero: Float64
    error: Float64
    used: Bools
    count: Int64
    colour: float
    colour_error: float
    flat: Float64
    scatter: float
    slope: float
    slope_error: float
    residual: Float64


def fit_zero_points(
    pairs: Pairs, *, colour: bool = False, degree: int = 0, clip: float = 4.0, scatter: float = 0.02
) -> ZeroPoints:
    """Fit all detectors of an exposure; of less than two pairs nothing can be said and all is NaN but the counts.

    `scatter` is what the systems are expected to differ by [mag]; it holds where there are too few pairs to measure it.
    """
    detectors = len(pairs.size)
    design = _design(pairs, colour, degree)
    wanted = pairs.known - pairs.mag
    noise = pairs.sigma**2 + pairs.known_sigma**2
    keep = np.ones(wanted.size)
    found, covariance = np.zeros(design.shape[1]), np.zeros((design.shape[1],) * 2)
    middle = np.median(wanted) if wanted.size else 0.0
    residual = wanted - _medians(wanted, pairs.detector, detectors)[pairs.detector]
    for step in range(_STEPS):
        spread = np.sqrt(noise + scatter**2)
        pull = np.abs(residual) / spread
        stage = "robust" if step < _STEPS // 2 else "clip"
        before, keep = keep, factors(pull, robust_scale(pull, _NORMAL), stage, clip, keep)
        found, covariance = _solve(design, wanted - middle, keep / spread**2, detectors)
        old, residual = residual, wanted - middle - design @ found
        if stage == "robust":
            # What is wrong must not pass for scatter: its width is that of the middle half.
            wide = (np.median(np.abs(residual)) / _NORMAL) ** 2 - np.median(noise) if residual.size else 0.0
            scatter = float(np.sqrt(max(wide, 1e-6)))
        else:
            scatter = _scatter(residual[keep > 0.0], noise[keep > 0.0], scatter)
        if step > _STEPS // 2 and np.array_equal(before, keep) and np.abs(old - residual).max(initial=0.0) < 1e-6:
            break
    used = keep > 0.0
    count = np.bincount(pairs.detector[used], minlength=detectors)
    error = np.sqrt(np.diag(covariance))
    some = count > 0
    slope, slope_error = _slope(pairs.known, residual, noise + scatter**2, used)
    hue = (float(found[-1]), float(error[-1])) if colour else (0.0, 0.0)
    return ZeroPoints(
        zero=np.where(some, found[:detectors] + middle, np.nan),
        error=np.where(some, error[:detectors], np.nan),
        used=used,
        count=count,
        colour=hue[0],
        colour_error=hue[1],
        flat=found[detectors : design.shape[1] - int(colour)],
        scatter=scatter,
        slope=slope,
        slope_error=slope_error,
        residual=residual,
    )


def _design(pairs: Pairs, colour: bool, degree: int) -> Float64:
    """Columns: detectors, spatial terms, colour."""
    own = np.zeros((pairs.mag.size, len(pairs.size)))
    own[np.arange(pairs.mag.size), pairs.detector] = 1.0
    flat = pixel_basis(pairs.x, pairs.y, pairs.size[pairs.detector], degree)[:, 1:]
    return np.concatenate([own, flat, *([pairs.colour[:, None]] if colour else [])], axis=1)


def _medians(values: Float64, detector: Int64, detectors: int) -> Float64:
    """Of each detector; 0 without values."""
    return np.array([np.median(values[detector == k]) if np.any(detector == k) else 0.0 for k in range(detectors)])


def _solve(design: Float64, wanted: Float64, weight: Float64, detectors: int) -> tuple[Float64, Float64]:
    normal = design.T @ (weight[:, None] * design)
    normal[np.diag_indices(len(normal))] += np.where(np.arange(len(normal)) < detectors, 1e-6, 1.0 / _OPEN**2)
    covariance: Float64 = np.asarray(np.linalg.inv(normal), np.float64)
    return covariance @ (design.T @ (weight * wanted)), covariance


def _scatter(residual: Float64, noise: Float64, start: float) -> float:
    """The scatter beyond the noise at which the likelihood is highest, by its fixed point."""
    if residual.size < 5:
        return start
    extra = max(start, 1e-4) ** 2
    for _ in range(20):
        weight = 1.0 / (noise + extra) ** 2
        extra = max(float(weight @ (residual**2 - noise) / weight.sum()), 0.0)
    return float(np.sqrt(extra))


def _slope(known: Float64, residual: Float64, variance: Float64, used: Bools) -> tuple[float, float]:
    """Slope of reference against calibrated magnitudes."""
    if np.count_nonzero(used) < 5:
        return 1.0, float("inf")
    weight = used / variance
    away = known - weight @ known / weight.sum()
    power = float(weight @ away**2)
    if power <= 0.0:
        return 1.0, float("inf")
    return 1.0 + float(weight @ (away * residual)) / power, power**-0.5
