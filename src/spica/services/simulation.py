"""Simulating frames of a sky with known truth."""

from __future__ import annotations

import time
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.settings import Settings, resolve
from spica.files import atomic
from spica.services import kernels
from spica.services.cameras import load
from spica.services.orders import literal
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import locate_if_any
from spica.simulate.settings import SimulationSettings

TABLE = "camera.toml"
"""What the simulator calls the table of the camera as drawn."""


@dataclass(frozen=True)
class Option:
    """Something that can be set."""

    name: str
    default: Any
    unit: str
    meaning: str


@dataclass(frozen=True)
class Simulated:
    """Frames that were drawn.

    Attributes
    ----------
    folder, raw, truth, reference : the order's folder, and what lies in it.
    table : the camera as drawn, where it differs from the table that is known here; `installed`: the survey got it.
    """

    folder: Path
    raw: Path
    truth: Path
    reference: Path
    camera: str
    exposures: int
    files: int
    bytes: int
    pixels: int
    seconds: float
    table: Path | None
    installed: bool


def options() -> tuple[Option, ...]:
    """All that can be set, nested names with a dot."""
    return tuple(_options(SimulationSettings, ""))


def _options(cls: type[Settings], prefix: str) -> Iterator[Option]:
    for name, info in cls.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from _options(inner, f"{prefix}{name}.")
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        default = info.default
        yield Option(f"{prefix}{name}", default, str(extra.get("unit", "")), info.description or "")


def settings_of(given: Mapping[str, str]) -> SimulationSettings:
    """The settings that ``name=value`` pairs make; lists are written with commas.

    Raises
    ------
    SetupFault
        ``settings.unknown`` with the nearest name, ``settings.invalid``.
    """
    plain: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for name, text in given.items():
        outer, dot, field = name.partition(".")
        if dot:
            inner.setdefault(outer, {})[field] = literal(text)
        else:
            plain[name] = _value(name, text)
    for outer, values in inner.items():
        info = SimulationSettings.model_fields.get(outer)
        if info is not None and isinstance(info.annotation, type) and issubclass(info.annotation, Settings):
            plain[outer] = resolve(info.annotation, [("command line", values)], f"simulate.{outer}").settings
        else:
            plain[f"{outer}.{next(iter(values))}"] = next(iter(values.values()))
    settings = resolve(SimulationSettings, [("command line", plain)], "simulate").settings
    assert isinstance(settings, SimulationSettings)  # noqa: S101 - resolve makes what it is given
    return settings


def _value(name: str, text: str) -> Any:
    """A typed value; where a list is expected ``a,b`` will do for ``["a", "b"]``."""
    info = SimulationSettings.model_fields.get(name)
    value = literal(text)
    if info is None or isinstance(value, list) or not _is_tuple(info.annotation):
        return value
    return [literal(part.strip()) for part in text.split(",") if part.strip()]


def _is_tuple(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in {typing.Union, types.UnionType}:
        return any(_is_tuple(part) for part in typing.get_args(annotation))
    return origin is tuple


def simulate(
    target: Path, camera: str, given: Mapping[str, str], folder: Path | None = None, watcher: Watcher = unwatched
) -> Simulated:
    """Draw frames into a folder.

    Parameters
    ----------
    target : folder, made where it is missing.
    camera : name of the camera (the survey's own tables count).
    given : settings by name.

    Raises
    ------
    SetupFault
        ``camera.unknown``, ``settings.unknown``, ``settings.invalid``, ``order.invalid``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    from spica.simulate.survey import simulate as draw

    settings = settings_of(given)
    survey = locate_if_any(folder)
    table = load(camera, survey)
    kernels.prepare(watcher)
    began = time.monotonic()
    done = draw(settings, table, target, lambda count, total, name: watcher(Step("simulate", count, total, name)))
    differs = done.camera != table
    if differs and survey is not None:
        # The same camera with smaller or fewer detectors: the survey reads its frames by the table of what was drawn.
        atomic.write_bytes(survey.folder("cameras") / f"{done.camera.name}.toml", (target / TABLE).read_bytes())
    return Simulated(
        folder=target,
        raw=target / "raw",
        truth=target / "truth",
        reference=done.reference,
        camera=camera,
        exposures=done.exposures,
        files=len(done.raw),
        bytes=sum(path.stat().st_size for path in done.raw),
        pixels=done.pixels,
        seconds=time.monotonic() - began,
        table=target / TABLE if differs else None,
        installed=differs and survey is not None,
    )
