"""Frames come in: idempotent, a bad file stops nothing, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from spica.core.faults import DataFault, SetupFault
from spica.files import atomic
from spica.services import examining, faults, ingest, status
from spica.services.ingest import Order, Summary
from tests.support.survey import EXPOSURES, Small


def take(small: Small, *paths: Path | str, mode: str = "", workers: int = 1) -> Summary:
    return ingest.ingest(Order(tuple(str(path) for path in paths), mode=mode, workers=workers), small.folder)


def raw(small: Small) -> list[Path]:
    return sorted((small.sky / "raw").rglob("*.fits.fz"))


def test_twice_is_once(empty: Small) -> None:
    first = take(empty, empty.sky / "raw")
    assert (first.files, first.new, first.exposures, first.detectors) == (
        EXPOSURES,
        EXPOSURES,
        EXPOSURES,
        2 * EXPOSURES,
    )
    assert len(list((empty.folder / "raw").rglob("*.fits.fz"))) == EXPOSURES
    again = take(empty, empty.sky / "raw")
    assert (again.files, again.new, again.known, again.problems) == (EXPOSURES, 0, EXPOSURES, ())
    counts = status.status(empty.folder)
    assert (counts.detectors, counts.files) == (2 * EXPOSURES, EXPOSURES)
    assert not list((empty.folder / "scratch").iterdir())


def test_same_bytes_under_another_name_are_known(empty: Small) -> None:
    take(empty, raw(empty)[0])
    other = empty.sky / "copy.fits.fz"
    other.write_bytes(raw(empty)[0].read_bytes())
    assert take(empty, other).known == 1
    assert len(list((empty.folder / "raw").rglob("*.fits.fz"))) == 1


def test_what_a_killed_ingest_left_goes_with_the_next(empty: Small) -> None:
    """Wherever the kill hit: while a frame was copied, a bundle unpacked, a bad file put aside."""
    take(empty, empty.sky / "raw")
    (night,) = {path.parent for path in (empty.folder / "raw").rglob("*.fits.fz")}
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = [
        _left_by(dead.pid, night / "copy.fits.fz"),
        _left_by(dead.pid, empty.folder / "quarantine" / "bad.fits"),
        _left_by(dead.pid, empty.folder / "scratch" / "spool"),
    ]
    for path in left[:2]:
        path.write_bytes(b"half")
    (left[2] / "night.tar.0").mkdir(parents=True)
    (left[2] / "night.tar.0" / "frame.fits").write_bytes(b"half")
    other = empty.sky / "copy.fits.fz"
    other.write_bytes(raw(empty)[0].read_bytes())
    assert take(empty, other).known == 1
    assert [path for path in left if path.exists()] == []
    assert len(list(night.iterdir())) == EXPOSURES


def _left_by(process: int, path: Path) -> Path:
    """The temporary name of `path` in a process that is no more."""
    mine = atomic.part_of(path)
    return mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{process}-"))


def spoil(small: Small) -> dict[Path, str]:
    """Spoilt copies of frames, and the code that each must get."""
    good = raw(small)[0].read_bytes()
    spoilt = {
        "empty.fits": (b"", "file.empty"),
        "truncated.fits.fz": (good[: len(good) * 2 // 3], "file.truncated"),
        "text.fits": (b"this is no FITS file at all\n" * 200, "file.not-fits"),
    }
    place = small.sky / "bad"
    place.mkdir()
    found = {}
    for name, (data, code) in spoilt.items():
        (place / name).write_bytes(data)
        found[place / name] = code
    return found


def test_a_bad_file_is_put_aside_and_stops_nothing(empty: Small) -> None:
    bad = spoil(empty)
    summary = take(empty, empty.sky / "bad", empty.sky / "raw")
    assert summary.new == EXPOSURES
    assert summary.quarantined == len(bad)
    assert {Path(problem.path): problem.code for problem in summary.problems} == bad
    for problem in summary.problems:
        assert problem.advice
        assert Path(problem.kept).read_bytes() == Path(problem.path).read_bytes()
    told = faults.faults(empty.folder, pipeline=faults.INGEST)
    assert {line.subject: line.code for line in told} == {str(path): code for path, code in bad.items()}


def test_a_file_in_place_is_put_aside_without_a_copy(empty: Small) -> None:
    bad = spoil(empty)
    summary = take(empty, empty.sky / "bad", mode="inplace")
    assert [problem.kept for problem in summary.problems] == [""] * len(bad)
    assert not any((empty.folder / "quarantine").iterdir())


def test_a_mended_file_leaves_quarantine(empty: Small) -> None:
    path = empty.sky / "mended.fits.fz"
    good = raw(empty)[0].read_bytes()
    path.write_bytes(good[: len(good) // 2])
    assert take(empty, path).quarantined == 1
    path.write_bytes(good)
    assert take(empty, path).new == 1
    assert faults.faults(empty.folder) == ()


def test_changed_file_is_noticed_and_the_first_stands(empty: Small) -> None:
    path = raw(empty)[0]
    take(empty, path)
    before = next((empty.folder / "raw").rglob(path.name)).read_bytes()
    data = bytearray(raw(empty)[1].read_bytes())
    path.write_bytes(bytes(data))
    summary = take(empty, path)
    assert (summary.changed, summary.new) == (1, 0)
    assert summary.problems[0].code == "file.changed"
    kept = list((empty.folder / "raw").rglob("*.fits.fz"))
    assert [item.read_bytes() for item in kept] == [before]


def test_two_files_that_claim_one_exposure(empty: Small) -> None:
    first, second = empty.sky / "a" / "x.fits.fz", empty.sky / "b" / "y.fits.fz"
    for path in (first, second):
        path.parent.mkdir()
    good = raw(empty)[0].read_bytes()
    first.write_bytes(good)
    second.write_bytes(good.replace(b"DARKTIME", b"DORKTIME", 1))
    take(empty, first)
    summary = take(empty, second)
    assert summary.problems[0].code in {"exposure.conflict", "file.corrupt"}
    assert len(list((empty.folder / "raw").rglob("*.fits.fz"))) == 1


def test_lost_copy_comes_back_by_ingesting_again(empty: Small) -> None:
    take(empty, raw(empty)[0])
    copy = next((empty.folder / "raw").rglob("*.fits.fz"))
    copy.unlink()
    assert take(empty, raw(empty)[0]).known == 1
    assert copy.read_bytes() == raw(empty)[0].read_bytes()


@pytest.mark.parametrize("mode", ["link", "inplace"])
def test_modes_that_copy_nothing(empty: Small, mode: str) -> None:
    take(empty, raw(empty)[0], mode=mode)
    copies = list((empty.folder / "raw").rglob("*.fits.fz"))
    if mode == "inplace":
        assert copies == []
    else:
        assert copies[0].samefile(raw(empty)[0])


def test_lists_and_bundles(empty: Small) -> None:
    one, two, three = raw(empty)[:3]
    bundle = empty.sky / "night.tar"
    with tarfile.open(bundle, "w") as tar:
        tar.add(one, one.name)
        tar.add(two, two.name)
    listed = empty.sky / "list.txt"
    listed.write_text(f"# frames\n{bundle.name}\n{three}\n")
    summary = take(empty, f"@{listed}", mode="inplace")
    assert (summary.new, summary.problems) == (3, ())
    assert sorted(path.name for path in (empty.folder / "raw").rglob("*.fits.fz")) == [one.name, two.name]


def test_many_files_are_read_by_several_processes(empty: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "PATIENCE", 0.0)
    spoil(empty)
    summary = take(empty, empty.sky / "bad", empty.sky / "raw", workers=2)
    assert (summary.new, summary.quarantined) == (EXPOSURES, 3)


def test_reload_reads_one_record_anew(empty: Small) -> None:
    take(empty, empty.sky / "raw")
    copy = min((empty.folder / "raw").rglob("*.fits.fz"))
    for path in (copy, raw(empty)[0]):
        summary = ingest.ingest(Order(reload=path), empty.folder)
        assert (summary.reloaded, summary.files) == (1, 1)
    assert status.status(empty.folder).files == EXPOSURES


def test_reload_accepts_a_changed_file(empty: Small) -> None:
    path = raw(empty)[0]
    take(empty, path)
    path.write_bytes(raw(empty)[1].read_bytes())
    assert take(empty, path).changed == 1
    assert ingest.ingest(Order(reload=path), empty.folder).files == 1
    assert take(empty, path).known == 1
    assert faults.faults(empty.folder) == ()


def test_reload_of_a_bad_file_is_a_fault(empty: Small) -> None:
    (path, code), *_ = spoil(empty).items()
    with pytest.raises(DataFault) as caught:
        ingest.ingest(Order(reload=path), empty.folder)
    assert caught.value.code == code


def test_orders_that_name_nothing(empty: Small) -> None:
    nothing = empty.sky / "nothing"
    nothing.mkdir()
    with pytest.raises(SetupFault, match="nothing is named"):
        take(empty)
    with pytest.raises(SetupFault) as caught:
        take(empty, nothing)
    assert caught.value.code == "order.nothing"
    with pytest.raises(DataFault) as missing:
        take(empty, nothing / "x.fits")
    assert missing.value.code == "file.missing"


def test_unknown_mode_and_camera(empty: Small) -> None:
    with pytest.raises(SetupFault, match="inplace"):
        take(empty, empty.sky / "raw", mode="teleport")
    with pytest.raises(SetupFault) as caught:
        ingest.ingest(Order((str(empty.sky / "raw"),), camera="demoo"), empty.folder)
    assert caught.value.evidence["nearest"] == "demo"


def test_wrong_camera_is_put_aside(empty: Small) -> None:
    summary = ingest.ingest(Order((str(raw(empty)[0]),), camera="decam"), empty.folder)
    assert [problem.code for problem in summary.problems] == ["header.wrong-camera"]
