"""Which master serves a unit: association of calibrations when the plan is made."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spica.core.catalogue import CODES
from spica.core.faults import DataFault, FaultRecord
from spica.core.records import Grain, Unit
from spica.engine.targets import Target, block_of
from spica.registry.rows import MasterRow

_NIGHT = 1.5
"""Days: a master whose frames are farther away is not of the unit's night."""


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
    maker: int | None = None
    recorded: float = 0.0

    @property
    def centre(self) -> float:
        """Mean time of its frames, MJD TAI."""
        return 0.5 * (self.valid_from + self.valid_to)

    @property
    def unit(self) -> Unit:
        """The calibration unit that it is of."""
        return Unit(Grain.CALIBRATION, (self.camera, str(self.detector), self.band, self.block))


def registered(row: MasterRow) -> Candidate:
    """A master of the registry as a candidate."""
    return Candidate(
        *(row.key, row.name, row.camera, row.detector, row.band, row.shape, row.binning, row.readout_mode),
        *(row.valid_from, row.valid_to, row.block),
        recorded=row.recorded,
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """Masters of one binning, read-out mode and band in order of time; `centres` are their mean times."""

    centres: list[float]
    candidates: list[Candidate]


Shelf = dict[tuple[tuple[int, int], str, str], _Row]


class Masters:
    """All masters that a plan may use.

    A master planned now hides registered ones of the same block (made with other settings or frames), the newest
    registered one hides older ones.
    """

    def __init__(self, rows: Iterable[MasterRow]) -> None:
        self._all: dict[tuple[str, str, int], dict[tuple[str, str], Candidate]] = {}
        self._shelves: dict[tuple[str, str, int], Shelf] = {}
        self._lost: dict[tuple[str, str, int], list[tuple[Unit, FaultRecord]]] = {}
        for candidate in sorted(map(registered, rows), key=lambda each: (each.recorded, each.key)):
            self.add(candidate)

    def add(self, candidate: Candidate) -> None:
        """Add a master; it takes the place of one of the same identity."""
        place = (candidate.name, candidate.camera, candidate.detector)
        self._all.setdefault(place, {})[candidate.band, candidate.block] = candidate
        self._shelves.pop(place, None)

    def lose(self, name: str, unit: Unit, fault: FaultRecord) -> None:
        """Remember that this plan cannot make a master, and why."""
        camera, detector = unit.keys["camera"], int(unit.keys["detector"])
        self._lost.setdefault((name, camera, detector), []).append((unit, fault))

    def choose(self, name: str, target: Target) -> Candidate | None:
        """The master of this name for a unit, None where there is none (`why_none` says why).

        Same camera, detector, binning and read-out mode; the unit's band, or none; valid at its time; of those the
        same night's first, then the nearest in time.
        """
        row = target.head
        shelf = self._shelf((name, row.camera, row.detector))
        best: Candidate | None = None
        for band in (row.band, "") if row.band else ("",):
            held = shelf.get((row.binning, row.readout_mode, band))
            found = _nearest(held, target) if held is not None else None
            if found is not None and (best is None or _rank(found, target) < _rank(best, target)):
                best = found
        return best

    def _shelf(self, place: tuple[str, str, int]) -> Shelf:
        shelf = self._shelves.get(place)
        if shelf is None:
            groups: dict[tuple[tuple[int, int], str, str], list[Candidate]] = {}
            for each in self._all.get(place, {}).values():
                groups.setdefault((each.binning, each.readout_mode, each.band), []).append(each)
            shelf = self._shelves[place] = {}
            for kind, group in groups.items():
                ordered = sorted(group, key=lambda each: (each.centre, each.key))
                shelf[kind] = _Row([each.centre for each in ordered], ordered)
        return shelf

    def why_none(self, name: str, target: Target) -> FaultRecord:
        """The fault that says why no master of this name serves a unit."""
        row = target.head
        start = f"{target.unit}: no {name}"
        lost = self._lost_for(name, target)
        if lost is not None:
            unit, fault = lost
            return DataFault(
                "data.upstream",
                f"{start}: {unit}, which would give it, did not finish: {fault.message}",
                need=name,
                upstream=str(unit),
                cause=fault.code,
            ).record()
        there = list(self._all.get((name, row.camera, row.detector), {}).values())
        bands = sorted({each.band for each in there})
        if there and row.band not in bands and "" not in bands:
            return DataFault(
                "calibration.band",
                f"{start} of band {row.band!r} for {row.camera} detector {row.detector}; there are {', '.join(bands)}",
                need=name,
                band=row.band,
                bands=",".join(bands),
            ).record()
        modes = sorted({f"{each.binning[0]}x{each.binning[1]} {each.readout_mode}".strip() for each in there})
        nearest = min((abs(each.centre - target.mjd) for each in there), default=None)
        what = f"; there are {len(there)}, of {', '.join(modes)}, the nearest {nearest:.1f} days off" if there else ""
        return DataFault(
            "calibration.missing",
            f"{start} for {row.camera} detector {row.detector}, band {row.band or 'none'}, night {row.night}{what}",
            advice=CODES["calibration.missing"].advice,
            need=name,
            camera=row.camera,
            detector=row.detector,
            band=row.band,
            night=row.night,
            known=len(there),
        ).record()

    def _lost_for(self, name: str, target: Target) -> tuple[Unit, FaultRecord] | None:
        """A master of the unit's band, binning and mode that this plan cannot make, of the same night if there is one."""
        row = target.head
        kind = block_of(row, 1).partition("~")[2]
        lost = [
            (unit, fault)
            for unit, fault in self._lost.get((name, row.camera, row.detector), ())
            if unit.keys["band"] in {row.band, ""} and unit.keys["block"].partition("~")[2] == kind
        ]
        lost.sort(key=lambda each: (each[0].keys["block"].partition("~")[0] != row.night, str(each[0])))
        return lost[0] if lost else None


def _rank(candidate: Candidate, target: Target) -> tuple[bool, float, str]:
    same = candidate.block.partition("~")[0] == target.head.night
    return not same, abs(candidate.centre - target.mjd), candidate.key


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


def _nearest(row: _Row, target: Target) -> Candidate | None:
    """The best valid one of masters in order of time; looks outwards from the unit's time."""
    mjd, night = target.mjd, target.head.night
    best: Candidate | None = None
    for place in _outwards(bisect.bisect_left(row.centres, mjd), len(row.centres)):
        candidate, distance = row.candidates[place], abs(row.centres[place] - mjd)
        if best is not None and distance > max(abs(best.centre - mjd), _NIGHT):
            break
        if candidate.valid_from <= mjd < candidate.valid_to and (
            best is None or _rank(candidate, target) < _rank(best, target)
        ):
            best = candidate
            if candidate.block.startswith(night):
                break
    return best


def _outwards(middle: int, count: int) -> Iterator[int]:
    low, high = middle - 1, middle
    while low >= 0 or high < count:
        if low >= 0:
            yield low
            low -= 1
        if high < count:
            yield high
            high += 1
