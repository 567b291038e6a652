r"""Any executable as a task, from a TOML file: `wrappers/NAME.toml` in a survey's folder, or a package's.

name = "unsharp"; version = 1; grain = "detector"
meaning = "Sharpens an image."
command = ["unsharp", "--radius", "{radius}", "{science}", "out.fits"]

[program]                       # how the version is asked for; a recipe changes with it
ask = ["--version"]
pattern = 'unsharp (\d+\.\d+)'
least = "1.0"

[[need]]
name = "science"                # any need of `spica.core.task.Need`
[[give]]
name = "sharpened"
form = "image"                  # image, catalogue, metrics or value
file = "out.fits"
[settings.radius]
default = 2.0
meaning = "radius of the blur"
unit = "pixel"
gt = 0

In place of ``command``, ``module = "NAME.py:Class"`` runs a module of the older kind (`spica.wrappers.legacy`).

A placeholder is the name of a setting (its value) or of a need (the path of its file; `{science.weight}`, `{science.mask}`).
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from spica.core.faults import SetupFault
from spica.core.records import Grain
from spica.core.settings import setting
from spica.core.task import Form, Give, Keep, Measured, Need, Products, Task
from spica.files.checksums import of_file
from spica.wrappers import configuration, legacy, results
from spica.wrappers.form import Dressed, Paths, ProgramSettings
from spica.wrappers.programs import Program, call

_PLACE = re.compile(r"\{([a-z_][a-z0-9_.]*)\}")
_LIMITS = ("gt", "ge", "lt", "le")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProgramTable(_Strict):
    """``[program]``: how its version is asked for."""

    ask: tuple[str, ...] = ("--version",)
    pattern: str = r"(\d+(?:\.\d+)+)"
    least: str = ""
    below: str = ""
    install: str = ""


class NeedTable(_Strict):
    """One ``[[need]]``."""

    name: str
    source: str = "product"
    section: str = ""
    grain: Grain | None = None
    columns: tuple[str, ...] = ()
    where: str = ""
    optional: bool = False
    quorum: str | int | float = "all"


class GiveTable(_Strict):
    """One ``[[give]]``: a product, and the file that the program leaves for it."""

    name: str
    form: Literal["image", "catalogue", "metrics", "value"]
    file: str = ""
    keep: Keep = Keep.ALWAYS
    meaning: str = ""


class SettingTable(_Strict):
    """One ``[settings.NAME]``."""

    default: bool | int | float | str
    meaning: str
    unit: str = ""
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None


class WrapperTable(_Strict):
    """A wrapper's file as written."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: Annotated[int, Field(ge=1)] = 1
    grain: Grain
    meaning: str
    command: tuple[str, ...] = ()
    module: Annotated[str, Field(pattern=r"^([^:]+\.py:[A-Za-z_]\w*)?$")] = ""
    program: ProgramTable = ProgramTable()
    need: tuple[NeedTable, ...]
    give: Annotated[tuple[GiveTable, ...], Field(min_length=1)]
    settings: dict[str, SettingTable] = {}


@dataclass(frozen=True)
class Function:
    """What a wrapper's file says, as the function of a task."""

    table: WrapperTable
    program: Program
    module: str = ""

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """What the file says that it does."""
        return self.table.meaning

    def __call__(self, settings: ProgramSettings, paths: Paths, folder: Path) -> Products:
        """Run the command in the folder, and read what it left."""
        if self.module:
            return self._module(settings, paths, folder)
        values = {**settings.model_dump(), **{name: path.name for name, path in paths.items()}}

        def filled(match: re.Match[str]) -> str:
            return configuration.word(values.get(match[1], ""))

        arguments = [_PLACE.sub(filled, word) for word in self.table.command[1:]]
        call(self.table.name, [self.program.path(), *arguments], folder, settings.time_limit)
        return {give.name: _product(self.table.name, give, folder / give.file) for give in self.table.give}

    def _module(self, settings: ProgramSettings, paths: Paths, folder: Path) -> Products:
        """Run a module of the older kind: what it registers are the products."""
        name = self.table.name
        values = {key: getattr(settings, key) for key in self.table.settings}
        units = {key: one.unit for key, one in self.table.settings.items()}
        legacy.write_orders(folder, name, values, units, paths)
        made = legacy.run_module(name, self.program.path(), self.module, folder, settings.time_limit)
        missing = [give.name for give in self.table.give if give.name not in made]
        if missing:
            raise results.no_output(name, folder / legacy.OUTPUTS, f"registers nothing for {', '.join(missing)}")
        return {give.name: _product(name, give, made[give.name]) for give in self.table.give}


def _product(program: str, give: GiveTable, path: Path) -> Any:
    if give.form == "image":
        return results.read_image(program, path)
    if give.form == "catalogue":
        return results.read_catalogue(program, path)
    if give.form == "metrics" and path.suffix == ".xml":
        return results.read_metrics(program, path, prefix=program)
    if not path.is_file():
        raise results.no_output(program, path)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise results.no_output(program, path, f"is no JSON: {error}") from error
    if not isinstance(told, dict):
        raise results.no_output(program, path, "is no JSON object")
    return told if give.form == "value" else _metrics(program, path, told)


