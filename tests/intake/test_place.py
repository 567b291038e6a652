"""Files get their place: copied, linked, or left; never twice, never over another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.files import checksums
from spica.files.storage import Area
from spica.intake.examine import examine
from spica.intake.find import Candidate
from spica.intake.place import place, release, set_aside
from tests.intake.conftest import Write

TARGET = "raw/demo/2026-11-20/a.fits.fz"


@pytest.fixture
def area(tmp_path: Path) -> Area:
    return Area("local", str(tmp_path / "survey"))


def test_copies_lie_by_camera_and_night(write: Write, demo: Camera, area: Area) -> None:
    candidate = Candidate(write("a.fits.fz"), "bundle.tar!x/a.fits.fz", spooled=True)
    for mode in ("copy", "link", "place"):  # what was unpacked is always copied
        record = place(examine(candidate, [demo]), candidate, area, mode)
        assert (record.file.path, record.file.area) == (TARGET, "local")
        copy = Path(area.where(TARGET))
        assert checksums.of_file(copy) == record.file.checksum
        assert not copy.samefile(candidate.path)
        copy.unlink()
    release(candidate)
    assert not candidate.path.exists()


def test_a_link_is_the_file_and_place_leaves_it(write: Write, demo: Camera, area: Area) -> None:
    path = write("a.fits.fz")
    candidate = Candidate(path, str(path))
    record = examine(candidate, [demo])
    assert place(record, candidate, area, "place") == record
    assert not Path(area.url).exists()
    assert Path(area.where(place(record, candidate, area, "link").file.path)).samefile(path)
    release(candidate)
    assert path.exists()


def test_the_same_file_is_copied_once_and_another_gets_its_own_name(write: Write, demo: Camera, area: Area) -> None:
    path = write("a.fits.fz")
    candidate = Candidate(path, str(path))
    first = place(examine(candidate, [demo]), candidate, area, "copy")
    stamp = Path(area.where(TARGET)).stat().st_mtime_ns
    assert place(examine(candidate, [demo]), candidate, area, "copy") == first
    assert Path(area.where(TARGET)).stat().st_mtime_ns == stamp
    write("a.fits.fz", OBJECT="changed")
    other = place(examine(candidate, [demo]), candidate, area, "copy")
    assert other.file.path == f"raw/demo/2026-11-20/a-{other.file.checksum[:8]}.fits.fz"
    assert checksums.of_file(Path(area.where(TARGET))) == first.file.checksum
    assert checksums.of_file(Path(area.where(other.file.path))) == other.file.checksum


def test_areas_behind_an_address(write: Write, demo: Camera, tmp_path: Path) -> None:
    path = write("a.fits.fz")
    candidate = Candidate(path, str(path))
    area = Area("cloud", f"memory://{tmp_path}")
    record = place(examine(candidate, [demo]), candidate, area, "copy")
    assert (record.file.path, record.file.area) == (TARGET, "cloud")
    assert area.checksum(TARGET) == record.file.checksum
    assert place(examine(candidate, [demo]), candidate, area, "link") == record  # it is there: nothing to link
    other = replace(record, exposure=replace(record.exposure, night="2026-11-21"))
    for mode in ("link", "move"):
        with pytest.raises(SetupFault) as caught:
            place(other, candidate, area, mode)
        assert caught.value.code == "order.invalid"


def test_what_is_refused_is_kept_to_be_looked_at(tmp_path: Path) -> None:
    bad = tmp_path / "bad.fits"
    bad.write_bytes(b"bad")
    candidate = Candidate(bad, str(bad))
    kept = set_aside(candidate, tmp_path / "quarantine", checksums.of_file(bad))
    assert kept.read_bytes() == b"bad"
    assert kept == set_aside(candidate, tmp_path / "quarantine", checksums.of_file(bad))
    assert bad.exists()
