"""Made-up records for the tests of the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spica.core.camera import AmplifierSpec
from spica.core.faults import FaultKind, FaultRecord, Outcome
from spica.core.jobs import Cost, InputRecord, JobReport, ProductRecord, StepRecord
from spica.core.keys import digest, exposure_id
from spica.core.records import Detector, Exposure, FileRecord, FrameType, Grain, IngestRecord, Metric, Unit
from spica.core.task import Form


def amplifiers(number: int = 2, gain: float = 1.5, start: int = 0) -> tuple[AmplifierSpec, ...]:
    return tuple(
        AmplifierSpec(
            name=f"A{place}",
            data=(0, 32, 0, 64),
            overscan=(32, 40, 0, 64),
            detector=(32 * place, 32 * place + 32, 0, 64),
            gain=gain,
            read_noise=5.0,
        )
        for place in range(start, start + number)
    )


def exposure(number: int = 1, camera: str = "demo", **facts: Any) -> Exposure:
    name = facts.pop("name", f"{camera}-20261120-{number:05d}")
    given: dict[str, Any] = {
        "frame_type": FrameType.OBJECT,
        "night": "2026-11-20",
        "mjd": 61364.0 + number / 1000.0,
        "exposure_time": 30.0,
        "sequence": number,
        "band": "r",
        "filter": "r SDSS",
        "ra": 150.0,
        "dec": 2.0,
        "extra": {"humidity": 0.5, "note": "fine", "none": None, "flag": True},
    }
    return Exposure(id=facts.pop("id", exposure_id(camera, name)), name=name, camera=camera, **(given | facts))


def detector(of: Exposure, number: int, file: str, **facts: Any) -> Detector:
    given: dict[str, Any] = {"hdus": (number + 1,) * 2, "amplifiers": amplifiers(), "nx": 64, "ny": 64}
    return Detector(exposure=of.name, detector=number, file=file, **(given | facts))


def ingest(of: Exposure, numbers: Sequence[int] = (0, 1, 2, 3), tag: str = "", **file: Any) -> IngestRecord:
    checksum = file.pop("checksum", digest([of.name, list(numbers), tag]))
    path = file.pop("path", f"raw/{of.camera}/{of.night}/{of.name}{tag}-{min(numbers)}.fits.fz")
    record = FileRecord(checksum, file.pop("size", 1000), path, **file)
    detectors = tuple(detector(of, number, checksum) for number in numbers)
    return IngestRecord(record, of, detectors, headers=("SIMPLE  =                    T", "XTENSION= 'IMAGE   '"))


STEPS = (
    StepRecord("detrend", "detrend", 1, {"overscan": True, "order": 3}, {"overscan": "default", "order": "survey"}),
    StepRecord("detect", "detect", 2, {"threshold": 1.5}, {"threshold": "command line"}),
)
BAD_PIXELS = FaultRecord("data.no-pixels", FaultKind.DATA, "no pixel is left", {"pixels": 0}, "look at the raw frame")


def report(unit: Unit, tag: str = "", outcome: Outcome = Outcome.DONE, **facts: Any) -> JobReport:
    key = facts.pop("key", digest([str(unit), tag]))
    done = outcome is Outcome.DONE
    given: dict[str, Any] = {
        "pipeline": "reduce",
        "steps": STEPS,
        "inputs": (InputRecord("raw", "f" * 40, "", "ingest"), InputRecord("flat", f"{'e' * 40}/flat", "", "nearest")),
        "products": (product(unit, key, "science"), product(unit, key, "sources", Form.CATALOGUE)) if done else (),
        "metrics": (Metric(unit, "seeing", 1.1, "arcsec", "quality"),) if done else (),
        "fault": None if done else BAD_PIXELS,
        "cost": Cost(1.0, 0.9, 1 << 28, 10, 20, "here"),
        "versions": {"spica": "0.1.0", "numpy": "2.0"},
    }
    return JobReport(key=key, unit=unit, outcome=outcome, **(given | facts))


def product(unit: Unit, job: str, name: str, form: Form = Form.IMAGE, **facts: Any) -> ProductRecord:
    path = f"products/{name}/{job[:10]}.fits"
    return ProductRecord(f"{job}/{name}", name, form, unit, job, path, digest([job, name]), 100, **facts)


def master(block: str = "2026-11-20", detector_number: int = 0, tag: str = "", **facts: Any) -> JobReport:
    unit = Unit(Grain.CALIBRATION, ("demo", str(detector_number), "r", block))
    key = digest([str(unit), tag])
    serves: Mapping[str, Any] = {
        "camera": "demo",
        "detector": detector_number,
        "band": "r",
        "shape": [64, 64],
        "binning": [1, 1],
        "readout_mode": "",
        "valid_from": 61364.0,
        "valid_to": 61365.0,
    } | facts
    made = product(unit, key, "flat", master=True, facts=serves)
    return report(unit, tag, key=key, pipeline="calibrations", products=(made,), metrics=())


def detector_unit(of: Exposure, number: int) -> Unit:
    return Unit(Grain.DETECTOR, (of.name, str(number)))
