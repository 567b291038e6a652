"""Running a pipeline: planned, foreseen, carried out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from spica.core.catalogue import CODES
from spica.core.faults import FaultRecord, SetupFault
from spica.engine.candidates import Quality
from spica.engine.executors.base import Executor
from spica.engine.plan import Plan, Standing
from spica.engine.planner import make_plan
from spica.engine.run import Progress, Result, execute
from spica.engine.why import explain
from spica.files.survey import EngineSettings, Survey
from spica.registry.store import Registry
from spica.services import kernels
from spica.services.faults import FaultLine, line
from spica.services.orders import literal
from spica.services.pipelines import load_for
from spica.services.preflight import Forecast, forecast
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import Opened, opened

GIBIBYTE = 1 << 30
EXECUTORS = ("inprocess", "local", "dask")


@dataclass(frozen=True)
class Order:
    """What is to run.

    Attributes
    ----------
    pipeline : its name, or the path of its file.
    where : selection of exposures and detectors.
    settings : ``task.field`` to its value as typed.
    workers, executor : None and '' for the survey's setting; 0 workers for one per core.
    name : of the production, for people.
    retry : try again also what failed on the same data before.
    release, tiles : of which release the tiles are that it makes, and which of them; '' and none for the only one, all.
    """

    pipeline: str
    where: str = ""
    settings: Mapping[str, str] | None = None
    workers: int | None = None
    executor: str = ""
    name: str = ""
    retry: bool = False
    release: str = ""
    tiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChainLine:
    """How many units of one chain of steps would run, are done, failed before, cannot run."""

    chain: str
    grain: str
    to_run: int
    done: int
    failed_before: int
    refused: int


@dataclass(frozen=True)
class Reason:
    """Why units would run."""

    chain: str
    why: str
    count: int


@dataclass(frozen=True)
class Obstacle:
    """Why units cannot run."""

    code: str
    why: str
    count: int
    example: str


@dataclass(frozen=True)
class MasterUse:
    """How many units would take a master of this name, and how well it serves them."""

    master: str
    quality: str
    units: int


@dataclass(frozen=True)
class UnitLine:
    """What would become of one unit: run, done, failed (before), refused; and why."""

    unit: str
    chain: str
    verdict: str
    why: str


@dataclass(frozen=True)
class Foreseen:
    """What an order would do; `waiting` are steps on tiles, which are chosen when the others have ended."""

    pipeline: str
    where: str
    to_run: int
    done: int
    failed_before: int
    refused: int
    seconds: float
    chains: tuple[ChainLine, ...]
    reasons: tuple[Reason, ...]
    obstacles: tuple[Obstacle, ...]
    masters: tuple[MasterUse, ...]
    units: tuple[UnitLine, ...]
    forecast: Forecast
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True)
class FaultGroup:
    """Units with one fault code: how many, and one of them as an example."""

    code: str
    count: int
    example: str
    message: str
    advice: str


@dataclass(frozen=True)
class Production:
    """What an order did.

    Attributes
    ----------
    id : its number in the registry.
    done, failed, refused : units that came to this end.
    skipped : units that were done before.
    failed_before : units that failed before on the same data, and were not tried again.
    left : units that were not reached.
    interrupted : somebody stopped it.
    stopped : the fault that stopped it.
    """

    id: int
    pipeline: str
    where: str
    done: int
    refused: int
    failed: int
    skipped: int
    failed_before: int
    elsewhere: int
    left: int
    seconds: float
    compiling: float
    interrupted: bool
    stopped: FaultLine | None
    faults: tuple[FaultGroup, ...]
    complete: bool


def foresee(order: Order, folder: Path | None, watcher: Watcher = unwatched) -> Foreseen:
    """What the order would do: nothing is run, nothing is recorded.

    Raises
    ------
    SetupFault
        ``pipeline.*``, ``settings.*``, ``where.invalid``, ``order.nothing``, ``survey.*``, ``registry.*``.
    """
    with opened(folder) as house:
        watcher(Step("planning", 0, 1))
        began = monotonic()
        plan = _plan(order, house)
        explain(plan, house.registry)
        seconds = monotonic() - began
        expected = forecast(plan, house.registry, house.survey)
        watcher(Step("planning", 1, 1))
    counts = plan.counts()
    return Foreseen(
        pipeline=plan.order.pipeline.name,
        where=order.where,
        to_run=counts[Standing.RUN],
        done=counts[Standing.DONE],
        failed_before=counts[Standing.FAILED],
        refused=counts["refused"],
        seconds=seconds,
        chains=tuple(_chains(plan)),
        reasons=tuple(_reasons(plan)),
        obstacles=tuple(_obstacles(plan)),
        masters=tuple(_masters(plan)),
        units=tuple(_units(plan)),
        forecast=expected,
        waiting=tuple(chain.label for chain in plan.waiting),
    )


def _plan(order: Order, house: Opened) -> Plan:
    pipeline = load_for(order.release, order.pipeline, house.survey)
    overrides = {name: literal(value) for name, value in (order.settings or {}).items()}
    return make_plan(
        *(house.registry, house.survey, pipeline, order.where, overrides),
        retry=order.retry,
        release=order.release,
        tiles=order.tiles,
    )


def _chains(plan: Plan) -> Iterator[ChainLine]:
    counts: Counter[tuple[int, str, str, str]] = Counter()
    for job in plan.jobs:
        chain = job.recipe.chain
        counts[chain.index, chain.label, chain.grain.value, job.standing.value] += 1
    for refusal in plan.refusals:
        chain = refusal.recipe.chain
        counts[chain.index, chain.label, chain.grain.value, "refused"] += 1
    for head in sorted({key[:3] for key in counts}):
        ended = [
            counts[(*head, each)]
            for each in (Standing.RUN.value, Standing.DONE.value, Standing.FAILED.value, "refused")
        ]
        yield ChainLine(head[1], head[2], *ended)


def _reasons(plan: Plan) -> Iterator[Reason]:
    counts = Counter(
        (job.recipe.chain.index, job.recipe.chain.label, job.reason) for _, job in plan.standing(Standing.RUN)
    )
    for (_, chain, why), count in sorted(counts.items()):
        yield Reason(chain, why, count)


def _obstacles(plan: Plan) -> Iterator[Obstacle]:
    examples: dict[tuple[str, str], str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for refusal in plan.refusals:
        key = (refusal.fault.code, CODES[refusal.fault.code].meaning if refusal.fault.code in CODES else "")
        counts[key] += 1
        examples.setdefault(key, str(refusal.unit))
    for key, count in counts.most_common():
        yield Obstacle(*key, count, examples[key])


def _masters(plan: Plan) -> Iterator[MasterUse]:
    """The masters of the units to run; what serves best comes first."""
    counts: Counter[tuple[str, Quality]] = Counter()
    for _, job in plan.standing(Standing.RUN):
        for binding, links in zip(job.recipe.chain.outside, job.inputs, strict=True):
            if binding.need.source == "master":
                counts[binding.product, Quality(links[0].quality) if links else Quality.NONE] += 1
    for (master, quality), count in sorted(counts.items()):
        yield MasterUse(master, quality.word, count)


def _units(plan: Plan) -> Iterator[UnitLine]:
    for refusal in plan.refusals:
        yield UnitLine(str(refusal.unit), refusal.recipe.chain.label, "refused", refusal.fault.message)
    for job in plan.jobs:
        # What is said of the inputs in general, the detail says with the units that they are of.
        general = [each for each in job.reason.split("; ") if not (job.detail and each.startswith("input "))]
        why = "; ".join((*general, *filter(None, [job.detail])))
        yield UnitLine(str(job.unit), job.recipe.chain.label, job.standing.value, why)


def run(order: Order, folder: Path | None, watcher: Watcher = unwatched) -> Production:
    """Carry out an order. What is done already is not done again; an interruption is an answer, not an error.

    Raises
    ------
    SetupFault
        As `foresee`; ``program.missing`` for an executor that is not installed.
    """
    with opened(folder) as house:
        plan = _plan(order, house)
        compiling = kernels.prepare(watcher) if plan.counts()[Standing.RUN] else 0.0
        with closing(executor_of(order, house.survey)) as executor:
            result = execute(
                plan,
                executor,
                house.registry,
                house.survey,
                name=order.name,
                progress=lambda progress: watcher(_step(plan.order.pipeline.name, progress)),
            )
        groups = tuple(_fault_groups(result, house.registry))
    return Production(
        id=result.production,
        pipeline=plan.order.pipeline.name,
        where=order.where,
        done=result.done,
        refused=result.refused,
        failed=result.failed,
        skipped=result.already,
        failed_before=result.failed_before,
        elsewhere=result.elsewhere,
        left=result.left,
        seconds=result.seconds,
        compiling=compiling,
        interrupted=result.interrupted,
        stopped=line("", plan.order.pipeline.name, result.stopped, 0.0) if result.stopped else None,
        faults=groups,
        complete=result.complete,
    )


def executor_of(order: Order, survey: Survey) -> Executor:
    """The executor that an order, else the survey's settings name."""
    settings: EngineSettings = survey.settings.engine
    kind = order.executor or settings.executor
    workers = settings.workers if order.workers is None else order.workers
    memory = int(settings.memory * GIBIBYTE)
    if kind == "inprocess":
        from spica.engine.executors.inprocess import InProcess

        return InProcess()
    if kind == "local":
        from spica.engine.executors.local import Local

        return Local(workers, settings.timeout, memory)
    if kind == "dask":
        return _dask(survey, workers, memory)
    raise SetupFault("order.invalid", f"there is no executor {kind!r}; there are {', '.join(EXECUTORS)}", executor=kind)


