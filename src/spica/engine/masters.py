"""Which master serves a unit: association of calibrations when the plan is made."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spica.core.faults import DataFault, FaultRecord
from spica.core.records import Unit
from spica.engine.candidates import Candidate, Chosen, Quality, none_serves, registered
from spica.engine.targets import Target, block_of
from spica.files.survey import CalibrationSettings
from spica.registry.rows import CalibrationOrder, MasterRow

_NIGHT = 1.5
"""Days: a master whose frames are farther away is not of the unit's night."""
Place = tuple[str, str, int]
"""Name, camera, detector."""


@dataclass(frozen=True, slots=True)
class _Row:
    """Masters of one binning, read-out mode, band and kind in order of time; `centres` are their mean times."""

    centres: list[float]
    candidates: list[Candidate]


Kind = tuple[tuple[int, int], str, str]
"""Binning, read-out mode, band."""
Shelf = dict[Kind, dict[str, _Row]]
"""Masters made here, by kind of flat."""


class Masters:
    """All masters that a plan may use.

    A master planned now hides registered ones of the same block (made with other settings or frames), the newest
    registered one hides older ones.

    Parameters
    ----------
    rows : masters of the registry.
    orders : what people have ordered of them; the last one that fits counts.
    settings : of the survey: which kind of flat comes first, and whether validity may be exceeded.
    """

    def __init__(
        self,
        rows: Iterable[MasterRow],
        orders: Iterable[CalibrationOrder] = (),
        settings: CalibrationSettings | None = None,
    ) -> None:
        self._settings = settings or CalibrationSettings()
        self._orders: dict[str, list[CalibrationOrder]] = {}
        for order in orders:
            self._orders.setdefault(order.camera, []).insert(0, order)
        self._all: dict[Place, dict[tuple[str, str], Candidate]] = {}
        self._shelves: dict[Place, Shelf] = {}
        self._lost: dict[Place, list[tuple[Unit, FaultRecord]]] = {}
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

    def choose(self, name: str, target: Target) -> Chosen | None:
        """The master of this name for a unit, None where there is none (`why_none` says why).

        Same camera, detector, binning, read-out mode and gain; the unit's band, or none. Of those what an order says, else
        by `Quality`: the same night's, the nearest valid in time, those copied by an order, those made elsewhere, and last
        (where the settings allow it) those outside of their validity. Between flats of one quality the kind decides that
        the settings name first, then the distance in time.
        """
        place = (name, target.head.camera, target.head.detector)
        ordered = self._ordered(place, target)
        if ordered is not None and ordered.quality is Quality.FIXED:
            return ordered
        found = self._nearest(place, target) or ordered or self._imported(place, target)
        return found or (self._beyond(place, target) if self._settings.outside else None)

    def _ordered(self, place: Place, target: Target) -> Chosen | None:
        """What the last order that fits says, 'use' before 'copy'."""
        given = self._orders.get(place[1])
        if not given:
            return None
        fitting = [order for order in given if _meant(order, place, target)]
        for action, quality in (("use", Quality.FIXED), ("copy", Quality.COPIED)):
            for order in fitting:
                named = [
                    each
                    for each in self._alike(place, target)
                    if order.action == action and each.block == order.block and order.band in {"", each.band}
                ]
                if named:
                    return Chosen(min(named, key=lambda each: each.band == ""), quality)
        return None

    def _alike(self, place: Place, target: Target) -> Iterator[Candidate]:
        """Masters that were read out as the unit was, of its band or of none."""
        row = target.head
        for each in self._all.get(place, {}).values():
            alike = (each.binning, each.readout_mode) == (row.binning, row.readout_mode)
            if alike and each.band in {row.band, ""} and each.suits(target):
                yield each

    def _nearest(self, place: Place, target: Target) -> Chosen | None:
        """The best of those made here that are valid."""
        row = target.head
        shelf = self._shelf(place)
        best: tuple[tuple[bool, int, bool, float, str], Candidate] | None = None
        for band in (row.band, "") if row.band else ("",):
            for kind, held in shelf.get((row.binning, row.readout_mode, band), {}).items():
                found = _nearest(held, target)
                if found is None:
                    continue
                far, distance, key = _rank(found, target)
                rank = (far, self._preference(kind), not band, distance, key)
                if best is None or rank < best[0]:
                    best = rank, found
        if best is None:
            return None
        return Chosen(best[1], Quality.NEAREST if best[0][0] else Quality.SAME_NIGHT)

    def _preference(self, kind: str) -> int:
        """Place of a kind of flat in the survey's order; those not named come last."""
        order = self._settings.flats
        return order.index(kind) if kind in order else len(order)

    def _imported(self, place: Place, target: Target) -> Chosen | None:
        """The newest of those made elsewhere that are valid."""
        there = [each for each in self._alike(place, target) if each.origin and each.covers(target)]
        best = max(there, key=lambda each: (each.band != "", each.recorded, each.key), default=None)
        return None if best is None else Chosen(best, Quality.IMPORTED)

    def _beyond(self, place: Place, target: Target) -> Chosen | None:
        """The nearest of all that fit."""
        there = self._alike(place, target)
        best = min(there, key=lambda each: (abs(each.centre - target.mjd), each.key), default=None)
        return None if best is None else Chosen(best, Quality.OUTSIDE)

    def _shelf(self, place: Place) -> Shelf:
        shelf = self._shelves.get(place)
        if shelf is None:
            groups: dict[Kind, dict[str, list[Candidate]]] = {}
            for each in self._all.get(place, {}).values():
                if not each.origin:
                    group = groups.setdefault((each.binning, each.readout_mode, each.band), {})
                    group.setdefault(each.flat_kind, []).append(each)
            shelf = self._shelves[place] = {}
            for kind, group in groups.items():
                shelf[kind] = {flat: _in_order(held) for flat, held in group.items()}
        return shelf

    def why_none(self, name: str, target: Target) -> FaultRecord:
        """The fault that says why no master of this name serves a unit."""
        row = target.head
        place = (name, row.camera, row.detector)
        lost = self._lost_for(place, target)
        if lost is not None:
            unit, fault = lost
            return DataFault(
                "data.upstream",
                f"{target.unit}: no {name}: {unit}, which would give it, did not finish: {fault.message}",
                need=name,
                upstream=str(unit),
                cause=fault.code,
            ).record()
        return none_serves(name, target, self._all.get(place, {}).values())

    def _lost_for(self, place: Place, target: Target) -> tuple[Unit, FaultRecord] | None:
        """A master of the unit's band, binning and mode that this plan cannot make, of the same night if there is one."""
        row = target.head
        setting = _setting(block_of(row, 1))
        lost = [
            (unit, fault)
            for unit, fault in self._lost.get(place, ())
            if unit.keys["band"] in {row.band, ""} and _setting(unit.keys["block"]) == setting
        ]
        lost.sort(key=lambda each: (each[0].keys["block"].partition("~")[0] != row.night, str(each[0])))
        return lost[0] if lost else None


