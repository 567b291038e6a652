"""Rungs of the rescue ladder that borrow: who lends to a unit that has failed by itself, and where its new job begins.

Such a rung is taken in a later wave, when all units that may lend have ended: the plan is made anew, with another job for
the unit, whose inputs are the products that it is lent. Who lends follows from the plan alone, never from who was first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from spica.core.faults import FaultRecord
from spica.core.records import Grain
from spica.engine.plan import Plan, PlannedJob, Standing
from spica.engine.resolvers.base import Loan
from spica.engine.spec import Recipe
from spica.engine.standing import broken
from spica.engine.targets import Target
from spica.registry.rows import LastDone


def borrows(recipe: Recipe, code: str) -> bool:
    """Whether a unit that has failed by itself with this fault may be lent something."""
    return any(rung.after == code and rung.borrow for rung in recipe.rescues)


def poor(plan: Plan, first: int, given_up: Mapping[str, FaultRecord]) -> dict[int, str]:
    """Of the jobs of one chain, from number `first` on: those that failed and may be lent something, and the faults."""
    found: dict[int, str] = {}
    for number in range(first, len(plan.jobs)):
        job = plan.jobs[number]
        fault = broken(job, given_up)
        if fault is not None and borrows(job.recipe, fault.code):
            found[number] = fault.code
    return found


def loans(plan: Plan, first: int, needy: Mapping[int, str]) -> dict[int, Loan]:
    """What units of the same chain lend to those that are `poor`."""
    able = range(first, len(plan.jobs))
    lenders = _Lenders((n, plan.jobs[n]) for n in able if plan.jobs[n].standing is not Standing.FAILED)
    found = {number: _loan(plan.jobs[number], code, lenders) for number, code in needy.items()}
    return {number: loan for number, loan in found.items() if loan is not None}


def earlier(job: PlannedJob, code: str, last: LastDone, keys: Mapping[str, str]) -> Iterator[Loan]:
    """What a unit was lent when it was done last, by units of which the plan leaves out some; `keys` are those of the plan's.

    An order for a part does not undo what one for all has done: whether it was the same work, the job's key tells.
    """
    needs = {f"{each.step}.{each.need.name}" for each in job.recipe.chain.outside if each.need.source == "lent"}
    there = dict.fromkeys((key.partition("/")[0], unit, -1) for need, key, unit in last.inputs if need in needs)
    left_out = any(unit not in keys for _, unit, _ in there)
    if left_out and all(keys.get(unit, key) == key for key, unit, _ in there):
        for number, rung in enumerate(job.recipe.rescues):
            if rung.after == code and rung.borrow:
                yield Loan(number, code, str(rung), tuple(there))


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
        self._exposures: dict[str, list[tuple[int, PlannedJob]]] = {}
        self._nights: dict[tuple[object, ...], list[tuple[int, PlannedJob]]] = {}
        for each in jobs:
            self._exposures.setdefault(each[1].target.head.exposure, []).append(each)
            self._nights.setdefault(_alike(each[1].target), []).append(each)

    def of(self, circle: str, target: Target) -> tuple[tuple[str, str, int], ...]:
        """Those of `spica.pipelines.model.LENDERS` for a unit that is none of them."""
        if circle == "exposure":
            there = self._exposures.get(target.head.exposure, [])
        else:
            nearest = sorted(self._nights.get(_alike(target), []), key=lambda each: _distance(each[1].target, target))
            there = nearest[:1]
        return tuple((job.key, str(job.unit), number) for number, job in there)


def _alike(target: Target) -> tuple[object, ...]:
    """What a unit has in common with those of other exposures that may lend to it."""
    row = target.head
    detector = row.detector if target.unit.grain is Grain.DETECTOR else None
    return row.camera, detector, row.night, row.band, row.filter, row.binning, row.readout_mode


def _distance(lender: Target, borrower: Target) -> tuple[float, float, str]:
    """The nearest in time first, of two as near (to a tenth of a second) the earlier one."""
    return round(abs(lender.mjd - borrower.mjd), 6), lender.mjd, lender.head.exposure
