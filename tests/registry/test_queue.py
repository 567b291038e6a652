"""Productions in the queue: order, claims that race, wishes, rest; coordinators by their notice. With both databases."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spica.core.faults import FaultKind, FaultRecord, SetupFault
from spica.core.orders import ENDED, State, Wished
from spica.registry import lifecycle
from spica.registry.queue import steps_key
from spica.registry.rows import Usual
from spica.registry.store import Registry
from tests.registry.samples import detector_unit, exposure, ingest, report


def test_the_most_urgent_waits_in_front_and_what_is_held_does_not(registry: Registry) -> None:
    queue = registry.queue
    first, urgent, late, held = (
        queue.add("n", "night", "band='r'", {"detect.threshold": 4}, priority=priority, person="eve")
        for priority in (0.0, 5.0, 0.0, 9.0)
    )
    assert queue.change(held, [State.WAITING], held=1)
    assert [each.id for each in queue.waiting()] == [urgent, first, late]
    found = queue.get(first)
    assert (found.state, found.selection, found.settings) == (State.WAITING, "band='r'", {"detect.threshold": 4})
    assert (found.person, found.queued, found.begun, found.closed) == ("eve", True, None, None)
    with pytest.raises(SetupFault, match="no production 99"):
        queue.get(99)


def test_one_coordinator_gets_it(registry: Registry) -> None:
    number = registry.queue.add("n", "night")
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda n: registry.queue.claim(number, f"owner-{n}"), range(8)))
    assert sum(got) == 1
    assert registry.queue.get(number).owner == f"owner-{got.index(True)}"
    assert not registry.queue.waiting()


def test_its_coordinator_hears_what_is_wished_and_others_nothing(registry: Registry) -> None:
    queue = registry.queue
    number = queue.add("n", "night")
    assert queue.claim(number, "me")
    assert queue.tell(number, "me", {"done": 3, "eta": None}) == ""
    assert queue.change(number, [State.RUNNING], wish=Wished.HOLD)
    assert queue.tell(number, "me", {"done": 4}) == "hold"
    assert queue.tell(number, "somebody", {"done": 9}) is None
    assert queue.get(number).progress == {"done": 4}
    queue.end(number, {"done": 4, "left": 2}, State.WAITING, held=True)
    found = queue.get(number)
    assert (found.state, found.held, found.wish, found.closed) == (State.WAITING, True, "", None)
    assert queue.tell(number, "me", {}) is None
    assert not queue.claim(number, "me")


def test_how_it_ended_is_kept_and_signed(registry: Registry) -> None:
    queue = registry.queue
    number = queue.add("n", "night", owner="me", tiles=("a", "b"), release="dr1", retry=True)
    found = queue.get(number)
    assert (found.state, found.queued, found.tiles, found.release, found.retry) == (
        *(State.RUNNING, False, ("a", "b")),
        *("dr1", True),
    )
    assert not queue.sign(number, "eve", "too early")
    fault = FaultRecord("disk.full", FaultKind.RESOURCE, "no room", {"free": 3}, "make room")
    queue.end(number, {"done": 1}, State.STOPPED, fault)
    assert queue.sign(number, "eve", "<b>seen</b>")
    found = queue.get(number)
    assert (found.state, found.fault, found.outcomes) == (State.STOPPED, fault, {"done": 1})
    assert found.closed is not None
    assert found.signed is not None
    assert (found.signed["who"], found.signed["comment"]) == ("eve", "<b>seen</b>")
    assert not queue.change(number, [State.RUNNING], wish=Wished.STOP)
    assert queue.change(number, ENDED, state=State.ARCHIVED)
    assert [each.id for each in queue.listed([State.ARCHIVED])] == [number]


def test_deleting_one_keeps_its_jobs(registry: Registry) -> None:
    registry.add(ingest(exposure(1)))
    unit = detector_unit(exposure(1), 0)
    number = registry.queue.add("n", "night", owner="me")
    registry.record(report(unit), number, "me")
    assert not registry.queue.forget(number), "it runs"
    registry.queue.end(number, {}, State.DONE)
    assert registry.queue.forget(number)
    assert registry.queue.listed() == []
    assert [each.production for each in registry.jobs_of(unit)] == [None]


def test_who_gives_notice_is_there_until_it_runs_out(registry: Registry) -> None:
    queue = registry.queue
    queue.attend("a:1", 30.0)
    queue.attend("b:2", 0.05)
    time.sleep(0.06)
    found = {each.name: each.seconds > 0 for each in queue.hands()}
    assert found == {"a:1": True, "b:2": False}
    queue.attend("b:2", 30.0)
    queue.leave("a:1")
    assert [each.name for each in queue.hands() if each.seconds > 0] == ["b:2"]


def test_what_jobs_cost_is_known_by_their_steps(registry: Registry) -> None:
    registry.add(ingest(exposure(1)))
    given = report(detector_unit(exposure(1), 0))
    registry.record(given)
    labels = [step.label for step in given.steps]
    cost = given.cost
    usual = Usual(cost.peak_memory, float(cost.bytes_written), cost.wall)
    assert registry.queue.usual(given.pipeline) == {steps_key(labels): usual}
    assert registry.queue.usual("another") == {}


def test_orders_of_before_the_queue_keep_how_they_ended(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/registry.sqlite"
    lifecycle.create(url, "0003")
    with sqlite3.connect(tmp_path / "registry.sqlite") as old:
        rows = [(1, 5.0, 6.0), (2, 7.0, None)]
        old.executemany(
            "insert into productions (id, name, pipeline, selection, settings, owner, opened, closed, outcomes) "
            "values (?, 'n', 'night', '', '{}', 'me', ?, ?, '{}')",
            rows,
        )
    old.close()
    lifecycle.upgrade(url)
    with Registry.open(url) as registry:
        found = registry.queue.listed()
    assert [(each.id, each.state, each.begun, each.queued) for each in found] == [
        (2, State.STOPPED, 7.0, False),
        (1, State.DONE, 5.0, False),
    ]
