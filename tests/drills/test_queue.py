"""The coordinator of the queue is killed at any moment, and so are its workers: another goes on, the bytes are the same."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.drills.ground import Field, Program
from tests.drills.test_kills import UNITS, at_work, children, gone, wait_for
from tests.support.survey import NIGHT_UNITS, simulated


def there(field: Field) -> bool:
    return bool(field.ask("queue", "list")["coordinators"])


def end(process: subprocess.Popen[str]) -> str:
    """Ask a coordinator to end; what it said."""
    process.send_signal(signal.SIGTERM)
    said, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "Traceback" not in told, told
    return said


def test_it_is_killed_and_another_goes_on_with_what_it_had(taken: Field, expected: dict[str, bytes]) -> None:
    program = Program(taken.folder)
    first = program.start("up", "--workers", "2")
    wait_for(lambda: there(taken), first)
    order = program.start("run", "night", "--json")
    wait_for(at_work(taken), first)
    first.kill()
    first.communicate()
    second = program.start("up", "--workers", "2", "--json")
    said, told = order.communicate(timeout=120)
    assert order.returncode == 0, said + told
    (line,) = taken.ask("queue", "list")["productions"]
    assert (line["state"], line["outcomes"]["failed"]) == ("done", 0)
    assert json.loads(said)["id"] == line["id"]
    assert json.loads(end(second))["productions"] == 1
    assert taken.contents() == expected
    assert taken.ask("check", "--deep")["differences"] == []
    assert not there(taken)


@pytest.mark.slow
def test_asked_to_end_it_gives_back_what_is_left(taken: Field, expected: dict[str, bytes]) -> None:
    taken.ask("queue", "add", "night", "--priority", "3")
    first = Program(taken.folder).start("up", "--workers", "1")
    wait_for(at_work(taken), first)
    end(first)
    (line,) = taken.ask("queue", "list")["productions"]
    assert (line["state"], line["held"]) == ("waiting", False)
    assert 0 < line["outcomes"]["done"] < NIGHT_UNITS
    Program(taken.folder).order("up", "--until-empty", "--workers", "4")
    assert taken.ask("queue", "show", str(line["id"]))["state"] == "done"
    assert taken.contents() == expected


@pytest.mark.slow
def test_asked_twice_it_ends_at_once_and_its_production_waits(taken: Field, expected: dict[str, bytes]) -> None:
    taken.ask("queue", "add", "night")
    first = Program(taken.folder).start("up", "--workers", "2")
    wait_for(at_work(taken), first)
    workers = children(first)
    for _ in range(2):
        first.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, told = first.communicate(timeout=20)
    # The second may come when everything has ended by the first.
    assert first.returncode in {0, 130, -signal.SIGINT}, told
    assert gone(workers)
    (line,) = taken.ask("queue", "list")["productions"]
    assert line["state"] in {"waiting", "running"}
    Program(taken.folder).order("up", "--until-empty", "--workers", "2")
    assert taken.ask("queue", "show", str(line["id"]))["state"] == "done"
    assert taken.contents() == expected


LARGE = {
    "bands": "g,r",
    "exposures": "22",
    "biases": "9",
    "darks": "5",
    "flats": "5",
    "detectors": "1,2,3,4",
    "detector_size": "128,128",
    "density": "1500",
}
KILLS = 50


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_kills_in_five_hundred_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coordinators and workers, two coordinators at a time, two productions that share units: every unit is done once."""
    monkeypatch.setattr("tests.support.survey.SKY", LARGE)
    small = simulated(tmp_path / "first")
    wild = Field(small.folder, small.sky)
    wild.order("ingest", wild.delivery)
    calm = wild.copy(tmp_path / "calm")
    units = calm.night()["done"]
    assert units >= 500 > UNITS
    for name in ("one", "two"):
        wild.ask("queue", "add", "night", "--name", name)
    chance = random.Random(6)  # noqa: S311 - the same moments every time
    killed = 0
    while killed < KILLS:
        at_it = [Program(wild.folder).start("up", "--workers", "2", "--until-empty") for _ in range(2)]
        while killed < KILLS and all(process.poll() is None for process in at_it):
            time.sleep(chance.uniform(0.5, 2.0))
            coordinator = chance.choice(at_it)
            victims = children(coordinator)
            if victims and coordinator.poll() is None:
                (coordinator if chance.random() < 0.3 else chance.choice(victims)).kill()
                killed += 1
        for process in at_it:
            process.kill() if killed < KILLS else None
            process.communicate(timeout=600)
        if all(line["state"] == "done" for line in wild.ask("queue", "list")["productions"]) and killed < KILLS:
            # They were quicker than we: some of what they made is lost, and made again.
            for path in sorted((wild.folder / "products").rglob("*.fits"))[::3]:
                path.unlink()
            wild.ask("queue", "resume", "1")
    Program(wild.folder).order("up", "--until-empty", "--workers", "2", seconds=600)
    # A worker that is killed twice at one unit gives it up: that is said, and tried again when it is asked for.
    for number in ("1", "2"):
        wild.ask("queue", "resume", number, "--retry")
    Program(wild.folder).order("up", "--until-empty", "--workers", "2", seconds=600)
    assert {line["state"] for line in wild.ask("queue", "list")["productions"]} == {"done"}
    assert wild.contents() == calm.contents()
    assert wild.ask("check", "--deep")["differences"] == []
    assert wild.ask("faults")["faults"] == []
