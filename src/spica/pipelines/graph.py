"""The graph of a pipeline: which steps are fused into one job, what flows between them, and its description for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spica.core.records import FrameType, Grain
from spica.core.task import Form, Give, Keep, Need
from spica.pipelines.model import RENAMED, Pipeline, Step

FILED = frozenset({Form.IMAGE, Form.CATALOGUE, Form.PICTURE})
"""Forms that lie on disk; values and metrics live in the registry."""
ROWS = frozenset({Form.METRICS, Form.OUTLINE})
"""Forms that are rows of the registry under the unit's own name: nothing to hand on."""

GATHERED = frozenset(
    {
        (Grain.DETECTOR, Grain.EXPOSURE),
        (Grain.DETECTOR, Grain.CALIBRATION),
        (Grain.EXPOSURE, Grain.CALIBRATION),
        (Grain.DETECTOR, Grain.GROUP),
        (Grain.EXPOSURE, Grain.GROUP),
        (Grain.DETECTOR, Grain.TILE_BAND),
        (Grain.EXPOSURE, Grain.TILE_BAND),
        (Grain.DETECTOR, Grain.TILE),
        (Grain.EXPOSURE, Grain.TILE),
        (Grain.TILE_BAND, Grain.TILE),
    }
)
"""Grains of a product and of its consumer where one unit of the latter takes those of many of the former."""
TILED = frozenset({Grain.TILE_BAND, Grain.TILE})
"""Grains whose units are tiles of a release."""


@dataclass(frozen=True)
class Binding:
    """What a step's need is bound to.

    Attributes
    ----------
    step : label of the step.
    need : the need.
    product : the pipeline's name of the product, '' where the source is none.
    chain : number of the chain that makes it, None where no step of the pipeline does.
    grain : grain of the product.
    gathers : the need takes the products of all units below its own.
    group : of a product of a joint solution, what its exposures have in common (`spica.pipelines.model.Step.group`).
    """

    step: str
    need: Need
    product: str = ""
    chain: int | None = None
    grain: Grain | None = None
    gathers: bool = False
    group: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """A product of a chain: the pipeline's name, the step that gives it, and what becomes of it."""

    product: str
    step: str
    give: Give
    keep: Keep

    @property
    def written(self) -> bool:
        """Whether it leaves the job (as a file, or as a value or metrics in the registry)."""
        if self.give.form is Form.MEMORY:
            return False
        return self.keep is not Keep.NEVER or self.give.form in ROWS

    @property
    def scratch(self) -> bool:
        """Whether it is deleted after its last consumer."""
        return self.keep is Keep.SCRATCH

    @property
    def filed(self) -> bool:
        """Whether it lies on disk as a file."""
        return self.written and self.give.form in FILED


@dataclass(frozen=True)
class Chain:
    """Consecutive steps of one grain and one selection: one job for each unit.

    Attributes
    ----------
    index : number in the pipeline.
    steps : the steps, in order.
    bindings : every need of every step, parallel to the steps' own order.
    outputs : every product.
    by_visit : each unit is a visit, known by its first snap.
    """

    index: int
    steps: tuple[Step, ...]
    bindings: tuple[Binding, ...]
    outputs: tuple[Output, ...]
    by_visit: bool = False

    @property
    def grain(self) -> Grain:
        """Grain of the units."""
        return self.steps[0].task.grain

    @property
    def frames(self) -> tuple[FrameType, ...]:
        """Frame types it works on, empty for all."""
        return self.steps[0].frames

    @property
    def where(self) -> str:
        """The steps' own selection."""
        return self.steps[0].where

    @property
    def label(self) -> str:
        """The labels of its steps, for people."""
        return " + ".join(step.label for step in self.steps)

    @property
    def outside(self) -> tuple[Binding, ...]:
        """The needs that no step of the chain itself satisfies."""
        return tuple(binding for binding in self.bindings if binding.chain != self.index)

    @property
    def files(self) -> bool:
        """Whether its jobs write files."""
        return any(output.filed for output in self.outputs)

    def output(self, product: str) -> Output:
        """The output of this name; KeyError if there is none."""
        for output in self.outputs:
            if output.product == product:
                return output
        raise KeyError(product)


def makers(pipeline: Pipeline) -> dict[str, tuple[Step, Give]]:
    """Product name to the step that gives it (the first, where a faulty pipeline has two)."""
    found: dict[str, tuple[Step, Give]] = {}
    for step in pipeline.steps:
        for give in step.task.gives:
            found.setdefault(step.product(give.name), (step, give))
    return found


def chains(pipeline: Pipeline) -> tuple[Chain, ...]:
    """Fuse consecutive steps and bind every need.

    A product that is to live in memory only, but that a step of another chain needs, becomes scratch.
    """
    visits = _by_visit(pipeline)
    groups = _fuse(pipeline.steps, visits)
    chain_of = {step.label: index for index, group in enumerate(groups) for step in group}
    given = makers(pipeline)
    maker_chain = {product: chain_of[step.label] for product, (step, _) in given.items()}
    wanted = _wanted_elsewhere(pipeline, chain_of, maker_chain)
    made = []
    for index, group in enumerate(groups):
        bindings = tuple(_bind(step, need, maker_chain, groups) for step in group for need in step.needs())
        outputs = tuple(_output(step, give, wanted) for step in group for give in step.task.gives)
        made.append(Chain(index, group, bindings, outputs, group[0].label in visits))
    return tuple(made)


