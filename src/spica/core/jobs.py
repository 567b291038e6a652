"""Records of work: what a job made, cost and how it ended. Workers return them, the registry keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spica.core.faults import FaultRecord, Outcome
from spica.core.outline import Outline
from spica.core.records import Metric, Unit
from spica.core.task import Form

FIGURES = "job_figures"
"""Value that a job on a tile leaves: each of its metrics by name, as [value, unit, step]. The metrics of the unit itself are
those of the last job on it, which may be another release's."""


PRIORITY = "priority"
"""Metric of a stack or tile that people give: the higher it is, the earlier it is made."""


@dataclass(frozen=True)
class Cost:
    """What a job cost: seconds, bytes, peak resident memory of the worker."""

    wall: float = 0.0
    cpu: float = 0.0
    peak_memory: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    host: str = ""


@dataclass(frozen=True)
class ProductRecord:
    """A product that was made: registered only after its bytes are safe.

    `key` is the job's key and the product's name, ``<job key>/<name>``; `checksum` is of the bytes on disk. A `VALUE`
    has no file: `value` holds it.
    """

    key: str
    name: str
    form: Form
    unit: Unit
    job: str
    path: str = ""
    checksum: str = ""
    size: int = 0
    scratch: bool = False
    master: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For masters: camera, detector, band, shape, binning, readout_mode, valid_from, valid_to (MJD)."""
    value: Mapping[str, Any] = field(default_factory=dict)


def maker_of(key: str) -> str:
    """Key of the job that made the product of a key; '' for what is no product (a raw file, records of a unit)."""
    job, _, name = key.partition("/")
    return job if name and ":" not in job else ""


@dataclass(frozen=True)
class InputRecord:
    """One input of a job: the need, the key of what satisfied it ('' where it went without), and how it was chosen."""

    need: str
    key: str
    unit: str = ""
    how: str = ""


@dataclass(frozen=True)
class StepRecord:
    """One step of a job's chain, with the settings as used and where each came from."""

    label: str
    task: str
    version: int
    settings: Mapping[str, Any]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class JobReport:
    """How a job ended, in full; recorded in one transaction."""

    key: str
    unit: Unit
    pipeline: str
    steps: tuple[StepRecord, ...]
    inputs: tuple[InputRecord, ...]
    outcome: Outcome
    products: tuple[ProductRecord, ...] = ()
    metrics: tuple[Metric, ...] = ()
    outlines: tuple[Outline, ...] = ()
    fault: FaultRecord | None = None
    cost: Cost = Cost()
    attempt: int = 1
    rungs: tuple[str, ...] = ()
    traceback: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
