"""Ctrl-C, SIGTERM and SIGKILL, of workers and of the coordinator: the same order goes on, the bytes are the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.drills.ground import Field, Program
from tests.support.survey import EXPOSURES, NIGHT_UNITS, simulated

RESUME = "the same command again"


def wait_for(there: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def at_work(field: Field) -> Callable[[], object]:
    """Whether something has been made already."""
    return lambda: next((field.folder / "scratch").rglob("*.fits"), None)


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return []


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


def finish(field: Field, expected: dict[str, bytes], workers: int) -> int:
    """The same order again ends well, with the same bytes; how many units had been done before."""
    order = ("run", "night", "--executor", "local", "--workers", str(workers))
    begun = time.monotonic()
    again = field.ask(*order)
    assert time.monotonic() - begun < 60, "nobody waits for the leases of the dead"
    assert again["complete"]
    assert again["done"] + again["skipped"] == NIGHT_UNITS
    assert field.contents() == expected
    assert not list(field.folder.rglob("*.part"))
    assert field.ask("check", "--deep")["differences"] == []
    assert field.ask("faults")["faults"] == []
    return int(again["skipped"])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_a_worker_is_killed_and_then_the_coordinator(taken: Field, expected: dict[str, bytes], workers: int) -> None:
    process = Program(taken.folder).start("run", "night", "--workers", str(workers))
    wait_for(at_work(taken), process)
    first = children(process)
    assert len(first) == workers
    first[0].kill()
    wait_for(lambda: set(children(process)) - set(first), process)
    workers_then = children(process)
    process.kill()
    process.communicate()
    assert gone(workers_then), "workers end with their coordinator"
    assert finish(taken, expected, workers) < NIGHT_UNITS


@pytest.mark.slow
def test_a_killed_worker_is_replaced(taken: Field, expected: dict[str, bytes]) -> None:
    process = Program(taken.folder).start("run", "night", "--workers", "2", "--json")
    wait_for(at_work(taken), process)
    children(process)[0].kill()
    said, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert json.loads(said)["done"] == NIGHT_UNITS
    assert taken.contents() == expected


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)], ids=["SIGINT", "SIGTERM"]
)
def test_it_is_asked_to_stop(taken: Field, expected: dict[str, bytes], number: signal.Signals) -> None:
    process = Program(taken.folder).start("run", "night", "--workers", "1")
    wait_for(at_work(taken), process)
    workers_then = children(process)
    process.send_signal(number)
    said, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert RESUME in said + told
    assert "Traceback" not in told
    assert gone(workers_then)
    assert 0 < finish(taken, expected, 4) < NIGHT_UNITS


@pytest.mark.slow
def test_ctrl_c_reaches_the_whole_group_twice(taken: Field, expected: dict[str, bytes]) -> None:
    """As in a terminal, where the workers hear it too; and again, from somebody in a hurry."""
    program = Program(taken.folder, before=os.setsid)
    process = program.start("run", "night", "--workers", "2")
    wait_for(at_work(taken), process)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, told = process.communicate(timeout=60)
    # The second may meet a program that is about to end anyway: a shell calls both 130.
    assert process.returncode in {130, -signal.SIGINT}, told
    assert RESUME in said + told
    assert "Traceback" not in told
    finish(taken, expected, 1)


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL], ids=["SIGINT", "SIGKILL"]
)
def test_ingest_is_stopped(field: Field, expected: dict[str, bytes], number: signal.Signals) -> None:
    for copy in range(60):
        # Many files that are known after the first: time to be stopped in.
        (field.delivery / f"copy-{copy}.fits.fz").write_bytes(field.raw(1 + copy % EXPOSURES).read_bytes())
    process = Program(field.folder).start("ingest", str(field.delivery), "--workers", "1")
    wait_for(lambda: next((field.folder / "raw").rglob("*.fz"), None), process)
    process.send_signal(number)
    said, told = process.communicate(timeout=60)
    if number is signal.SIGINT:
        assert process.returncode == 130, told
        assert RESUME in said + told
    assert "Traceback" not in told
    assert field.ask("ingest", field.delivery)["quarantined"] == 0
    assert field.ask("status")["files"] == EXPOSURES
    field.night()
    assert field.contents() == expected
    assert field.ask("check", "--deep")["differences"] == []


LARGE = {
    "bands": "g,r",
    "exposures": "8",
    "biases": "5",
    "darks": "3",
    "flats": "4",
    "detectors": "1,2",
    "detector_size": "128,128",
    "density": "1500",
}
UNITS = 2 * (2 * 8 + 5 + 3 + 2 * 4) + 2 * (1 + 1 + 2) + 2 * 4 + 2 * 8 * (2 + 1 + 1)
"""Frames of both detectors, masters of both, flats as whole exposures, and what is made of the science exposures."""
"""Two detectors of each exposure, masters of each detector (flats of each band); of each science exposure the verdicts of
its detectors, a merged catalogue and a summary."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [1, 4])
def test_twenty_kills_in_a_hundred_units_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """`tests/engine/test_drill.py` does so with tiny tasks; here with real ones, through the command line."""
    monkeypatch.setattr("tests.support.survey.SKY", LARGE)
    small = simulated(tmp_path / "first")
    wild = Field(small.folder, small.sky)
    wild.order("ingest", wild.delivery)
    calm = wild.copy(tmp_path / "calm")
    assert calm.night()["done"] == UNITS >= 88
    assert disturb(wild, workers, 20, seed=workers) == 20
    assert wild.ask("run", "night", "--executor", "local", "--workers", str(workers))["complete"]
    assert wild.contents() == calm.contents()
    assert wild.ask("check", "--deep")["differences"] == []


def disturb(field: Field, workers: int, kills: int, seed: int) -> int:
    """Runs one after the other; at random moments a worker or the coordinator is killed. How many were."""
    chance = random.Random(seed)  # noqa: S311 - the same moments every time
    killed = 0
    for _ in range(4 * kills):
        process = Program(field.folder).start("run", "night", "--workers", str(workers))
        while process.poll() is None and not children(process):
            time.sleep(0.01)
        while process.poll() is None and killed < kills:
            time.sleep(chance.uniform(0.1, 0.5))
            victims = children(process)
            if victims and process.poll() is None:
                (process if chance.random() < 0.5 else chance.choice(victims)).kill()
                killed += 1
        process.communicate(timeout=300)
        if killed == kills:
            break
        if process.returncode == 0:
            # It was quicker than we: some of what it made is lost, and made again.
            for path in sorted((field.folder / "products").rglob("*.fits"))[::3]:
                path.unlink()
    return killed
