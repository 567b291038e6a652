"""From the compact TOML form of a camera table to the plain mapping that `core.camera.Camera` validates.

The compact form says each fact once. ``[types.NAME]`` holds what many detectors share (size, amplifiers, crosstalk,
raft …); every ``[[detectors]]`` block names its type and lists its detectors as `rows` under `columns`, so that a
detector is one line. The columns `gain`, `read_noise` and `saturation` (one number, or one per amplifier) override the
amplifiers of the type; strings of `hdus` may hold ``{id}``, ``{name}`` and ``{raft}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_PER_AMPLIFIER = ("gain", "read_noise", "saturation", "linear_limit", "linearity")


def expand(table: Mapping[str, Any]) -> dict[str, Any]:
    """The plain form of a compact table; ValueError names what cannot be expanded.

    A table whose `detectors` are plain already comes back with the same content.
    """
    plain = {key: value for key, value in table.items() if key not in {"types", "detectors", "extends"}}
    types = table.get("types", {})
    plain["detectors"] = [detector for block in table.get("detectors", ()) for detector in _block(block, types)]
    return plain


def _block(block: Mapping[str, Any], types: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {key: value for key, value in block.items() if key not in {"type", "columns", "rows"}}
    if "type" in block:
        if block["type"] not in types:
            msg = f"detector type {block['type']!r} is not among [types] ({', '.join(sorted(types)) or 'none'})"
            raise ValueError(msg)
        shared = {**types[block["type"]], **shared}
    if "rows" not in block:
        yield _detector(shared)
        return
    columns = block.get("columns", [])
    for row in block["rows"]:
        if len(row) != len(columns):
            msg = f"detector row {row} has {len(row)} values for the {len(columns)} columns {columns}"
            raise ValueError(msg)
        yield _detector({**shared, **dict(zip(columns, row, strict=True))})


def _detector(values: dict[str, Any]) -> dict[str, Any]:
    detector = {key: value for key, value in values.items() if key not in _PER_AMPLIFIER}
    words = {key: detector.get(key, "") for key in ("id", "name", "raft")}
    detector["hdus"] = [hdu.format(**words) if isinstance(hdu, str) else hdu for hdu in detector.get("hdus", ())]
    amplifiers = [dict(amplifier) for amplifier in detector.get("amplifiers", ())]
    for name in _PER_AMPLIFIER:
        if name in values:
            for amplifier, value in zip(amplifiers, _spread(values[name], len(amplifiers), name, words), strict=True):
                amplifier[name] = value
    detector["amplifiers"] = amplifiers
    return detector


def _spread(value: Any, count: int, name: str, words: Mapping[str, Any]) -> list[Any]:
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        msg = f"detector {words['name'] or words['id']}: {len(value)} values of {name} for {count} amplifiers"
        raise ValueError(msg)
    return value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` laid on top: tables are merged key by key, anything else is replaced.

    `recognise` is replaced as a whole: a camera that extends another must not need to look like it.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and key != "recognise":
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged
