"""Masters that may serve a unit: what each is, how well it serves, and why none does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from spica.core.faults import DataFault, FaultRecord
from spica.core.records import Grain, Unit
from spica.engine.targets import Target
from spica.registry.rows import MasterRow

GAIN = 0.05
"""Gains that differ by more, relative, are those of two settings."""


class Quality(IntEnum):
    """How well a master is known to serve a unit, the best first."""

    FIXED = 0
    """An order says that it is to be used."""
    SAME_NIGHT = 1
    NEAREST = 2
    """Of another night, within its validity."""
    COPIED = 3
    """Of another night, made valid by an order."""
    IMPORTED = 4
    """Made elsewhere."""
    OUTSIDE = 5
    """Outside of its validity, where the survey's settings allow it."""
    NONE = 6
    """There is none, and it is not required."""

    @property
    def word(self) -> str:
        """As it stands in headers and tables."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A master that is there (`maker` None) or that job number `maker` of this plan makes."""

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
    gain: float = 0.0
    flat_kind: str = ""
    origin: str = ""
    maker: int | None = None
    recorded: float = 0.0

    @property
    def centre(self) -> float:
        """Mean time of its frames, MJD TAI."""
        return 0.5 * (self.valid_from + self.valid_to)

    @property
    def night(self) -> str:
        """Its block without binning, mode and kind."""
        return self.block.partition("~")[0]

    @property
    def unit(self) -> Unit:
        """The calibration unit that it is of."""
        return Unit(Grain.CALIBRATION, (self.camera, str(self.detector), self.band, self.block))

    def suits(self, target: Target) -> bool:
        """Whether the unit was read out with its gain, as far as both are known."""
        gain = target.head.gain
        return not (gain > 0 and self.gain > 0) or abs(self.gain - gain) <= GAIN * gain

    def covers(self, target: Target) -> bool:
        """Whether the unit lies within its validity, and has its gain."""
        return self.valid_from <= target.mjd < self.valid_to and self.suits(target)


class Chosen(NamedTuple):
    """A master for a unit, and how well it is known to serve it."""

    master: Candidate
    quality: Quality


def registered(row: MasterRow) -> Candidate:
    """A master of the registry as a candidate."""
    return Candidate(
        *(row.key, row.name, row.camera, row.detector, row.band, row.shape, row.binning, row.readout_mode),
        *(row.valid_from, row.valid_to, row.block, row.gain, row.flat_kind, row.origin),
        recorded=row.recorded,
    )


def misfit(candidate: Candidate, target: Target) -> FaultRecord | None:
    """The fault of a master whose shape is not the detector's, None if it is."""
    row = target.head
    if candidate.shape == (row.ny, row.nx):
        return None
    return DataFault(
        "calibration.shape",
        f"{target.unit}: the {candidate.name} of block {candidate.block} has the shape {candidate.shape}, "
        f"the detector {(row.ny, row.nx)}",
        master=candidate.key,
    ).record()


class _Demand(NamedTuple):
    """Something in which a master must agree with the unit: the fault where none does, and how it is told."""

    code: str
    wanted: str
    met: Callable[[Candidate], bool]
    told: Callable[[Candidate], str]


def _demands(target: Target) -> tuple[_Demand, ...]:
    row = target.head
    binning, mode = row.binning, row.readout_mode
    return (
        _Demand("calibration.band", f"band {row.band!r}", lambda m: m.band in {row.band, ""}, lambda m: repr(m.band)),
        _Demand(
            "calibration.binning",
            "binning {}x{}".format(*binning),
            lambda m: m.binning == binning,
            lambda m: "{}x{}".format(*m.binning),
        ),
        _Demand(
            "calibration.readout",
            f"read-out {mode!r}",
            lambda m: m.readout_mode == mode,
            lambda m: repr(m.readout_mode),
        ),
        _Demand("calibration.gain", f"gain {row.gain:.4g}", lambda m: m.suits(target), lambda m: f"{m.gain:.4g}"),
    )


def none_serves(name: str, target: Target, there: Iterable[Candidate]) -> FaultRecord:
    """Why none of the masters that are there serves the unit: the first thing in which all that are left differ."""
    row, known = target.head, list(there)
    start, whose = f"{target.unit}: no {name}", f"{row.camera} detector {row.detector}"

    def fault(code: str, message: str, **evidence: str) -> FaultRecord:
        facts = {"camera": row.camera, "need": name, "night": row.night, **evidence}
        return DataFault(code, message, detector=row.detector, known=len(known), **facts).record()

    left = known
    for demand in _demands(target):
        fitting = [each for each in left if demand.met(each)]
        if left and not fitting:
            have = ", ".join(sorted({demand.told(each) for each in left}))
            message = f"{start} of {demand.wanted} for {whose}; there are {have}"
            return fault(demand.code, message, wanted=demand.wanted, there=have)
        left = fitting
    if left:
        nearest = min(left, key=lambda each: (abs(each.centre - target.mjd), each.key))
        off = abs(nearest.centre - target.mjd)
        message = (
            f"{start} for {whose} is valid in the night {row.night}; that of {nearest.block} is {off:.1f} days off"
        )
        return fault("calibration.expired", message, block=nearest.block, days=f"{off:.1f}")
    return fault("calibration.missing", f"{start} for {whose}, band {row.band or 'none'}, night {row.night}")
