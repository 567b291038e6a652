"""Releases as files: ``releases/NAME.toml`` of a survey, read and checked."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from spica.core.faults import SetupFault
from spica.core.release import Release
from spica.files.survey import Survey


def names(survey: Survey) -> list[str]:
    """The releases that a survey has files of."""
    return sorted(path.stem for path in survey.folder("releases").glob("*.toml"))


def load(survey: Survey, name: str = "") -> Release:
    """A release by its name; without one, the only one that there is.

    Raises
    ------
    SetupFault
        ``release.unnamed``, ``release.unknown`` with the nearest name, ``release.invalid`` with the setting at fault.
    """
    known = names(survey)
    folder = survey.folder("releases")
    if not name and len(known) != 1:
        there = f"there are {', '.join(known)}" if known else f"{folder} holds none"
        raise SetupFault("release.unnamed", f"which release? {there}", path=str(folder))
    wanted = name or known[0]
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known) or 'none'}"
        raise SetupFault("release.unknown", f"{folder} has no release {wanted!r}{hint}", release=wanted)
    return read(folder / f"{wanted}.toml")


def read(path: Path) -> Release:
    """Read and check a file; SetupFault ``release.invalid``."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _invalid(path, str(error)) from error
    try:
        found = Release.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = f"{first['msg'].removeprefix('Value error, ')}"
        if first["type"] == "extra_forbidden":
            what = f"no such setting{_hint(first['loc'])}"
        raise _invalid(path, f"{place}: {what}" if place else what) from error
    if found.name != path.stem:
        raise _invalid(path, f"it is called {found.name!r} inside, {path.stem!r} outside")
    return _with_coverage(path, found)


def _with_coverage(path: Path, found: Release) -> Release:
    """The release with its map of coverage as text, so that it says all of what it is by itself."""
    given = found.tiles.moc
    if not given:
        return found
    # Loading it takes long, and few releases have a map.
    from spica.files.hats.moc_files import is_ascii_moc, parse_moc, read_moc, to_ascii

    try:
        moc = parse_moc(given) if is_ascii_moc(given) else read_moc(path.parent / given)
    except SetupFault as fault:
        raise _invalid(path, f"tiles.moc: {fault}") from fault
    return found.model_copy(update={"tiles": found.tiles.model_copy(update={"moc": to_ascii(moc)})})


def _hint(location: tuple[int | str, ...]) -> str:
    """The nearest setting of the table in which a strange one stands."""
    table: type[BaseModel] = Release
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        inner = table.model_fields[part].annotation
        models = [each for each in (inner, *get_args(inner)) if isinstance(each, type) and issubclass(each, BaseModel)]
        if not models:
            return ""
        table = models[0]
    near = difflib.get_close_matches(str(location[-1]), list(table.model_fields), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _invalid(path: Path, what: str) -> SetupFault:
    return SetupFault("release.invalid", f"{path}: {what}", path=str(path))
