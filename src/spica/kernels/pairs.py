"""Which sources lie near which places."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from spica.kernels.compiled import Int64


def pairs_within(
    places: tuple[npt.ArrayLike, npt.ArrayLike], others: tuple[npt.ArrayLike, npt.ArrayLike], radius: float
) -> tuple[Int64, Int64]:
    """All pairs that are no farther apart than `radius`: rows of `places`, ascending, and rows of `others`, ascending for each.

    Places that are not finite have no pairs.
    """
    here, there = (np.stack([np.asarray(axis, float) for axis in each], axis=-1) for each in (places, others))
    mine, theirs = (np.flatnonzero(np.isfinite(each).all(axis=1)) for each in (here, there))
    if mine.size == 0 or theirs.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    found = cKDTree(there[theirs]).query_ball_point(here[mine], radius, return_sorted=True)
    count = [len(each) for each in found]
    if sum(count) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.repeat(mine, count), theirs[np.concatenate([np.asarray(each, np.int64) for each in found])]
