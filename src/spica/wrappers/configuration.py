"""From a settings class to the ASCII configuration of the AstrOmatic programs: lines ``KEY value``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spica.core.faults import SetupFault
from spica.wrappers.form import ProgramSettings

_OWN = frozenset(ProgramSettings.model_fields)


def configuration(settings: ProgramSettings, **fixed: Any) -> str:
    """The text of a configuration: each setting under its name in capitals, then `more`, then what the task fixes.

    Raises
    ------
    SetupFault
        ``settings.invalid`` where `more` of the settings names a key that the task fixes.
    """
    values = {name.upper(): value for name, value in settings.model_dump().items() if name not in _OWN | {"more"}}
    more: Mapping[str, Any] = {key.upper(): value for key, value in getattr(settings, "more", {}).items()}
    if clash := sorted(set(more) & set(fixed)):
        raise SetupFault("settings.invalid", f"more: {', '.join(clash)} is set by the task itself", setting="more")
    return "".join(f"{key:<22} {word(value)}\n" for key, value in {**values, **more, **fixed}.items())


def word(value: Any) -> str:
    """A value as the programs write it: Y and N, lists with commas."""
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, list | tuple):
        return ",".join(map(word, value))
    return repr(value) if isinstance(value, float) else str(value)


def write(path: Path, settings: ProgramSettings, **fixed: Any) -> Path:
    """Write the configuration; see `configuration`."""
    path.write_text(configuration(settings, **fixed), encoding="ascii")
    return path
