"""Records that the registry answers with, where `spica.core` has none: plain, frozen, never live rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from spica.core.faults import FaultRecord, Outcome
from spica.core.jobs import ProductRecord, StepRecord
from spica.core.orders import State
from spica.core.records import ExposureState, FrameType, Unit


class AddStatus(StrEnum):
    """What became of an ingested record."""

    NEW = "new"
    KNOWN = "known"
    """These very bytes are recorded already (a further copy is noted)."""
    COMPLETED = "completed"
    """Further detectors, amplifiers or planes of a known exposure."""
    CHANGED = "changed"
    """The path was delivered before with other bytes: the old record stands, a fault is recorded."""
    RELOADED = "reloaded"
    REFUSED = "refused"
    """Not recorded: `Added.fault` says why (`add` raises it instead)."""


@dataclass(frozen=True)
class Added:
    """Answer to one ingested record: `exposure` is the name of the exposure that now holds the file."""

    status: AddStatus
    exposure: str
    detectors: tuple[int, ...] = ()
    fault: FaultRecord | None = None


class DetectorRow(NamedTuple):
    """One detector of one exposure, compact: what planning needs to know.

    `gain` is the mean of the amplifiers [electron/ADU], 0 where it is not known. `exposure_digest` names the facts of the exposure, `input_digest` those together with the bytes, HDUs, read-out,
    planes and delivered sky solution of this detector.
    """

    exposure: str
    exposure_id: int
    detector: int
    camera: str
    frame_type: FrameType
    state: ExposureState
    night: str
    mjd: float
    exposure_time: float
    band: str
    filter: str
    flat_kind: str
    binning: tuple[int, int]
    readout_mode: str
    exposure_digest: str
    input_digest: str
    nx: int
    ny: int
    gain: float = 0.0
    field: str = ""


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a job key has got. `products` are those whose bytes are still there, `forgotten` the names of others."""

    key: str
    outcome: Outcome
    attempts: int
    products: tuple[ProductRecord, ...] = ()
    forgotten: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class MasterRow:
    """A calibration master and what it serves: validity is MJD TAI, from (inclusive) to (exclusive).

    `gain` [electron/ADU] and `frames` are 0 where they are not known; `flat_kind` is 'dome', 'twilight' or '';
    `origin` is '' for one made here, else the file that it was imported from.
    """

    key: str
    name: str
    camera: str
    detector: int
    band: str
    shape: tuple[int, int]
    binning: tuple[int, int]
    readout_mode: str
    valid_from: float
    valid_to: float
    block: str
    job: str
    path: str
    checksum: str
    recorded: float
    gain: float = 0.0
    frames: int = 0
    flat_kind: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class CalibrationOrder:
    """What somebody ordered of the masters of a block.

    Attributes
    ----------
    action : 'use' (they and no others) or 'copy' (they too, where there is no better one).
    camera, block : whose.
    name, band, detector : which of them; '', '' and None mean all.
    first, last : nights of the exposures that they are for, inclusive.
    who : gave the order.
    id, recorded, withdrawn : number; Unix seconds, UTC.
    """

    action: str
    camera: str
    block: str
    name: str
    band: str
    detector: int | None
    first: str
    last: str
    who: str = ""
    id: int = 0
    recorded: float = 0.0
    withdrawn: float | None = None


@dataclass(frozen=True)
class JobRow:
    """A job as recorded: when (Unix seconds, UTC), by whom, in which production; and what it cost."""

    key: str
    unit: Unit
    pipeline: str
    labels: tuple[str, ...]
    outcome: Outcome
    attempts: int
    production: int | None
    owner: str
    recorded: float
    wall: float
    cpu: float
    peak_memory: int
    bytes_read: int
    bytes_written: int
    host: str
    fault: FaultRecord | None


@dataclass(frozen=True, slots=True)
class LastDone:
    """The last job of a unit that ended done with some steps: what may have changed since.

    `unit` is the unit's text, `steps` are shared by all jobs of one chain with the same settings; `inputs` are need,
    key and unit of each input, in the order of the needs.
    """

    unit: str
    key: str
    steps: tuple[StepRecord, ...]
    inputs: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Production:
    """One order, from opening to close (Unix seconds, UTC); what its columns mean is said in `registry.schema.productions`."""

    id: int
    name: str
    pipeline: str
    selection: str
    settings: Mapping[str, Any]
    owner: str
    opened: float
    closed: float | None
    outcomes: Mapping[str, int]
    state: State = State.RUNNING
    queued: bool = False
    held: bool = False
    priority: float = 0.0
    person: str = ""
    release: str = ""
    tiles: tuple[str, ...] = ()
    retry: bool = False
    rule: str = ""
    wish: str = ""
    begun: float | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    fault: FaultRecord | None = None
    signed: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Hand:
    """A coordinator by the name of its process, and for how many seconds its notice still holds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Usual:
    """What done jobs of a chain of steps cost: most bytes of memory; bytes written and seconds of a worker, in the mean."""

    memory: int
    written: float
    seconds: float


@dataclass(frozen=True)
class Newcomers:
    """Exposures of a night that came in since a time: how many; when the first and the last was recorded (Unix seconds, UTC)."""

    night: str
    count: int
    first: float
    last: float


@dataclass(frozen=True)
class FaultRow:
    """A fault of a unit: when it was recorded and when a later success cleared it (Unix seconds, UTC)."""

    unit: Unit
    pipeline: str
    job: str
    outcome: str
    fault: FaultRecord
    recorded: float
    cleared: float | None


@dataclass(frozen=True)
class QuarantineRow:
    """A delivered file that could not be taken, and why."""

    path: str
    checksum: str
    fault: FaultRecord
    recorded: float
    released: float | None


@dataclass(frozen=True)
class Note:
    """A grade (`kind` 'grade') or comment ('comment') on a unit."""

    kind: str
    unit: Unit
    text: str
    who: str
    recorded: float


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    kind: str
    unit: str
    message: str
    details: Mapping[str, Any]
    who: str
    recorded: float
