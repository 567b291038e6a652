"""An exposure whose header does not help: sighted by the shapes of asterisms, then placed by reference stars as any other.

Where a reference catalogue has stars at the place that was sighted, they decide; else those of the index itself do, and it is
told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from spica.kernels.asterisms import Limits
from spica.kernels.bending import transferred
from spica.kernels.blind import Sighted, sight, stars_about
from spica.kernels.finding import Attempt, Climb, Judge, Rung, accepted, best_of, ladder
from spica.kernels.indexes import Index
from spica.kernels.mosaic import Chip, Field, Placed, Search, field_of, plane_of, settled
from spica.kernels.pointing import Matched, Reference

BLIND = "blind"
"""Name of the rung."""
RUNG = Rung(BLIND, Limits(180.0, float(np.pi), (1.0, 1.0)), (False, True))
_LOCAL = 3.5
"""Decimal logarithm of the alignments about the one that was sighted."""
_MARGIN = 1.15
"""Of the field's radius, within which reference stars are asked for."""
_FRUITLESS = 4
"""Detectors that may find nothing, each by itself, before the others are not asked any more."""
ANY = (1e-3, 1e3)
"""Scales where none is known."""


class Aid(NamedTuple):
    """What a lost exposure is looked for with.

    indexes : of the sky.
    around : reference stars within a radius of a place (ra, dec, radius [degree]), and what is told of them.
    factor : how many times larger or smaller the scale may be than the header's.
    most : hypotheses at most.
    blur, floor : error of a place [degree by the header's scale], and its least [degree].
    confidence, matches : as `spica.kernels.finding.Judge` has them.
    """

    indexes: Sequence[Index]
    around: Callable[[float, float, float], tuple[Reference, dict[str, object]]]
    factor: float
    most: int
    blur: float
    floor: float
    confidence: float
    matches: int

    def judge(self, scale: float) -> Judge:
        """At a true scale, in the header's ones."""
        return Judge(max(self.blur * scale, self.floor), self.confidence, self.matches)


@dataclass(frozen=True, eq=False)
class Regained:
    """What became of a lost exposure.

    Attributes
    ----------
    chips, placed, field : its detectors, where they are, their stars in one plane.
    end : how the search ended.
    told : of the reference stars that decided, and of the index.
    """

    chips: list[Chip]
    placed: dict[int, Placed]
    field: Field
    end: Climb
    told: dict[str, object]


def regained(chips: list[Chip], aid: Aid, *, nowhere: bool) -> Regained:
    """Look for an exposure all over the sky.

    Parameters
    ----------
    chips : detectors with stars.
    aid : what it is looked for with.
    nowhere : their solutions stand in for none: they tell neither the scale nor where detectors lie beside one another.
    """
    field = field_of(chips)
    if nowhere and len(chips) > 1:
        return _each(chips, field, aid)
    scale = ANY if nowhere else (1.0 / aid.factor, aid.factor)
    end, stars, told = _sighted(field, aid, scale)
    if end.found is None and len(chips) > 1:
        end, stars, told = _by_one(chips, field, aid, scale, end)
    if end.found is None:
        return Regained(chips, {}, field, end, told)
    judge = aid.judge(end.found.alignment.scale)
    how = Search(stars, judge, ladder(60.0 * judge.error, 120.0 * judge.error), {})
    chips, placed = settled(chips, field, end.found.alignment, end, how)
    return Regained(chips, placed, field, end, told)


