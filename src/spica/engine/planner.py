"""Make a plan: go through the chains, find the units and what satisfies their needs, compute keys, look what is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from spica.core.camera import Camera
from spica.core.faults import FaultRecord, SetupFault
from spica.core.keys import digest
from spica.core.records import ExposureState, Grain, Unit
from spica.core.where import parse
from spica.engine import ladder, standing
from spica.engine.candidates import Candidate
from spica.engine.circles import Circles
from spica.engine.collecting import uncollected
from spica.engine.masters import Masters
from spica.engine.plan import Order, Plan, PlannedJob, Refusal
from spica.engine.recipes import RecipeBook
from spica.engine.resolvers.base import Ground, Link, Loan
from spica.engine.resolvers.indexes import Files, chosen_indexes
from spica.engine.resolvers.previous import Before, chosen_previous
from spica.engine.resolvers.reference import chosen_reference
from spica.engine.resolvers.systems import finder
from spica.engine.resolvers.table import RESOLVERS
from spica.engine.selection import both, for_frames
from spica.engine.spec import Recipe
from spica.engine.targets import Target, in_key_order, targets
from spica.engine.tiling.planning import Tiling
from spica.files.dust import installed
from spica.files.survey import Survey
from spica.instruments import tables
from spica.instruments.sections import section
from spica.pipelines.graph import TILED, Chain, chains
from spica.pipelines.model import Pipeline
from spica.pipelines.owners import refuse_strangers
from spica.registry.rows import DetectorRow
from spica.registry.store import Registry

Resolve = Callable[[Target], tuple[tuple[Link, ...], ...] | FaultRecord]
"""Links of all needs of a unit, or the fault that refuses it."""
_STATE_OF_SOURCE = {"raw": ExposureState.RAW, "delivered": ExposureState.REDUCED}


def make_plan(
    registry: Registry,
    survey: Survey,
    pipeline: Pipeline,
    where: str = "",
    overrides: Mapping[str, Any] | None = None,
    *,
    retry: bool = False,
    given_up: Mapping[str, FaultRecord] | None = None,
    release: str = "",
    tiles: Sequence[str] = (),
) -> Plan:
    """Plan an order.

    Parameters
    ----------
    registry : what is there.
    survey : folder and settings.
    pipeline : checked pipeline.
    where : selection of exposures and detectors; bias and dark frames are not selected by band.
    overrides : ``step.setting`` or ``task.setting`` to value.
    retry : plan also what failed on the same data before.
    given_up : job keys that failed in this production, and how: they are not tried again.
    release : of which the tiles are that the pipeline makes; the survey's only one by default.
    tiles : only these of them.

    Raises
    ------
    SetupFault
        ``where.invalid``, ``settings.*``, ``camera.*``, ``release.*``, ``tile.unknown``; ``order.nothing`` where nothing
        is selected.
    """
    order = Order(pipeline, where, dict(overrides or {}), retry, release, tuple(tiles))
    with uncollected():
        return _Planner(registry, survey, order, dict(given_up or {})).plan()


class _Planner:
    """The state of planning."""

    def __init__(self, registry: Registry, survey: Survey, order: Order, given_up: Mapping[str, FaultRecord]) -> None:
        self._registry = registry
        self._survey = survey
        self._order = order
        self._given_up = given_up
        folders = (survey.folder("cameras"),)

        @cache
        def camera(name: str) -> Camera:
            found = tables.load(name, folders)
            pipelines = (survey.folder("pipelines"),)
            refuse_strangers(found.settings, f"camera {name}: [settings.{{}}]", pipelines, order.pipeline)
            return found

        @cache
        def part(name: str, detector: int, which: str, band: str) -> str:
            return digest(section(camera(name), detector, which, band))

        @cache
        def delivered(name: str) -> str:
            return digest(camera(name).delivered.model_dump(mode="json"))

        @cache
        def reference(purpose: str) -> tuple[str, str]:
            return chosen_reference(survey, purpose)

        @cache
        def indexes() -> Files:
            return chosen_indexes(survey)

        @cache
        def previous() -> Before:
            return chosen_previous(survey, order.release)

        @cache
        def dust() -> str:
            found = installed(survey.references)
            return found.checksum if found else ""

        masters = Masters(registry.masters(), registry.master_orders(), survey.settings.calibration)
        self._plan = Plan(order)
        self._chains = chains(order.pipeline)
        self._tiling = Tiling(registry, survey, order, self._chains)
        self._recipes = RecipeBook(order.pipeline, camera, survey.settings.tasks, order.overrides, self._tiling.release)
        self._circles = _visits(registry, self._chains)
        self._hops = _hops(self._chains)
        self._ground = Ground(
            part,
            delivered,
            masters,
            self._circles,
            reference,
            finder(survey, camera, reference),
            indexes,
            previous,
            dust,
        )
        self._rows: list[list[DetectorRow]] = []

    def plan(self) -> Plan:
        """Plan all chains, then settle what runs."""
        parse(self._order.where)
        for chain in self._chains:
            if self._tiling.waits(chain, self._plan.jobs):
                self._plan.waiting.append(chain)
                self._rows.append([])
                self._ground.places.append({})
                continue
            first = len(self._plan.jobs)
            self._ground.places.append(self._places(chain, self._units(chain)))
            self._judge(self._plan.jobs[first:])
            self._rescue(chain, first)
            self._follow(first)
        if not self._plan.jobs and not self._plan.refusals:
            chosen = f"where {self._order.where}" if self._order.where else "in this survey"
            raise SetupFault(
                "order.nothing", f"pipeline {self._order.pipeline.name!r} finds nothing to work on {chosen}"
            )
        standing.settle(self._plan)
        return self._plan

    def _judge(self, jobs: Sequence[PlannedJob]) -> None:
        standing.judge(self._plan, self._registry, self._survey, jobs, self._given_up)

    def _units(self, chain: Chain) -> list[Target]:
        """The units of a chain, in key order."""
        if chain.grain in TILED:
            planned = {(row.exposure, row.detector) for rows in self._rows for row in rows}
            self._rows.append([])
            self._plan.left = self._tiling.chosen.left
            return self._tiling.targets(chain, planned)
        rows = self._select(chain)
        self._rows.append(rows)
        return targets(chain.grain, rows, chain.steps[0].block, chain.steps[0].group)

    def _select(self, chain: Chain) -> list[DetectorRow]:
        """The rows that a chain's units come from, in key order."""
        rows = self._selected(chain)
        if chain.grain not in {Grain.EXPOSURE, Grain.GROUP} or not self._order.where.strip():
            return rows
        # An order for some detectors says nothing about whole exposures (or groups of them): those are left to an order for all of them.
        there = Counter(
            row.exposure for row in self._registry.detector_rows(where=chain.where, frame_types=chain.frames)
        )
        here = Counter(row.exposure for row in rows)
        return [row for row in rows if here[row.exposure] == there[row.exposure]]

    def _selected(self, chain: Chain) -> list[DetectorRow]:
        upstream = [binding.chain for binding in chain.outside if binding.chain is not None]
        inherited = self._rows[upstream[0]] if upstream else None
        if inherited is not None:
            maker = self._chains[upstream[0]]
            if self._kind(maker) == self._kind(chain):
                return inherited
        selection = both(for_frames(self._order.where, chain.frames), chain.where)
        rows = in_key_order(self._registry.detector_rows(where=selection, frame_types=chain.frames))
        states = {_STATE_OF_SOURCE[each.need.source] for each in chain.outside if each.need.source in _STATE_OF_SOURCE}
        if states:
            rows = [row for row in rows if {row.state} == states]
        if inherited is not None:
            known = {(row.exposure, row.detector) for row in inherited}
            rows = [row for row in rows if (row.exposure, row.detector) in known]
        rows = self._circles.firsts(rows) if chain.by_visit else self._circles.whole(rows)
        for _ in range(self._hops[chain.index]):
            rows = self._circles.around(rows)
        return rows

    def _kind(self, chain: Chain) -> tuple[object, ...]:
        """What decides which rows a chain works on, beside the order."""
        return chain.frames, chain.where, chain.by_visit, self._hops[chain.index]

    def _places(self, chain: Chain, units: Sequence[Target]) -> dict[tuple[str, ...], int]:
        place: dict[tuple[str, ...], int] = {}
        resolve = _resolving(chain, self._ground)
        for target in units:
            recipe = self._recipes.recipe(chain, "" if chain.grain in TILED else target.head.camera)
            found = resolve(target)
            if isinstance(found, FaultRecord):
                place[target.unit.values] = self._refuse(recipe, target, found)
                continue
            place[target.unit.values] = len(self._plan.jobs)
            key = _key(recipe, target, found)
            self._plan.jobs.append(PlannedJob(recipe, target, key, found))
            self._ground.keys.append(key)
        return place

    def _rescue(self, chain: Chain, first: int) -> None:
        """Units that failed by themselves begin anew where a rung of the ladder borrows for them."""
        needy = ladder.poor(self._plan, first, self._given_up)
        if not needy:
            return
        jobs = self._plan.jobs
        self._ground.loans = {}
        resolve = _resolving(chain, self._ground, late=True)
        found = ladder.loans(self._plan, first, needy) | self._earlier(chain, first, needy, resolve)
        for number, loan in found.items():
            job = jobs[number]
            self._ground.loans[job.unit.values] = loan
            inputs = resolve(job.target)
            if isinstance(inputs, FaultRecord):
                continue  # it stands as failed, by the fault that it had
            job.key = self._ground.keys[number] = _key(job.recipe, job.target, inputs, loan.rung)
            job.inputs, job.rung = inputs, loan.rung
        begun = [jobs[number] for number in found if jobs[number].rung >= 0]
        self._judge(begun)
        for job in begun:
            if job.reason == standing.NEVER_MADE:
                job.reason = f"failed by itself: {self._ground.loans[job.unit.values].how}"

    def _earlier(self, chain: Chain, first: int, needy: Mapping[int, str], resolve: Resolve) -> dict[int, Loan]:
        """Loans of units that the order leaves out, as they stand."""
        if not self._order.where.strip():
            return {}
        found: dict[int, Loan] = {}
        numbers = {str(self._plan.jobs[number].unit): number for number in needy}
        keys = {str(job.unit): job.key for job in self._plan.jobs[first:]}
        labels = tuple(step.label for step in chain.steps)
        for last in self._registry.last_done(labels, (self._plan.jobs[number].unit for number in needy)):
            number = numbers[last.unit]
            job = self._plan.jobs[number]
            for loan in ladder.earlier(job, needy[number], last, keys):
                self._ground.loans[job.unit.values] = loan
                inputs = resolve(job.target)
                if not isinstance(inputs, FaultRecord) and _key(job.recipe, job.target, inputs, loan.rung) == last.key:
                    found[number] = loan
        return found

    def _refuse(self, recipe: Recipe, target: Target, fault: FaultRecord) -> int:
        key = digest([recipe.digest, str(target.unit), "refused"])
        self._plan.refusals.append(Refusal(recipe, target.unit, key, fault))
        self._ground.refusals.append(fault)
        self._lose(recipe, target.unit, fault)
        return -len(self._plan.refusals)

    def _follow(self, first: int) -> None:
        """Tell later chains what this one's jobs will make, and which will not be done."""
        for number in range(first, len(self._plan.jobs)):
            job = self._plan.jobs[number]
            fault = standing.broken(job, self._given_up)
            if fault is not None:
                self._ground.broken[number] = fault
                self._lose(job.recipe, job.unit, fault)
                continue
            for output in job.recipe.chain.outputs:
                if output.give.master:
                    self._ground.masters.add(_candidate(job, output.product, number))

    def _lose(self, recipe: Recipe, unit: Unit, fault: FaultRecord) -> None:
        """Those who need a master that will not be made are told why."""
        for output in recipe.chain.outputs:
            if output.give.master:
                self._ground.masters.lose(output.product, unit, fault)


