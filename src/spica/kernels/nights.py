"""Which exposures of a night were taken through a clear sky, from their zero points alone."""

import numpy as np

from spica.kernels.compiled import Bools, Float64, Int64

_MOST_PAIRS = 20_000
_LARGEST_EXTINCTION = 1.5
"""Magnitudes per airmass."""
_LEAST = 3
"""Exposures that have to agree."""


def photometric_nights(
    night: Int64, airmass: Float64, nights: Float64, own: Float64, width: float
) -> tuple[Float64, Float64, Bools]:
    """Divide zero points anew into those of the nights and what each exposure departs from its own.

    Of all lines through two exposures of a night, zero point against airmass, that one is its own which most exposures
    lie within `width` [mag] of; among equals the brightest, for clouds only dim. Exposures off it are clouded, and all are
    where fewer than three agree.

    Returns
    -------
    Zero points and extinctions (nights, 2), departures (exposures,), clouded (exposures,).
    """
    out, rest, clouded = nights.copy(), own.copy(), night < 0
    for number in range(len(nights)):
        members = np.flatnonzero(night == number)
        depth = airmass[members] - 1.0
        zero = own[members] + nights[number, 0] - nights[number, 1] * depth
        first, second = np.triu_indices(members.size, 1)
        step = max(first.size // _MOST_PAIRS, 1)
        first, second = first[::step], second[::step]
        apart = depth[second] - depth[first]
        apart = np.where(np.abs(apart) < 0.02, np.inf, apart)
        slope = np.clip((zero[first] - zero[second]) / apart, 0.0, _LARGEST_EXTINCTION)
        level = 0.5 * (zero[first] + zero[second] + slope * (depth[first] + depth[second]))
        agree = np.zeros(first.size, np.int64)
        for place in range(members.size):
            agree += np.abs(zero[place] - level + slope * depth[place]) < width
        best = np.lexsort((level, agree))[-1] if agree.size else -1
        if best < 0 or agree[best] < _LEAST:
            clouded[members] = True
            continue
        out[number] = level[best], slope[best]
        rest[members] = zero - level[best] + slope[best] * depth
        clouded[members] = np.abs(rest[members]) >= width
    return out, rest, clouded


def on_their_night(loose: Int64, night: Int64, own: Float64, clouded: Bools, width: float) -> tuple[Float64, Bools]:
    """Departures of exposures that nothing but their night ties: the clearest of each island and night lie on it.

    Parameters
    ----------
    loose : number of the island of each exposure, -1 for those that standards tie.

    Returns
    -------
    Departures (exposures,), clouded (exposures,).
    """
    out, dim = own.copy(), clouded.copy()
    for island in np.unique(loose[loose >= 0]):
        members = np.flatnonzero((loose == island) & (night >= 0))
        if members.size:
            # One shift for the island: what its exposures differ by is known from the sources that they share.
            out[members] = own[members] - own[members].max()
            dim[members] = out[members] <= -width
    return out, dim
