"""A camera as TOML, so that a cropped camera can be ingested with the table that drew it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from spica.core.camera import Camera, DetectorSpec


def as_toml(camera: Camera) -> str:
    """The camera's table as TOML text that `Camera` validates to the same camera (values at their defaults left out)."""
    plain = camera.model_dump(mode="json", exclude_defaults=True)
    detectors = plain.pop("detectors")
    filters = plain.pop("filters")
    lines = [f"{_key(name)} = {_value(value)}" for name, value in plain.items()]
    return "\n".join(lines) + "\n" + _blocks("filters", filters) + _blocks("detectors", detectors)


def detectors_toml(detectors: Iterable[DetectorSpec]) -> str:
    """Detectors as the blocks of a table, all that they hold written out (values at their defaults left out)."""
    return _blocks("detectors", [spec.model_dump(mode="json", exclude_defaults=True) for spec in detectors])


def _blocks(heading: str, rows: Iterable[Mapping[str, Any]]) -> str:
    lines: list[str] = []
    for row in rows:
        lines += ["", f"[[{heading}]]", *(f"{_key(name)} = {_value(value)}" for name, value in row.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