def _key(recipe: Recipe, target: Target, found: Sequence[Sequence[Link]], rung: int = -1) -> str:
    """Key of a job with these inputs, which begins with a rung of the ladder."""
    inputs = [[link.key + link.mark for link in links] for links in found]
    deciding = [recipe.digest, str(target.unit), inputs, _subject(recipe.chain, target)]
    return digest(deciding if rung < 0 else [*deciding, rung])


def _resolving(chain: Chain, ground: Ground, *, late: bool = False) -> Resolve:
    """A function that resolves all needs of a unit of this chain, the `late` ones too; the first fault refuses it."""
    steps = {step.label: step for step in chain.steps}
    parts = [(RESOLVERS[binding.need.source], steps[binding.step], binding) for binding in chain.outside]

    def resolve(target: Target) -> tuple[tuple[Link, ...], ...] | FaultRecord:
        links: list[tuple[Link, ...]] = []
        for resolver, step, binding in parts:
            asked = late or not binding.need.late
            found = resolver.resolve(ground, step, binding, target) if asked else ()
            if isinstance(found, FaultRecord):
                return found
            links.append(found)
        return tuple(links)

    return resolve


def _hops(linked: Sequence[Chain]) -> list[int]:
    """How many steps to neighbouring exposures lie between each chain and what is made of it in the end."""
    hops = [0] * len(linked)
    for chain in reversed(linked):
        for binding in chain.outside:
            if binding.chain is not None:
                farther = hops[chain.index] + (binding.need.among == "dither")
                hops[binding.chain] = max(hops[binding.chain], farther)
    return hops


def _visits(registry: Registry, linked: Sequence[Chain]) -> Circles:
    """The visits of the frames whose snaps are combined; none where no chain does that."""
    gathering = [chain for chain in linked if chain.steps[0].among()]
    if not gathering:
        return Circles((), lambda row: row.exposure)
    names = {
        exposure.name: f"{visit}/{exposure.night}"
        for exposure in registry.exposures()
        if (visit := exposure.extra.get("visit")) is not None
    }
    frames = {frame for chain in gathering for frame in chain.frames}
    rows = in_key_order(registry.detector_rows(frame_types=frames))
    return Circles(rows, lambda row: names.get(row.exposure, row.exposure))


def _subject(chain: Chain, target: Target) -> str:
    """Digest of the records that the headers of a chain's files tell of; '' where it writes none, or masters."""
    if not chain.files or chain.grain not in {Grain.DETECTOR, Grain.EXPOSURE}:
        return ""
    return target.head.input_digest if chain.grain is Grain.DETECTOR else target.head.exposure_digest


def _candidate(job: PlannedJob, product: str, number: int) -> Candidate:
    return Candidate(f"{job.key}/{product}", product, **job.master_facts(), maker=number)
