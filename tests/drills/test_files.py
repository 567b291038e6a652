"""Bad files in a delivery: each is put aside by name, its neighbours are taken and reduced, a good one ends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.drills.ground import DETECTORS, LAST, Field, Program, edit, name_of, obey_permissions
from tests.support.survey import EXPOSURES, NIGHT_UNITS

Spoil = Callable[[Path], None]
ONE_LESS = NIGHT_UNITS - 2 * len(DETECTORS) - 2
"""Units of the night without one science exposure: its detectors, their verdicts, its catalogue and its summary."""


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def cut_in_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def bit_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-4000] ^= 0x10
    path.write_bytes(data)


def bit_flipped_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"EXPTIME") + 27] ^= 0x01
    path.write_bytes(data)


def not_fits(path: Path) -> None:
    path.write_bytes(b"The telescope was closed because of the wind.\n" * 500)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone.fits")


def other_camera(path: Path) -> None:
    edit(path, INSTRUME="magic")


def no_time(path: Path) -> None:
    edit(path, EXPTIME=None, MJD_OBS=None, DATE_OBS=None)


def absurd_time(path: Path) -> None:
    edit(path, EXPTIME=-60.0)


def other_century(path: Path) -> None:
    edit(path, MJD_OBS=1.0, DATE_OBS=None)


def below_horizon(path: Path) -> None:
    edit(path, DEC=80.0)


def strange_filter(path: Path) -> None:
    edit(path, FILTER="ultraviolet")


def strange_type(path: Path) -> None:
    edit(path, OBSTYPE="party")


DRILLS: list[tuple[Spoil, str, str]] = [
    (empty, "file.empty", ""),
    (truncated, "file.truncated", ""),
    (cut_in_header, "file.truncated", ""),
    (bit_flipped, "file.corrupt", ""),
    (bit_flipped_header, "file.corrupt", ""),
    (not_fits, "file.not-fits", ""),
    (dangling, "file.missing", ""),
    (other_camera, "header.unknown-camera", "magic"),
    (no_time, "header.missing", "EXPTIME"),
    (absurd_time, "header.absurd", "-60"),
    (other_century, "header.absurd", "1980"),
    (below_horizon, "header.absurd", "horizon"),
    (strange_filter, "header.unknown-filter", "ultraviolet"),
    (strange_type, "header.absurd", "party"),
]


def put_aside(field: Field, summary: dict[str, Any], bad: Path, code: str, evidence: str) -> None:
    """The order to take files in named the bad one, and the survey tells of it."""
    (problem,) = summary["problems"]
    assert (problem["code"], problem["path"]) == (code, str(bad))
    assert bad.name in problem["message"]
    assert evidence in problem["message"]
    assert problem["advice"]
    (told,) = field.ask("faults")["faults"]
    assert (told["code"], told["subject"], told["advice"]) == (code, str(bad), problem["advice"])
    assert field.ask("why", bad)["todo"] == [problem["advice"]]


def mend(bad: Path, good: bytes) -> None:
    if bad.is_symlink():
        bad.unlink()
    bad.write_bytes(good)


@pytest.mark.parametrize(("spoil", "code", "evidence"), DRILLS, ids=lambda value: getattr(value, "__name__", None))
def test_a_bad_file(field: Field, spoil: Spoil, code: str, evidence: str) -> None:
    bad, neighbour = field.raw(LAST), field.raw(LAST - 1)
    good = bad.read_bytes()
    spoil(bad)
    summary = field.ask("ingest", bad, neighbour, code=1)
    assert (summary["new"], summary["quarantined"]) == (1, 1)
    put_aside(field, summary, bad, code, evidence)
    mend(bad, good)
    again = field.ask("ingest", bad, neighbour)
    assert (again["new"], again["known"]) == (1, 1)
    assert field.ask("faults")["faults"] == []


@pytest.mark.parametrize(
    ("spoil", "code", "evidence"),
    [drill if drill[0] is truncated else pytest.param(*drill, marks=pytest.mark.slow) for drill in DRILLS],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_night_of_a_bad_file(
    field: Field, expected: dict[str, bytes], spoil: Spoil, code: str, evidence: str
) -> None:
    bad = field.raw(LAST)
    good = bad.read_bytes()
    spoil(bad)
    summary = field.ask("ingest", field.delivery, code=1)
    assert (summary["new"], summary["quarantined"]) == (EXPOSURES - 1, 1)
    put_aside(field, summary, bad, code, evidence)
    # The neighbours are reduced meanwhile.
    assert field.night()["done"] == ONE_LESS
    mend(bad, good)
    again = field.ask("ingest", field.delivery)
    assert (again["new"], again["known"]) == (1, EXPOSURES - 1)
    assert field.ask("faults")["faults"] == []
    assert field.night()["done"] == NIGHT_UNITS - ONE_LESS
    assert field.contents() == expected
    assert field.ask("check", "--deep")["differences"] == []


def test_a_folder_with_the_name_of_a_file(field: Field) -> None:
    """Folders are looked into, whatever they are called."""
    bad = field.raw(LAST)
    folder(bad)
    assert field.ask("ingest", field.delivery)["new"] == EXPOSURES - 1
    said = field.ask("ingest", bad, code=2)["fault"]
    assert said["code"] == "order.nothing"


def test_a_file_without_permission(field: Field) -> None:
    bad, neighbour = field.raw(LAST), field.raw(LAST - 1)
    bad.chmod(0)
    plain = Program(field.folder, before=obey_permissions)
    summary = plain.order("ingest", bad, neighbour, "--json", code=1).answer
    (problem,) = summary["problems"]
    assert (problem["code"], problem["path"]) == ("file.unreadable", str(bad))
    assert "permission" in problem["advice"]
    assert summary["new"] == 1
    bad.chmod(0o600)
    assert plain.order("ingest", bad, neighbour, "--json").answer["new"] == 1
    assert field.ask("faults")["faults"] == []


@pytest.mark.slow
def test_a_folder_without_permission(field: Field) -> None:
    closed = field.delivery / "closed"
    closed.mkdir()
    bad = field.raw(LAST)
    shutil.move(bad, closed)
    closed.chmod(0)
    plain = Program(field.folder, before=obey_permissions)
    try:
        (problem,) = plain.order("ingest", field.delivery, "--json", code=1).answer["problems"]
        (outright,) = plain.order("ingest", closed / bad.name, "--json", code=1).answer["problems"]
    finally:
        closed.chmod(0o700)
    assert (problem["code"], problem["path"]) == ("file.unreadable", str(closed))
    assert outright["code"] == "file.unreadable"
    assert field.ask("ingest", field.delivery)["new"] == 1
    assert field.ask("faults")["faults"] == []


def test_the_camera_that_the_order_names_is_another(field: Field) -> None:
    summary = field.ask("ingest", field.raw(LAST), "--camera", "decam", code=1)
    (problem,) = summary["problems"]
    assert problem["code"] == "header.wrong-camera"
    assert {"demo", "decam"} <= set(problem["message"].replace(",", "").split())
    assert field.ask("ingest", field.raw(LAST), "--camera", "demo")["new"] == 1


def test_all_that_a_header_lacks_is_listed_at_once(field: Field) -> None:
    bad = field.raw(LAST)
    edit(bad, EXPTIME=None, FILTER="ultraviolet", AIRMASS=50.0, RA=None)
    (problem,) = field.ask("ingest", bad, code=1)["problems"]
    for word in ("exposure_time", "filter", "airmass", "ra"):
        assert word in problem["message"]


def test_every_file_of_a_delivery_is_bad(field: Field) -> None:
    for number in range(1, EXPOSURES + 1):
        empty(field.raw(number))
    summary = field.ask("ingest", field.delivery, code=1)
    assert (summary["new"], summary["quarantined"]) == (0, EXPOSURES)
    assert field.night(code=2)["fault"]["code"] == "order.nothing"


def test_a_file_that_goes_bad_after_it_was_taken(done: Field, expected: dict[str, bytes]) -> None:
    """Bits rot on disk too: found by a deep check, named by the run that needs them, mended by a new delivery."""
    (inside,) = (done.folder / "raw").rglob(f"{name_of(LAST)}*")
    good = inside.read_bytes()
    truncated(inside)
    (difference,) = done.ask("check", code=1)["differences"]
    assert difference["path"] == str(inside)
    threshold = ("--set", "detect.threshold=6")
    made = done.night(*threshold, code=1)
    assert made["failed"] == len(DETECTORS)
    assert {group["code"] for group in made["faults"]} <= {"file.truncated", "file.corrupt", "data.quorum"}
    assert made["done"] == 2 * len(DETECTORS) + 2, "the other exposure"
    fault = next(line for line in done.ask("faults")["faults"] if line["code"].startswith("file."))
    assert inside.name in fault["message"]
    inside.unlink()
    os.sync()
    # Delivered again; what failed on data is tried again when asked to.
    done.ask("ingest", done.delivery)
    assert inside.read_bytes() == good
    assert done.night(*threshold, "--retry")["complete"]
    assert {name: data for name, data in done.contents().items() if name in expected} == expected
