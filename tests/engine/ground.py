"""A small survey for the engine's tests, and what they ask of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.camera import AmplifierSpec
from spica.core.keys import exposure_id
from spica.core.records import Detector, Exposure, FileRecord, FrameType, IngestRecord
from spica.engine.executors.base import Executor
from spica.engine.executors.inprocess import InProcess
from spica.engine.plan import Plan
from spica.engine.planner import make_plan
from spica.engine.run import Result, execute
from spica.files.survey import Survey
from spica.pipelines.catalogue import load
from spica.pipelines.model import Pipeline
from spica.registry.store import Registry
from tests.engine.tiny import PIPELINE, SHAPE, TASKS

AMPLIFIER = AmplifierSpec(name="a", data=(0, SHAPE[1], 0, SHAPE[0]), detector=(0, SHAPE[1], 0, SHAPE[0]))
NIGHT = "2026-11-20"


def exposure(number: int, kind: FrameType, *, night: str = NIGHT, band: str = "", mjd: float = 61365.0) -> Exposure:
    name = f"demo-{night.replace('-', '')}-{number:05d}"
    return Exposure(
        id=exposure_id("demo", name),
        name=name,
        camera="demo",
        frame_type=kind,
        night=night,
        mjd=mjd + number / 1000,
        exposure_time=0.0 if kind is FrameType.BIAS else 30.0,
        band=band,
        filter=band,
        sequence=number,
    )


def record(taken: Exposure, detectors: int) -> IngestRecord:
    checksum = hashlib.blake2b(taken.name.encode(), digest_size=20).hexdigest()
    return IngestRecord(
        FileRecord(checksum, 1000, f"raw/{taken.name}.fits"),
        taken,
        tuple(
            Detector(taken.name, number, checksum, (number,), (AMPLIFIER,), SHAPE[1], SHAPE[0])
            for number in range(1, detectors + 1)
        ),
    )


@dataclass
class Ground:
    survey: Survey
    registry: Registry
    tasks: Mapping[str, Any]

    def pipeline(self, name: str = "tiny", **texts: str) -> Pipeline:
        folder = self.survey.folder("pipelines")
        for each, text in ({"tiny": PIPELINE} | texts).items():
            (folder / f"{each}.toml").write_text(text)
        return load(name, [folder], self.tasks)

    def plan(self, pipeline: Pipeline | None = None, where: str = "", /, **overrides: Any) -> Plan:
        given = {name.replace("__", "."): value for name, value in overrides.items()}
        return make_plan(self.registry, self.survey, pipeline or self.pipeline(), where, given)

    def run(self, plan: Plan, executor: Executor | None = None, **options: Any) -> Result:
        chosen = executor or InProcess()
        try:
            return execute(plan, chosen, self.registry, self.survey, **options)
        finally:
            chosen.close(now=True)

    def contents(self) -> dict[str, bytes]:
        """Every file of the products and scratch folders."""
        return {
            str(path.relative_to(self.survey.root)): path.read_bytes()
            for part in ("products", "scratch")
            for path in sorted(self.survey.folder(part).rglob("*"))
            if path.is_file()
        }


def make_ground(
    root: Path, *, biases: int = 3, objects: int = 3, detectors: int = 2, url: str = "", bands: str = "r"
) -> Ground:
    survey = Survey.create(root, database=url or None)
    registry = Registry.create(survey.registry_url)
    taken = [exposure(number, FrameType.BIAS) for number in range(biases)]
    taken += [exposure(100 + n, FrameType.OBJECT, band=bands[n % len(bands)]) for n in range(objects)]
    registry.add_many([record(each, detectors) for each in taken])
    return Ground(survey, registry, TASKS)
