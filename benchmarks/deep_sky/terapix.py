"""The case of TERAPIX: 45 exposures of 36 detectors of 2048 x 4612, raw frames to stacks in three bands, catalogues and a colour picture.

In 2003 that took 40 hours on a machine of two processors. Here a fraction is measured, two exposures of two detectors in each band
at full size, with two workers; what each kind of job cost is multiplied by how many of them the whole case has. Stacks and what
is measured on them cost so much for each pixel of sky, and so much more for each exposure: both are told apart by stacks of one and of
two exposures. One complete run has all 45 exposures and 36 detectors, of an eighth of the size along each side.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.figure import Figure, at_most, figure
from spica.kernels.warm import compile_all
from spica.services import ingest, initialise, references, run, simulation

EXPOSURES, DETECTORS, BANDS = 45, 36, 3
TOGETHER = (14, 15)
"""Two detectors side by side."""
SHARE = 2
"""Exposures of each band that are measured."""
SMALL = (256, 576)
HOURS = 40.0
WORKERS = 2
RELEASE = """
name = "{name}"
[tiles]
grid = "{grid}"
size = 0.25
scale = 0.186
overlap = 20.0
[[rule]]
name = "verdict"
where = "detector >= 0"
[choose]
best = {best}
[settings.stack]
method = "mean"
"""


def figures() -> Iterator[Figure]:
    """Minutes of the whole case from the fraction, and the complete run at reduced size."""
    compile_all()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        costs, wall = _fraction(root)
    cpu = sum(costs.values())
    minutes = cpu / WORKERS / 60.0
    said = f"{SHARE * BANDS} exposures of {len(TOGETHER)} of {DETECTORS} detectors measured"
    yield figure(f"TERAPIX case, extrapolated: {said}", minutes, "min on 2 cores", at_most(60.0))
    yield figure("its speed beside 40 hours in 2003", 60.0 * HOURS / minutes, "times")
    clock = _clock()
    if clock > 0:
        yield figure("its work, cores times clock", cpu / 3600.0 * clock, "core GHz h")
    for name, value in sorted(costs.items(), key=lambda item: -item[1])[:6]:
        yield figure(f"of it {name}", value, "CPU s")
    yield figure("CPU seconds of the fraction's jobs over wall seconds of 2 workers", wall, "")
    with tempfile.TemporaryDirectory() as folder:
        minutes, done, other = _complete(Path(folder))
    size = f"{SMALL[0]} x {SMALL[1]}"
    yield figure(
        f"complete run of {EXPOSURES} x {DETECTORS} detectors of {size}, raw to colour pictures", minutes, "min"
    )
    yield figure("its jobs done", done, "jobs")
    yield figure("its jobs failed or refused", other, "jobs", at_most(0.0))


def _clock() -> float:
    """GHz of a core, 0 where the machine does not tell."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return max((float(line.partition(":")[2]) / 1000.0 for line in lines if line.startswith("cpu MHz")), default=0.0)


def _survey(root: Path, **more: str) -> Path:
    home = root / "survey"
    initialise.initialise(home)
    sky = {"bands": "g,r,i", "biases": "3", "darks": "0", "flats": "3", "truth_images": "false"} | more
    simulation.simulate(root / "sky", "megaprime", sky, home)
    ingest.ingest(ingest.Order((str(root / "sky" / "raw"),)), home)
    references.bring_in("truth", [root / "sky" / "reference.parquet"], home)
    return home


def _run(home: Path, pipeline: str, release: str = "") -> run.Production:
    return run.run(run.Order(pipeline, executor="local", workers=WORKERS, release=release), home)


def _fraction(root: Path) -> tuple[dict[str, float], float]:
    """CPU seconds of the whole case by kind of job, and how busy the two workers were."""
    home = _survey(root, exposures=str(SHARE), detectors=",".join(map(str, TOGETHER)), density="400")
    for number in (1, SHARE):
        text = RELEASE.format(name=f"of{number}", grid="overlap", best=number)
        (home / "releases" / f"of{number}.toml").write_text(text)
    begun = time.monotonic()
    _run(home, "calibrations")
    _run(home, "calibrate")
    wall = time.monotonic() - begun
    before = _costs(home)
    busy = sum(cpu for cpu, _ in before.values()) / wall
    frames, area = EXPOSURES / (SHARE * BANDS), DETECTORS / len(TOGETHER)
    found = {}
    for (name, grain), (cpu, _) in before.items():
        # Masters and their frames are of each detector; what is of one exposure holds all detectors.
        factor = {"detector": frames * area, "exposure": frames * area, "group": frames * area}.get(grain, area)
        found[name] = cpu * (area if "flat" in name or "bias" in name else factor)
    _run(home, "deep", "of1")
    single = _costs(home)
    _run(home, "deep", f"of{SHARE}")
    double = _costs(home)
    for key in double:
        if key[1].startswith("tile"):
            one = single[key][0] if key in single else 0.0
            two = double[key][0] - one
            each = max(two - one, 0.0) / (SHARE - 1)
            found[key[0]] = area * (max(one - each, 0.0) + each * EXPOSURES / BANDS)
    return found, busy


def _costs(home: Path) -> dict[tuple[str, str], tuple[float, int]]:
    """CPU seconds and number of jobs by first step and grain."""
    query = """select chains.steps, units.grain, sum(jobs.cpu), count(*) from jobs join chains on chains.id = jobs.chain
        join units on units.id = jobs.unit where jobs.outcome = 'done' group by chains.id, units.grain"""
    found: dict[tuple[str, str], tuple[float, int]] = {}
    with closing(sqlite3.connect(home / "registry.sqlite")) as registry:
        for steps, grain, cpu, number in registry.execute(query):
            key = json.loads(steps)[0]["label"], str(grain)
            before = found.get(key, (0.0, 0))
            found[key] = before[0] + float(cpu), before[1] + int(number)
    return found


def _complete(root: Path) -> tuple[float, float, float]:
    """Minutes, jobs done, and jobs that failed or were refused, of all exposures and detectors at reduced size."""
    size = f"{SMALL[0]},{SMALL[1]}"
    home = _survey(root, exposures=str(EXPOSURES // BANDS), detector_size=size, density="2500")
    (home / "releases" / "all.toml").write_text(RELEASE.format(name="all", grid="rings", best=EXPOSURES))
    begun = time.monotonic()
    made = [_run(home, "calibrations"), _run(home, "deep", "all")]
    minutes = (time.monotonic() - begun) / 60.0
    return minutes, float(sum(each.done for each in made)), float(sum(each.failed + each.refused for each in made))
