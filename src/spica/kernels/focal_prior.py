"""How far a detector's bending is held to the focal plane it started from, where its own stars do not tell it.

A polynomial of degree 3 has 10 terms, and a dozen stars in a corner of a detector fix most of them to nothing: such a detector would
bend as its noise does. How much detectors of a camera bend beyond the first focal plane, its neighbours tell (an empirical Bayes
estimate, Efron & Morris 1973, JASA 68, 117); a detector that tells less than that is held by it. One that has stars everywhere
has far smaller errors than this, and does not feel it.
"""

import numpy as np

from spica.kernels.compiled import Bools, Float64, Int64
from spica.kernels.focal_model import Mosaic, Terms, place
from spica.kernels.reduced import Solved

MAS = 3.6e6
LARGEST = (1e-2, 5e-3, 2e-3)
"""Departures of the first, second and of higher degrees, rms over a detector in units of its longer side: what no camera's exceed."""
USUAL = 0.2
"""Part of these that is granted where neither neighbours nor the detector's own stars tell."""
_LEAST = 1.0
"""Bending that is always granted, rms [mas]."""
_UNLIKE = 2.0
"""Detectors at the rim bend more than most: so many times as far as those that tell is a detector let go."""
_SURE = 3.0
"""Standard deviations."""
_NEIGHBOURS = 4
"""Detectors that are needed to tell how much they bend."""


def degrees_of(degree: int) -> tuple[Int64, Float64]:
    """Degree of each term of a detector, and its mean square over the detector (Legendre products)."""
    powers = [(p, total - p) for total in range(degree + 1) for p in range(total + 1)]
    square = np.array([1.0 / ((2 * p + 1) * (2 * q + 1)) for p, q in powers])
    return np.array([p + q for p, q in powers]), square


def weights_of(mosaic: Mosaic, prior: tuple[float, ...], held: Float64 | None) -> Float64:
    """Inverse variances (sensors * terms) [1/degree²] of the detectors' terms about where they start.

    Parameters
    ----------
    prior : how far terms may be off, by degree, the last for all higher ones [mas].
    held : (sensors, terms) what `held_terms` found [mas].
    """
    degree, _ = degrees_of(mosaic.degree)
    known = np.array([prior[min(total, len(prior) - 1)] for total in degree])
    sigma = np.tile(known, (mosaic.context.size, 1))
    sigma = sigma if held is None else np.minimum(sigma, held)
    return np.asarray((MAS / sigma.ravel()) ** 2)


def held_terms(mosaic: Mosaic, start: Terms, terms: Terms, solved: Solved, stretch: float) -> Float64 | None:
    """How far the terms of each detector may be from their start [mas]; None where the stars of all detectors tell enough.

    Parameters
    ----------
    start, terms, solved : where a solution with wide priors began and ended, and its covariances.
    stretch : factor of its errors, from chi2.
    """
    degree, square = degrees_of(mosaic.degree)
    moved = 0.5 * np.abs(terms.detectors - start.detectors) ** 2 * square * MAS**2
    error = np.diag(solved.inverse).real.reshape(moved.shape) * square * (MAS * stretch) ** 2
    side = _sides(start)
    held = np.full(moved.shape, np.inf)
    poor = np.zeros(mosaic.context.size, bool)
    for total in range(1, mosaic.degree + 1):
        block = degree == total
        bent, unsure = moved[:, block].sum(axis=1), error[:, block].sum(axis=1)
        for context in np.unique(mosaic.context):
            mine = mosaic.context == context
            most = LARGEST[min(total, len(LARGEST)) - 1] * side[mine]
            width = np.minimum(_told(bent[mine], unsure[mine], most), most)
            poor[mine] |= np.sqrt(unsure[mine]) > width
            # One whose stars are sure that it departs is left to them: it may have started wrong.
            width = np.where(bent[mine] > _SURE**2 * unsure[mine], np.inf, width)
            # The same for all terms of a degree.
            held[np.ix_(mine, block)] = (width / np.sqrt(square[block].sum()))[:, None]
    return held if np.any(poor) else None


def stretches(mosaic: Mosaic, start: Terms, terms: Terms) -> Float64:
    """By how much the scale of each image (m,) departs from that of the first focal plane, in whatever direction and place, at most.

    0.01 for a pixel that is somewhere 1 % larger or smaller one way. Turns count for none.
    """
    image = np.arange(mosaic.exposure.size)
    worst = np.zeros(image.size)
    for u, v in ((a, b) for a in (0.1, 0.5, 0.9) for b in (0.1, 0.5, 0.9)):
        before, after = (_slopes(mosaic, each, image, (u, v)) for each in (start, terms))
        change = after @ np.linalg.inv(before)
        worst = np.maximum(worst, np.abs(np.linalg.svd(change, compute_uv=False) - 1.0).max(axis=1))
    return worst


def _slopes(mosaic: Mosaic, terms: Terms, image: Int64, where: tuple[float, float]) -> Float64:
    """Derivatives (m, 2, 2) of places in the exposures' planes by pixels, at a place within each image."""
    x, y = (part * (mosaic.size[:, k] - 1.0) for k, part in enumerate(where))
    columns = []
    for dx, dy in ((1.0, 0.0), (0.0, 1.0)):
        one, two = (place(mosaic, terms, image, x + sign * dx, y + sign * dy).plane for sign in (0.5, -0.5))
        columns.append(np.stack([(one - two).real, (one - two).imag], axis=1))
    return np.stack(columns, axis=2)


def _told(bent: Float64, unsure: Float64, most: Float64) -> float:
    """Departure in a degree by the detectors that know theirs best [mas]; a usual one where they are too few and none is sure."""
    if bent.size < _NEIGHBOURS:
        return float(np.sqrt(max(np.mean(bent) - 2.0 * np.mean(unsure), np.mean(USUAL * most) ** 2)))
    best: Bools = unsure <= np.median(unsure)
    bend, noise = float(np.mean(bent[best])), float(np.mean(unsure[best]))
    spread = max(bend - noise, 0.25 * bend, _LEAST**2)
    return float(_UNLIKE * np.sqrt(spread))


def _sides(start: Terms) -> Float64:
    """Longer side of each detector [mas]."""
    # Of Legendre terms of degree 1: half a side each.
    return np.asarray(2.0 * MAS * np.abs(start.detectors[:, 1:3]).max(axis=1))
