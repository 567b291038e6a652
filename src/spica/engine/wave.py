"""One walk through a plan: lease, send out, take in, record. The coordinator's loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from spica.core.catalogue import CODES
from spica.core.faults import Fault, FaultRecord, Outcome, ResourceFault
from spica.core.jobs import PRIORITY, JobReport
from spica.core.records import Grain, Unit
from spica.engine.dispatch import Dispatch
from spica.engine.executors.base import Executor
from spica.engine.interrupt import Wish
from spica.engine.ladder import borrows
from spica.engine.owners import release_dead
from spica.engine.plan import Plan, Standing
from spica.engine.scratch import Scratch
from spica.engine.spec import JobSpec, Lost
from spica.engine.standing import NEVER_MADE
from spica.engine.walk import Walk
from spica.files.survey import Survey
from spica.pipelines.graph import TILED
from spica.registry.rows import JobState
from spica.registry.store import Registry

STOPPING = frozenset({"disk.full", "disk.read-only", "storage.unreachable", "registry.busy"})
"""Faults that every further unit would meet too."""
_AGAIN = frozenset({"worker.killed", "worker.timeout"})
_BATCH = 256
_FLUSH_REPORTS = 256
_FLUSH_SECONDS = 1.0
_ELSEWHERE_SECONDS = 1.0
_PATIENCE = 20


@dataclass(frozen=True)
class Hold:
    """In whose name a production works, and how long a lease holds."""

    production: int
    owner: str
    seconds: float = 120.0
    attempts: int = 2


@dataclass
class Tally:
    """What has come of a production so far."""

    done: int = 0
    failed: int = 0
    elsewhere: int = 0
    """Done by another coordinator meanwhile."""
    vanished: int = 0
    """Jobs that lost an input to another coordinator, and are planned anew."""
    given_up: dict[str, FaultRecord] = field(default_factory=dict)
    """Job keys that failed, and how."""
    put_off: set[str] = field(default_factory=set)
    """Those of them that a rung of the ladder may begin anew, in another job."""
    stopped: FaultRecord | None = None
    interrupted: bool = False

    def replanned(self, plan: Plan) -> None:
        """The plan was made anew: what was put off and still stands in it has failed."""
        self.failed += sum(job.key in self.put_off for job in plan.jobs)
        self.put_off.clear()


class Wave:
    """Walks through the jobs of a plan that are to run.

    Parameters
    ----------
    plan, registry, survey, executor : what, with whose memory, where, by whom.
    hold : in whose name.
    tally : counted into.
    wish : whether somebody wishes to stop.
    watch : called after every round, with the jobs at work.
    """

    def __init__(
        self,
        plan: Plan,
        registry: Registry,
        survey: Survey,
        executor: Executor,
        *,
        hold: Hold,
        tally: Tally,
        wish: Wish,
        watch: Callable[[int], None],
    ) -> None:
        self._plan = plan
        self._registry = registry
        self._executor = executor
        self._hold = hold
        self._tally = tally
        self._wish = wish
        self._watch = watch
        self._dispatch = Dispatch(plan, registry, survey)
        self._scratch = Scratch(plan, registry, survey)
        self._survey = survey
        self._walk = Walk(
            {number: sorted(job.makers()) for number, job in plan.standing(Standing.RUN)}, _urgency(plan, registry)
        )
        self._numbers = {job.key: number for number, job in plan.standing(Standing.RUN)}
        self._at_work: dict[str, JobSpec] = {}
        self._elsewhere: set[str] = set()
        self._unrecorded: list[JobReport] = []
        self._flushed = self._renewed = self._asked = time.monotonic()
        self.cut = False
        """A job failed on which others depend, or which may begin anew: the rest is to be planned again."""

    def run(self) -> None:
        """Walk to the end, or until something stops it; what has ended is recorded in any case."""
        try:
            while self._walk.left:
                if self._halted:
                    self._give_back(self._executor.withdraw())
                    if not self._at_work:
                        break
                else:
                    self._send_out()
                self._take_in()
                self._tend()
        except KeyboardInterrupt:
            self._executor.close(now=True)
            self._wish.asked = True
        except ResourceFault as fault:
            self._executor.close(now=True)
            self._tally.stopped = fault.record()
        finally:
            self._tally.interrupted |= self._wish.asked and bool(self._walk.left)
            self._close()

    def purge(self) -> None:
        """Delete the scratch that is left."""
        self._scratch.purge()

    @property
    def _halted(self) -> bool:
        return self._wish.asked or self._tally.stopped is not None

    def _close(self) -> None:
        try:
            self._flush()
        except Fault as fault:
            # The registry refuses (its disk is full, say): what is not recorded is made again, nothing is lost.
            self._tally.stopped = self._tally.stopped or fault.record()

    # -- out ----------------------------------------------------------------------------------------------------------

    def _send_out(self) -> None:
        while self._walk.ready and (room := self._executor.room) > 0:
            numbers = self._walk.take(min(room, _BATCH))
            keys = [self._plan.jobs[number].key for number in numbers]
            mine = self._registry.lease(keys, self._hold.owner, self._hold.seconds)
            self._elsewhere.update(key for key in keys if key not in mine)
            self._begin([key for key in keys if key in mine], waited=False)

    def _begin(self, keys: list[str], *, waited: bool) -> None:
        """Begin jobs whose leases we have, unless another coordinator has just ended them."""
        if not keys:
            return
        states = self._registry.states(keys)
        begun, adopted = [], []
        for key in keys:
            state = states.get(key)
            if state is not None and (waited or state.outcome is Outcome.DONE) and self._adopt(key, state):
                adopted.append(key)
                continue
            begun.append(self._numbers[key])
        if adopted:
            # Others may want them too, while we wait for what those have found.
            self._registry.release(self._hold.owner, adopted)
        specs: list[JobSpec] = []
        for number, spec in self._dispatch.specs(begun).items():
            if isinstance(spec, FaultRecord):
                self._failed(number, self._report(number, spec))
            else:
                specs.append(spec)
                self._at_work[spec.key] = spec
        self._executor.submit(specs)

    def _adopt(self, key: str, state: JobState) -> bool:
        """Take over what another coordinator has recorded since the plan was made; False if there is nothing to take."""
        number = self._numbers[key]
        planned = self._plan.jobs[number]
        if state.outcome is Outcome.FAILED:
            what = f"{planned.unit} failed in another production"
            self._tally.given_up[key] = FaultRecord(state.fault, CODES[state.fault].kind, what)
            self.cut |= self._may_borrow(number, state.fault)
            self._cut(number)
            return True
        if state.outcome is not Outcome.DONE or not self._news(number, state):
            return False
        self._dispatch.made(state.products)
        self._tally.elsewhere += 1
        self._walk.finish(number)
        return True

    def _news(self, number: int, state: JobState) -> bool:
        """Whether a job that the plan wants to run was done since, and what it made is there or needed no more."""
        planned = self._plan.jobs[number]
        if not (planned.reason == NEVER_MADE or planned.reason.startswith(("failed", "refused"))):
            return False  # it was done before the plan was made, and something of it is gone
        here = {record.name for record in state.products}
        missing = [output for output in planned.recipe.chain.outputs if output.filed and output.product not in here]
        if not missing:
            return True
        if not all(output.scratch for output in missing):
            return False
        # Its scratch was deleted after the last consumer: the other coordinator has done those too, then.
        consumers = [key for key, other in self._numbers.items() if number in self._plan.jobs[other].makers()]
        ends = self._registry.states(consumers)
        return all(key in ends and ends[key].outcome is Outcome.DONE for key in consumers)

    # -- in -----------------------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        for ended in self._executor.completed(timeout=0.2):
            if isinstance(ended, Lost):
                self._lost(ended)
                continue
            number = self._numbers[ended.key]
            del self._at_work[ended.key]
            if ended.outcome is Outcome.DONE:
                self._tally.done += 1
                self._dispatch.made(ended.products)
                self._walk.finish(number)
                self._unrecorded.append(ended)
            elif self._vanished(number, ended):
                self._cut(number)
                self.cut = True
            else:
                self._failed(number, ended)
        if not self._at_work and self._elsewhere:
            time.sleep(0.05)

    def _vanished(self, number: int, report: JobReport) -> bool:
        """Whether a job failed only because another order deleted a scratch product under its hands; not for ever.

        What was deleted is one of its inputs, or what it had just written itself.
        """
        if report.fault is None or report.fault.code != "file.missing" or self._tally.vanished >= _PATIENCE:
            return False
        links = [link for links in self._plan.jobs[number].inputs for link in links if link.maker >= 0]
        own = Path(str(report.fault.evidence.get("path", ""))).is_relative_to(self._survey.folder("scratch"))
        if not own and all(self._dispatch.there(link.key) for link in links):
            return False
        self._tally.vanished += 1
        return True

    def _lost(self, lost: Lost) -> None:
        spec = self._at_work.pop(lost.key)
        if lost.fault.code in _AGAIN and spec.attempt < self._hold.attempts and not self._halted:
            again = replace(spec, attempt=spec.attempt + 1)
            self._at_work[again.key] = again
            self._executor.submit([again])
            return
        number = self._numbers[lost.key]
        self._failed(number, replace(self._report(number, lost.fault), attempt=spec.attempt))

    def _failed(self, number: int, report: JobReport) -> None:
        fault = report.fault
        if fault is None:
            raise ValueError(report.key)
        if self._may_borrow(number, fault.code):
            self._tally.put_off.add(report.key)
            self.cut = True
        else:
            self._tally.failed += 1
        self._tally.given_up[report.key] = fault
        self._unrecorded.append(report)
        if self._was_done(report.key):
            # The record of the job stays "done", whose bytes are gone: the fault is the unit's.
            self._registry.add_fault(report.unit, fault, report.pipeline)
        if fault.code in STOPPING:
            self._tally.stopped = fault
        self._cut(number)

    def _was_done(self, key: str) -> bool:
        """Whether a job was done before, and something that it made is there no more."""
        state = self._registry.states([key]).get(key)
        if state is None or state.outcome is not Outcome.DONE:
            return False
        return any(each.path and not self._survey.path_of(each.path).exists() for each in state.products)

    def _may_borrow(self, number: int, code: str) -> bool:
        """Whether a unit that failed has not been lent anything yet, and may be."""
        job = self._plan.jobs[number]
        return job.rung < 0 and borrows(job.recipe, code)

    def _cut(self, number: int) -> None:
        if self._walk.fail(number):
            self.cut = True

    def _report(self, number: int, fault: FaultRecord) -> JobReport:
        job = self._plan.jobs[number]
        return JobReport(
            key=job.key,
            unit=job.unit,
            pipeline=job.recipe.pipeline,
            steps=job.recipe.step_records(),
            inputs=job.input_records(),
            outcome=Outcome.FAILED,
            fault=fault,
        )

    # -- beside -------------------------------------------------------------------------------------------------------

    def _tend(self) -> None:
        """What is due from time to time: record, renew leases, look what others have ended, tell how far we are."""
        now = time.monotonic()
        if len(self._unrecorded) >= _FLUSH_REPORTS or now - self._flushed > _FLUSH_SECONDS:
            self._flush()
        if now - self._renewed > self._hold.seconds / 3:
            self._registry.renew(self._hold.owner, self._hold.seconds)
            self._renewed = now
        if self._elsewhere and not self._halted and now - self._asked > _ELSEWHERE_SECONDS:
            self._asked = now
            release_dead(self._registry)
            free = self._registry.lease(self._elsewhere, self._hold.owner, self._hold.seconds)
            self._elsewhere -= free
            self._begin(sorted(free, key=self._numbers.__getitem__), waited=True)
        self._watch(len(self._at_work))

    def _flush(self) -> None:
        """Record what has ended; scratch may go only after that."""
        reports, self._unrecorded = self._unrecorded, []
        self._flushed = time.monotonic()
        self._registry.record_many(reports, self._hold.production, self._hold.owner)
        self._scratch.recorded(reports)

    def _give_back(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._at_work.pop(key, None)


def _urgency(plan: Plan, registry: Registry) -> dict[int, float]:
    """Priorities that people gave to stacks and tiles; that of a tile is that of its stacks which have none of their own."""
    tiled = {number: job.unit for number, job in plan.standing(Standing.RUN) if job.unit.grain in TILED}
    if not tiled:
        return {}
    given = registry.metric_of_all(PRIORITY, sorted(TILED))
    return {
        number: given.get(unit, given.get(Unit(Grain.TILE, unit.values[:1]), 0.0)) for number, unit in tiled.items()
    }
