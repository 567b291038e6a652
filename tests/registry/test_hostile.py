"""Text of every kind, in every column that holds text, comes back as it went in and harms nothing."""

from __future__ import annotations

import threading
from dataclasses import fields, replace
from typing import Any

import pytest

from spica.core.faults import DataFault, FaultKind, FaultRecord, Outcome
from spica.core.jobs import Cost, InputRecord, StepRecord
from spica.core.keys import exposure_id
from spica.core.records import Exposure, Grain, Metric, Unit
from spica.core.task import Form
from spica.registry.store import Registry
from tests.registry.samples import detector, exposure, ingest, product, report

HOSTILE = [
    "'; DROP TABLE exposures; --",
    'quotes " and \\ and % and _ and :name and %(name)s and {x}',
    "a NUL \0 within",
    "not UTF-8: \udcff\udc80",
    "雪 Ω é \u202e right to left \U0001f52d",
    "line\nbreak\ttab\r\x1b[31m",
    "long " + "x" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_in_records(registry: Registry, text: str) -> None:
    # An exposure's name is hashed as UTF-8, and '/' parts the keys of a unit.
    name = text.replace("/", "").encode(errors="ignore").decode()
    texts = {f.name: text for f in fields(Exposure) if f.type == "str" and f.name not in {"name", "camera"}}
    one = exposure(1, **texts, name=name, extra={text: text, "n": 1}, defaulted=(text,), id=exposure_id("demo", name))
    record = ingest(one, [0], path=text, origin=text + "o", area=text + "a", mtime=1.0, conformance=(text,))
    part = detector(one, 0, record.file.checksum, wcs={"X": text}, planes={text: (text, 1)})
    part = replace(
        part, amplifiers=tuple(spec.model_copy(update={"name": text + spec.name}) for spec in part.amplifiers)
    )
    record = replace(record, detectors=(part,), headers=(text,))
    registry.add(record)
    assert registry.exposures() == [one]
    assert registry.detectors([(name, 0)]) == {(name, 0): part}
    assert registry.files() == {record.file.checksum: record.file}
    assert registry.headers(record.file.checksum) == (text,)
    assert registry.known_file(text + "o", 1000, 1.0) == record.file.checksum
    (row,) = registry.detector_rows()
    assert (row.exposure, row.band, row.readout_mode) == (name, text, text)
    quoted = "'" + text.replace("'", "''") + "'"
    assert registry.exposures(f"band = {quoted} and object in ({quoted}, 'x')") == [one]
    assert registry.exposures(f"band != {quoted}") == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_in_reports(registry: Registry, text: str) -> None:
    unit = Unit(Grain.TILE, (text.replace("/", ""),))
    fault = FaultRecord("data.no-pixels", FaultKind.DATA, text, {text: text}, text)
    made = product(unit, "k" + text, text, Form.VALUE, value={text: text}, facts={"a": text})
    made = replace(made, path=text, checksum=text)
    given = report(
        unit,
        key="k" + text,
        pipeline=text,
        steps=(StepRecord(text, text, 1, {text: [text]}, {text: text}),),
        inputs=(InputRecord(text, text, text, text),),
        products=(made,),
        metrics=(Metric(unit, text, 1.0, text, text),),
        fault=fault,
        cost=Cost(host=text),
        rungs=(text,),
        traceback=text,
        versions={text: text},
    )
    number = registry.queue.add(text, text, text, {text: text}, owner=text)
    assert registry.lease([given.key], text, 60.0) == {given.key}
    registry.record(given, number, text)
    assert registry.release(text) == 0
    assert registry.job(given.key) == replace(given, metrics=())
    assert registry.metrics_of(unit) == list(given.metrics)
    assert registry.products([made.key]) == {made.key: made}
    assert registry.consumers_of(text) == [given.key]
    assert registry.states([given.key])[given.key].products == (made,)
    (kept,) = registry.faults(unit)
    assert kept.fault == fault
    registry.grade(unit, text, text, text)
    assert {note.text for note in registry.notes_of(unit)} == {text}
    registry.event(text, text, text, {text: text}, text)
    assert registry.events(text)[0].details == {text: text}
    registry.quarantine(text, text, fault)
    assert registry.quarantined()[0].path == text
    assert registry.release_from_quarantine(text) == 1
    assert registry.queue.listed()[0].settings == {text: text}
    assert registry.counts().jobs == {text: {"done": 1}}


def test_two_intakes_at_once_make_one_record(url: str) -> None:
    records = [ingest(exposure(n), [0, 1], tag=tag) for n in range(1, 9) for tag in ("a", "b")]
    answers: list[str] = []
    start = threading.Barrier(3)

    def take(order: list[Any]) -> None:
        with Registry.open(url) as registry:
            start.wait()
            for record in order:
                try:
                    answers.append(registry.add(record).status.value)
                except DataFault as fault:
                    answers.append(fault.code)

    threads = [
        threading.Thread(target=take, args=(order,)) for order in (records, records[::-1], records[5:] + records[:5])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Of each exposure's two files one was first, and stays; the other was refused each time.
    assert sorted(answers) == ["exposure.conflict"] * 24 + ["known"] * 16 + ["new"] * 8
    with Registry.open(url) as registry:
        assert len(registry.files()) == 8
        assert registry.counts().detectors == 16


def test_two_coordinators_record_the_same_job(url: str) -> None:
    unit = Unit(Grain.TILE, ("t1",))
    done, failed = report(unit), report(unit, outcome=Outcome.FAILED)
    start = threading.Barrier(2)
    raised: list[BaseException] = []

    def coordinate(one: Any, owner: str) -> None:
        try:
            with Registry.open(url) as registry:
                start.wait()
                for _ in range(10):
                    registry.record(one, None, owner)
        except Exception as error:  # noqa: BLE001 — whatever it is, the test names it
            raised.append(error)

    threads = [
        threading.Thread(target=coordinate, args=each)
        for each in ((done, "one"), (replace(failed, key=done.key), "two"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    with Registry.open(url) as registry:
        state = registry.states([done.key])[done.key]
        assert (state.outcome, state.attempts, state.products) == (Outcome.DONE, 20, done.products)
