"""The provenance graph: jobs, what they used, who used what they made, and the orders they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Row, Select, func, select, update

from spica.core.faults import FaultKind, FaultRecord, Outcome, SetupFault
from spica.core.jobs import Cost, InputRecord, JobReport, ProductRecord, StepRecord
from spica.core.records import Unit
from spica.registry import forms
from spica.registry.door import Door
from spica.registry.rows import JobRow
from spica.registry.schema import chains, environments, inputs, jobs, products, units


def _job_query() -> Select[Any]:
    return (
        select(jobs, units.c.name.label("unit_name"), chains.c.steps, environments.c.versions)
        .join(units, units.c.id == jobs.c.unit)
        .join(chains, chains.c.id == jobs.c.chain)
        .join(environments, environments.c.id == jobs.c.environment)
    )


def _fault(plain: Mapping[str, Any] | None) -> FaultRecord | None:
    return None if plain is None else FaultRecord(**{**plain, "kind": FaultKind(plain["kind"])})


def _job_row(row: Row[Any]) -> JobRow:
    return JobRow(
        key=row.key,
        unit=forms.unit(row.unit_name),
        pipeline=row.pipeline,
        labels=tuple(step["label"] for step in row.steps),
        outcome=Outcome(row.outcome),
        attempts=row.attempts,
        production=row.production,
        owner=row.owner,
        recorded=row.recorded,
        wall=row.wall,
        cpu=row.cpu,
        peak_memory=row.peak_memory,
        bytes_read=row.bytes_read,
        bytes_written=row.bytes_written,
        host=row.host,
        fault=_fault(row.fault),
    )


def job(door: Door, key: str) -> JobReport:
    """A job in full (its metrics are asked of its unit); SetupFault ``order.unknown-unit`` where there is none."""
    with door.read() as connection:
        row = connection.execute(_job_query().where(jobs.c.key == key)).first()
        if row is None:
            raise SetupFault("order.unknown-unit", f"there is no job {key!r}", unit=key)
        used = connection.execute(select(inputs).where(inputs.c.job == key).order_by(inputs.c.place)).all()
        made = connection.execute(forms.products_query().where(products.c.job == key).order_by(products.c.key)).all()
    return JobReport(
        key=row.key,
        unit=forms.unit(row.unit_name),
        pipeline=row.pipeline,
        steps=tuple(StepRecord(**step) for step in row.steps),
        inputs=tuple(InputRecord(each.need, each.key, each.unit, each.how) for each in used),
        outcome=Outcome(row.outcome),
        products=tuple(forms.product(each) for each in made),
        fault=_fault(row.fault),
        cost=Cost(row.wall, row.cpu, row.peak_memory, row.bytes_read, row.bytes_written, row.host),
        attempt=row.attempts,
        rungs=tuple(row.rungs),
        traceback=row.traceback,
        versions=row.versions,
    )


def jobs_of(door: Door, unit: Unit) -> list[JobRow]:
    """Jobs of a unit, oldest first; of those recorded together, what one made comes before who used it."""
    with door.read() as connection:
        query = _job_query().where(units.c.name == str(unit)).order_by(jobs.c.recorded, jobs.c.key)
        found = [_job_row(row) for row in connection.execute(query)]
        keys = [each.key for each in found]
        makers = select(inputs.c.job, products.c.job.label("maker")).join(products, products.c.key == inputs.c.key)
        links = connection.execute(makers.where(inputs.c.job.in_(keys), products.c.job.in_(keys))).all()
    makers_of: dict[str, set[str]] = {}
    for row in links:
        makers_of.setdefault(row.job, set()).add(row.maker)

    def depth(key: str) -> int:
        return 1 + max((depth(maker) for maker in makers_of.get(key, ()) if maker != key), default=0)

    return sorted(found, key=lambda each: (each.recorded, depth(each.key)))


def jobs_of_production(door: Door, number: int) -> list[JobRow]:
    """Jobs last recorded in a production, by unit."""
    with door.read() as connection:
        rows = connection.execute(_job_query().where(jobs.c.production == number).order_by(units.c.name, jobs.c.key))
        return [_job_row(row) for row in rows]


def inputs_of(door: Door, key: str) -> list[InputRecord]:
    """What a job used, in the order of its needs."""
    with door.read() as connection:
        rows = connection.execute(select(inputs).where(inputs.c.job == key).order_by(inputs.c.place))
        return [InputRecord(row.need, row.key, row.unit, row.how) for row in rows]


def consumers_of(door: Door, key: str) -> list[str]:
    """Keys of the jobs that used a product (or a file's checksum)."""
    with door.read() as connection:
        return list(
            connection.execute(
                select(inputs.c.job).where(inputs.c.key == key).distinct().order_by(inputs.c.job)
            ).scalars()
        )


def product_records(door: Door, keys: Iterable[str]) -> dict[str, ProductRecord]:
    """Products by key, those whose bytes were forgotten left out."""
    query = forms.products_query().where(door.among(products.c.key, keys), products.c.forgotten.is_(False))
    with door.read() as connection:
        return {row.key: forms.product(row) for row in connection.execute(query)}


def products_of(door: Door, unit: Unit) -> list[ProductRecord]:
    """Products of a unit that are there, oldest first."""
    query = forms.products_query().where(units.c.name == str(unit), products.c.forgotten.is_(False))
    with door.read() as connection:
        rows = connection.execute(query.order_by(products.c.recorded, products.c.key))
        return [forms.product(row) for row in rows]


def all_products(door: Door) -> Iterator[ProductRecord]:
    """Every product that should be on disk, by path (to compare registry and disk)."""
    query = forms.products_query().where(products.c.path != "", products.c.forgotten.is_(False))
    with door.read() as connection:
        streaming = connection.execution_options(yield_per=5000)
        for row in streaming.execute(query.order_by(products.c.path)):
            yield forms.product(row)


def forget_products(door: Door, keys: Iterable[str]) -> int:
    """Note that the bytes of products are gone; their records stay. Answers how many."""
    with door.write() as connection:
        gone = update(products).where(door.among(products.c.key, keys)).values(forgotten=True)
        return connection.execute(gone).rowcount


def rewritten_products(door: Door, checksums: Mapping[str, str]) -> int:
    """Note the new checksums of products by key. Answers how many there were."""
    with door.write() as connection:
        return sum(
            connection.execute(update(products).where(products.c.key == key).values(checksum=checksum)).rowcount
            for key, checksum in checksums.items()
        )


def costs(door: Door, number: int | None) -> Mapping[str, float]:
    """Sums over the jobs (of one production): jobs, wall and CPU seconds, bytes; and the greatest peak of memory."""
    query = select(
        func.count().label("jobs"),
        *(
            func.coalesce(func.sum(jobs.c[name]), 0).label(name)
            for name in ("wall", "cpu", "bytes_read", "bytes_written")
        ),
        func.coalesce(func.max(jobs.c.peak_memory), 0).label("peak_memory"),
    )
    if number is not None:
        query = query.where(jobs.c.production == number)
    with door.read() as connection:
        return {name: float(value) for name, value in connection.execute(query).one()._mapping.items()}  # noqa: SLF001 — SQLAlchemy's public name
