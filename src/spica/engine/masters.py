"""Which master serves a unit: association of calibrations when the plan is made."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spica.core.catalogue import CODES
from spica.core.faults import DataFault, FaultRecord
from spica.engine.targets import Target
from spica.registry.rows import MasterRow


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
    def identity(self) -> tuple[str, str, int, str, str]:
        """What it is a master of; a newer one of the same identity takes its place."""
        return self.name, self.camera, self.detector, self.band, self.block


def registered(row: MasterRow) -> Candidate:
    """A master of the registry as a candidate."""
    return Candidate(
        *(row.key, row.name, row.camera, row.detector, row.band, row.shape, row.binning, row.readout_mode),
        *(row.valid_from, row.valid_to, row.block),
        recorded=row.recorded,
    )


Shelf = dict[tuple[tuple[int, int], str, str], list[Candidate]]
"""Binning, read-out mode and band to masters in order of time."""


class Masters:
    """All masters that a plan may use.

    A master planned now hides registered ones of the same block (made with other settings or frames), the newest
    registered one hides older ones.
    """

    def __init__(self, rows: Iterable[MasterRow]) -> None:
        self._all: dict[tuple[str, str, int], dict[tuple[str, str], Candidate]] = {}
        self._shelves: dict[tuple[str, str, int], Shelf] = {}
        for candidate in sorted(map(registered, rows), key=lambda each: (each.recorded, each.key)):
            self.add(candidate)

    def add(self, candidate: Candidate) -> None:
        """Add a master; it takes the place of one of the same identity."""
        place = (candidate.name, candidate.camera, candidate.detector)
        self._all.setdefault(place, {})[candidate.band, candidate.block] = candidate
        self._shelves.pop(place, None)

    def choose(self, name: str, target: Target) -> Candidate | FaultRecord:
        """The master of this name for a unit, or the fault that says why there is none.

        Same camera, detector, binning and read-out mode; the unit's band, or none; valid at its time; of those the
        same night's first, then the nearest in time.
        """
        row = target.head
        place = (name, row.camera, row.detector)
        best: Candidate | None = None
        shelf = self._shelf(place)
        for band in dict.fromkeys((row.band, "")):
            found = _nearest(shelf.get((row.binning, row.readout_mode, band), ()), target)
            if found is not None and (best is None or _rank(found, target) < _rank(best, target)):
                best = found
        if best is None or best.shape != (row.ny, row.nx):
            return self._absent(name, target, best)
        return best

    def _shelf(self, place: tuple[str, str, int]) -> Shelf:
        shelf = self._shelves.get(place)
        if shelf is None:
            shelf = {}
            for each in self._all.get(place, {}).values():
                shelf.setdefault((each.binning, each.readout_mode, each.band), []).append(each)
            for row in shelf.values():
                row.sort(key=lambda each: (each.centre, each.key))
            self._shelves[place] = shelf
        return shelf

    def _absent(self, name: str, target: Target, misfit: Candidate | None) -> FaultRecord:
        row = target.head
        start = f"{target.unit}: no {name}"
        if misfit is not None:
            fault = DataFault(
                "calibration.shape",
                f"{start} fits: {misfit.key} has the shape {misfit.shape}, the detector {(row.ny, row.nx)}",
                master=misfit.key,
                need=name,
            )
            return fault.record()
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


def _rank(candidate: Candidate, target: Target) -> tuple[bool, float, str]:
    same = candidate.block.partition("~")[0] == target.head.night
    return not same, abs(candidate.centre - target.mjd), candidate.key


def _nearest(shelf: Iterable[Candidate], target: Target) -> Candidate | None:
    """The best valid one of masters in order of time; looks outwards from the unit's time."""
    ordered = list(shelf) if not isinstance(shelf, list) else shelf
    mjd, night = target.mjd, target.head.night
    middle = bisect.bisect_left(ordered, mjd, key=lambda each: each.centre)
    best: Candidate | None = None
    for candidate in _outwards(ordered, middle):
        if best is not None and abs(candidate.centre - mjd) > max(abs(best.centre - mjd), 1.5):
            break  # farther away than the best, and too far to be of the same night
        if candidate.valid_from <= mjd < candidate.valid_to and (
            best is None or _rank(candidate, target) < _rank(best, target)
        ):
            best = candidate
            if candidate.block.partition("~")[0] == night:
                break
    return best


def _outwards(ordered: list[Candidate], middle: int) -> Iterator[Candidate]:
    low, high = middle - 1, middle
    while low >= 0 or high < len(ordered):
        if low >= 0:
            yield ordered[low]
            low -= 1
        if high < len(ordered):
            yield ordered[high]
            high += 1