def _meant(order: CalibrationOrder, place: Place, target: Target) -> bool:
    """Whether an order is about this master for this unit."""
    name, _, detector = place
    return (
        order.name in {"", name}
        and order.detector in {None, detector}
        and order.first <= target.head.night <= order.last
    )


def _setting(block: str) -> frozenset[str]:
    """Binning and read-out mode as a block tells them, without the kind of flat."""
    return frozenset(block.split("~")[1:]) - {"twilight"}


def _in_order(group: list[Candidate]) -> _Row:
    ordered = sorted(group, key=lambda each: (each.centre, each.key))
    return _Row([each.centre for each in ordered], ordered)


def _rank(candidate: Candidate, target: Target) -> tuple[bool, float, str]:
    return candidate.night != target.head.night, abs(candidate.centre - target.mjd), candidate.key


def _nearest(row: _Row, target: Target) -> Candidate | None:
    """The best valid one of masters in order of time; looks outwards from the unit's time."""
    mjd, night = target.mjd, target.head.night
    best: Candidate | None = None
    for place in _outwards(bisect.bisect_left(row.centres, mjd), len(row.centres)):
        candidate, distance = row.candidates[place], abs(row.centres[place] - mjd)
        if best is not None and distance > max(abs(best.centre - mjd), _NIGHT):
            break
        if candidate.covers(target) and (best is None or _rank(candidate, target) < _rank(best, target)):
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
