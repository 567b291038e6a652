"""The registry: ingest, planning's and recording's questions at 10⁵ detectors, searches by metrics."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from spica.core.records import Metric, Unit
from spica.registry import glance
from spica.registry.store import Registry
from tests.registry.samples import detector_unit, exposure, ingest, report
from tests.support.postgres import PrivateServer, server_programs

_DETECTORS = 62
_EXPOSURES = 1613
"""1613 mosaics of 62 detectors: 10⁵ detectors."""
_JOBS = 20_000


def figures() -> Iterator[Figure]:
    """Records per second, milliseconds per job and seconds per question, on SQLite and on PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/registry.sqlite"
        yield from _of(url, "SQLite", _EXPOSURES)
        with costing() as cost:
            glance.counts(url)
        yield figure("counts for status at 10⁵ detectors, SQLite", cost.wall * 1e3, "ms", at_most(50))
    if server_programs() is not None:
        with PrivateServer(durable=True) as server:
            yield from _of(server.fresh_database(), "PostgreSQL", _EXPOSURES // 4)


def _of(url: str, name: str, exposures: int) -> Iterator[Figure]:
    with Registry.create(url) as registry:
        yield from _ingest(registry, name, exposures)
        yield from _jobs(registry, name)
        yield from _search(registry, name)


def _ingest(registry: Registry, name: str, exposures: int) -> Iterator[Figure]:
    mosaics = [ingest(exposure(number), range(_DETECTORS)) for number in range(1, exposures + 1)]
    with costing() as cost:
        for first in range(0, len(mosaics), 50):
            registry.add_many(mosaics[first : first + 50])
    yield figure(f"ingest, mosaics, {name}", exposures * _DETECTORS / cost.wall, "detectors/s", at_least(200))
    singles = [ingest(exposure(100_000 + n), [d]) for n in range(4) for d in range(_DETECTORS)]
    with costing() as cost:
        for record in singles:
            registry.add(record)
    yield figure(f"ingest, one file per detector, {name}", len(singles) / cost.wall, "detectors/s", at_least(200))


def _jobs(registry: Registry, name: str) -> Iterator[Figure]:
    with costing() as cost:
        rows = list(registry.detector_rows("night = '2026-11-20'"))
    yield figure(f"detector rows for planning, {name}", cost.wall * 1e5 / len(rows), "s per 10⁵", at_most(3))
    units = [Unit.parse(f"{row.exposure}/{row.detector}") for row in rows[:_JOBS]]
    reports = [report(unit) for unit in units]
    with costing() as cost:
        for each in reports[:200]:
            registry.record(each)
    goal = at_most(2 if name == "SQLite" else 4)
    yield figure(f"record one report, {name}", cost.wall * 1e3 / 200, "ms", goal)
    with costing() as cost:
        for first in range(200, len(reports), 100):
            registry.record_many(reports[first : first + 100])
    yield figure(f"record in batches of 100, {name}", cost.wall * 1e3 / (len(reports) - 200), "ms per report", goal)
    keys = [each.key for each in reports]
    with costing() as cost:
        registry.states(keys)
    yield figure(f"states of finished jobs, {name}", cost.wall * 1e5 / len(keys), "s per 10⁵")
    with costing() as cost:
        for first in range(0, len(keys), 100):
            registry.lease(keys[first : first + 100], "benchmark", 60.0)
    yield figure(f"lease in batches of 100, {name}", cost.wall * 1e3 / len(keys), "ms per key")


def _search(registry: Registry, name: str) -> Iterator[Figure]:
    """Three criteria and a sort over 30 metrics of each of 20 000 detectors."""
    shots = [exposure(number) for number in range(1, _JOBS // _DETECTORS + 1)]
    given = [
        Metric(detector_unit(shot, number), f"m{m}", (shot.sequence * 7919 + number * 104_729 + m * 31) % 1009 / 1009)
        for shot in shots
        for number in range(_DETECTORS)
        for m in range(30)
    ]
    with costing() as cost:
        for first in range(0, len(given), 10_000):
            registry.add_metrics(given[first : first + 10_000])
    yield figure(f"metrics written, {name}", len(given) / cost.wall, "metrics/s")
    with costing() as cost:
        registry.search("m0 < 0.3 and m11 > 0.5 and m22 between 0.2 and 0.8", ["m0", "m11", "band"], "-m11", 100)
    yield figure(f"search by three of 30 metrics, {name}", cost.wall * 1e3, "ms")
    again = ingest(shots[0], range(_DETECTORS))
    with costing() as cost:
        registry.add(again)
    yield figure(f"ingest of a known file, {name}", cost.wall * 1e3, "ms")
