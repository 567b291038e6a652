"""Settings: one strict class per task, layered from several sources, every value remembering where it came from.

Layers, weakest first: the class's default, the camera table, the pipeline, survey.toml, the command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spica.core.faults import SetupFault


class Settings(BaseModel):
    """Base of all settings classes: frozen, strict, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoSettings(Settings):
    """For tasks that have nothing to set."""


def setting(default: Any, meaning: str, unit: str = "", **limits: Any) -> Any:
    """Declare a setting: default, one line of meaning, unit, and pydantic limits (ge, gt, le, lt)."""
    return Field(default=default, description=meaning, json_schema_extra={"unit": unit}, **limits)


@dataclass(frozen=True)
class Resolved:
    """Settings as they are used, and the layer that each field's value came from."""

    settings: Settings
    sources: Mapping[str, str]

    def plain(self) -> dict[str, Any]:
        """JSON-able values, for keys and provenance."""
        return self.settings.model_dump(mode="json")


def resolve(cls: type[Settings], layers: Iterable[tuple[str, Mapping[str, Any]]], owner: str) -> Resolved:
    """Fold layers (name, values), weakest first, into one validated instance of `cls`.

    Raises
    ------
    SetupFault
        ``settings.unknown`` with the nearest name, ``settings.invalid`` with what is allowed.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(cls.model_fields, "default")
    for layer, given in layers:
        for name, value in given.items():
            if name not in cls.model_fields:
                raise unknown(name, cls.model_fields, owner, layer)
            values[name] = value
            sources[name] = layer
    try:
        settings = cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SetupFault(
            "settings.invalid",
            f"{owner}.{name}: {first['msg']} (got {first.get('input')!r}, from {sources.get(name, 'default')})",
            setting=f"{owner}.{name}",
        ) from error
    return Resolved(settings, sources)


def unknown(name: str, known: Iterable[str], owner: str, layer: str) -> SetupFault:
    """The fault for an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return SetupFault(
        "settings.unknown",
        f"{owner} has no setting {name!r} (from {layer}){hint}",
        setting=f"{owner}.{name}",
        nearest=near[0] if near else "",
    )
