"""The plan: which jobs an order means, which of them are to run and why, and which units are refused and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from spica.core.faults import FaultRecord, Outcome
from spica.core.jobs import InputRecord, JobReport, ProductRecord
from spica.core.records import Unit
from spica.engine.resolvers.base import Link
from spica.engine.spec import Recipe
from spica.engine.targets import Target, kind_of_flat
from spica.pipelines.graph import Chain
from spica.pipelines.model import Pipeline

ABSENT = Link("", "", "none: optional, and there is none")
"""What is recorded in the place of an input that a job went without."""


class Standing(StrEnum):
    """What the plan means to do with a job."""

    RUN = "run"
    DONE = "done"
    FAILED = "failed"
    """It failed before with the same inputs, settings and versions: it would fail again."""


@dataclass(slots=True)
class PlannedJob:
    """One job of a plan: compact, for there may be many.

    Attributes
    ----------
    recipe, target, key : what, on which unit, and its Merkle key.
    inputs : parallel to ``recipe.chain.outside``: the links that satisfy each need (none: an optional one is absent).
    standing, reason : whether it would run, and why, in words.
    detail : of which units the inputs have changed, where that is the reason.
    rung : number of the rung of the ladder with which it begins, after the unit has failed by itself; -1 for none.
    """

    recipe: Recipe
    target: Target
    key: str
    inputs: tuple[tuple[Link, ...], ...]
    standing: Standing = Standing.RUN
    reason: str = ""
    detail: str = ""
    rung: int = -1

    @property
    def unit(self) -> Unit:
        """The unit."""
        return self.target.unit

    def makers(self) -> set[int]:
        """Numbers of the jobs of this plan that it takes products of."""
        return {link.maker for links in self.inputs for link in links if link.maker >= 0}

    def input_records(self) -> tuple[InputRecord, ...]:
        """The inputs as they are recorded; an optional one that nothing satisfies is recorded as none, unless it is late."""
        return tuple(
            InputRecord(f"{binding.step}.{binding.need.name}", link.key, link.unit, link.how)
            for binding, links in zip(self.recipe.chain.outside, self.inputs, strict=True)
            for link in links or (() if binding.need.late else (ABSENT,))
        )

    def master_facts(self) -> dict[str, Any]:
        """What a master serves: camera, detector, band, shape, binning, read-out mode, gain, validity (MJD TAI), block."""
        row, step, middle = self.target.head, self.recipe.chain.steps[-1], self.target.mjd
        return {
            "camera": row.camera,
            "detector": row.detector,
            "band": row.band,
            "shape": (row.ny, row.nx),
            "binning": row.binning,
            "readout_mode": row.readout_mode,
            "valid_from": middle - step.validity,
            "valid_to": middle + step.validity,
            "block": self.target.block,
            "gain": row.gain,
            "flat_kind": kind_of_flat(row),
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """A unit that cannot be worked on, and why."""

    recipe: Recipe
    unit: Unit
    key: str
    fault: FaultRecord

    def report(self, inputs: tuple[InputRecord, ...] = ()) -> JobReport:
        """The refusal as it is recorded."""
        return JobReport(
            key=self.key,
            unit=self.unit,
            pipeline=self.recipe.pipeline,
            steps=self.recipe.step_records(),
            inputs=inputs,
            outcome=Outcome.REFUSED,
            fault=self.fault,
        )


@dataclass(frozen=True)
class Order:
    """What was asked for.

    Attributes
    ----------
    pipeline : checked pipeline.
    where : selection of exposures and detectors.
    overrides : ``step.setting`` (or ``task.setting``) to value.
    retry : try again also what failed on the same data before.
    release : name of the release that tiles are of; '' for the survey's only one.
    tiles : names of the tiles to work on; none for all.
    """

    pipeline: Pipeline
    where: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    retry: bool = False
    release: str = ""
    tiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Left:
    """A detector of an exposure that a rule leaves out; `tile` is '' where it touches none, or by a rule that asks before."""

    exposure: str
    detector: int
    band: str
    rule: str
    why: str
    tile: str = ""


@dataclass
class Plan:
    """A plan.

    Attributes
    ----------
    order : what was asked for.
    jobs : in the order in which they are begun; a job's number is its place.
    refusals : units that cannot run.
    products : records of products on disk (or of values) that jobs done earlier made, by product key.
    present : refusals that the registry holds already.
    waiting : chains of tiles that cannot be planned before the others have ended: the rules ask for their figures.
    left : what rules leave out of tiles, where any are planned.
    """

    order: Order
    jobs: list[PlannedJob] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    products: dict[str, ProductRecord] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    waiting: list[Chain] = field(default_factory=list)
    left: tuple[Left, ...] = ()

    def standing(self, standing: Standing) -> Iterator[tuple[int, PlannedJob]]:
        """Numbers and jobs of one standing."""
        return ((number, job) for number, job in enumerate(self.jobs) if job.standing is standing)

    def counts(self) -> dict[str, int]:
        """How many jobs are to run, done, failed before, and units refused."""
        found = Counter(job.standing.value for job in self.jobs)
        return {standing.value: found[standing.value] for standing in Standing} | {"refused": len(self.refusals)}

    def reasons(self) -> dict[tuple[str, str], int]:
        """How many jobs of each chain run (or do not) for each reason, and units refused by fault code."""
        found = Counter((job.recipe.chain.label, f"{job.standing}: {job.reason}") for job in self.jobs)
        found.update((each.recipe.chain.label, f"refused: {each.fault.code}") for each in self.refusals)
        return dict(found)
