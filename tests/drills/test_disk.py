"""A disk that is full or may not be written: said by name, nothing lost, and the same order goes on afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.drills.ground import Field, Program, contents, obey_permissions, small_files
from tests.support.survey import EXPOSURES, NIGHT_UNITS

KIB = 1024


@dataclass(frozen=True)
class Disk:
    """A small disk of one's own."""

    folder: Path

    def resize(self, size: int) -> None:
        """Make it larger or smaller."""
        _mount("-o", f"remount,size={size}", str(self.folder))

    def protect(self, *, read_only: bool) -> None:
        """Let nobody write, or everybody again."""
        _mount("-o", "remount,ro" if read_only else "remount,rw", str(self.folder))

    @property
    def used(self) -> int:
        status = os.statvfs(self.folder)
        return (status.f_blocks - status.f_bfree) * status.f_frsize


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Disk]:
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", 64 * KIB * KIB) as disk:
        yield disk


def on_disk(disk: Disk, field: Field) -> Field:
    """The survey moved onto the small disk; its delivery stays where it is."""
    return Field(Path(shutil.copytree(field.folder, disk.folder / "survey")), field.sky)


@pytest.mark.parametrize(
    "free",
    [60, *(pytest.param(free, marks=pytest.mark.slow) for free in (0, 300))],
    ids=lambda free: f"{free} KiB free",
)
def test_ingest_fills_the_disk(field: Field, disk: Disk, expected: dict[str, bytes], free: int) -> None:
    survey = on_disk(disk, field)
    disk.resize(disk.used + free * KIB)
    fault = survey.ask("ingest", survey.delivery, code=4)["fault"]
    assert fault["code"] == "disk.full"
    assert str(survey.folder) in fault["message"]
    assert "same command again" in fault["advice"]
    disk.resize(64 * KIB * KIB)
    recorded = survey.ask("status")["files"]
    kept = [path for path in (survey.folder / "raw").rglob("*") if path.is_file()]
    assert recorded <= len(kept) < EXPOSURES
    summary = survey.ask("ingest", survey.delivery)
    assert summary["new"] == EXPOSURES - recorded
    assert summary["known"] == recorded
    assert survey.night()["complete"]
    assert survey.contents() == expected
    assert survey.ask("check", "--deep")["differences"] == []


@pytest.mark.parametrize(
    ("free", "executor"),
    [
        (500, "local"),
        *(pytest.param(free, "inprocess", marks=pytest.mark.slow) for free in (0, 150, 600, 900)),
    ],
    ids=str,
)
def test_a_run_fills_the_disk(taken: Field, disk: Disk, expected: dict[str, bytes], free: int, executor: str) -> None:
    survey = on_disk(disk, taken)
    disk.resize(disk.used + free * KIB)
    order = ("run", "night", "--executor", executor, "--workers", "2", "--json")
    made = Program(survey.folder).order(*order, code=4).answer
    fault = made["stopped"] if "stopped" in made else made["fault"]
    assert fault["code"] == "disk.full"
    assert str(survey.folder) in fault["message"]
    assert "same command again" in fault["advice"]
    whole = contents(survey.folder)
    assert whole == {name: expected[name] for name in whole}, "what is there is whole"
    disk.resize(64 * KIB * KIB)
    before = sum(line["done"] for line in survey.ask("status")["work"])
    again = survey.night()
    assert (again["skipped"], again["done"], again["complete"]) == (before, NIGHT_UNITS - before, True)
    assert survey.contents() == expected
    assert survey.ask("faults")["faults"] == []
    assert survey.ask("check", "--deep")["differences"] == []


def test_a_disk_that_may_not_be_written(taken: Field, disk: Disk) -> None:
    survey = on_disk(disk, taken)
    disk.protect(read_only=True)
    for words in (("run", "night", "--executor", "inprocess"), ("ingest", str(survey.sky / "raw"))):
        fault = survey.ask(*words, code=4)["fault"]
        assert fault["code"] == "disk.read-only"
        assert str(survey.folder) in fault["message"]
        assert fault["advice"]
    assert survey.ask("status")["files"] == EXPOSURES, "looking is allowed"
    assert survey.ask("faults")["faults"] == []
    assert survey.ask("run", "night", "--dry-run")["to_run"] == NIGHT_UNITS
    disk.protect(read_only=False)
    assert survey.ask("ingest", survey.delivery)["known"] == EXPOSURES


def test_a_disk_that_turns_read_only_at_work(taken: Field, disk: Disk, expected: dict[str, bytes]) -> None:
    """As Linux does with a disk that has errors."""
    survey = on_disk(disk, taken)
    products = survey.folder / "products"
    with mounted(products / "science", 64 * KIB * KIB) as other:
        other.protect(read_only=True)
        made = survey.night(code=4)
        assert made["stopped"]["code"] == "disk.read-only"
        assert "products/science" in made["stopped"]["message"]
        assert made["done"] > 0
    again = survey.night()
    assert again["complete"]
    assert again["skipped"] == made["done"]
    assert survey.contents() == expected


def test_files_that_may_not_grow(taken: Field, expected: dict[str, bytes]) -> None:
    """A quota: writing stops in the middle of a file."""
    limited = Program(taken.folder, before=small_files(30 * KIB))
    ended = limited.order("run", "night", "--executor", "inprocess", "--json", code=4).answer
    fault = ended["stopped"] if "stopped" in ended else ended["fault"]
    assert fault["code"] == "disk.full"
    assert str(taken.folder) in fault["message"]
    assert not list(taken.folder.rglob("*.part"))
    assert taken.night()["complete"]
    assert taken.contents() == expected


@pytest.mark.slow
def test_folders_that_may_not_be_written(taken: Field, expected: dict[str, bytes]) -> None:
    products = taken.folder / "products"
    products.chmod(0o500)
    plain = Program(taken.folder, before=obey_permissions)
    try:
        made = plain.order("run", "night", "--workers", "2", "--json", code=4).answer
    finally:
        products.chmod(0o700)
    assert made["stopped"]["code"] == "disk.read-only"
    assert str(products) in made["stopped"]["message"]
    assert made["done"] > 0, "what needs no product folder is done"
    again = taken.night()
    assert (again["skipped"], again["complete"]) == (made["done"], True)
    assert taken.contents() == expected


def test_a_survey_where_none_may_be_made(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    told = Program(tmp_path, before=obey_permissions).order("init", closed / "survey", "--json", code=4).answer
    assert told["fault"]["code"] == "disk.read-only"
    assert str(closed) in told["fault"]["message"]
