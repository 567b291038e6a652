"""Robust judgement of the members of groups: each against the mean of the others.

A member that pulls its group's mean towards itself hides its error there; against the others alone it cannot.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float64, Int64

Values = npt.NDArray[Any]

_TUKEY = 6.0
_ALONE = 1e-9
_SETTLED = 0.02
LEAST_FOR_FLOOR = 40


class Members(NamedTuple):
    """Some members of groups: group, weight (inverse variance times factor), value (real, or complex for places)."""

    group: Int64
    weight: Float64
    value: Values


def group_means(count: int, parts: Sequence[Members]) -> tuple[Float64, Values]:
    """Total weight and weighted mean of each of `count` groups; 0 and 0 where nothing counts."""
    total = np.zeros(count)
    real, imag = np.zeros(count), np.zeros(count)
    whole = any(np.iscomplexobj(part.value) for part in parts)
    for group, weight, value in parts:
        total += np.bincount(group, weight, count)
        real += np.bincount(group, weight * value.real, count)
        if whole:
            imag += np.bincount(group, weight * value.imag, count)
    safe = np.where(total > 0.0, total, 1.0)
    return total, (real + 1j * imag) / safe if whole else real / safe


def pulls(count: int, parts: Sequence[tuple[Members, Float64]]) -> list[tuple[Float64, Float64]]:
    """Judge members of `count` groups, each against the mean of the others.

    Parameters
    ----------
    parts : members, and the variance of each.

    Returns
    -------
    list
        For each part the distances from the mean of the others over their standard deviations, and the squares of these.
        Where none of the others counts, they are taken as if all did: two that disagree stay out both. The distance is 0
        where there are no others.
    """
    total, mean = group_means(count, [members for members, _ in parts])
    bare = [Members(members.group, 1.0 / variance, members.value) for members, variance in parts]
    full, plain = group_means(count, bare)
    found = []
    for (members, variance), raw in zip(parts, bare, strict=True):
        others, rest = _without(members, total, mean)
        lost = others <= _ALONE * full[members.group]
        fallback, plain_rest = _without(raw, full, plain)
        others, rest = np.where(lost, fallback, others), np.where(lost, plain_rest, rest)
        alone = others <= _ALONE * full[members.group]
        spread = variance + 1.0 / np.where(alone, 1.0, others)
        found.append((np.where(alone, 0.0, np.abs(members.value - rest) / np.sqrt(spread)), spread))
    return found


def _without(members: Members, total: Float64, mean: Values) -> tuple[Float64, Values]:
    """Weight and mean of the others of each member's group."""
    whole = total[members.group]
    others = whole - members.weight
    safe = np.where(others > 0.0, others, 1.0)
    return others, (whole * mean[members.group] - members.weight * members.value) / safe


def factors(pull: Float64, scale: Float64 | float, stage: str, clip: float, before: Float64) -> Float64:
    """What part of its weight each member keeps: 'all' of it, by Tukey's biweight ('robust'), or all or none ('clip').

    `before` are the last ones: what was cut off comes back only from well within, so that nothing goes to and fro.
    """
    if stage == "all":
        return np.ones(pull.size)
    if stage == "clip":
        return np.asarray(pull < clip * scale * np.where(before > 0.0, 1.0, 0.85), np.float64)
    return np.asarray(np.clip(1.0 - (pull / (_TUKEY * scale)) ** 2, 0.0, None) ** 2)


def robust_scale(pull: Float64, normal: float) -> float:
    """Width of pulls from their median, 1 at least; `normal` is the median that pulls of unit width have."""
    some = pull[pull > 0.0]
    return max(float(np.median(some)) / normal, 1.0) if some.size else 1.0


def raised_floor(pull: Values, spread: Values, gain: Values, floor: float, normal: float) -> tuple[float, bool]:
    """The term that errors lack, added in squares, for the most precise eighth to scatter as it should.

    Parameters
    ----------
    pull, spread : as `pulls` gives them, of members that count.
    gain : by how much a floor's square enlarges the spread of each, in units of the spread: 1 for all of it.
    floor : the term so far.

    Returns
    -------
    The term, and whether it is settled; noise does not raise it.
    """
    if pull.size < LEAST_FOR_FLOOR:
        return floor, True
    best = np.argsort(spread, kind="stable")[: max(pull.size // 8, LEAST_FOR_FLOOR)]
    excess = (float(np.median(pull[best])) / normal) ** 2 - 1.0
    # The relative error of a squared median of n pulls is some 2.4 / √n, of places 1.5 / √n.
    if floor == 0.0 and excess < 5.0 / np.sqrt(best.size):
        return 0.0, True
    wanted = floor**2 + excess * float(np.median(spread[best] * gain[best]))
    return float(np.sqrt(max(wanted, 0.0))), bool(abs(excess) < _SETTLED or (wanted <= 0.0 and floor == 0.0))
