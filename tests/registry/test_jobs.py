from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from spica.core.faults import Outcome, SetupFault
from spica.core.jobs import InputRecord
from spica.core.orders import State
from spica.core.records import Grain, Metric, Unit
from spica.core.task import Form
from spica.registry import last
from spica.registry.store import Registry
from tests.registry.samples import BAD_PIXELS, STEPS, detector_unit, exposure, ingest, master, product, report

UNIT = detector_unit(exposure(1), 0)


def test_a_report_is_kept_in_full(registry: Registry) -> None:
    number = registry.queue.add("night", "reduce", "band='r'", {"workers": 2}, owner="me")
    given = report(UNIT, rungs=("neighbour",), traceback="Traceback …\n")
    registry.record(given, number, "me")
    kept = registry.job(given.key)
    assert kept == replace(given, metrics=())
    assert registry.metrics_of(UNIT) == list(given.metrics)
    assert registry.inputs_of(given.key) == list(given.inputs)
    state = registry.states([given.key, "0" * 40])
    assert list(state) == [given.key]
    assert state[given.key].products == given.products
    assert (state[given.key].outcome, state[given.key].attempts) == (Outcome.DONE, 1)
    (row,) = registry.jobs_of(UNIT)
    assert (row.key, row.production, row.labels, row.owner) == (given.key, number, ("detrend", "detect"), "me")
    assert registry.jobs_of_production(number) == [row]
    registry.queue.end(number, {"done": 1}, State.DONE)
    (order,) = registry.queue.listed()
    assert (order.selection, order.settings, order.outcomes) == ("band='r'", {"workers": 2}, {"done": 1})
    assert order.closed is not None
    assert order.closed >= order.opened


def test_done_stays_done(registry: Registry) -> None:
    done = report(UNIT)
    registry.record(done)
    for late in (Outcome.FAILED, Outcome.REFUSED):
        registry.record(report(UNIT, outcome=late, key=done.key, inputs=(), metrics=(Metric(UNIT, "seeing", 9.0),)))
    state = registry.states([done.key])[done.key]
    assert state.outcome is Outcome.DONE
    assert state.products == done.products
    assert state.attempts == 3
    assert state.fault == ""
    assert registry.inputs_of(done.key) == list(done.inputs)
    assert [each.value for each in registry.metrics_of(UNIT)] == [1.1]


def test_done_stays_done_within_one_batch(registry: Registry) -> None:
    done = report(UNIT)
    registry.record_many([done, report(UNIT, outcome=Outcome.FAILED, key=done.key)])
    assert registry.states([done.key])[done.key].outcome is Outcome.DONE
    assert registry.faults() == []


def test_failed_then_done_clears_the_fault(registry: Registry) -> None:
    failed = report(UNIT, outcome=Outcome.FAILED)
    registry.record(failed)
    assert registry.states([failed.key])[failed.key].fault == "data.no-pixels"
    (fault,) = registry.faults(UNIT)
    assert (fault.fault, fault.pipeline, fault.job, fault.outcome) == (BAD_PIXELS, "reduce", failed.key, "failed")
    # Another setting, hence another key: it is the same unit's fault that is over.
    registry.record(report(UNIT, tag="other setting"))
    assert registry.faults() == []
    (old,) = registry.faults(UNIT, cleared=True)
    assert old.cleared is not None


def test_other_steps_of_the_same_unit_leave_its_fault_open(registry: Registry) -> None:
    """The bias and the dark of a night are one unit: a dark that is refused does not mend the bias."""
    bias, dark = ((replace(STEPS[0], label=f"combine_{name}"),) for name in ("bias", "dark"))
    registry.record(report(UNIT, "bias", Outcome.FAILED, steps=bias))
    registry.record(report(UNIT, "dark", Outcome.REFUSED, steps=dark))
    assert len(registry.faults(UNIT)) == 2
    registry.record(report(UNIT, "bias again", steps=bias))
    (left,) = registry.faults(UNIT)
    assert left.job == report(UNIT, "dark").key
    registry.record(report(UNIT, "dark again", steps=dark))
    assert registry.faults(UNIT) == []


