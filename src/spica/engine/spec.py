"""What travels to a worker: a job with all that it reads and where its products go. Plain records, pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spica.core.camera import Delivered as DeliveredTable
from spica.core.faults import FaultRecord
from spica.core.jobs import InputRecord, StepRecord
from spica.core.records import Detector, Exposure, Unit
from spica.core.task import Form
from spica.files.standard import Subject
from spica.pipelines.graph import Chain
from spica.pipelines.model import Rescue

RESCUE = "rescue"
"""Source of a setting that a rung of the rescue ladder has set."""


@dataclass(frozen=True)
class Recipe:
    """A chain with its settings resolved (for one camera): shared by all its jobs.

    `settings` and `sources` are parallel to the chain's steps; `digest` covers all that decides the bytes made, apart
    from unit and inputs; `stages` names what goes into it, to tell later what changed.
    """

    pipeline: str
    chain: Chain
    settings: tuple[Mapping[str, Any], ...]
    sources: tuple[Mapping[str, str], ...]
    rescues: tuple[Rescue, ...]
    digest: str

    def step_records(self, settings: tuple[Mapping[str, Any], ...] | None = None) -> tuple[StepRecord, ...]:
        """The steps for the registry, with the settings that were used in the end; those of rungs are told apart."""
        used = self.settings if settings is None else settings
        return tuple(
            StepRecord(
                *(step.label, step.task.name, step.task.version, given),
                {**where, **{name: RESCUE for name, value in given.items() if value != asked[name]}},
            )
            for step, given, asked, where in zip(self.chain.steps, used, self.settings, self.sources, strict=True)
        )


@dataclass(frozen=True)
class Raw:
    """Raw pixels of a detector; paths by file checksum."""

    detector: Detector
    exposure: Exposure
    paths: Mapping[str, str]


@dataclass(frozen=True)
class Delivered:
    """An image reduced elsewhere; paths by file checksum; the camera table's section on what its planes mean."""

    detector: Detector
    exposure: Exposure
    paths: Mapping[str, str]
    table: DeliveredTable


@dataclass(frozen=True)
class Stored:
    """A product on disk."""

    path: str
    form: Form
    stream: bool = False
    columns: tuple[str, ...] = ()
    where: str = ""
    planes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """A record or a small value that travels with the job."""

    value: Any


@dataclass(frozen=True)
class Gathered:
    """A fan-in: unit and source of each member, in key order."""

    members: tuple[tuple[str, Source], ...]


@dataclass(frozen=True)
class Referred:
    """Rows of a reference catalogue in cones on the sky (RA, Dec, radius [degree]), at a time.

    The checksum tells whether it is still the same one.
    """

    folder: str
    checksum: str
    cones: tuple[tuple[float, float, float], ...]
    columns: tuple[str, ...]
    where: str
    mjd: float


@dataclass(frozen=True)
class Indexed:
    """Index files: path of each, and its identity when the work was planned."""

    files: tuple[tuple[str, str], ...]


Source = Raw | Delivered | Stored | Given | Gathered | Referred | Indexed | None
"""Where the value of a need comes from; None for an optional need that nothing satisfies."""


@dataclass(frozen=True)
class Association:
    """How well a master serves the unit: the step that takes it, quality as a number (0 the best) and as a word, block."""

    step: str
    quality: int
    word: str
    block: str


@dataclass(frozen=True)
class JobSpec:
    """One job, ready to be worked on.

    Attributes
    ----------
    key, unit : of the job.
    recipe : chain and settings.
    inputs : provenance, as recorded.
    sources : parallel to ``recipe.chain.outside``.
    root : survey folder.
    paths : product to its path relative to `root`.
    masters : of each master that a step takes (or would, were there one), how well it serves.
    facts : of masters made: camera, detector, band, validity …; recorded with the product.
    subject : what its files say of the exposure, detector or master that they are of.
    rung : number of the rung of the ladder with which it begins; -1 for none.
    attempt : 1 for the first.
    """

    key: str
    unit: Unit
    recipe: Recipe
    inputs: tuple[InputRecord, ...]
    sources: tuple[Source, ...]
    root: str
    paths: Mapping[str, str]
    masters: Mapping[str, Association] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    subject: Subject = field(default_factory=Subject)
    rung: int = -1
    attempt: int = 1


@dataclass(frozen=True)
class Lost:
    """An attempt that ended without a report: the worker died, hung or grew too large."""

    key: str
    fault: FaultRecord
