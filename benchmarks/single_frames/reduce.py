"""A whole `reduce` of one detector in a warm worker: from the compressed raw file to the compressed product files.

The jobs are planned and dispatched by the engine and carried out by its worker function, in this process: what is
measured is what a worker spends, its report says it. Two exposures are worked on; the first warms.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.figure import Figure, at_least, at_most, figure
from spica.core.faults import FaultRecord
from spica.core.jobs import JobReport
from spica.engine.dispatch import Dispatch
from spica.engine.executors.heap import keep_freed_memory
from spica.engine.plan import PlannedJob
from spica.engine.planner import make_plan
from spica.engine.spec import JobSpec
from spica.engine.worker import work
from spica.files.survey import Survey
from spica.pipelines.catalogue import load
from spica.registry.store import Registry
from spica.services import ingest, initialise, run, simulation

DENSITY = 1700
"""Sources per Mpix."""
GIBIBYTE = 1 << 30
REPEATS = 3
STAGES = {
    "decode the raw file": "spica.files.frames.read_raw",
    "decode masters": "spica.files.images.read_image",
    "encode images": "spica.files.images.write_image",
    "write Parquet": "spica.files.catalogues.write_catalogue",
    "write PNG": "spica.files.pictures.write_png",
    "checksum": "spica.files.checksums.of_file",
}


def survey_of(root: Path, size: tuple[int, int]) -> Path:
    """A survey with masters and two object frames of one detector of `size` (nx, ny)."""
    folder = root / "survey"
    initialise.initialise(folder)
    sky = {
        "bands": "r",
        "exposures": "2",
        "biases": "3",
        "darks": "3",
        "flats": "3",
        "detectors": "3",
        "detector_size": f"{size[0]},{size[1]}",
        "density": str(DENSITY),
        "truth_images": "false",
    }
    simulation.simulate(root / "sky", "decam", sky, folder)
    ingest.ingest(ingest.Order((str(root / "sky" / "raw"),)), folder)
    run.run(run.Order("calibrations", executor="inprocess"), folder)
    return folder


def specs_of(folder: Path) -> list[JobSpec]:
    """The jobs of `reduce` that take raw pixels, as workers get them."""
    survey = Survey.open(folder)
    with Registry.open(survey.registry_url) as registry:
        plan = make_plan(registry, survey, load("reduce"))
        jobs = [number for number, job in enumerate(plan.jobs) if _takes_pixels(job)]
        found = Dispatch(plan, registry, survey).specs(jobs)
    specs = [spec for spec in found.values() if not isinstance(spec, FaultRecord)]
    assert len(specs) == len(jobs) >= 2
    return specs


def _takes_pixels(job: PlannedJob) -> bool:
    """Whether a job begins with raw pixels (later ones, such as grades, take what it made)."""
    return any(binding.need.source == "raw" for binding in job.recipe.chain.outside)


def done(spec: JobSpec) -> JobReport:
    """Work on a job, which must succeed."""
    report = work(spec)
    assert report.fault is None, report.fault
    return report


def breakdown(spec: JobSpec) -> dict[str, float]:
    """CPU seconds of each stage of a job; what the engine itself takes is 'else'."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def measured(*given: Any, **named: Any) -> Any:
            begun = time.process_time()
            answer = function(*given, **named)
            spent[name] += time.process_time() - begun
            return answer

        return measured

    chain = spec.recipe.chain
    steps = tuple(replace(step, task=replace(step.task, run=timed(step.label, step.task.run))) for step in chain.steps)
    watched = replace(spec, recipe=replace(spec.recipe, chain=replace(chain, steps=steps)))
    with ExitStack() as stack:
        for name, place in STAGES.items():
            room, _, function = place.rpartition(".")
            module = __import__(room, fromlist=[function])
            stack.enter_context(patch(place, timed(name, getattr(module, function))))
        report = done(watched)
    spent["else"] = report.cost.cpu - sum(spent.values())
    return spent


def figures() -> Iterator[Figure]:
    """Mpix per CPU-second, peak memory, seconds of each stage, bytes made; how the cost grows with the detector."""
    rates = {}
    keep_freed_memory()  # as every worker does
    for size in ((2048, 1024), (2048, 4096)):
        mpix = size[0] * size[1] / 1e6
        with tempfile.TemporaryDirectory() as name:
            first, second, *_ = specs_of(survey_of(Path(name), size))
            done(first)
            reports = [done(second) for _ in range(REPEATS)]
            spent = breakdown(second)
        rates[size] = mpix / min(report.cost.cpu for report in reports)
        peak = max(report.cost.peak_memory for report in reports) / GIBIBYTE
    yield figure("reduce, 2048x4096, warm worker", rates[size], "Mpix per CPU s", at_least(3))
    yield figure("reduce, 2048x4096, peak memory", peak, "GiB", at_most(1))
    growth = rates[2048, 1024] / rates[2048, 4096]
    yield figure("reduce, CPU per Mpix, 2048x4096 against 2048x1024", growth, "ratio", at_most(1.15))
    yield figure("reduce, bytes made", reports[0].cost.bytes_written / mpix / 1e6, "bytes per pixel")
    for stage, seconds in spent.items():
        yield figure(f"reduce, 2048x4096: {stage}", seconds, "CPU s")
