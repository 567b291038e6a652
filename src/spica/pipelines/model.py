"""What a pipeline is: ordered, labelled steps, and what to try after a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spica.core.records import FrameType
from spica.core.task import Give, Keep, Need, Task

RENAMED = frozenset({"product", "master", "lent"})
"""Sources of needs that name a product, so that a step may rename them."""

LENDERS: Mapping[str, str] = {
    "exposure": "the exposure's other detectors",
    "night": "the nearest exposure of the night",
}
"""From whom a rung may borrow, in words: all others of the exposure; one, the nearest in time that has the band, filter,
binning, read-out mode and night (and at detector grain the detector) in common, the earlier of two."""


@dataclass(frozen=True)
class Step:
    """One step: a task with its place in the pipeline.

    Attributes
    ----------
    label : unique in the pipeline; settings are addressed by it (``combine_bias.method``).
    task : the task that runs.
    settings : values that the pipeline sets (survey and command line override them).
    rename : name of a need or give of the task to the name of the product in this pipeline.
    frames : frame types it works on, empty for all.
    where : selection (`spica.core.where`) of its exposures, beside the order's.
    keep : product (renamed name) to what becomes of it, overriding the task's declaration.
    without : optional needs that are left empty here (a bias frame takes no bias).
    require : optional needs that must be satisfied here.
    apart : begin a new job here although it could be fused with the step before.
    block : nights that one calibration block spans.
    group : what the exposures of one joint solution have in common, beside the camera: of 'night', 'band', 'field'.
    validity : days before and after a block's mean time in which its master may be used.
    """

    label: str
    task: Task
    settings: Mapping[str, Any] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    frames: tuple[FrameType, ...] = ()
    where: str = ""
    keep: Mapping[str, Keep] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    apart: bool = False
    block: int = 1
    group: tuple[str, ...] = ("night", "band")
    validity: float = 30.0

    def product(self, name: str) -> str:
        """The pipeline's name for a need or give of the task."""
        return self.rename.get(name, name)

    def among(self, circle: str = "") -> bool:
        """Whether it takes products of other exposures: of a visit, of a dither, '' for of any."""
        return any(need.among == circle if circle else bool(need.among) for need in self.needs())

    def needs(self) -> tuple[Need, ...]:
        """The needs that are to be satisfied here."""
        return tuple(need for need in self.task.needs if need.name not in self.without)

    def optional(self, need: Need) -> bool:
        """Whether the step runs without this need."""
        return need.optional and need.name not in self.require

    def kept(self, give: Give) -> Keep:
        """What becomes of a product."""
        return self.keep.get(self.product(give.name), give.keep)


@dataclass(frozen=True)
class Rescue:
    """One rung of the rescue ladder: after this fault the unit is tried again with these settings of a step.

    Rungs after the same fault are taken in order; the settings of earlier ones stay. One that borrows is taken in a job
    of its own, when the units that may lend have ended: those that were done without a loan themselves, chosen by
    `LENDERS`. Where there are none it is passed over.
    One that `needs` something optional of the step which is not there is passed over too, and one that would change nothing.
    """

    after: str
    step: str
    settings: Mapping[str, Any]
    borrow: str = ""
    needs: str = ""

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        lent = f", lent by {LENDERS[self.borrow]}" if self.borrow else ""
        return f"after {self.after}: {self.step} with {given}{lent}"


@dataclass(frozen=True)
class Pipeline:
    """A named list of steps; `source` is the file that it was read from."""

    name: str
    title: str
    steps: tuple[Step, ...]
    rescues: tuple[Rescue, ...] = ()
    source: str = ""

    def step(self, label: str) -> Step:
        """The step with this label; KeyError if there is none."""
        for step in self.steps:
            if step.label == label:
                return step
        raise KeyError(label)
