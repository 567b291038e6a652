"""A file is there whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spica.core.faults import ResourceFault
from spica.files import atomic


def test_a_block_that_ends_well_leaves_the_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "new" / "x.bin"
    with atomic.writing(target) as part:
        part.write_bytes(b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert list(target.parent.iterdir()) == [target]


def _begin_and_fail(target: Path) -> None:
    with atomic.writing(target) as part:
        part.write_bytes(b"new")
        raise RuntimeError


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        _begin_and_fail(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk.full"),
        (errno.EDQUOT, "disk.full"),
        (errno.EROFS, "disk.read-only"),
        (errno.EACCES, "disk.read-only"),
        (errno.EIO, "storage.unreachable"),
    ],
)
def test_errors_of_the_disk_have_names(tmp_path: Path, number: int, code: str) -> None:
    with pytest.raises(ResourceFault) as caught, atomic.writing(tmp_path / "x"):
        raise OSError(number, os.strerror(number))
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


def _fill() -> None:
    with atomic.disk_faults(Path("/dev/full")), Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")


def test_a_disk_that_is_full_in_truth() -> None:
    with pytest.raises(ResourceFault) as caught:
        _fill()
    assert caught.value.code == "disk.full"


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.writing(tmp_path / "x"):
        (tmp_path / "absent").read_bytes()


def test_the_dead_leave_parts_that_are_swept(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from spica.files import atomic\n"
        "with atomic.writing(Path(sys.argv[1])) as part:\n"
        "    part.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.fits")], check=False)
    mine = atomic.part_of(tmp_path / "y.fits")
    mine.write_bytes(b"mine")
    (left,) = [path for path in tmp_path.iterdir() if path != mine]
    theirs = left.with_name(left.name.replace(".fits.", ".fits.elsewhere"))
    theirs.touch()
    assert left.name.startswith(".x.fits.")
    assert atomic.sweep(tmp_path) == [left]
    assert mine.exists()
    assert theirs.exists()


def test_free_space_of_a_folder_to_be(tmp_path: Path) -> None:
    assert atomic.free_space(tmp_path / "a" / "b") > 0
