"""Productions are ordered, held, resumed, run again; a coordinator works them off, in this process."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spica.core.faults import Fault, InternalFault, Outcome, ResourceFault, SetupFault
from spica.core.jobs import JobReport
from spica.core.orders import State
from spica.engine.executors.inprocess import InProcess
from spica.engine.owners import hand
from spica.engine.planner import make_plan
from spica.engine.run import execute
from spica.registry.queue import Queue
from spica.services import coordinator, ingest, queue
from spica.services.handing import run_anyhow
from spica.services.pipelines import load
from spica.services.progress import Step
from spica.services.run import Order, foresee, run
from spica.services.surveys import opened
from tests.support.survey import EXPOSURES, Small

UNITS = 2 * EXPOSURES
NULL = Order("null")


@pytest.fixture
def folder(done: Small) -> Path:
    """A survey whose coordinator works in its own process."""
    path = done.folder / "survey.toml"
    path.write_text(path.read_text().replace('executor = "local"', 'executor = "inprocess"'))
    return done.folder


def _wait(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 20.0
    while not there() and time.monotonic() < until:
        time.sleep(0.05)


def states(folder: Path) -> dict[int, str]:
    return {each.id: each.state for each in queue.stand(folder).productions}


def test_it_is_worked_off_by_its_priority(folder: Path) -> None:
    low = queue.order(NULL, folder, person="eve")
    high = queue.order(Order("null", settings={"null.value": "2"}), folder, priority=5.0, person="adam")
    held = queue.order(NULL, folder)
    assert queue.stop(held.id, folder, hold=True).held
    worked = coordinator.work(folder, until_empty=True)
    assert (worked.productions, worked.why) == (2, "nothing is left")
    done = queue.show(low.id, folder)
    assert (done.state, done.outcomes["done"], done.person) == ("done", UNITS, "eve")
    assert queue.show(high.id, folder).settings == {"null.value": 2}
    assert states(folder)[held.id] == "waiting"
    assert queue.stand(folder).coordinators == ()


def test_again_with_other_settings_only_what_they_concern_is_done(folder: Path) -> None:
    first = queue.order(NULL, folder)
    coordinator.work(folder, until_empty=True)
    same, other = queue.rerun(first.id, folder), queue.rerun(first.id, folder, {"null.value": "7"})
    coordinator.work(folder, until_empty=True)
    assert queue.show(same.id, folder).outcomes["already"] == UNITS
    assert queue.show(other.id, folder).outcomes["done"] == UNITS
    with pytest.raises(SetupFault, match="no setting 'valu'"):
        queue.rerun(first.id, folder, {"null.valu": "7"})


def test_what_cannot_be_carried_out_is_refused_when_it_is_ordered(folder: Path) -> None:
    for given, code in (
        (Order("nothing-like-it"), "pipeline.unknown"),
        (Order("null", where="band = "), "where.invalid"),
        (Order("null", settings={"null.valu": "1"}), "settings.unknown"),
        (Order("null", where="night='1999-01-01'"), "order.nothing"),
        (Order("null", workers=3), "order.invalid"),
        (Order("mine.toml"), "order.invalid"),
    ):
        with pytest.raises(SetupFault) as caught:
            queue.order(given, folder)
        assert caught.value.code == code
    assert not any(each.pipeline in {"null", "mine.toml"} for each in queue.stand(folder).productions)


def test_one_that_cannot_be_planned_any_more_fails_and_the_others_go_on(folder: Path) -> None:
    mine = folder / "pipelines" / "mine.toml"
    mine.write_text('name = "mine"\ntitle = "Mine"\n[[step]]\ntask = "null"\n')
    bad, good = queue.order(Order("mine"), folder, priority=9.0), queue.order(NULL, folder)
    mine.unlink()
    coordinator.work(folder, until_empty=True)
    assert states(folder)[good.id] == "done"
    found = queue.show(bad.id, folder)
    assert (found.state, found.code) == ("failed", "pipeline.unknown")
    with opened(folder) as house:
        assert [each.details for each in house.registry.events("production.failed")] == [{"production": bad.id}]


def test_what_may_be_done_depends_on_how_it_stands(folder: Path) -> None:
    number = queue.order(NULL, folder).id
    with pytest.raises(SetupFault, match="cannot archive it now"):
        queue.archive(number, folder)
    with pytest.raises(SetupFault, match="cannot sign it now"):
        queue.sign(number, "eve", "", folder)
    assert queue.stop(number, folder).state == "stopped"
    assert queue.resume(number, folder).state == "waiting"
    assert queue.prioritise(number, 3.5, folder).priority == 3.5
    coordinator.work(folder, until_empty=True)
    assert queue.sign(number, "eve", "all plots", folder).signed.endswith(": all plots")
    # What is begun again is to be looked at again.
    assert queue.resume(number, folder).signed == ""
    coordinator.work(folder, until_empty=True)
    assert queue.archive(number, folder).state == "archived"
    assert number not in states(folder)
    assert [each.id for each in queue.stand(folder, ("archived",)).productions] == [number]
    queue.forget(number, folder)
    with pytest.raises(SetupFault, match=f"no production {number}"):
        queue.show(number, folder)
    with pytest.raises(SetupFault, match="no state 'lost'"):
        queue.stand(folder, ("lost",))


@pytest.mark.parametrize(("wished", "state"), [("hold", "waiting"), ("stop", "stopped")])
def test_a_running_one_is_asked_to_rest(folder: Path, monkeypatch: pytest.MonkeyPatch, wished: str, state: str) -> None:
    monkeypatch.setattr(coordinator, "_TELL_SECONDS", 0.0)
    number = queue.order(NULL, folder).id
    with opened(folder) as house:
        # It is asked in the very moment in which it is begun.
        begin = execute

        def asked(*given: Any, **more: Any) -> Any:
            assert house.registry.queue.change(number, [State.RUNNING], wish=wished)
            return begin(*given, **more)

        monkeypatch.setattr(coordinator, "execute", asked)
        coordinator.work(folder, until_empty=True)
    found = queue.show(number, folder)
    assert (found.state, found.held, found.wish) == (state, wished == "hold", "")
    assert found.outcomes["left"] > 0
    monkeypatch.setattr(coordinator, "execute", begin)
    queue.resume(number, folder)
    coordinator.work(folder, until_empty=True)
    assert queue.show(number, folder).outcomes["already"] + queue.show(number, folder).outcomes["done"] == UNITS


def test_what_a_dead_coordinator_had_goes_back_and_a_direct_run_is_over(folder: Path) -> None:
    with opened(folder) as house:
        mine = house.registry.queue
        dead = f"{hand().partition(':')[0]}:999999999:x"
        direct = mine.add("d", "null", owner=dead)
        number = queue.order(NULL, folder).id
        assert mine.claim(number, dead)
        elsewhere = mine.add("n", "null")
        assert mine.claim(elsewhere, "far:12:abc")
        mine.attend("far:12", -1.0)
        mine.attend(dead.rpartition(":")[0], 30.0)
        # One that died on this machine is known at once, whatever its notice says.
        assert not queue.stand(folder).coordinators
        assert len(queue.stand(folder).silent) == 2
    coordinator.work(folder, until_empty=True)
    found = states(folder)
    assert (found[direct], found[number], found[elsewhere]) == ("stopped", "done", "done")
    assert not queue.stand(folder).silent


def test_a_run_is_handed_to_the_coordinator_that_is_there(folder: Path) -> None:
    with opened(folder) as house:
        house.registry.queue.attend("somebody:1", 600.0)
        steps: list[str] = []
        thread = threading.Thread(target=lambda: coordinator.work(folder, until_empty=True))

        def watcher(step: object) -> None:
            steps.append(str(step))
            if len(steps) == 1:
                thread.start()

        made = run_anyhow(NULL, folder, watcher, priority=2.0, person="eve")
        thread.join()
        assert made.complete
        assert (made.done, made.failed, made.left) == (UNITS, 0, 0)
        assert house.registry.queue.get(made.id).person == "eve"
        here = run_anyhow(Order("null", executor="inprocess"), folder, here=True)
        assert here.skipped == UNITS
        assert not house.registry.queue.get(here.id).queued


@pytest.mark.parametrize(
    "away_with", [ResourceFault("registry.busy", "no answer"), SetupFault("registry.missing", "connection refused")]
)
def test_a_registry_that_is_away_for_a_while_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, away_with: Fault
) -> None:
    number = queue.order(NULL, folder).id
    waiting, away = Queue.waiting, [True, True]

    def absent(mine: Queue) -> object:
        if away:
            away.pop()
            raise away_with
        return waiting(mine)

    monkeypatch.setattr(Queue, "waiting", absent)
    coordinator.work(folder, until_empty=True)
    assert states(folder)[number] == "done"


def test_what_meets_the_silence_of_the_registry_begins_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = queue.order(NULL, folder).id
    away = [True]

    def absent(*given: Any, **more: Any) -> Any:
        if away:
            away.pop()
            raise SetupFault("registry.missing", "connection refused")
        return make_plan(*given, **more)

    monkeypatch.setattr(coordinator, "make_plan", absent)
    coordinator.work(folder, until_empty=True)
    found = queue.show(number, folder)
    assert (found.state, found.outcomes["done"]) == ("done", UNITS)


def test_an_executor_that_dies_ends_the_coordinator_and_fails_no_production(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [queue.order(NULL, folder).id for _ in range(6)]

    def dies(mine: InProcess, timeout: float) -> Any:
        raise InternalFault("internal.error", "worker processes die before they are ready")

    monkeypatch.setattr(InProcess, "completed", dies)
    with pytest.raises(InternalFault, match="die before"):
        coordinator.work(folder, until_empty=True)
    monkeypatch.undo()
    assert {states(folder)[number] for number in numbers} == {"waiting"}
    coordinator.work(folder, until_empty=True)
    assert {states(folder)[number] for number in numbers} == {"done"}


def test_what_another_has_done_is_not_held_from_a_third(folder: Path) -> None:
    """Of three who want the same units two waited for each other for ever: each held what it had found done."""
    steps: list[Step] = []
    with opened(folder) as house:
        registry = house.registry
        planned = make_plan(registry, house.survey, load("null", house.survey)).jobs
        far, first = "far:1:x", planned[0]
        assert registry.lease([job.key for job in planned], far, 600.0)
        thread = threading.Thread(target=lambda: run(Order("null", executor="inprocess"), folder, steps.append))
        thread.start()
        report = JobReport(first.key, first.unit, "null", (), (), Outcome.DONE)
        _wait(lambda: any(step.total == UNITS for step in steps))
        registry.record(report, None, far)
        _wait(lambda: any(step.total == UNITS and step.done for step in steps))
        taken = registry.lease([first.key], "third:1:x", 60.0)
        registry.release(far)
        thread.join()
    assert taken == {first.key}
    assert steps[-1].done == UNITS


def test_a_production_with_units_that_fail_has_failed(folder: Path) -> None:
    raw = min((folder / "raw").rglob("*-00001.fits*"))
    raw.chmod(0o644)
    raw.write_bytes(raw.read_bytes()[:-5000])
    shutil.rmtree(folder / "products")
    given = Order("calibrations", "exposure='demo-20261120-00001'", {"detrend.overscan_order": "4"})
    number = queue.order(given, folder).id
    coordinator.work(folder, until_empty=True)
    found = queue.show(number, folder)
    assert found.state == "failed"
    assert found.outcomes["failed"] > 0


def test_one_that_would_fill_the_disk_is_refused_with_what_it_would_write(folder: Path) -> None:
    path = folder / "survey.toml"
    path.write_text(path.read_text().replace("attempts = 2", "attempts = 2\nreserve = 1e9"))
    given = Order("night", settings={"detrend.overscan_order": "4"})
    foreseen = foresee(given, folder)
    assert foreseen.forecast.unknown == 0
    with opened(folder) as house:
        done = house.registry.costs()
    # All that a night writes once more: jobs of one chain cost about the same.
    assert foreseen.forecast.written == pytest.approx(done["bytes_written"], rel=0.5)
    assert 0.0 < foreseen.forecast.seconds < 3.0 * done["wall"]
    number = queue.order(given, folder).id
    coordinator.work(folder, until_empty=True)
    found = queue.show(number, folder)
    assert (found.state, found.code) == ("failed", "production.hopeless")
    assert "GiB will be written" in found.message
    path.write_text(path.read_text().replace("reserve = 1e9", "reserve = 0.0"))
    assert queue.resume(number, folder).state == "waiting"


def test_one_of_which_no_unit_can_run_is_refused_with_all_reasons(empty: Small) -> None:
    path = empty.folder / "survey.toml"
    path.write_text(path.read_text().replace('executor = "local"', 'executor = "inprocess"'))
    files = [str(empty.sky / "raw" / "2026-11-20" / f"demo-20261120-{number:05d}.fits.fz") for number in (10, 11)]
    ingest.ingest(ingest.Order(tuple(files)), empty.folder)
    number = queue.order(Order("reduce"), empty.folder).id
    coordinator.work(empty.folder, until_empty=True)
    found = queue.show(number, empty.folder)
    assert (found.state, found.code) == ("failed", "production.hopeless")
    assert "units cannot run" in found.message


def test_a_release_leaves_out_steps_of_a_queued_production_too(folder: Path) -> None:
    tiles = '[tiles]\ngrid = "overlap"\nscale = 0.5\nsize = 0.1\n'
    (folder / "releases" / "wide.toml").write_text(f'name = "wide"\nwithout = ["deep_noise"]\n{tiles}')
    with pytest.raises(SetupFault, match="deep_noise"):
        queue.order(Order("deep", release="wide"), folder)
