"""Deliberately bad files: what goes wrong in deliveries, made to order."""

from __future__ import annotations

from pathlib import Path

from spica.core.camera import Camera
from spica.core.records import Scalar

FILE_DRILLS = frozenset({"truncated", "bit-flip", "empty", "not-fits"})


def spoiled_cards(cards: dict[str, Scalar], camera: Camera, drill: str) -> dict[str, Scalar]:
    """The primary cards with the fault of a header drill; any other drill leaves them as they are."""
    if drill == "missing-keyword":
        gone = _keywords(camera, "exposure_time")
        return {key: value for key, value in cards.items() if key not in gone}
    if drill == "absurd-keyword":
        return {**cards, **dict.fromkeys(_keywords(camera, "exposure_time"), -5.0)}
    if drill == "unknown-filter":
        return {**cards, **dict.fromkeys(_keywords(camera, "filter"), "no-such-filter")}
    if drill == "wrong-camera":
        return {**cards, **{key: "no-such-camera" for key in camera.recognise if not key.startswith("@")}}
    return cards


def _keywords(camera: Camera, name: str) -> tuple[str, ...]:
    """Keywords of a property; the usual ones where a translator reads it and the table has no rule."""
    rule = camera.header.get(name)
    if rule is not None and rule.keyword:
        return rule.keyword
    return {"exposure_time": ("EXPTIME",), "filter": ("FILTER",)}[name]


def spoil(path: Path, drill: str) -> None:
    """Damage a written file as a file drill says; any other drill leaves it as it is."""
    if drill not in FILE_DRILLS:
        return
    data = path.read_bytes()
    if drill == "truncated":
        data = data[: len(data) * 6 // 10]
    elif drill == "bit-flip":
        # In the last third of the file: pixels, not headers.
        place = len(data) * 5 // 6
        data = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
    elif drill == "empty":
        data = b""
    else:
        data = b"This is a note about the weather, not an image.\n" * 40
    path.write_bytes(data)