def _by_visit(pipeline: Pipeline) -> set[str]:
    """Labels of the steps whose units are visits: those that gather snaps, and all that use what these give."""
    given = makers(pipeline)
    found: set[str] = set()
    for step in pipeline.steps:
        taken = [step.product(need.name) for need in step.needs() if need.source == "product"]
        if step.among("visit") or any(product in given and given[product][0].label in found for product in taken):
            found.add(step.label)
    return found


def _fuse(steps: Iterable[Step], visits: Collection[str]) -> list[tuple[Step, ...]]:
    groups: list[list[Step]] = []
    for step in steps:
        if (
            groups
            and not step.apart
            and not step.among()
            and _selection(groups[-1][0], visits) == _selection(step, visits)
        ):
            groups[-1].append(step)
        else:
            groups.append([step])
    return [tuple(group) for group in groups]


def _selection(step: Step, visits: Collection[str]) -> tuple[object, ...]:
    return (
        step.task.grain,
        frozenset(step.frames),
        step.where,
        step.label in visits,
        step.block,
        step.group,
        step.validity,
    )


def _wanted_elsewhere(pipeline: Pipeline, chain_of: Mapping[str, int], maker_chain: Mapping[str, int]) -> set[str]:
    return {
        product
        for step in pipeline.steps
        for need in step.needs()
        if need.source == "product" and (product := step.product(need.name)) in maker_chain
        if maker_chain[product] != chain_of[step.label]
    }


def _bind(step: Step, need: Need, maker_chain: Mapping[str, int], groups: Sequence[tuple[Step, ...]]) -> Binding:
    if need.source == "product":
        product = step.product(need.name)
        chain = maker_chain.get(product)
        grain = need.grain if chain is None else groups[chain][0].task.grain
        gathers = (grain, step.task.grain) in GATHERED or (grain is Grain.DETECTOR and bool(need.among))
        group = groups[chain][0].group if chain is not None and grain is Grain.GROUP else ()
        return Binding(step.label, need, product, chain, grain, gathers, group)
    if need.source == "master":
        return Binding(step.label, need, step.product(need.name))
    if need.source == "lent":
        return Binding(step.label, need, step.product(need.name), grain=step.task.grain, gathers=True)
    return Binding(step.label, need)


def _output(step: Step, give: Give, wanted: set[str]) -> Output:
    product, keep = step.product(give.name), step.kept(give)
    if keep is Keep.NEVER and (product in wanted or give.master):
        keep = Keep.ALWAYS if give.master else Keep.SCRATCH
    return Output(product, step.label, give, keep)


def describe(pipeline: Pipeline) -> dict[str, Any]:
    """The graph as plain JSON-able data, for `spica pipeline show` and the portal.

    Returns
    -------
    Mapping with `name`, `title`, `source`; `steps` (label, task, version, summary, grain, frames, where, job, needs,
    gives, settings as set here, JSON Schema of all settings); `jobs` (the fused chains); `edges` (from, to, product);
    `rescues`.
    """
    linked = chains(pipeline)
    job_of = {step.label: chain.index for chain in linked for step in chain.steps}
    given = makers(pipeline)
    edges = [
        {"from": given[product][0].label, "to": step.label, "product": product, "how": need.source}
        for step in pipeline.steps
        for need in step.needs()
        if need.source in {"product", "master"} and (product := step.product(need.name)) in given
    ]
    return {
        "name": pipeline.name,
        "title": pipeline.title,
        "source": pipeline.source,
        "steps": [_describe_step(step, job_of[step.label]) for step in pipeline.steps],
        "jobs": [{"job": chain.index, "grain": chain.grain.value, "steps": chain.label} for chain in linked],
        "edges": edges,
        "rescues": [
            {
                "after": rung.after,
                "step": rung.step,
                "settings": dict(rung.settings),
                "borrow": rung.borrow,
                "needs": rung.needs,
            }
            for rung in pipeline.rescues
        ],
    }


def _describe_step(step: Step, job: int) -> dict[str, Any]:
    task = step.task
    return {
        "label": step.label,
        "task": task.name,
        "version": task.version,
        "summary": task.summary,
        "grain": task.grain.value,
        "frames": [frame.value for frame in step.frames],
        "where": step.where,
        "job": job,
        "needs": [
            {
                "name": need.name,
                "product": step.product(need.name) if need.source in RENAMED else "",
                "source": need.source,
                "section": need.section,
                "optional": step.optional(need),
                "quorum": need.quorum,
            }
            for need in step.needs()
        ],
        "gives": [
            {
                "name": step.product(give.name),
                "form": give.form.value,
                "keep": step.kept(give).value,
                "master": give.master,
                "meaning": give.meaning,
            }
            for give in task.gives
        ],
        "settings": dict(step.settings),
        "schema": task.settings.model_json_schema(),
    }
