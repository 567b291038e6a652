"""Carry out a plan: a production from its opening to its close."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from spica.core.faults import FaultRecord, ResourceFault
from spica.core.orders import State
from spica.engine.executors.base import Executor
from spica.engine.interrupt import Wish, stopping
from spica.engine.owners import owning, release_dead
from spica.engine.plan import Plan, Standing
from spica.engine.planner import make_plan
from spica.engine.wave import Hold, Tally, Wave
from spica.files import atomic
from spica.files.survey import Survey
from spica.registry.store import Registry

_TELL_SECONDS = 0.2
_CHUNK = 1000


@dataclass(frozen=True)
class Progress:
    """How far a production is: units done, failed and refused, of how many; at work; per second; seconds to go."""

    done: int
    failed: int
    refused: int
    total: int
    running: int
    rate: float
    eta: float | None
    stopping: bool = False


@dataclass(frozen=True)
class Result:
    """What came of a production.

    Attributes
    ----------
    production : its number in the registry.
    plan : the plan as it was in the end.
    done, failed, refused : units worked on here that came to this end.
    already : units that were done before.
    failed_before : units that failed before on the same data, and were not tried again.
    elsewhere : units that another coordinator did meanwhile.
    left : units that were not reached.
    interrupted : somebody asked to stop.
    stopped : the fault that stopped it (no disk space …).
    seconds : wall time.
    """

    production: int
    plan: Plan
    done: int
    failed: int
    refused: int
    already: int
    failed_before: int
    elsewhere: int
    left: int
    interrupted: bool
    stopped: FaultRecord | None
    seconds: float

    @property
    def complete(self) -> bool:
        """Every unit of the order is done."""
        return not (self.failed or self.refused or self.failed_before or self.left)

    @property
    def state(self) -> State:
        """How the production stands, unless somebody wished otherwise."""
        if self.stopped or self.interrupted:
            return State.STOPPED
        return State.DONE if self.complete else State.FAILED


@dataclass(frozen=True)
class Begun:
    """A production that its coordinator has claimed in the name of an owner, and what may be wished of it."""

    production: int
    owner: str
    wish: Wish


def execute(
    plan: Plan,
    executor: Executor,
    registry: Registry,
    survey: Survey,
    *,
    name: str = "",
    attempts: int | None = None,
    lease_seconds: float = 120.0,
    progress: Callable[[Progress], None] | None = None,
    begun: Begun | None = None,
) -> Result:
    """Carry out a plan; closes neither the executor (unless it is stopped at once) nor the registry.

    Where a unit fails that others need, the rest is planned anew without it: a fan-in with a quorum goes on with the
    other members, everything else that needs it is refused.

    Parameters
    ----------
    plan : what to do.
    executor : who does it.
    registry, survey : memory and folder.
    name : of the production, for people.
    attempts : at a unit whose worker dies or hangs; the survey's setting by default.
    lease_seconds : how long others respect our leases after we have died.
    progress : told a few times a second.
    begun : a production of the queue that has been claimed; without it one is opened.

    Raises
    ------
    SetupFault
        The registry cannot be used.
    """
    order = plan.order
    attempts = attempts or survey.settings.engine.attempts
    if begun is not None:
        hold = Hold(begun.production, begun.owner, lease_seconds, attempts)
        return _carry_out(plan, executor, registry, survey, hold, progress, begun.wish)
    with owning() as owner, stopping() as wish:
        production = registry.queue.add(
            *(name or order.pipeline.name, order.pipeline.name, order.where, order.overrides),
            owner=owner,
            release=order.release,
            tiles=order.tiles,
            retry=order.retry,
        )
        release_dead(registry)
        hold = Hold(production, owner, lease_seconds, attempts)
        return _carry_out(plan, executor, registry, survey, hold, progress, wish)


def _carry_out(
    plan: Plan,
    executor: Executor,
    registry: Registry,
    survey: Survey,
    hold: Hold,
    progress: Callable[[Progress], None] | None,
    wish: Wish,
) -> Result:
    """Wave after wave, the rest planned anew between them, until nothing is cut off by a failure."""
    order = plan.order
    tally, begun = Tally(), time.monotonic()
    already = plan.counts()[Standing.DONE]
    try:
        while True:
            _sweep(plan, survey)
            _record_refusals(plan, registry, hold)
            teller = _Teller(plan, tally, begun, progress)
            wave = Wave(*(plan, registry, survey, executor), hold=hold, tally=tally, wish=wish, watch=teller.tell)
            wave.run()
            if tally.interrupted or tally.stopped or not (wave.cut or plan.waiting):
                break
            waited = bool(plan.waiting)
            plan = make_plan(
                *(registry, survey, order.pipeline, order.where, order.overrides),
                retry=order.retry,
                given_up=tally.given_up,
                release=order.release,
                tiles=order.tiles,
            )
            if waited:
                # Tiles that an earlier run made stand in the plan only now.
                already = plan.counts()[Standing.DONE] - tally.done - tally.elsewhere
            tally.replanned(plan)
        if not (tally.interrupted or tally.stopped):
            wave.purge()
        _sweep(plan, survey)
        teller.tell(0, now=True)
    finally:
        result = _close(registry, hold, wish, _result(hold.production, plan, tally, already, time.monotonic() - begun))
    return result


def _sweep(plan: Plan, survey: Survey) -> None:
    """Delete what killed processes have left half-written."""
    if plan.counts()[Standing.RUN]:
        for folder in ("products", "scratch"):
            atomic.sweep(survey.folder(folder))


def _record_refusals(plan: Plan, registry: Registry, hold: Hold) -> None:
    fresh = [each.report() for each in plan.refusals if each.key not in plan.present]
    for first in range(0, len(fresh), _CHUNK):
        registry.record_many(fresh[first : first + _CHUNK], hold.production, hold.owner)


def _result(production: int, plan: Plan, tally: Tally, already: int, seconds: float) -> Result:
    counts = plan.counts()
    ended = tally.done + tally.failed + tally.elsewhere
    total = len(plan.jobs)
    before = sum(job.key not in tally.given_up for _, job in plan.standing(Standing.FAILED))
    left = max(0, total - already - before - ended)
    return Result(
        production=production,
        plan=plan,
        done=tally.done,
        failed=tally.failed,
        refused=counts["refused"],
        already=already,
        failed_before=before,
        elsewhere=tally.elsewhere,
        left=left,
        interrupted=tally.interrupted,
        stopped=tally.stopped,
        seconds=seconds,
    )


def _close(registry: Registry, hold: Hold, wish: Wish, result: Result) -> Result:
    """Free the leases and close the production; a registry that cannot take it stops nothing that is done."""
    outcomes = {
        name: getattr(result, name)
        for name in ("done", "failed", "refused", "already", "failed_before", "elsewhere", "left")
    }
    try:
        registry.release(hold.owner)
        state, held = (wish.then, wish.held) if result.interrupted and not result.stopped else (result.state, False)
        outcomes["interrupted"] = int(result.interrupted)
        registry.queue.end(hold.production, outcomes, state, result.stopped, held=held)
    except ResourceFault as fault:
        return replace(result, stopped=result.stopped or fault.record())
    return result


class _Teller:
    """Tells how far a production is, not too often."""

    def __init__(self, plan: Plan, tally: Tally, begun: float, progress: Callable[[Progress], None] | None) -> None:
        self._counts = plan.counts()
        self._tally = tally
        self._begun = begun
        self._progress = progress
        self._told = 0.0
        self._ended = tally.done + tally.failed + tally.elsewhere

    def tell(self, running: int, *, now: bool = False) -> None:
        """Tell, unless it was told a moment ago."""
        clock = time.monotonic()
        if self._progress is None or not (now or clock - self._told >= _TELL_SECONDS):
            return
        self._told = clock
        tally, counts = self._tally, self._counts
        ended = tally.done + tally.failed + tally.elsewhere
        rate = ended / max(clock - self._begun, 1e-9)
        left = counts[Standing.RUN] - (ended - self._ended)
        self._progress(
            Progress(
                done=tally.done + tally.elsewhere,
                failed=tally.failed,
                refused=counts["refused"],
                total=ended + left,
                running=running,
                rate=rate,
                eta=left / rate if rate else None,
                stopping=tally.stopped is not None,
            )
        )
