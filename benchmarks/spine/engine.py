"""The engine: what it costs per unit, and how long planning takes."""

from __future__ import annotations

import hashlib
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import run_program
from spica.core.camera import AmplifierSpec
from spica.core.faults import Outcome
from spica.core.jobs import JobReport, ProductRecord
from spica.core.keys import exposure_id
from spica.core.records import Detector, Exposure, FileRecord, FrameType, IngestRecord
from spica.engine.executors.local import Local
from spica.engine.plan import Plan, PlannedJob
from spica.engine.planner import make_plan
from spica.engine.run import execute
from spica.engine.why import explain
from spica.engine.writing import SUFFIXES
from spica.files.survey import Survey
from spica.pipelines.catalogue import load
from spica.pipelines.model import Pipeline
from spica.registry.store import Registry
from tests.support.postgres import PrivateServer, server_programs

ROOT = Path(__file__).resolve().parents[2]
NULL_UNITS = 10_000
PLANNED_UNITS = 100_000
DETECTORS = 100
WORKERS = 2
AMPLIFIER = AmplifierSpec(name="a", data=(0, 64, 0, 64), detector=(0, 64, 0, 64))


def frames(nights: int, biases: int, flats: int, objects: int, detectors: int) -> Iterator[IngestRecord]:
    """Records of nights of bias, flat and object exposures."""
    kinds = [FrameType.BIAS] * biases + [FrameType.FLAT] * flats + [FrameType.OBJECT] * objects
    for night in range(nights):
        for number, kind in enumerate(kinds):
            name = f"hsc-{night:04d}-{number:04d}"
            checksum = hashlib.blake2b(name.encode(), digest_size=20).hexdigest()
            band = "" if kind is FrameType.BIAS else "r"
            day = f"2026-{1 + night // 28:02d}-{1 + night % 28:02d}"
            exposure = Exposure(
                *(exposure_id("hsc", name), name, "hsc", kind, day, 61000.0 + night + number / 1000, 30.0),
                band=band,
                filter=band,
            )
            held = tuple(Detector(name, n, checksum, (n,), (AMPLIFIER,), 64, 64) for n in range(detectors))
            yield IngestRecord(FileRecord(checksum, 1000, f"raw/{name}.fits"), exposure, held)


def survey_with(root: Path, records: Iterator[IngestRecord], url: str | None = None) -> tuple[Survey, Registry]:
    """A survey whose registry holds the records."""
    survey = Survey.create(root, database=url)
    registry = Registry.create(survey.registry_url)
    batch: list[IngestRecord] = []
    for record in records:
        batch.append(record)
        if len(batch) == 50:
            registry.add_many(batch)
            batch.clear()
    registry.add_many(batch)
    return survey, registry


def overhead(root: Path, name: str, url: str | None = None) -> Figure:
    """Wall milliseconds per null unit with local workers: leasing, sending, working, recording."""
    survey, registry = survey_with(root, frames(NULL_UNITS // DETECTORS, 0, 0, 1, DETECTORS), url)
    with registry:
        plan = make_plan(registry, survey, load("null"))
        executor = Local(workers=WORKERS)
        try:
            begun = time.perf_counter()
            result = execute(plan, executor, registry, survey)
            wall = time.perf_counter() - begun
        finally:
            executor.close()
    assert result.done == NULL_UNITS
    return figure(
        f"engine overhead per unit, {NULL_UNITS} null units, {WORKERS} local workers, {name}",
        1000 * wall / NULL_UNITS,
        "ms",
        at_most(5.0),
    )


def finished(survey: Survey, job: PlannedJob) -> JobReport:
    """A report as if the job were done, its products on disk (one byte each)."""
    products = []
    for output in job.recipe.chain.outputs:
        if not output.filed or output.scratch:
            continue
        suffix = SUFFIXES[output.give.form]
        kind = "masters" if output.give.master else output.product
        path = survey.product_path(kind, job.target.block, job.unit, output.product, job.key, suffix)
        full = survey.path_of(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(b"x")
        master = output.give.master
        products.append(
            ProductRecord(
                *(f"{job.key}/{output.product}", output.product, output.give.form, job.unit, job.key, path, "", 1),
                master=master,
                facts=job.master_facts() if master else {},
            )
        )
    return JobReport(
        *(job.key, job.unit, job.recipe.pipeline, job.recipe.step_records(), job.input_records(), Outcome.DONE),
        products=tuple(products),
    )


def finish(registry: Registry, survey: Survey, plan: Plan) -> None:
    """Record every job of a plan as done."""
    for first in range(0, len(plan.jobs), 1000):
        registry.record_many([finished(survey, job) for job in plan.jobs[first : first + 1000]])


def planning(root: Path) -> Iterator[Figure]:
    """Planning of a fresh and of a finished production, SQLite."""
    exposures_a_night = 40
    nights = PLANNED_UNITS // (exposures_a_night * DETECTORS)
    survey, registry = survey_with(root, frames(nights, 5, 5, exposures_a_night - 10, DETECTORS))
    pipeline = load("night")
    with registry:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        plan = make_plan(registry, survey, pipeline)
        wall = time.perf_counter() - begun
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
        counts = plan.counts()
        assert counts["run"] >= PLANNED_UNITS
        assert not counts["refused"]
        yield figure(f"planning {counts['run']} jobs with association of masters", wall, "s", at_most(30.0))
        yield figure(f"memory of planning {counts['run']} jobs", memory, "GiB", at_most(1.0))
        finish(registry, survey, plan)
        del plan
        begun = time.perf_counter()
        again = make_plan(registry, survey, pipeline)
        wall = time.perf_counter() - begun
        assert again.counts()["done"] == counts["run"], again.counts()
        yield figure(f"dry run of a finished production of {counts['run']} jobs", wall, "s", at_most(30.0))
        del again
        yield from explaining(registry, survey, pipeline, before)


def explaining(registry: Registry, survey: Survey, pipeline: Pipeline, before: int) -> Iterator[Figure]:
    """A dry run where one setting has changed what all jobs do: each says so."""
    begun = time.perf_counter()
    plan = make_plan(registry, survey, pipeline, overrides={"detrend.overscan_skip": 3})
    explained = explain(plan, registry)
    wall = time.perf_counter() - begun
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    assert explained == plan.counts()["run"] == len(plan.jobs)
    yield figure(f"dry run that says what changed of {explained} jobs", wall, "s", at_most(30.0))
    yield figure(f"memory of planning {explained} jobs and saying what changed", memory, "GiB", at_most(1.0))


def kills() -> Figure:
    """Twenty random kills of workers and coordinators in a production of about a hundred units: the drill of the tests."""
    drill = "tests/engine/test_drill.py::test_twenty_kills_in_a_hundred_units_change_no_byte"
    try:
        run_program([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", drill], cwd=ROOT)
        broken = 0
    except RuntimeError as error:
        print(error)
        broken = 1
    return figure("20 random kills: runs with other bytes than undisturbed", broken, "runs", at_most(0))


def figures() -> Iterator[Figure]:
    """Overhead on SQLite and PostgreSQL, planning, kills."""
    folder = Path(tempfile.mkdtemp(prefix="spica-bench-"))
    try:
        yield overhead(folder / "sqlite", "SQLite")
        if server_programs() is not None:
            with PrivateServer(durable=True) as server:
                yield overhead(folder / "postgres", "PostgreSQL", server.fresh_database())
        yield from planning(folder / "planning")
        yield kills()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
