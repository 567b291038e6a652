"""Star list against star list: how one frame lies on another where neither has a sky solution.

The same votes and odds as for a sky (`spica.kernels.finding`), in a plane of pixels: the lists may be shifted, turned by any
angle, mirrored, of another scale, with stars that only one of them has.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.asterisms import Complex, Limits
from spica.kernels.finding import Judge, Rung, climb
from spica.kernels.pointing import Reference, fitted
from spica.kernels.tangent import tangent_deproject

Int64 = npt.NDArray[np.int64]

_FIELD = 0.1
"""Degrees that stand for the extent of the lists: a plane so small is flat to 1e-6 of it."""
_ROUNDS = 10
_CLIP = 3.0


class Registered(NamedTuple):
    """A similarity z → turn z + offset (turn z̄ + offset where mirrored) [pixel], and what it rests on.

    one, other : indices of the stars that agree; rms : of their distance, per coordinate [pixel]; matches : before outliers
    were left out; log_false : decimal logarithm of the probability that as many agree by chance; rung : that found it.
    """

    turn: complex
    offset: complex
    mirrored: bool
    one: Int64
    other: Int64
    rms: float
    matches: int
    log_false: float
    rung: str

    def apply(self, places: Complex) -> Complex:
        """Places of the first frame on the second [pixel]."""
        return np.asarray(self.turn * (np.conj(places) if self.mirrored else places) + self.offset)


def registered(
    one: Complex,
    other: Complex,
    *,
    error: float = 1.0,
    shift: float = 0.25,
    scale: float = 1.05,
    confidence: float = 6.0,
) -> Registered | None:
    """Lay one star list over another; None where no similarity is beyond chance.

    Parameters
    ----------
    one, other : (n,), (m,) places x + iy [pixel], brightest first; those that are not finite are left out.
    error : of a place [pixel].
    shift : largest distance of the two middles, as a part of the larger list's extent, that is looked for.
    scale : largest factor between the scales, either way.
    confidence : -log10 of the greatest false-alarm probability.
    """
    ones, others = (np.flatnonzero(np.isfinite(each)) for each in (one, other))
    if min(ones.size, others.size) < _LEAST:
        return None
    middles = [
        0.5 * complex(each.real.min() + each.real.max(), each.imag.min() + each.imag.max())
        for each in (one[ones], other[others])
    ]
    here, there = one[ones] - middles[0], other[others] - middles[1]
    extent = float(max(np.abs(here).max(), np.abs(there).max()))
    unit = _FIELD / extent
    ra, dec = tangent_deproject(unit * there.real, unit * there.imag, 0.0, 0.0)
    limits = Limits(shift * 2.0 * _FIELD, float(np.radians(0.3)), (0.998, 1.002))
    turned = limits._replace(angle=float(np.pi), scale=(1.0 / scale, scale))
    rungs = (
        Rung("shifted", limits, stars=200, coarse=3.0),
        Rung("turned", turned, (False, True), pairs=True, stars=40),
        Rung("turned, deep", turned, (False, True), pairs=True, stars=90),
    )
    judge = Judge(error * unit, confidence, _LEAST)
    end = climb(unit * here, Reference(np.asarray(ra), np.asarray(dec)), (0.0, 0.0), rungs, judge)
    if end.found is None:
        return None
    found = end.found
    mirrored = found.alignment.mirrored
    pairs = ones[found.stars], others[found.reference]
    keep, turn, offset, away = _robust(one[pairs[0]], other[pairs[1]], mirrored=mirrored)
    rms = float(np.sqrt(np.mean(away[keep] ** 2) / 2.0))
    kept = pairs[0][keep], pairs[1][keep]
    return Registered(turn, offset, mirrored, *kept, rms, pairs[0].size, found.log_false, end.rung)


_LEAST = 5
"""Stars that have to agree."""


def _robust(
    one: Complex, other: Complex, *, mirrored: bool
) -> tuple[npt.NDArray[np.bool_], complex, complex, npt.NDArray[np.float64]]:
    keep = np.ones(one.size, bool)
    for _ in range(_ROUNDS):
        along, across, offset = fitted(one[keep], other[keep], mirrored=mirrored, stretched=False)
        away = np.abs(along * one + across * np.conj(one) + offset - other)
        # The median of a Rayleigh distribution is 1.18 of its sigma.
        new = away <= _CLIP * max(float(np.median(away[keep])) / 1.18 * 1.2, 1e-9)
        if new.sum() < _LEAST or np.array_equal(new, keep):
            break
        keep = new
    return keep, across if mirrored else along, offset, away
