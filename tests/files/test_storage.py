"""Storage areas, local and behind an address."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from spica.core.faults import DataFault, ResourceFault, SetupFault
from spica.files import checksums, storage
from spica.files.storage import Area


@pytest.fixture(params=["local", "file", "memory"])
def area(request: pytest.FixtureRequest, tmp_path: Path) -> Area:
    root = tmp_path / "area"
    urls = {"local": str(root), "file": f"file://{root}", "memory": f"memory://{tmp_path}"}
    return Area(request.param, urls[request.param])


def test_put_get_checksum_remove(area: Area, tmp_path: Path) -> None:
    source = tmp_path / "x.fits"
    source.write_bytes(os.urandom(3_000_000))
    assert not area.exists("raw/a/x.fits")
    area.put(source, "raw/a/x.fits")
    assert area.exists("raw/a/x.fits")
    assert area.checksum("raw/a/x.fits") == checksums.of_file(source)
    assert list(area.names()) == ["raw/a/x.fits"]
    area.get("raw/a/x.fits", tmp_path / "back.fits")
    assert (tmp_path / "back.fits").read_bytes() == source.read_bytes()
    area.remove("raw/a/x.fits")
    area.remove("raw/a/x.fits")
    assert list(area.names()) == []
    for deed in (lambda: area.checksum("raw/a/x.fits"), lambda: area.get("raw/a/x.fits", tmp_path / "none")):
        with pytest.raises(DataFault) as caught:
            deed()
        assert caught.value.code == "file.missing"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x"])
def test_no_path_leaves_the_area(area: Area, path: str) -> None:
    with pytest.raises(SetupFault) as caught:
        area.where(path)
    assert caught.value.code == "order.invalid"


def test_free_space_where_it_can_be_known(tmp_path: Path) -> None:
    assert (Area("a", str(tmp_path)).free_space() or 0) > 0
    assert Area("m", "memory://x").free_space() is None


def test_a_link_is_the_same_file(tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_bytes(b"bytes")
    storage.link(source, tmp_path / "deep" / "y")
    assert (tmp_path / "deep" / "y").samefile(source)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["y"]
    with pytest.raises(DataFault) as caught:
        storage.link(tmp_path / "absent", tmp_path / "z")
    assert caught.value.code == "file.missing"


def test_a_link_across_disks_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def across(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    (tmp_path / "x").write_bytes(b"")
    monkeypatch.setattr(os, "link", across)
    with pytest.raises(SetupFault) as caught:
        storage.link(tmp_path / "x", tmp_path / "y")
    assert caught.value.code == "order.invalid"
    assert "copy" in caught.value.advice
    assert not (tmp_path / "y").exists()


def test_what_cannot_be_copied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataFault) as caught:
        storage.copy(tmp_path / "absent", tmp_path / "y")
    assert caught.value.code == "file.missing"
    (tmp_path / "x").write_bytes(b"abc")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage.shutil, "copyfileobj", full)  # type: ignore[attr-defined]
    with pytest.raises(ResourceFault) as short:
        storage.copy(tmp_path / "x", tmp_path / "y")
    assert short.value.code == "disk.full"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_address_that_nobody_serves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as caught:
        Area("odd", "gopher://x").exists("y")
    assert caught.value.code == "survey.invalid"
    assert "odd" in str(caught.value)
    with pytest.raises(SetupFault) as missing:
        Area("cloud", "dropbox://bucket").put(tmp_path / "x", "y")
    assert missing.value.code == "program.missing"