def _metrics(program: str, path: Path, told: Mapping[str, Any]) -> dict[str, Measured]:
    """``{"name": number}`` or ``{"name": [number, "unit"]}``."""
    found = {}
    for name, given in told.items():
        value, unit = given if isinstance(given, list) and len(given) == 2 else (given, "")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise results.no_output(program, path, f"has {given!r} for {name!r}: no number")
        found[name] = Measured(float(value), str(unit))
    return found


@dataclass(frozen=True)
class GenericTask(Task):
    """A task made of a file: it travels to workers as the file's text."""

    text: str = ""
    origin: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return declared, (self.text, self.origin)


def declared(text: str, origin: str) -> Task:
    """The task that a wrapper's file declares.

    Raises
    ------
    SetupFault
        ``wrapper.invalid`` naming the file, the key and what is wrong with it.
    """
    table = _read(text, origin)
    _check(table, origin)
    settings = create_model(
        f"{table.name.title().replace('_', '')}Settings",
        __base__=ProgramSettings,
        __doc__=f"Settings of {table.name}.",
        **{name: (type(one.default), _setting(one)) for name, one in table.settings.items()},  # type: ignore[call-overload]
    )
    asked = table.program
    command = table.command[0] if table.command else sys.executable
    if "/" in command and not command.startswith("/"):
        command = str(Path(origin).parent / command)
    program = Program(table.name, (command,), asked.ask, asked.pattern, asked.least, asked.below, asked.install)
    module = str(Path(origin).parent / table.module) if table.module else ""
    needs = tuple(Need(**dict(need)) for need in table.need)
    gives = tuple(Give(one.name, Form(one.form), one.keep, meaning=one.meaning) for one in table.give)
    run = Dressed(table.name, needs, Function(table, program, module))
    return GenericTask(
        table.name,
        table.version,
        table.grain,
        settings,
        needs,
        gives,
        run,
        _Declared(program, table.command, module),
        text,
        origin,
    )


@dataclass(frozen=True)
class _Declared:
    """The program of a wrapper's file: another file is other work, as another version of the program is."""

    program: Program
    command: tuple[str, ...]
    module: str

    @property
    def name(self) -> str:
        """The wrapper's name."""
        return self.program.name

    def version(self) -> str:
        """The version of the program, and its command or the module's bytes; SetupFault ``program.missing``."""
        version = self.program.version()
        if not self.module:
            return f"{version} {json.dumps(self.command)}"
        path = Path(self.module.rpartition(":")[0])
        if not path.is_file():
            message = f"{self.name} ({path}) is not there"
            raise SetupFault("program.missing", message, program=self.name)
        return f"{version} {path.name} {of_file(path)}"


def _setting(one: SettingTable) -> Any:
    limits = {name: getattr(one, name) for name in _LIMITS if getattr(one, name) is not None}
    return setting(one.default, one.meaning, one.unit, **limits)


def _read(text: str, origin: str) -> WrapperTable:
    try:
        return WrapperTable.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _invalid(origin, str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        what = "no such key" if first["type"] == "extra_forbidden" else first["msg"]
        raise _invalid(origin, f"{place}: {what}") from error


def _check(table: WrapperTable, origin: str) -> None:
    """Names that clash, placeholders that stand for nothing, patterns that are none."""
    if bool(table.command) == bool(table.module):
        raise _invalid(origin, "either 'command' or 'module' has to be there")
    if table.command and not all(give.file for give in table.give):
        raise _invalid(origin, "give: 'file' is missing; only a module registers its files itself")
    needs = [need.name for need in table.need]
    own = set(ProgramSettings.model_fields)
    if clash := sorted((set(table.settings) & {*needs, *own}) | {name for name in needs if needs.count(name) > 1}):
        raise _invalid(origin, f"the name {clash[0]!r} is taken twice")
    known = {*table.settings, *needs, *(f"{name}.{kind}" for name in needs for kind in ("weight", "mask", "units"))}
    for word in table.command:
        for name in _PLACE.findall(word):
            if name not in known:
                raise _invalid(
                    origin, f"command: {{{name}}} is neither a setting nor a need ({', '.join(sorted(known))})"
                )
    try:
        re.compile(table.program.pattern)
    except re.error as error:
        raise _invalid(origin, f"program.pattern: {error}") from error
    for name, one in table.settings.items():
        if isinstance(one.default, bool | str) and any(getattr(one, limit) is not None for limit in _LIMITS):
            raise _invalid(origin, f"settings.{name}: only numbers have limits")


def _invalid(origin: str, what: str) -> SetupFault:
    return SetupFault("wrapper.invalid", f"{origin}: {what}", path=origin)


def read_file(path: Path) -> Task:
    """The task of a file, which is called as the file is; SetupFault ``wrapper.invalid``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(str(path), f"cannot be read: {error}") from error
    task = declared(text, str(path))
    if task.name != path.stem:
        raise _invalid(str(path), f"it is called {task.name!r} inside, {path.stem!r} outside")
    return task
