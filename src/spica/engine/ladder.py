"""Rungs of the rescue ladder that borrow: who lends to a unit that has failed by itself, and where its new job begins.

Such a rung is taken in a later wave, when all units that may lend have ended: the plan is made anew, with another job for
the unit, whose inputs are the products that it is lent. Who lends follows from the plan alone, never from who was first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spica.core.faults import FaultRecord
from spica.core.records import Grain
from spica.engine.plan import Plan, PlannedJob, Standing
from spica.engine.resolvers.base import Loan
from spica.engine.spec import Recipe
from spica.engine.standing import broken
from spica.engine.targets import Target


def borrows(recipe: Recipe, code: str) -> bool:
    """Whether a unit that has failed by itself with this fault may be lent something."""
    return any(rung.after == code and rung.borrow for rung in recipe.rescues)


def loans(plan: Plan, first: int, given_up: Mapping[str, FaultRecord]) -> dict[int, Loan]:
    """Of the jobs of one chain, from number `first` on: those that begin anew, and with what."""
    poor: dict[int, str] = {}
    for number in range(first, len(plan.jobs)):
        job = plan.jobs[number]
        fault = broken(job, given_up)
        if fault is not None and borrows(job.recipe, fault.code):
            poor[number] = fault.code
    if not poor:
        return {}
    able = range(first, len(plan.jobs))
    lenders = _Lenders((n, plan.jobs[n]) for n in able if plan.jobs[n].standing is not Standing.FAILED)
    found = {number: _loan(plan.jobs[number], code, lenders) for number, code in poor.items()}
    return {number: loan for number, loan in found.items() if loan is not None}


def _loan(job: PlannedJob, code: str, lenders: _Lenders) -> Loan | None:
    """The first rung that borrows of which there are lenders, or else the next one after them; None at the ladder's end."""
    borrowed = False
    for number, rung in enumerate(job.recipe.rescues):
        if rung.after != code:
            continue
        borrowed |= bool(rung.borrow)
        there = lenders.of(rung.borrow, job.target) if rung.borrow else ()
        if there or (borrowed and not rung.borrow):
            return Loan(number, code, str(rung), there)
    return None


class _Lenders:
    """Units that are done, or will be, without a loan."""

    def __init__(self, jobs: Iterable[tuple[int, PlannedJob]]) -> None:
        self._exposures: dict[str, list[tuple[int, Target]]] = {}
        self._nights: dict[tuple[object, ...], list[tuple[int, Target]]] = {}
        for number, job in jobs:
            self._exposures.setdefault(job.target.head.exposure, []).append((number, job.target))
            self._nights.setdefault(_alike(job.target), []).append((number, job.target))

    def of(self, circle: str, target: Target) -> tuple[tuple[int, str], ...]:
        """Those of `spica.pipelines.model.LENDERS` for a unit that is none of them."""
        if circle == "exposure":
            there = self._exposures.get(target.head.exposure, [])
        else:
            nearest = sorted(self._nights.get(_alike(target), []), key=lambda each: _distance(each[1], target))
            there = nearest[:1]
        return tuple((number, str(each.unit)) for number, each in there)


def _alike(target: Target) -> tuple[object, ...]:
    """What a unit has in common with those of other exposures that may lend to it."""
    row = target.head
    detector = row.detector if target.unit.grain is Grain.DETECTOR else None
    return row.camera, detector, row.night, row.band, row.filter, row.binning, row.readout_mode


def _distance(lender: Target, borrower: Target) -> tuple[float, float, str]:
    """The nearest in time first, of two as near (to a tenth of a second) the earlier one."""
    return round(abs(lender.mjd - borrower.mjd), 6), lender.mjd, lender.head.exposure