def test_attempts_are_counted(registry: Registry) -> None:
    for attempt in (1, 2, 3):
        registry.record(report(UNIT, outcome=Outcome.FAILED, attempt=attempt))
    key = report(UNIT).key
    assert registry.states([key])[key].attempts == 3
    assert len(registry.faults()) == 1
    assert len(registry.faults(cleared=True)) == 3
    registry.record(report(UNIT, attempt=1))
    assert registry.states([key])[key].attempts == 4


def test_products_forgotten_and_made_again(registry: Registry) -> None:
    given = report(UNIT)
    registry.record(given)
    science, sources = given.products
    assert registry.forget_products([science.key]) == 1
    state = registry.states([given.key])[given.key]
    assert (state.products, state.forgotten) == ((sources,), ("science",))
    assert registry.products([science.key, sources.key]) == {sources.key: sources}
    assert list(registry.all_products()) == [sources]
    registry.record(given)
    assert registry.products([science.key]) == {science.key: science}


def test_provenance_graph(registry: Registry) -> None:
    first = report(UNIT)
    unit = Unit(Grain.EXPOSURE, UNIT.values[:1])
    used = InputRecord("sources", first.products[1].key, str(UNIT), "same production")
    second = report(
        unit, inputs=(used,), products=(product(unit, report(unit).key, "quality", Form.VALUE, value={"a": 1.5}),)
    )
    registry.record_many([first, second])
    assert registry.consumers_of(first.products[1].key) == [second.key]
    assert registry.inputs_of(second.key) == [used]
    assert registry.products_of(unit)[0].value == {"a": 1.5}
    # A job whose inputs changed under the same key (never in real life) keeps the last ones only.
    registry.record(replace(second, inputs=()))
    assert registry.consumers_of(first.products[1].key) == []


def test_jobs_recorded_together_stand_in_the_order_of_their_making(registry: Registry) -> None:
    # Keys in either order of their letters: time alone cannot tell who came first.
    for number, keys in enumerate((("a" * 40, "b" * 40), ("d" * 40, "c" * 40))):
        unit = detector_unit(exposure(1), number)
        maker = report(unit, key=keys[0])
        used = InputRecord("figures", maker.products[0].key, str(unit), "same production")
        user = report(unit, key=keys[1], inputs=(used,), products=(product(unit, keys[1], "verdict", Form.VALUE),))
        registry.record_many([maker, user])
        assert [job.key for job in registry.jobs_of(unit)] == list(keys)


def test_what_was_done_last(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last, "_CHUNK", 3)  # several questions, for seven units
    units = [detector_unit(exposure(1), number) for number in range(7)]
    labels = [step.label for step in STEPS]
    assert list(registry.last_done(labels, units)) == []
    newer = (STEPS[0], replace(STEPS[1], version=3))
    registry.record_many([report(unit) for unit in units[:6]])
    registry.record(report(units[1], tag="other", steps=newer))
    # Neither what failed nor what had other steps was done last.
    registry.record(report(units[2], tag="failed", outcome=Outcome.FAILED))
    registry.record(report(units[3], tag="short", steps=STEPS[:1]))
    found = {row.unit: row for row in registry.last_done(labels, units)}
    assert list(found) == [str(unit) for unit in units[:6]]
    assert all(row.steps == STEPS for name, row in found.items() if name != str(units[1]))
    assert found[str(units[1])].steps == newer
    assert found[str(units[2])].key == report(units[2]).key
    assert found[str(units[0])].inputs == (("raw", "f" * 40, ""), ("flat", f"{'e' * 40}/flat", ""))
    assert [row.unit for row in registry.last_done(labels[:1], units)] == [str(units[3])]
    assert list(registry.last_done(["other"], units)) == []


def test_settings_are_kept_once(registry: Registry) -> None:
    one = exposure(1)
    registry.record_many([report(detector_unit(one, n)) for n in range(10)])
    other = (STEPS[0], replace(STEPS[1], settings={"threshold": 2.0}))
    registry.record(report(detector_unit(one, 0), tag="other", steps=other))
    with registry._door.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM chains").scalar() == 2
        assert connection.exec_driver_sql("SELECT count(*) FROM environments").scalar() == 1


