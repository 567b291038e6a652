"""Tables of photometric systems: those shipped, those of a survey, and what of them concerns a camera and a catalogue."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.reference import ReferenceInfo
from spica.core.systems import SPELT, Systems, SystemTable


def read(path: Path) -> SystemTable:
    """A table from a TOML file.

    Raises
    ------
    SetupFault
        ``systems.invalid`` with the place at fault.
    """
    try:
        return SystemTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SetupFault("systems.invalid", f"{path}: {place or 'table'}: {first['msg']}", path=str(path)) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupFault("systems.invalid", f"{path}: {error}", path=str(path)) from error


@lru_cache(maxsize=1)
def shipped() -> tuple[SystemTable, ...]:
    """The tables that come with spica, by name."""
    with resources.as_file(resources.files("spica.files.reference") / "tables") as folder:
        return tuple(read(path) for path in sorted(folder.glob("*.toml")))


def known(folders: Iterable[Path] = ()) -> dict[str, SystemTable]:
    """All tables by name; those of the folders stand in for shipped ones of the same name, and add to them otherwise.

    Raises
    ------
    SetupFault
        ``systems.invalid``.
    """
    found = {table.name: table for table in shipped()}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            table = read(path)
            found[table.name] = table
    return found


def concerning(camera: Camera, info: ReferenceInfo, tables: dict[str, SystemTable]) -> Systems:
    """What of the tables is of use for the bands of a camera and the magnitudes of a catalogue.

    A catalogue is of the system whose table names it, or the mapping that it was read with.
    """
    own = next((each for each in tables.values() if info.name in each.catalogues), None)
    own = own or next((each for each in tables.values() if info.mapping in each.catalogues), None)
    bands = {spec.band: spec.system for spec in camera.filters if spec.system}
    wanted = {(bands.get(spec.band), spec.band) for spec in camera.filters}
    wanted |= {(SPELT.get(spec.band), spec.band) for spec in camera.filters}
    relations = tuple(each for each in own.relations if (each.to, each.band) in wanted) if own else ()
    named = {each.to for each in relations} | ({own.name} if own else set())
    scales = {band: scale for band, scale in info.bands.items() if scale in {"AB", "Vega", "unknown"}}
    return Systems(
        catalogue=own.name if own else "",
        scale=own.scale if own else "unknown",
        scales=scales,  # type: ignore[arg-type]
        bands=bands,
        relations=relations,
        ab={name: dict(tables[name].ab) for name in sorted(named) if name in tables},
        colours=own.colours if own else (),
    )
