"""What resolvers share: the ground that planning stands on, and the stock that a job is sent out with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from spica.core.camera import Camera
from spica.core.faults import FaultRecord
from spica.core.jobs import ProductRecord
from spica.core.records import Detector, Exposure, FileRecord
from spica.core.systems import Systems
from spica.engine.circles import Circles
from spica.engine.masters import Masters
from spica.engine.spec import Source
from spica.engine.targets import Target
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step


class Link(NamedTuple):
    """One input of a planned job: its key, the unit it is of, how it was found, and the job of this plan that makes it.

    Of a master also `quality` (as a number of `spica.engine.masters.Quality`) and `mark`, which becomes part of the job's
    key: what an order has said, where the master itself does not tell.
    """

    key: str
    unit: str = ""
    how: str = ""
    maker: int = -1
    quality: int = -1
    mark: str = ""


class Loan(NamedTuple):
    """What a unit begins anew with.

    Attributes
    ----------
    rung : number of the rung in the recipe's ladder.
    after : the fault.
    how : the rung in words.
    lenders : keys and units of the jobs that lend, in key order, and their numbers in the plan (-1: in none); none for a
        rung that does not borrow.
    """

    rung: int
    after: str
    how: str
    lenders: tuple[tuple[str, str, int], ...]


@dataclass
class Ground:
    """What planning knows while it goes through the chains.

    Attributes
    ----------
    reference : name and checksum of the reference catalogue for a purpose; SetupFault where there is none.
    systems : photometric systems of a camera's bands and that catalogue's, by camera and purpose.
    indexes : path and identity of each index file that the survey names.
    dust : checksum of the dust map that is installed; '' where there is none.
    previous : folder (in the survey's) and checksum of the objects of the release before; '' where there is none.
    section : digest of a camera's section, by camera, detector, section and band.
    delivered : digest of what a camera's table says of frames reduced elsewhere.
    masters : candidates so far.
    places : per chain, values of a unit to the number of its job, or -1 - n for refusal n.
    circles : which rows of the survey belong together.
    keys : key of each job.
    broken : jobs that will not be done, and why.
    refusals : fault of each refusal, parallel to the plan's.
    loans : of the chain at hand, values of a unit to what a rung of the ladder begins it anew with.
    """

    section: Callable[[str, int, str, str], str]
    delivered: Callable[[str], str]
    masters: Masters
    circles: Circles
    reference: Callable[[str], tuple[str, str]]
    systems: Callable[[str, str], Systems]
    indexes: Callable[[], tuple[tuple[str, str], ...]]
    previous: Callable[[], tuple[str, str]]
    dust: Callable[[], str]
    places: list[dict[tuple[str, ...], int]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    broken: dict[int, FaultRecord] = field(default_factory=dict)
    refusals: list[FaultRecord] = field(default_factory=list)
    loans: dict[tuple[str, ...], Loan] = field(default_factory=dict)


@dataclass
class Stock:
    """What jobs are sent out with: records fetched in bulk for the jobs at hand."""

    camera: Callable[[str], Camera]
    section: Callable[[str, int, str, str], Mapping[str, Any]]
    path_of: Callable[[FileRecord | str], Path]
    references: Path
    systems: Callable[[str, str], Systems]
    indexes: Callable[[], tuple[tuple[str, str], ...]]
    detectors: Mapping[tuple[str, int], Detector] = field(default_factory=dict)
    exposures: Mapping[str, Exposure] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    products: Mapping[str, ProductRecord] = field(default_factory=dict)


Found = tuple[Link, ...] | FaultRecord
"""Links, none for an optional need that nothing satisfies, or the fault that refuses the unit."""


class Resolver(Protocol):
    """One source: a module with these two functions."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:
        """Find what satisfies a need of a unit."""

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:
        """What the worker needs in order to read it."""
