"""Camera tables: the shipped ones beside this file, a survey's own, and those of outside packages.

A table is searched by name, later places winning: shipped here, entry points of the group ``spica.cameras``, the
folders of the caller (a survey's ``cameras/``). A table may begin with ``extends = "decam"`` and say only what differs.
An entry point's value is a package or folder resource that holds ``*.toml``, or a function returning the path (or
paths) of one.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.outside import entry_points
from spica.instruments.expand import expand, merge

__all__ = ["load", "load_file", "load_text", "names", "path_of"]

GROUP = "spica.cameras"


def names(folders: Iterable[Path | str] = ()) -> list[str]:
    """Names of all camera tables that can be loaded, sorted."""
    return sorted(_places(tuple(folders)))


def path_of(name: str, folders: Iterable[Path | str] = ()) -> Path:
    """The file that holds a camera's table; ``camera.unknown`` with the nearest name where there is none."""
    places = _places(tuple(folders))
    if name not in places:
        near = difflib.get_close_matches(name, places, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(places))}"
        raise SetupFault(
            "camera.unknown", f"there is no camera {name!r}{hint}", camera=name, nearest=near[0] if near else ""
        )
    return places[name]


def load(name: str, folders: Iterable[Path | str] = ()) -> Camera:
    """The camera of this name.

    Parameters
    ----------
    name : the table's file name without ``.toml``.
    folders : further places, the last one winning.

    Raises
    ------
    SetupFault
        ``camera.unknown`` with the nearest name, ``camera.invalid`` with everything that is wrong.
    """
    folders = tuple(folders)
    return load_file(path_of(name, folders), folders)


def load_file(path: Path | str, folders: Iterable[Path | str] = ()) -> Camera:
    """The camera of one TOML file; ``camera.invalid`` with everything that is wrong."""
    path = Path(path)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise SetupFault("camera.unknown", f"camera table {path} cannot be read: {error.strerror}") from error
    return _load(path, stamp, tuple(folders))


@lru_cache(maxsize=64)
def _load(path: Path, _stamp: int, folders: tuple[Path | str, ...]) -> Camera:
    return load_text(path.read_text("utf-8"), str(path), folders)


def load_text(text: str, source: str = "text", folders: Iterable[Path | str] = ()) -> Camera:
    """The camera of a TOML text; `source` names it in ``camera.invalid``."""
    table = _raw(text, source, tuple(folders), ())
    try:
        return Camera.model_validate(expand(table))
    except ValidationError as error:
        found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise _invalid(source, "; ".join(found), len(found)) from error
    except (ValueError, KeyError) as error:
        raise _invalid(source, str(error)) from error


def _raw(text: str, source: str, folders: tuple[Path | str, ...], seen: tuple[str, ...]) -> dict[str, Any]:
    """The compact table, with what it extends merged below it."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(source, str(error)) from error
    base = table.get("extends", "")
    if not base:
        return table
    # A survey's table may carry the name of the shipped one that it extends: the shipped one is meant then.
    parent = path_of(base) if base == table.get("name") else path_of(base, folders)
    if str(parent) in (*seen, source):
        raise _invalid(source, f"it extends itself through {base!r}")
    return merge(_raw(parent.read_text("utf-8"), str(parent), folders, (*seen, source)), table)


def _invalid(source: str, what: str, count: int = 1) -> SetupFault:
    return SetupFault("camera.invalid", f"camera table {source}: {what}", table=source, problems=count)


def _places(folders: tuple[Path | str, ...]) -> dict[str, Path]:
    found = {path.stem: path for path in _tables_in(Path(str(files(__name__))))}
    for point in entry_points(GROUP):
        found.update({path.stem: path for path in _outside(point)})
    for folder in folders:
        found.update({path.stem: path for path in _tables_in(Path(folder))})
    return found


def _tables_in(place: Path) -> Iterator[Path]:
    if place.suffix == ".toml":
        yield place
    elif place.is_dir():
        yield from sorted(place.glob("*.toml"))


def _outside(point: EntryPoint) -> Iterator[Path]:
    try:
        value = point.load()
    except (ImportError, AttributeError) as error:
        raise SetupFault(
            "plugin.broken", f"cameras of entry point {point.name!r} cannot be loaded: {error}", entry_point=point.value
        ) from error
    if isinstance(value, ModuleType):
        value = files(value)
    elif callable(value):
        value = value()
    for place in value if isinstance(value, (list, tuple)) else [value]:
        yield from _tables_in(Path(str(place)))
