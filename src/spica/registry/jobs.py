"""Jobs: their states, leases, and the recording of how they ended."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, delete, func, select, text, update

from spica.core.faults import Outcome
from spica.core.jobs import JobReport, ProductRecord
from spica.core.records import Unit
from spica.registry import footprints, forms, metrics
from spica.registry import units as unit_numbers
from spica.registry.door import Door
from spica.registry.rows import JobState
from spica.registry.schema import calibrations, chains, environments, faults, inputs, jobs, leases, products, units
from spica.registry.spelling import storable
from spica.registry.text import Words, stamp

_DONE = Outcome.DONE.value


def states(door: Door, keys: Iterable[str]) -> dict[str, JobState]:
    """How far each key has got; keys that were never recorded are left out."""
    given = {"given": door.listed(keys)}
    with _collector_paused(), door.read() as connection:
        recorded = connection.execute(door.once("states", lambda: _states(door)), given).all()
        made: dict[str, list[ProductRecord]] = {}
        gone: dict[str, list[str]] = {}
        for forgotten, *row in connection.execute(door.once("states' products", lambda: _states_products(door)), given):
            product = forms.product(row)
            if forgotten:
                gone.setdefault(product.job, []).append(product.name)
            else:
                made.setdefault(product.job, []).append(product)
        outcomes = {each.value: each for each in Outcome}
        # Sorted here, a few at a time: the database would sort all rows of all jobs at once.
        return {
            key: JobState(
                *(key, outcomes[outcome], attempts),
                tuple(sorted(made.get(key, ()), key=_by_key)),
                tuple(sorted(gone.get(key, ()))),
                fault["code"] if fault else "",
            )
            for key, outcome, attempts, fault in recorded
        }


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Make many small records at once: looking for garbage among them again and again took half of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


_by_key = attrgetter("key")


def _states(door: Door) -> Select[Any]:
    columns = jobs.c.key, jobs.c.outcome, jobs.c.attempts, jobs.c.fault
    return select(*columns).where(door.listing(jobs.c.key, "given"))


def _states_products(door: Door) -> Select[Any]:
    query = select(products.c.forgotten, *forms.PRODUCT_COLUMNS)
    joined = query.join_from(products, units, units.c.id == products.c.unit)
    return joined.where(door.listing(products.c.job, "given"))


def lease(door: Door, keys: Iterable[str], owner: str, seconds: float) -> set[str]:
    """Take those keys that nobody holds (or whose lease has run out, or that are ours); answer which were taken.

    One statement decides each key, so that two coordinators never both get it. What was recorded since the plan was
    made is not looked at: ask `states` again for the keys that were taken.
    """
    # In one order everywhere, or two coordinators could wait for each other.
    wanted = sorted({storable(key) for key in keys})
    with door.write() as connection:
        now = door.now(connection, lasting=False)
        taken = connection.execute(_LEASE[door.sqlite], _lease_values(door, wanted, owner, now, seconds))
        return set(taken.scalars())


def _lease_values(door: Door, keys: list[str], owner: str, now: float, seconds: float) -> dict[str, Any]:
    import json

    return {
        "keys": json.dumps(keys) if door.sqlite else keys,
        "owner": storable(owner),
        "now": now,
        "until": now + seconds,
    }


_LEASE = {
    sqlite: text(
        f"INSERT INTO leases (key, owner, expires) SELECT value, CAST(:owner AS TEXT), CAST(:until AS DOUBLE PRECISION) FROM {source} "  # noqa: S608 — both sources are below
        "ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expires = excluded.expires "
        "WHERE leases.expires <= :now OR leases.owner = excluded.owner RETURNING key"
    ).columns(key=Words())
    # "WHERE true": SQLite could not tell ON CONFLICT from a join's ON otherwise.
    for sqlite, source in ((True, "json_each(:keys) WHERE true"), (False, "unnest(CAST(:keys AS text[])) AS t(value)"))
}


def leased(door: Door, keys: Iterable[str]) -> set[str]:
    """Those of the keys that somebody holds now."""
    with door.read() as connection:
        now = door.now(connection, lasting=False)
        held = select(leases.c.key).where(door.among(leases.c.key, keys), leases.c.expires > now)
        return set(connection.execute(held).scalars())


def renew(door: Door, owner: str, seconds: float) -> int:
    """Prolong all leases of an owner; answers how many it still holds."""
    with door.write() as connection:
        until = door.now(connection, lasting=False) + seconds
        return connection.execute(update(leases).where(leases.c.owner == owner).values(expires=until)).rowcount


def release(door: Door, owner: str, keys: Iterable[str] | None = None) -> int:
    """Give back leases of an owner, all or those of some keys; answers how many there were."""
    statement = delete(leases).where(leases.c.owner == owner)
    if keys is not None:
        statement = statement.where(door.among(leases.c.key, keys))
    with door.write() as connection:
        return connection.execute(statement).rowcount


def record_many(door: Door, reports: Sequence[JobReport], production: int | None, owner: str) -> None:
    """Record how jobs ended, in one transaction.

    State moves only forward: a job that is done stays done and keeps its products, whatever a late report of another
    attempt says (that attempt is counted, nothing else of it is taken).
    """
    if not reports:
        return
    with door.write() as connection:
        now = door.now(connection, lasting=False)
        numbers = unit_numbers.numbers(door, connection, _units_of(reports))
        old = _outcomes(door, connection, [report.key for report in reports])
        _write_jobs(door, connection, reports, numbers, (production, owner, now))
        # The last report of a key counts, unless an earlier one says done.
        valid: dict[str, JobReport] = {}
        for report in reports:
            standing = valid[report.key].outcome if report.key in valid else old.get(report.key)
            if standing != _DONE or report.outcome is Outcome.DONE:
                valid[report.key] = report
        if valid:
            _write_inputs(connection, valid.values(), old)
            _write_products(door, connection, valid.values(), numbers, now)
            seen = [each for report in valid.values() for each in report.outlines]
            footprints.write(door, connection, seen, numbers, now)
            metrics.write(door, connection, [each for report in valid.values() for each in report.metrics], numbers)
            _write_faults(door, connection, list(valid.values()), numbers, now)
        connection.execute(_RELEASE, [{"given": report.key, "mine": owner} for report in reports])


_RELEASE = delete(leases).where(leases.c.key == bindparam("given"), leases.c.owner == bindparam("mine"))


def _units_of(reports: Iterable[JobReport]) -> set[Unit]:
    return {
        unit
        for report in reports
        for unit in (
            *(report.unit, *(m.unit for m in report.metrics)),
            *(*(p.unit for p in report.products), *(o.unit for o in report.outlines)),
        )
    }


def _outcomes(door: Door, connection: Connection, keys: Sequence[str]) -> dict[str, str]:
    query = door.once("outcomes", lambda: select(jobs.c.key, jobs.c.outcome).where(door.listing(jobs.c.key, "given")))
    return {row[0]: row[1] for row in connection.execute(query, {"given": door.listed(keys)})}


def _write_jobs(
    door: Door,
    connection: Connection,
    reports: Sequence[JobReport],
    numbers: dict[Unit, int],
    origin: tuple[int | None, str, float],
) -> None:
    production, owner, now = origin
    chain_rows: dict[str, dict[str, Any]] = {}
    environment_rows: dict[str, dict[str, Any]] = {}
    stamped = []
    for report in reports:
        plain = [
            {
                "label": step.label,
                "task": step.task,
                "version": step.version,
                "settings": dict(step.settings),
                "sources": dict(step.sources),
            }
            for step in report.steps
        ]
        chain, environment = stamp(plain), stamp(dict(report.versions))
        chain_rows[chain] = {"digest": chain, "steps": plain}
        environment_rows[environment] = {"digest": environment, "versions": dict(report.versions)}
        stamped.append((chain, environment))
    chain_ids = door.remembered(connection, chains, chains.c.digest, chain_rows)
    environment_ids = door.remembered(connection, environments, environments.c.digest, environment_rows)
    rows = [
        {
            "key": report.key,
            "unit": numbers[report.unit],
            "pipeline": report.pipeline,
            "chain": chain_ids[chain],
            "environment": environment_ids[environment],
            "production": production,
            "outcome": report.outcome.value,
            "attempts": report.attempt,
            "rungs": list(report.rungs),
            "fault": None if report.fault is None else forms.fault_columns(report.fault),
            "traceback": report.traceback,
            **vars(report.cost),
            "owner": owner,
            "recorded": now,
        }
        for report, (chain, environment) in zip(reports, stamped, strict=True)
    ]
    connection.execute(door.once("upsert jobs", lambda: _job_upsert(door)), rows)


def _job_upsert(door: Door) -> Any:
    """Insert, or move forward: over a done job only the attempts are counted."""
    new = door.insert(jobs)
    forward = (jobs.c.outcome != _DONE) | (new.excluded.outcome == _DONE)
    values: dict[str, Any] = {
        column.name: case((forward, new.excluded[column.name]), else_=column)
        for column in jobs.c
        if column.name not in {"key", "unit", "attempts"}
    }
    greatest = func.max if door.sqlite else func.greatest
    values["attempts"] = greatest(jobs.c.attempts + 1, new.excluded.attempts)
    return new.on_conflict_do_update(index_elements=[jobs.c.key], set_=values)


def _write_inputs(connection: Connection, reports: Iterable[JobReport], old: dict[str, str]) -> None:
    again = [{"given": report.key} for report in reports if report.key in old]
    if again:
        connection.execute(delete(inputs).where(inputs.c.job == bindparam("given")), again)
    rows = [
        {"job": report.key, "place": place, "need": each.need, "key": each.key, "unit": each.unit, "how": each.how}
        for report in reports
        for place, each in enumerate(report.inputs)
    ]
    if rows:
        connection.execute(inputs.insert(), rows)


def _write_products(
    door: Door, connection: Connection, reports: Iterable[JobReport], numbers: dict[Unit, int], now: float
) -> None:
    made = [product for report in reports if report.outcome is Outcome.DONE for product in report.products]
    if not made:
        return
    rows = [
        {
            "key": each.key,
            "job": each.job,
            "name": each.name,
            "form": each.form.value,
            "unit": numbers[each.unit],
            "path": each.path,
            "checksum": each.checksum,
            "size": each.size,
            "scratch": each.scratch,
            "master": each.master,
            "facts": dict(each.facts),
            "value": dict(each.value),
            "forgotten": False,
            "recorded": now,
        }
        for each in made
    ]
    door.upsert(connection, products, rows, tuple(name for name in rows[0] if name not in {"key", "job", "recorded"}))
    valid = [forms.calibration_columns(each) for each in made if each.master]
    if valid:
        door.upsert(connection, calibrations, valid, tuple(name for name in valid[0] if name != "product"))


def _write_faults(
    door: Door, connection: Connection, reports: Sequence[JobReport], numbers: dict[Unit, int], now: float
) -> None:
    """New faults; those that the unit had before in the same steps are settled by whatever came of it now."""
    over = _over(door, connection, reports, numbers)
    if over:
        connection.execute(update(faults).where(door.among(faults.c.id, over)).values(cleared=now))
    rows = [
        {
            **forms.fault_columns(report.fault),
            "unit": numbers[report.unit],
            "pipeline": report.pipeline,
            "job": report.key,
            "outcome": report.outcome.value,
            "recorded": now,
        }
        for report in reports
        if report.fault is not None
    ]
    if rows:
        connection.execute(faults.insert(), rows)


def _over(door: Door, connection: Connection, reports: Sequence[JobReport], numbers: dict[Unit, int]) -> list[int]:
    """Open faults of these units in these pipelines, of jobs that share a step with the reports.

    The bias and the dark of a night are one unit: what comes of one says nothing of the other.
    """
    done: dict[tuple[int, str], set[str]] = {}
    for report in reports:
        labels = done.setdefault((numbers[report.unit], report.pipeline), set())
        labels.update(step.label for step in report.steps)
    query = (
        select(faults.c.id, faults.c.unit, faults.c.pipeline, chains.c.steps)
        .join(jobs, jobs.c.key == faults.c.job, isouter=True)
        .join(chains, chains.c.id == jobs.c.chain, isouter=True)
        .where(faults.c.cleared.is_(None), door.among(faults.c.unit, sorted({unit for unit, _ in done})))
    )
    return [
        row.id
        for row in connection.execute(query)
        if (row.unit, row.pipeline) in done
        and (row.steps is None or done[row.unit, row.pipeline] & {step["label"] for step in row.steps})
    ]
