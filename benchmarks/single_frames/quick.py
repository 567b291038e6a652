"""The first look: `quick` against `reduce` on the same detectors, and a whole focal plane at that rate."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.single_frames.reduce import done, survey_of
from spica.core.faults import FaultRecord
from spica.core.keys import exposure_id
from spica.core.records import Exposure, FrameType, Grain
from spica.core.task import Member
from spica.engine.dispatch import Dispatch
from spica.engine.executors.heap import keep_freed_memory
from spica.engine.planner import make_plan
from spica.engine.spec import JobSpec
from spica.files.pictures import png
from spica.files.survey import Survey
from spica.instruments import tables
from spica.instruments.sections import section
from spica.pipelines.catalogue import load
from spica.registry.store import Registry
from spica.tasks.focal_plane import FocalPlaneSettings, focal_plane

REPEATS = 3
CORES = 2


def specs_of(folder: Path, pipeline: str) -> list[JobSpec]:
    """The jobs that work on pixels, of a pipeline."""
    survey = Survey.open(folder)
    with Registry.open(survey.registry_url) as registry:
        plan = make_plan(registry, survey, load(pipeline))
        jobs = [
            number
            for number, job in enumerate(plan.jobs)
            if job.unit.grain is Grain.DETECTOR and "detrend" in job.recipe.chain.label
        ]
        found = Dispatch(plan, registry, survey).specs(jobs)
    return [spec for spec in found.values() if not isinstance(spec, FaultRecord)]


def painting() -> float:
    """CPU seconds of the picture of DECam's whole focal plane, from the detectors' pictures to the PNG's bytes."""
    camera = tables.load("decam")
    small = np.random.default_rng(1).integers(0, 90, (512, 256)).astype(np.uint8)
    name = "decam-1"
    exposure = Exposure(exposure_id("decam", name), name, "decam", FrameType.OBJECT, "2026-11-20", 61364.0, 60.0)
    numbers = tuple(spec.id for spec in camera.detectors)
    pictures = tuple(Member(f"detector:{name}/{number}", small) for number in numbers)
    plane = section(camera, numbers[0], "focal plane")
    begun = time.process_time()
    png(focal_plane(FocalPlaneSettings(), pictures, None, numbers, plane, exposure)["focal_plane"])
    return time.process_time() - begun


def figures() -> Iterator[Figure]:
    """CPU seconds of a detector in both pipelines, minutes of a focal plane, bytes that stay."""
    spent: dict[str, float] = {}
    kept: dict[str, int] = {}
    keep_freed_memory()  # as every worker does
    with tempfile.TemporaryDirectory() as name:
        folder = survey_of(Path(name), (2048, 4096))
        for pipeline in ("reduce", "quick"):
            first, second, *_ = specs_of(folder, pipeline)
            done(first)
            reports = [done(second) for _ in range(REPEATS)]
            spent[pipeline] = min(report.cost.cpu for report in reports)
            kept[pipeline] = reports[-1].cost.bytes_written
    mpix = 2048 * 4096 / 1e6
    speed = {pipeline: mpix / seconds for pipeline, seconds in spent.items()}
    yield figure(
        "quick, 2048x4096, warm worker",
        speed["quick"],
        "Mpix per CPU s",
        # Not a multiple of reduce's: what makes reduce quicker is no fault of quick.
        at_least(4),
        peer="reduce",
        peer_value=speed["reduce"],
    )
    yield figure("quick, bytes made, of reduce's", kept["quick"] / kept["reduce"], "ratio", at_most(0.1))
    paint = painting()
    yield figure("focal plane of 62 detectors, painted and coded", paint, "CPU s", at_most(5))
    detectors = len(tables.load("decam").detectors)
    minutes = (detectors * spent["quick"] / CORES + paint) / 60
    yield figure(f"quick, DECam's {detectors} detectors at that rate on {CORES} cores", minutes, "minutes", at_most(3))
