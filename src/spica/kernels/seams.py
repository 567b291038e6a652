"""Relative response of amplifiers from the sky that is the same on both sides of the seams between them."""

import itertools
from collections.abc import Sequence

import numpy as np

from spica.kernels.compiled import Float64
from spica.kernels.detrend import Box, Planes
from spica.kernels.robust import MAD_TO_SIGMA

WIDTH = 8
"""Pixels on each side of a seam that are compared."""
LEAST = 32
"""A shorter seam says too little."""


def seam_step(planes: Planes, one: Box, other: Box, bad_bits: int) -> tuple[float, float]:
    """Step of light from one section to its neighbour, relative to their mean, and its standard error.

    Returns
    -------
    step, error
        Of the medians along the seam; (0, infinite) where the sections share no seam of 32 pixels, or where no sky is
        to be seen there.
    """
    pair = _strips(planes, one, other, bad_bits)
    if pair is None:
        return 0.0, np.inf
    known = np.isfinite(pair).all(axis=0)
    near, far = pair[:, known]
    middle = 0.5 * (np.median(near) + np.median(far)) if near.size >= LEAST else 0.0
    if not middle > 0:
        return 0.0, np.inf
    off = (far - near) / middle
    step = float(np.median(off))
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(off - step)))
    return step, max(1.2533 * scatter / np.sqrt(off.size), 1e-6)


def _strips(planes: Planes, one: Box, other: Box, bad_bits: int) -> Float64 | None:
    """Median across each side of the seam at every place along it, (2, n); None where there is no seam."""
    y0, y1 = max(one.y0, other.y0), min(one.y1, other.y1)
    x0, x1 = max(one.x0, other.x0), min(one.x1, other.x1)
    if x0 == x1 and y1 - y0 >= LEAST:
        sides, axis = (np.s_[y0:y1, x0 - WIDTH : x0], np.s_[y0:y1, x0 : x0 + WIDTH]), 1
    elif y0 == y1 and x1 - x0 >= LEAST:
        sides, axis = (np.s_[y0 - WIDTH : y0, x0:x1], np.s_[y0 : y0 + WIDTH, x0:x1]), 0
    else:
        return None
    found = np.full((2, y1 - y0 if axis else x1 - x0), np.nan)
    for n, side in enumerate(sides):
        good = planes.mask[side] & bad_bits == 0
        # A place where half of the pixels are lost takes no part.
        enough = good.sum(axis=axis) > WIDTH // 2
        light = np.where(good, planes.science[side], np.float32(np.nan))
        strip = light if axis else light.T
        found[n, enough] = np.nanmedian(strip[enough], axis=1)
    first_is_one = (one.x0 < other.x0) if axis else (one.y0 < other.y0)
    return found if first_is_one else found[::-1]


def seam_factors(planes: Planes, places: Sequence[Box], bad_bits: int, most: float = 0.1) -> Float64:
    """Factors that make the sky go on across the seams: weighted least squares of all steps, 1 in the mean.

    Parameters
    ----------
    planes : Planes
        The assembled detector.
    places : sections of the amplifiers.
    bad_bits : int
        Pixels with these bits take no part.
    most : float
        Steps larger than this are no gains that were a little off; they are left alone.

    Returns
    -------
    (n,) float64
        1 for amplifiers that no seam joins to another.
    """
    if len(places) < 2:
        return np.ones(len(places))
    rows, right = [np.ones(len(places))], [0.0]
    for a, b in itertools.combinations(range(len(places)), 2):
        step, error = seam_step(planes, places[a], places[b], bad_bits)
        if np.isfinite(error) and abs(step) < most:
            row = np.zeros(len(places))
            row[a], row[b] = -1.0 / error, 1.0 / error
            rows.append(row)
            right.append(-step / error)
    # Of all solutions the smallest: what no seam joins stays as it is.
    found, *_ = np.linalg.lstsq(np.array(rows), np.array(right), rcond=1e-9)
    return np.exp(np.asarray(found, np.float64))


def match_places(planes: Planes, places: Sequence[Box], bad_bits: int) -> Float64:
    """Scale sections in place, with their variance, so that the sky goes on across their seams; returns the factors."""
    factors = seam_factors(planes, places, bad_bits)
    for place, factor in zip(places, factors, strict=True):
        if factor != 1.0:
            inside = np.s_[place.y0 : place.y1, place.x0 : place.x1]
            planes.science[inside] *= np.float32(factor)
            planes.variance[inside] *= np.float32(factor**2)
    return factors
