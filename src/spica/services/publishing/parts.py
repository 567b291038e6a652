"""What a release is made of: the work on each stack and tile, how far it is, what it made, its figures.

Of a release that is still open this is what a plan of its pipeline says, which stands for the rules as they are now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from spica.core.faults import Outcome
from spica.core.jobs import FIGURES, PRIORITY, ProductRecord
from spica.core.records import Grain, Unit
from spica.core.task import Measured
from spica.core.tiles import Tile
from spica.engine.plan import Plan, PlannedJob, Standing
from spica.engine.planner import make_plan
from spica.pipelines.graph import TILED
from spica.registry.rows import DetectorRow, JobState
from spica.registry.store import Registry
from spica.services.pipelines import load_for
from spica.services.surveys import Opened

PIPELINE = "deep"
GRAINS = tuple(sorted(TILED))


class State(StrEnum):
    """How far a stack or tile is; the last of those of its parts in this order counts."""

    COMPLETED = "completed"
    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True)
class Part:
    """The work of some steps on one unit.

    Attributes
    ----------
    chain : label of its steps.
    job : key; of a unit that cannot be worked on that of its refusal.
    state, why : how far it is, and why not farther.
    products : what is there of what it made.
    figures : its metrics, with the step that gave each.
    rows : detectors that it is made of.
    tile : its place on the sky.
    """

    unit: Unit
    chain: str
    job: str
    state: State
    why: str = ""
    products: tuple[ProductRecord, ...] = ()
    figures: Mapping[str, tuple[Measured, str]] = field(default_factory=dict)
    rows: tuple[DetectorRow, ...] = ()
    tile: Tile | None = None


def planned(house: Opened, release: str, pipeline: str = PIPELINE) -> Plan:
    """The plan of a release; errors as `spica.engine.planner.make_plan`, ``release.frozen``."""
    wanted = load_for(release, pipeline, house.survey)
    return make_plan(house.registry, house.survey, wanted, release=release)


def parts_of(registry: Registry, plan: Plan) -> list[Part]:
    """The work on tiles that a plan has, in its order."""
    jobs = [job for job in plan.jobs if job.recipe.chain.grain in TILED]
    states = registry.states(job.key for job in jobs if job.standing is not Standing.RUN)
    held = registry.leased([job.key for job in jobs if job.standing is Standing.RUN])
    found = [_part(job, states.get(job.key), held=job.key in held) for job in jobs]
    refused = [each for each in plan.refusals if each.recipe.chain.grain in TILED]
    found += [
        Part(each.unit, each.recipe.chain.label, each.key, State.FAILED, f"{each.fault.code}: {each.fault.message}")
        for each in refused
    ]
    return found


def _part(job: PlannedJob, state: JobState | None, *, held: bool) -> Part:
    head = job.unit, job.recipe.chain.label, job.key
    if job.standing is Standing.FAILED:
        return Part(*head, State.FAILED, state.fault if state else job.reason, rows=job.target.rows)
    if job.standing is Standing.RUN or state is None or state.outcome is not Outcome.DONE:
        return Part(*head, State.RUNNING if held else State.PENDING, job.reason, rows=job.target.rows)
    return Part(
        *head,
        State.COMPLETED,
        products=tuple(each for each in state.products if each.path and not each.scratch),
        figures=figures_of(state.products),
        rows=job.target.rows,
        tile=job.target.tile,
    )


def figures_of(products: Iterable[ProductRecord]) -> dict[str, tuple[Measured, str]]:
    """The metrics that a job on a tile left."""
    found: dict[str, tuple[Measured, str]] = {}
    for product in products:
        if product.name == FIGURES:
            found |= {
                name: (Measured(float(value), str(units)), str(step))
                for name, (value, units, step) in product.value.items()
            }
    return found


def by_unit(parts: Sequence[Part]) -> dict[Unit, list[Part]]:
    """Parts of each unit: stacks (tile and band) and tiles, by name."""
    found: dict[Unit, list[Part]] = {}
    for part in sorted(parts, key=lambda each: (each.unit.values, each.unit.grain.value)):
        found.setdefault(part.unit, []).append(part)
    return found


def state_of(parts: Iterable[Part]) -> tuple[State, str]:
    """How far a unit is, and why not farther."""
    order = list(State)
    worst = max(parts, key=lambda each: order.index(each.state))
    why = f"{worst.chain}: {worst.why}" if worst.why else ""
    return worst.state, why


def priorities(registry: Registry) -> dict[Unit, float]:
    """The priorities that people gave to stacks and tiles."""
    return registry.metric_of_all(PRIORITY, GRAINS)


def band_of(unit: Unit) -> str:
    """Band of a stack, '' of a tile."""
    return unit.keys["band"] if unit.grain is Grain.TILE_BAND else ""


def exposures_of(parts: Iterable[Part]) -> tuple[int, float]:
    """Of how many exposures a unit is made, and their exposure time in all [s]."""
    times = {row.exposure: row.exposure_time for part in parts for row in part.rows}
    return len(times), sum(times.values())
