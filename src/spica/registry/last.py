"""What was done last to many units, asked at once: the ground on which a plan says what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Select, select

from spica.core.faults import Outcome
from spica.core.jobs import StepRecord
from spica.core.records import Unit
from spica.registry.door import Door
from spica.registry.rows import LastDone
from spica.registry.schema import chains, inputs, jobs, units

_CHUNK = 4000
"""Units asked for in one question: bounds what is in memory."""

Steps = Mapping[int, tuple[StepRecord, ...]]


def last_done(door: Door, labels: Sequence[str], wanted: Iterable[Unit]) -> Iterator[LastDone]:
    """See `Registry.last_done`."""
    steps = _chains(door, tuple(labels))
    if not steps:
        return
    names = map(str, wanted)
    while chunk := list(islice(names, _CHUNK)):
        with door.read() as connection:
            found = list(_of(door, connection, steps, chunk))
        yield from found


def _chains(door: Door, labels: tuple[str, ...]) -> Steps:
    """Every chain of steps with these labels, whatever its settings: there are few."""
    with door.read() as connection:
        rows = connection.execute(select(chains.c.id, chains.c.steps)).all()
    alike = ((number, steps) for number, steps in rows if tuple(step["label"] for step in steps) == labels)
    return {number: tuple(StepRecord(**step) for step in steps) for number, steps in alike}


def _of(door: Door, connection: Connection, steps: Steps, names: list[str]) -> Iterator[LastDone]:
    given = {"names": door.listed(names), "chains": door.listed(steps)}
    latest: dict[str, Any] = {}
    for row in connection.execute(door.once("last done", lambda: _jobs(door)), given):
        before = latest.get(row.name)
        if before is None or (before.recorded, before.key) < (row.recorded, row.key):
            latest[row.name] = row
    used: dict[str, list[tuple[str, str, str]]] = {row.key: [] for row in latest.values()}
    query = door.once("last done's inputs", lambda: _inputs(door))
    for job, need, key, unit in connection.execute(query, {"given": door.listed(used)}):
        used[job].append((need, key, unit))
    for name in names:
        if name in latest:
            row = latest[name]
            yield LastDone(name, row.key, steps[row.chain], tuple(used[row.key]))


def _jobs(door: Door) -> Select[Any]:
    columns = units.c.name, jobs.c.key, jobs.c.chain, jobs.c.recorded
    query = select(*columns).join_from(units, jobs, jobs.c.unit == units.c.id)
    of_them = door.listing(units.c.name, "names"), door.listing(jobs.c.chain, "chains")
    return query.where(*of_them, jobs.c.outcome == Outcome.DONE.value)


def _inputs(door: Door) -> Select[Any]:
    query = select(inputs.c.job, inputs.c.need, inputs.c.key, inputs.c.unit)
    return query.where(door.listing(inputs.c.job, "given")).order_by(inputs.c.job, inputs.c.place)
