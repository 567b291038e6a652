"""Productions share an executor: the urgent first, people by turns, within the memory; what one gives up the others keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from spica.core.faults import InternalFault, Outcome
from spica.core.jobs import JobReport
from spica.core.records import Grain, Unit
from spica.engine.executors.base import Ended
from spica.engine.pool import Pool, Seat
from spica.engine.spec import JobSpec


def spec(name: str) -> JobSpec:
    recipe: Any = None
    return JobSpec(name, Unit(Grain.EXPOSURE, (name,)), recipe, (), (), "", {})


class Slots:
    """An executor of so many places, each of which ends when it is told to; what is taken and not begun can be withdrawn."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken: list[str] = []
        self.begun: list[str] = []
        self.ending: list[str] = []
        self.broken = False

    @property
    def room(self) -> int:
        return self.count - len(self.taken)

    def submit(self, specs: Sequence[JobSpec]) -> None:
        self.taken += [each.key for each in specs]
        self.begun += [each.key for each in specs]

    def completed(self, timeout: float) -> list[Ended]:  # noqa: ARG002 - the executor's signature
        if self.broken:
            raise InternalFault("internal.error", "workers die")
        ended, self.ending = self.ending, []
        self.taken = [key for key in self.taken if key not in ended]
        return [
            JobReport(
                key=key, unit=Unit(Grain.EXPOSURE, (key,)), pipeline="", steps=(), inputs=(), outcome=Outcome.DONE
            )
            for key in ended
        ]

    def withdraw(self) -> list[str]:
        back, self.taken = self.taken, []
        return back

    def close(self, *, now: bool = False) -> None:
        pass

    def end(self) -> str:
        self.ending.append(self.taken[0])
        return self.taken[0]


def ended(seat: Seat) -> list[str]:
    return [each.key for each in seat.completed(0.0)]


def test_the_urgent_goes_first_and_people_take_turns() -> None:
    slots = Slots(1)
    pool = Pool(slots)
    eve, adam, urgent = (pool.seat(p, who, lambda _: 1) for p, who in ((0.0, "eve"), (0.0, "adam"), (3.0, "eve")))
    eve.submit([spec(f"e{n}") for n in range(4)])
    adam.submit([spec(f"a{n}") for n in range(4)])
    urgent.submit([spec("u0"), spec("u1")])
    for _ in range(9):
        slots.end()
        for seat in (eve, adam, urgent):
            seat.completed(0.0)
    # Eve's first had the only place before anybody else came; her urgent ones count as hers.
    assert slots.begun == ["e0", "u0", "u1", "a0", "a1", "a2", "e1", "a3", "e2", "e3"]


def test_each_hears_of_its_own_alone() -> None:
    slots = Slots(2)
    pool = Pool(slots)
    one, two = (pool.seat(0.0, who, lambda _: 1) for who in ("a", "b"))
    one.submit([spec("x")])
    two.submit([spec("y")])
    slots.end()
    assert ended(two) == []
    assert ended(one) == ["x"]
    slots.end()
    assert ended(two) == ["y"]


def test_what_is_at_work_together_fits_into_the_memory_but_one_always_runs() -> None:
    slots = Slots(4)
    pool = Pool(slots, memory=10)
    sizes = {"a": 6, "b": 6, "c": 3, "d": 30}
    seat = pool.seat(0.0, "eve", lambda each: sizes[each.key])
    seat.submit([spec(name) for name in "abcd"])
    assert slots.begun == ["a"]
    slots.end()
    assert ended(seat) == ["a"]
    assert slots.begun == ["a", "b", "c"]
    assert pool.expected_memory == 9
    for name in "bc":
        slots.end()
        assert ended(seat) == [name]
    assert slots.begun[-1] == "d"


def test_who_withdraws_takes_nothing_from_others() -> None:
    slots = Slots(3)
    pool = Pool(slots)
    one, two = (pool.seat(0.0, who, lambda _: 1) for who in ("a", "b"))
    one.submit([spec(f"x{n}") for n in range(3)])
    two.submit([spec(f"y{n}") for n in range(3)])
    assert sorted(one.withdraw()) == ["x0", "x1", "x2"]
    two.completed(0.0)
    assert slots.taken == ["y0", "y1", "y2"]
    one.close()
    assert one.room == 0
    assert two.room > 0


def test_what_ends_for_one_that_has_left_is_nobodys() -> None:
    slots = Slots(2)
    pool = Pool(slots)
    one, two = (pool.seat(0.0, who, lambda _: 1) for who in ("a", "b"))
    one.submit([spec("x")])
    two.submit([spec("y")])
    one.close(now=True)
    slots.end()
    slots.ending.append("y")
    assert ended(two) == ["y"]


def test_a_broken_executor_is_told_to_all() -> None:
    slots = Slots(1)
    pool = Pool(slots)
    one, two = (pool.seat(0.0, who, lambda _: 1) for who in ("a", "b"))
    one.submit([spec("x")])
    slots.broken = True
    for seat in (one, two):
        with pytest.raises(InternalFault, match="workers die"):
            seat.completed(0.0)