def test_masters(registry: Registry) -> None:
    registry.record_many([master("2026-11-20"), master("2026-11-21", valid_from=61365.0, valid_to=61366.0)])
    registry.record(master("2026-11-20", 1))
    found = registry.masters("demo", "flat")
    assert [(row.block, row.detector) for row in found[:2]] == [("2026-11-20", 0), ("2026-11-21", 0)] or len(found) == 3
    assert {(row.block, row.detector) for row in found} == {("2026-11-20", 0), ("2026-11-21", 0), ("2026-11-20", 1)}
    row = next(each for each in found if each.block == "2026-11-21")
    assert (row.shape, row.binning, row.valid_from, row.valid_to, row.band) == ((64, 64), (1, 1), 61365.0, 61366.0, "r")
    assert registry.masters("decam") == []
    assert registry.masters(kind="bias") == []
    registry.forget_products([row.key])
    assert len(registry.masters()) == 2


def test_unknown_job(registry: Registry) -> None:
    with pytest.raises(SetupFault) as caught:
        registry.job("0" * 40)
    assert caught.value.code == "order.unknown-unit"


def test_leases_exclude(registry: Registry) -> None:
    assert registry.lease(["a", "b"], "one", 60.0) == {"a", "b"}
    assert registry.lease(["a", "b", "c"], "two", 60.0) == {"c"}
    assert registry.lease(["a"], "one", 60.0) == {"a"}
    assert registry.renew("one", 60.0) == 2
    assert registry.release("one") == 2
    assert registry.lease(["a", "b"], "two", 60.0) == {"a", "b"}
    assert registry.lease([], "two", 60.0) == set()


def test_leases_expire(registry: Registry) -> None:
    registry.lease(["a", "b"], "dead", 0.0)
    registry.lease(["c"], "dead", 60.0)
    assert registry.lease(["a", "b", "c"], "alive", 60.0) == {"a", "b"}
    assert registry.renew("dead", 60.0) == 1


def test_a_report_gives_back_its_own_lease_only(registry: Registry) -> None:
    mine, other = report(UNIT), report(detector_unit(exposure(1), 1))
    registry.lease([mine.key], "me", 60.0)
    registry.lease([other.key], "you", 60.0)
    registry.record_many([mine, other], None, "me")
    assert registry.lease([mine.key, other.key], "third", 60.0) == {mine.key}


def test_coordinators_never_share_a_key(url: str) -> None:
    keys = [f"{number:040x}" for number in range(300)]
    taken: dict[str, set[str]] = {}
    start = threading.Barrier(4)

    def coordinate(owner: str, order: list[str]) -> None:
        with Registry.open(url) as registry:
            start.wait()
            taken[owner] = set()
            for place in range(0, len(order), 50):
                taken[owner] |= registry.lease(order[place : place + 50], owner, 60.0)

    orders = (keys, keys[::-1], keys[150:] + keys[:150], keys)
    threads = [threading.Thread(target=coordinate, args=(str(n), order)) for n, order in enumerate(orders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(each) for each in taken.values()) == len(keys)
    assert set().union(*taken.values()) == set(keys)


def test_a_failure_that_another_job_settled_is_not_counted(registry: Registry) -> None:
    """As when a rung of the ladder begins a unit anew, or a setting is changed."""
    registry.add_many([ingest(exposure(1))])
    other = detector_unit(exposure(1), 2)
    registry.record_many([report(UNIT, "first", Outcome.FAILED), report(other, "first", Outcome.FAILED)])
    assert registry.counts().jobs == {"reduce": {"failed": 2}}
    registry.record_many([report(UNIT, "second")])
    assert registry.counts().jobs == {"reduce": {"done": 1, "failed": 1}}
    assert registry.counts().faults == {"data.no-pixels": 1}


def test_counts(registry: Registry) -> None:
    registry.add_many([ingest(exposure(n)) for n in (1, 2)])
    registry.record_many([report(UNIT), report(detector_unit(exposure(1), 1), outcome=Outcome.FAILED)])
    registry.lease(["a"], "me", 60.0)
    counts = registry.counts()
    assert counts.exposures == {"demo": {"object": 2}}
    assert (counts.detectors, counts.files, counts.bytes, counts.nights) == (8, 2, 2000, 1)
    assert counts.jobs == {"reduce": {"done": 1, "failed": 1}}
    assert counts.faults == {"data.no-pixels": 1}
    assert (counts.products, counts.product_bytes, counts.running) == (2, 200, 1)
    assert registry.costs() == {
        "jobs": 2.0,
        "wall": 2.0,
        "cpu": 1.8,
        "bytes_read": 20.0,
        "bytes_written": 40.0,
        "peak_memory": float(1 << 28),
    }
