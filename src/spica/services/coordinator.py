"""The coordinator: works off the queue's productions, several at once, until it is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from spica.core.faults import Fault, FaultKind, FaultRecord
from spica.core.orders import State, Wished
from spica.engine.interrupt import Wish, stopping
from spica.engine.owners import hand, owning, release_dead
from spica.engine.planner import make_plan
from spica.engine.pool import Pool, Seat
from spica.engine.run import Begun, Progress, execute
from spica.engine.spec import JobSpec
from spica.files.survey import Survey
from spica.registry.queue import steps_key
from spica.registry.rows import Production, Usual
from spica.registry.store import Registry
from spica.services import kernels
from spica.services.pipelines import load_for
from spica.services.preflight import refuse_hopeless
from spica.services.progress import Step, Watcher, unwatched
from spica.services.rules import heed
from spica.services.run import Order, executor_of
from spica.services.surveys import opened

NOTICE_SECONDS = 30.0
"""For how long a coordinator's notice holds: who is silent for longer counts as dead."""
_ROUND_SECONDS = 0.5
_TELL_SECONDS = 1.0
_NOTICE_EVERY = 5.0
_UNKNOWN_BYTES = 1 << 30
"""Memory that a job is expected to need where no like one has run."""
_PART_OF_MEMORY = 0.8
PATIENCE = 600.0
"""Seconds for which a registry may not answer before a coordinator gives up."""
AWAY = frozenset({"registry.busy", "registry.missing"})
"""Faults of a registry that does not answer: what they stopped begins again when it is back."""


@dataclass(frozen=True)
class Worked:
    """What a coordinator did until it stopped: productions that came to an end in its hands, and why it stopped."""

    productions: int
    why: str


@dataclass
class _Run:
    production: Production
    seat: Seat
    wish: Wish
    owner: str
    stack: ExitStack
    future: Future[None] | None = None


def work(
    folder: Path | None,
    watcher: Watcher = unwatched,
    *,
    until_empty: bool = False,
    workers: int | None = None,
) -> Worked:
    """Work off the queue. SIGINT and SIGTERM let the units that are at work end; their productions wait then for the next coordinator.

    Parameters
    ----------
    until_empty : end when nothing waits or runs.
    workers : None for the survey's setting.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``; ``program.missing`` for an executor that is not installed.
    """
    with opened(folder) as house, stopping() as wish:
        kernels.prepare(watcher)
        executor = executor_of(Order("", workers=workers), house.survey)
        with closing(executor):
            memory = int(_PART_OF_MEMORY * psutil.virtual_memory().total)
            coordinator = _Coordinator(house.survey, house.registry, Pool(executor, memory), watcher)
            return coordinator.run(wish, until_empty=until_empty)


