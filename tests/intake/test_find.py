"""What an order names, in a fixed order, each once; nothing leaves the spool; what is lost is told."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from spica.intake.find import candidates
from spica.intake.place import release


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "night"
    for name in ("b.fits", "a.fits.fz", "sub/c.FIT", "sub/d.fits.gz", "sub/e.fts", "log.txt", ".hidden.fits", "x.part"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names(*paths: str | Path, spool: Path) -> list[str]:
    return [found.path.name for found in candidates(paths, spool) if found.fault is None]


def test_folders_are_searched_in_order(night: Path, tmp_path: Path) -> None:
    expected = ["a.fits.fz", "b.fits", "c.FIT", "d.fits.gz", "e.fts"]
    assert names(night, spool=tmp_path) == expected
    assert names(str(night), spool=tmp_path) == expected


def test_globs_files_and_repetitions(night: Path, tmp_path: Path) -> None:
    assert names(f"{night}/**/*.f*ts", spool=tmp_path) == ["b.fits", "e.fts"]
    assert names(night / "sub" / "e.fts", night / "sub" / ".." / "b.fits", night, spool=tmp_path) == [
        "e.fts", "b.fits", "a.fits.fz", "c.FIT", "d.fits.gz",
    ]  # fmt: skip
    assert names(night / "log.txt", spool=tmp_path) == ["log.txt"]  # named outright: to be judged by its content


def test_a_name_with_brackets_is_a_name(night: Path, tmp_path: Path) -> None:
    (night / "x[1].fits").write_text("x")
    assert names(night / "x[1].fits", spool=tmp_path) == ["x[1].fits"]


def test_lists_are_relative_to_themselves(night: Path, tmp_path: Path) -> None:
    (night / "list").write_text("# tonight\nsub/e.fts  # the last\n\n*.fz\n@more\n")
    (night / "more").write_text("b.fits\n")
    assert names(f"@{night / 'list'}", spool=tmp_path) == ["e.fts", "a.fits.fz", "b.fits"]


def test_what_is_lost_is_told_and_the_rest_goes_on(night: Path, tmp_path: Path) -> None:
    (night / "circle").write_text(f"@circle\n{night / 'b.fits'}\n")
    order = (night / "absent.fits", f"{night}/none*.fits", f"@{night}/nolist", f"@{night}/circle")
    found = list(candidates(order, tmp_path))
    faults = [item for item in found if item.fault is not None]
    assert [item.fault.code for item in faults if item.fault] == ["file.missing"] * 4
    assert [item.path.name for item in found if item.fault is None] == ["b.fits"]


def bundle(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.fits")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz"), ("x.tar.xz", "w:xz")]
)
def test_bundles_are_unpacked_member_by_member(tmp_path: Path, name: str, mode: str) -> None:
    packed = bundle(tmp_path / name, {"n/b.fits": b"bb", "n/readme": b"r", "a.fits": b"a"}, mode)
    spool = tmp_path / "spool"
    seen = []
    for found in candidates([packed], spool):
        assert found.spooled
        assert found.path.is_relative_to(spool)
        seen.append((found.origin.rpartition("!")[2], found.path.read_bytes()))
        release(found)
    assert seen == [("n/b.fits", b"bb"), ("a.fits", b"a")]
    assert not list(spool.iterdir())


def test_no_member_leaves_the_spool(tmp_path: Path) -> None:
    outside = tmp_path / "evil.fits"
    packed = bundle(tmp_path / "x.tar", {"../evil.fits": b"x", str(outside): b"x", "good.fits": b"g"})
    found = list(candidates([packed], tmp_path / "deep" / "spool"))
    assert [item.fault.code if item.fault else item.path.name for item in found] == [
        "file.unreadable", "file.unreadable", "good.fits",
    ]  # fmt: skip
    assert not outside.exists()
    assert not (tmp_path / "deep" / "evil.fits").exists()


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_a_cut_bundle_gives_what_is_whole(tmp_path: Path, name: str) -> None:
    noise = bytes(i * 7 % 251 for i in range(40000))
    packed = bundle(tmp_path / name, {"a.fits": noise, "b.fits": noise * 3}, "w:gz" if name.endswith("gz") else "w")
    packed.write_bytes(packed.read_bytes()[: int(packed.stat().st_size * 0.6)])
    found = list(candidates([packed], tmp_path / "spool"))
    last = found[-1]
    assert last.fault is not None
    assert last.fault.code == "file.truncated"
    assert all(item.fault is None for item in found[:-1])
    assert not list((tmp_path / "spool").rglob("*.part"))


def test_a_bundle_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"not a bundle" * 100)
    (found,) = candidates([tmp_path / "x.tar"], tmp_path)
    assert found.fault is not None
    assert found.fault.code == "file.unreadable"
