"""The case of TERAPIX: 45 exposures of 36 detectors of 2048 x 4612, raw frames to stacks in three bands, catalogues and a colour picture.

In 2003 that took 40 hours on a machine of two processors. Here a 36th of it is measured at full size and full depth, all exposures of one
detector from its masters to its objects and pictures, by two workers; what each kind of job cost counts 36 times. Only jobs of a whole
exposure do not cost so much for each detector: of theirs, what one detector and what `WIDE` detectors cost tells the fixed part. One
complete run has all exposures and detectors, of an eighth of the size along each side.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.figure import Figure, at_least, at_most, figure
from spica.files.images import open_rows
from spica.kernels.warm import compile_all
from spica.services import ingest, initialise, references, run, simulation

EXPOSURES, DETECTORS, BANDS = 45, 36, 3
COLUMN = (14,)
"""The detector whose exposures are all measured."""
WIDE = (12, 13, 14, 15, 16, 17)
"""Detectors of the one exposure that tells what jobs of an exposure cost by how many detectors it has."""
SMALL = (256, 576)
HOURS = 40.0
SEEING = "0.8"
"""Arcsec, as the CFHTLS has it (executive summary of its release T0007)."""
WORKERS = 2
Costs = dict[tuple[str, str], tuple[float, int]]
"""CPU seconds and number of jobs by first step and grain."""
RELEASE = """
name = "{name}"
[tiles]
grid = "{grid}"
size = 0.08
scale = 0.186
overlap = 20.0
[[rule]]
name = "verdict"
where = "sky_verdict <= 2"
[settings.stack]
method = "mean"
[settings.completeness]
passes = 1
"""
"""Weighted means, as there; sky solutions of the verdicts A and B. Completeness, which was not measured there, at the least that tells it."""


def figures() -> Iterator[Figure]:
    """Minutes of the whole case from the fraction, and the complete run at reduced size."""
    compile_all()
    with tempfile.TemporaryDirectory() as folder:
        column, busy, fewest = _column(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        wide = _wide(Path(folder))
    costs = _whole(column, wide)
    cpu = sum(costs.values())
    minutes = cpu / WORKERS / 60.0
    said = f"all of it for one of {DETECTORS} detectors measured"
    yield figure(f"TERAPIX case, extrapolated: {said}", minutes, "min on 2 cores", at_most(60.0))
    yield figure("exposures in the stack of the fewest", fewest, "", at_least(EXPOSURES // BANDS))
    yield figure("its speed beside 40 hours in 2003", 60.0 * HOURS / minutes, "times")
    clock = _clock()
    if clock > 0:
        yield figure("its work, cores times clock", cpu / 3600.0 * clock, "core GHz h")
    for name, value in sorted(costs.items(), key=lambda item: -item[1])[:8]:
        yield figure(f"of it {name}", value, "CPU s")
    yield figure("CPU seconds of the measured jobs over wall seconds of 2 workers", busy, "")
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
    sky = {
        "bands": "g,r,i",
        "biases": "3",
        "darks": "0",
        "flats": "3",
        "truth_images": "false",
        "seeing": SEEING,
    } | more
    simulation.simulate(root / "sky", "megaprime", sky, home)
    ingest.ingest(ingest.Order((str(root / "sky" / "raw"),)), home)
    references.bring_in("truth", [root / "sky" / "reference.parquet"], home)
    return home


def _release(home: Path, grid: str) -> None:
    (home / "releases" / "all.toml").write_text(RELEASE.format(name="all", grid=grid))


def _run(home: Path, pipeline: str, release: str = "") -> run.Production:
    return run.run(run.Order(pipeline, executor="local", workers=WORKERS, release=release), home)


def _column(root: Path) -> tuple[Costs, float, float]:
    """Jobs of all exposures of one detector, how busy the two workers were, and the fewest exposures of a stack."""
    home = _survey(root, exposures=str(EXPOSURES // BANDS), detectors=",".join(map(str, COLUMN)), density="400")
    _release(home, "overlap")
    begun = time.monotonic()
    _run(home, "calibrations")
    _run(home, "deep", "all")
    wall = time.monotonic() - begun
    costs = _costs(home)
    stacked = [
        float(str(open_rows(path).header["NCOMBINE"])) for path in (home / "products" / "stack").rglob("*_stack.*.fits")
    ]
    return costs, sum(cpu for cpu, _ in costs.values()) / wall, min(stacked)


def _wide(root: Path) -> Costs:
    """Jobs of one exposure of several detectors."""
    home = _survey(root, exposures="1", detectors=",".join(map(str, WIDE)), bands="r", density="400")
    _run(home, "calibrations")
    _run(home, "calibrate")
    return _costs(home)


def _whole(column: Costs, wide: Costs) -> dict[str, float]:
    """CPU seconds of the whole case by what its jobs begin with."""
    found: dict[str, float] = {}
    for (name, grain), (cpu, jobs) in column.items():
        whole = DETECTORS / len(COLUMN) * cpu
        if grain == "exposure" and (name, grain) in wide:
            one, several = cpu / jobs, wide[name, grain][0] / wide[name, grain][1]
            each = max(several - one, 0.0) / (len(WIDE) - len(COLUMN))
            whole = jobs * (one + each * (DETECTORS - len(COLUMN)))
        found[name] = found.get(name, 0.0) + whole
    return found


def _costs(home: Path) -> Costs:
    """CPU seconds and number of jobs by first step and grain."""
    query = """select chains.steps, units.grain, sum(jobs.cpu), count(*) from jobs join chains on chains.id = jobs.chain
        join units on units.id = jobs.unit where jobs.outcome = 'done' group by chains.id, units.grain"""
    found: Costs = {}
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
    _release(home, "rings")
    begun = time.monotonic()
    made = [_run(home, "calibrations"), _run(home, "deep", "all")]
    minutes = (time.monotonic() - begun) / 60.0
    return minutes, float(sum(each.done for each in made)), float(sum(each.failed + each.refused for each in made))
