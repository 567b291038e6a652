"""What is to be ingested: files, folders, globs, tar bundles and @lists become candidates, in a fixed order."""

from __future__ import annotations

import glob
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spica.core.faults import DataFault
from spica.files import atomic
from spica.files.fits import SUFFIXES

BUNDLES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_DEEPEST_LIST = 4


@dataclass(frozen=True)
class Candidate:
    """A file that may be an exposure (or part of one).

    Attributes
    ----------
    path : where its bytes lie now, absolute.
    origin : as people know it: the path, or ``bundle.tar!member``.
    spooled : the file was unpacked for us: it must be copied (never left in place) and may be deleted afterwards.
    fault : why it cannot be looked at, None where it can.
    """

    path: Path
    origin: str
    spooled: bool = False
    fault: DataFault | None = None


def candidates(paths: Iterable[str | Path], spool: Path) -> Iterator[Candidate]:
    """Candidates of an order, each file once.

    Parameters
    ----------
    paths : files (taken whatever their names are), folders (searched for FITS files and bundles at any depth), globs, tar
        bundles, and ``@list`` files of such paths, one a line (relative ones start at the list's folder).
    spool : folder that members of bundles are unpacked to, one at a time as they are asked for.

    Yields
    ------
    Candidate
        In the order given; sorted by name within folders and globs; as packed within bundles. What cannot be opened is a
        candidate with a fault, so that it is told and the rest goes on.
    """
    seen: set[Path] = set()
    for found in _expand(paths, Path.cwd(), 0):
        if isinstance(found, Candidate):
            yield found
            continue
        real = found.resolve()
        if real in seen:
            continue
        seen.add(real)
        if found.name.lower().endswith(BUNDLES):
            yield from _bundle(found, spool)
        else:
            yield Candidate(found, str(found))


def _expand(paths: Iterable[str | Path], base: Path, depth: int) -> Iterator[Path | Candidate]:
    """Every file that an order names."""
    for given in paths:
        text = str(Path(given).expanduser()) if str(given).startswith("~") else str(given)
        if text.startswith("@"):
            yield from _listed(base / text[1:], depth)
            continue
        path = Path(os.path.normpath(base / text))
        if os.path.isdir(path):  # noqa: PTH112 - Path's own raises where a folder above may not be entered
            yield from _folder(path)
        elif os.path.lexists(path) or not glob.has_magic(text):
            yield _named(path)
        else:
            found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  (an absolute pattern)
            if not found:
                yield _lost(path, f"nothing is called {path}")
            for item in found:
                yield from _folder(Path(item)) if Path(item).is_dir() else [Path(item)]


def _named(path: Path) -> Path | Candidate:
    """A file named outright; one that is not there, or that may not even be looked at, is told."""
    try:
        path.stat()
    except FileNotFoundError:
        return _lost(path, f"{path} is not there")
    except OSError as error:
        return _closed(path, error)
    return path


def _folder(folder: Path) -> Iterator[Path | Candidate]:
    """FITS files and bundles below a folder, sorted; hidden ones are left out, folders that cannot be read are told."""
    closed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith((*SUFFIXES, *BUNDLES)) and not name.startswith("."):
                yield Path(place) / name
    for error in closed:
        yield _closed(Path(error.filename), error)


def _closed(path: Path, error: OSError) -> Candidate:
    message = f"{path} cannot be read: {error.strerror}"
    return Candidate(path, str(path), fault=DataFault("file.unreadable", message, path=str(path)))


def _listed(path: Path, depth: int) -> Iterator[Path | Candidate]:
    """What an @list names; ``#`` begins a comment."""
    if depth >= _DEEPEST_LIST:
        yield _lost(path, f"{path}: lists name lists too deeply (in a circle?)")
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        yield _lost(path, f"list {path} is not there")
        return
    except (OSError, UnicodeDecodeError) as error:
        fault = DataFault("file.unreadable", f"list {path}: {error}", path=str(path))
        yield Candidate(path, f"@{path}", fault=fault)
        return
    named = (line.partition("#")[0].strip() for line in lines)
    yield from _expand((line for line in named if line), path.parent, depth + 1)


def _lost(path: Path, message: str) -> Candidate:
    return Candidate(path, str(path), fault=DataFault("file.missing", message, path=str(path)))


def _bundle(path: Path, spool: Path) -> Iterator[Candidate]:
    """Members of a tar bundle, unpacked one by one; none is ever written outside the spool."""
    try:
        with tarfile.open(path, "r:*") as bundle:
            for number, member in enumerate(bundle):
                name = PurePosixPath(member.name)
                if not member.isfile() or not name.name.lower().endswith(SUFFIXES) or name.name.startswith("."):
                    continue
                origin = f"{path}!{member.name}"
                if name.is_absolute() or ".." in name.parts:
                    message = f"{origin}: a member must not leave its bundle"
                    fault = DataFault("file.unreadable", message, path=str(path), member=member.name)
                    yield Candidate(path, origin, fault=fault)
                    continue
                yield Candidate(
                    _unpack(bundle, member, spool / f"{path.name}.{number}" / name.name), origin, spooled=True
                )
    except (EOFError, tarfile.ReadError, zlib.error, OSError) as error:
        code = "file.truncated" if isinstance(error, EOFError) or "unexpected end" in str(error) else "file.unreadable"
        fault = DataFault(code, f"bundle {path}: {error}", path=str(path))
        yield Candidate(path, str(path), fault=fault)


def _unpack(bundle: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> Path:
    stream = bundle.extractfile(member)
    if stream is None:
        raise tarfile.ReadError(f"member {member.name} holds no bytes")
    with stream, atomic.writing(target, durable=False) as part, part.open("wb") as out:
        left = member.size
        while left:
            block = stream.read(min(left, 1 << 20))
            if not block:
                raise EOFError(f"member {member.name} lacks {left} bytes")
            out.write(block)
            left -= len(block)
    return target