def _by_one(
    chips: Sequence[Chip], field: Field, aid: Aid, scale: tuple[float, float], end: Climb
) -> tuple[Climb, Reference, dict[str, object]]:
    """By one detector, those with most stars first: its stars are bright ones where the field's are many others'."""
    attempts = end.attempts
    for chip in sorted(chips, key=lambda one: -one.x.size)[:_FRUITLESS]:
        own = field_of([chip])
        alone, _, told = _sighted(own, aid, scale)
        attempts = (*attempts, *alone.attempts)
        if alone.found is None:
            continue
        places = plane_of(chip.ra, chip.dec, own.centre)
        start = transferred(alone.found.alignment, own.centre, field.centre, places)
        judge = aid.judge(start.scale)
        radius = start.scale * float(np.abs(field.places).max()) * _MARGIN + 40.0 * judge.error
        wide, more = aid.around(start.ra, start.dec, radius)
        if told["by"] == "index":
            wide = stars_about(max(aid.indexes, key=lambda one: one.density), start.ra, start.dec, radius)
        found = best_of(field.places, wide, start, _LOCAL, judge)
        if found is not None and accepted(found, judge):
            return Climb(found, f"{BLIND}, by detector {chip.number}", attempts), wide, {**more, **told}
    return replace(end, attempts=attempts), Reference(np.zeros(0), np.zeros(0)), {}


def _each(chips: list[Chip], field: Field, aid: Aid) -> Regained:
    """Detectors of which nobody knows how they lie beside one another: each by itself."""
    attempts: list[Attempt] = []
    placed: dict[int, Placed] = {}
    all_told: dict[str, object] = {}
    fruitless = 0
    for chip in sorted(chips, key=lambda one: -one.x.size):
        own = field_of([chip])
        reason = f"{_FRUITLESS} detectors were looked for in vain"
        if fruitless < _FRUITLESS:
            end, _, told = _sighted(own, aid, ANY)
            attempts.extend(end.attempts)
            if end.found is not None:
                all_told |= told
                placed[chip.number] = Placed("alone", end.found.alignment, own.centre, end.found, BLIND)
                continue
            fruitless += 1
            reason = f"none of {sum(one.candidates for one in end.attempts)} hypotheses is beyond chance"
        placed[chip.number] = Placed("lost", None, own.centre, None, "", reason)
    return Regained(chips, placed, field, Climb(None, "", tuple(attempts)), all_told)


def _sighted(field: Field, aid: Aid, scale: tuple[float, float]) -> tuple[Climb, Reference, dict[str, object]]:
    """How the search for a field ended, the stars that decided, and what is told of them."""
    found = sight(
        field.places, aid.indexes, scale, aid.judge(0.0)._replace(error=aid.blur), floor=aid.floor, most=aid.most
    )
    attempts = _attempts(found)
    nothing = np.zeros(0)
    if found.found is None:
        return Climb(None, "", attempts), Reference(nothing, nothing), {}
    first = found.found
    judge = aid.judge(first.alignment.scale)
    where, radius = first.alignment, first.alignment.scale * float(np.abs(field.places).max()) * _MARGIN
    stars, told = aid.around(where.ra, where.dec, radius + 40.0 * judge.error)
    told = {**told, "index": found.index}
    better = best_of(field.places, stars, where, _LOCAL, judge) if stars.ra.size >= aid.matches else None
    if better is not None and accepted(better, judge):
        return Climb(better, BLIND, attempts), stars, {**told, "by": "reference"}
    [index] = [one for one in aid.indexes if one.name == found.index]
    deepest = max(aid.indexes, key=lambda one: one.density)
    stars = stars_about(deepest, where.ra, where.dec, radius + 40.0 * judge.error)
    again = best_of(field.places, stars, where, _LOCAL, judge)
    if again is None or not accepted(again, judge) or again.stars.size < first.stars.size:
        again, stars = first, stars_about(index, where.ra, where.dec, radius + 40.0 * judge.error)
    return Climb(_again(again, first), BLIND, attempts), stars, {**told, "by": "index"}


def _again(one: Matched, first: Matched) -> Matched:
    """With the odds by which it was believed."""
    return one._replace(log_false=first.log_false)


def _attempts(found: Sighted) -> tuple[Attempt, ...]:
    """What was looked up, as the ladder's rungs tell it: hypotheses as candidates."""
    return tuple(
        Attempt(
            f"{BLIND}, {one.name}, {one.depth} stars", one.hypotheses, one.asterisms, one.matches, 0.0, one.log_false
        )
        for one in found.looked
    )