class _Coordinator:
    """One process at work on a survey's queue; the registry may be away for a while."""

    def __init__(self, survey: Survey, registry: Registry, pool: Pool, watcher: Watcher) -> None:
        self._survey = survey
        self._registry = registry
        self._pool = pool
        self._watcher = watcher
        self._most = survey.settings.engine.productions
        self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="production")
        self._runs: list[_Run] = []
        self._ended = 0
        self._attended = 0.0

    def run(self, wish: Wish, *, until_empty: bool) -> Worked:
        """Rounds, until somebody wishes to stop or (`until_empty`) nothing is left."""
        why, lost = "nothing is left", 0.0
        try:
            while True:
                if wish.asked:
                    why = "stopped"
                    break
                if self._pool.broken is not None:
                    raise self._pool.broken
                try:
                    left = self._round()
                    lost = 0.0
                except Fault as fault:
                    lost = lost or time.monotonic()
                    if fault.code not in AWAY or time.monotonic() - lost > PATIENCE:
                        raise
                    left = True
                if until_empty and not left:
                    break
                time.sleep(_ROUND_SECONDS)
        finally:
            self._finish()
        return Worked(self._ended, why)

    def _round(self) -> bool:
        """Begin what there is room for, see what has ended; answers whether anything runs or waits."""
        now = time.monotonic()
        queue = self._registry.queue
        if now - self._attended > _NOTICE_EVERY:
            queue.attend(hand(), NOTICE_SECONDS)
            release_dead(self._registry)
            heed(self._survey, self._registry)
            self._attended = now
        self._reap()
        waiting = queue.waiting() if len(self._runs) < self._most else []
        for production in waiting:
            if len(self._runs) >= self._most:
                break
            self._begin(production)
        self._watcher(Step("productions", self._ended, self._ended + len(self._runs) + len(waiting)))
        return bool(self._runs or waiting)

    def _begin(self, production: Production) -> None:
        stack = ExitStack()
        owner = stack.enter_context(owning())
        with stack:
            if not self._registry.queue.claim(production.id, owner):
                return
            usual = self._registry.queue.usual(production.pipeline)
            # From here on it is the run's.
            stack = stack.pop_all()
        seat = self._pool.seat(production.priority, production.person, _weight(usual))
        run = _Run(production, seat, Wish(), owner, stack)
        run.future = self._threads.submit(_carry_out, self._survey, run)
        self._runs.append(run)

    def _reap(self) -> None:
        for run in [each for each in self._runs if each.future is not None and each.future.done()]:
            self._runs.remove(run)
            run.seat.close()
            run.stack.close()
            self._ended += 1
            error = run.future.exception() if run.future else None
            if error is not None:
                self._fail(run.production, error)

    def _fail(self, production: Production, error: BaseException) -> None:
        """A production that cannot be planned, or met what nobody foresaw, has failed with that fault; the others go on.

        What came of the registry's silence or of the executor's end is no fault of its own: it waits again.
        """
        if error is self._pool.broken or (isinstance(error, Fault) and error.code in AWAY):
            self._registry.queue.end(production.id, {}, State.WAITING)
            return
        if isinstance(error, Fault):
            fault = error.record()
        else:
            what = f"production {production.id}: {type(error).__name__}: {error}"
            fault = FaultRecord("internal.error", FaultKind.INTERNAL, what, {"error": type(error).__name__})
        self._registry.queue.end(production.id, {}, State.FAILED, fault)
        self._registry.event("production.failed", fault.message, details={"production": production.id})

    def _finish(self) -> None:
        """Let what is at work end, give the productions back to the queue."""
        for run in self._runs:
            run.wish.then, run.wish.asked = State.WAITING, True
        try:
            self._threads.shutdown(wait=True)
        except KeyboardInterrupt:
            self._pool.abandon()
            self._threads.shutdown(wait=True)
            raise
        finally:
            self._reap()
        self._registry.queue.leave(hand())


def _carry_out(survey: Survey, run: _Run) -> None:
    """One production from its plan to its end, in a thread of its own with a registry of its own."""
    production = run.production
    with closing(Registry.open(survey.registry_url)) as registry:
        plan = make_plan(
            *(
                registry,
                survey,
                load_for(production.release, production.pipeline, survey),
                production.selection,
                production.settings,
            ),
            retry=production.retry,
            release=production.release,
            tiles=production.tiles,
        )
        refuse_hopeless(plan, registry, survey)
        begun = Begun(production.id, run.owner, run.wish)
        result = execute(plan, run.seat, registry, survey, progress=_teller(registry, run), begun=begun)
        if result.stopped is not None and result.stopped.code in AWAY:
            registry.queue.change(production.id, [State.STOPPED], state=State.WAITING)


def _teller(registry: Registry, run: _Run) -> Callable[[Progress], None]:
    """Tells the registry how far a production is, and hears what is wished of it."""
    told = [0.0]

    def tell(progress: Progress) -> None:
        now = time.monotonic()
        if now - told[0] < _TELL_SECONDS:
            return
        told[0] = now
        heard = registry.queue.tell(run.production.id, run.owner, asdict(progress))
        if heard is None or heard == Wished.STOP:
            run.wish.asked = True
        elif heard == Wished.HOLD:
            run.wish.then, run.wish.held, run.wish.asked = State.WAITING, True, True

    return tell


def _weight(usual: Mapping[str, Usual]) -> Callable[[JobSpec], int]:
    """Memory that a job is expected to need, by what like ones needed."""

    def weigh(spec: JobSpec) -> int:
        known = usual.get(steps_key([step.label for step in spec.recipe.chain.steps]))
        return known.memory if known else _UNKNOWN_BYTES

    return weigh