def _dask(survey: Survey, workers: int, memory: int) -> Executor:
    """A Dask cluster of the survey's settings, its jobs pinned to where their data lie."""
    from spica.engine.executors.dask import Dask
    from spica.engine.executors.near import near

    settings = survey.settings.engine
    unknown = sorted(set(settings.dask.near) - set(survey.areas))
    if unknown:
        message = f"storage area {unknown[0]!r} of [engine.dask] near is not in [areas]"
        raise SetupFault("survey.invalid", message, area=unknown[0])
    place = near(survey.areas, settings.dask.near) if settings.dask.near else None
    return Dask(workers, settings.timeout, memory, address=settings.dask.address, place=place)


def _step(stage: str, progress: Progress) -> Step:
    ended = progress.done + progress.failed
    notes = [
        f"{progress.failed} failed" if progress.failed else "",
        f"{progress.refused} refused" if progress.refused else "",
    ]
    notes.append("stopping after what is at work" if progress.stopping else "")
    return Step(stage, ended, progress.total, ", ".join(filter(None, notes)))


def _fault_groups(result: Result, registry: Registry) -> Iterator[FaultGroup]:
    """Faults by code: refusals of the plan, failures of this production, failures of before."""
    found: list[tuple[str, FaultRecord]] = [(str(each.unit), each.fault) for each in result.plan.refusals]
    if result.failed:
        rows = registry.jobs_of_production(result.production)
        found += [(str(row.unit), row.fault) for row in rows if row.fault is not None and row.outcome.value == "failed"]
    for _, job in result.plan.standing(Standing.FAILED) if result.failed_before else ():
        found += [(str(row.unit), row.fault) for row in registry.jobs_of(job.unit) if row.key == job.key and row.fault]
    counts = Counter(fault.code for _, fault in found)
    for code, count in counts.most_common():
        unit, fault = next(each for each in found if each[1].code == code)
        advice = fault.advice or (CODES[code].advice if code in CODES else "")
        yield FaultGroup(code, count, unit, fault.message, advice)
