"""Focal plane: one picture of all detectors of an exposure where they stand, with their verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.records import Exposure, Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Member, Need, Products, Task
from spica.kernels.paint import ADVANCE, HEIGHT, Canvas, Colour, place, write

Float64 = npt.NDArray[np.float64]
COLOURS: Mapping[str, Colour] = {"A": (60, 200, 90), "B": (90, 170, 250), "C": (250, 190, 40), "D": (240, 60, 60)}
FAILED: tuple[Colour, Colour] = ((70, 16, 16), (240, 60, 60))
"""Ground and outline of a detector that was delivered and of which there is no picture."""
MISSING: tuple[Colour, Colour] = ((26, 26, 30), (90, 90, 96))
"""The same for a detector that was not delivered."""
GROUND: Colour = (12, 12, 16)
INK: Colour = (225, 225, 225)


class FocalPlaneSettings(Settings):
    """How large the picture is."""

    size: int = setting(1400, "longest side", "pixel", ge=200, le=8000)


def focal_plane(
    settings: FocalPlaneSettings,
    quicklook: tuple[Member, ...],
    verdict: tuple[Member, ...] | None,
    members: tuple[int, ...],
    plane: Mapping[str, Any],
    exposure: Exposure,
) -> Products:
    """Each detector's small picture at its place and orientation, framed in the colour of its verdict.

    Focal-plane x runs to the right, y up. A delivered detector without a picture is dark red and says FAILED, one that
    was not delivered is grey and says NO DATA.

    Returns
    -------
    focal_plane : ``(h, w, 3)`` uint8, bottom row first.
    """
    pictures = {_number(member.unit): member.value for member in quicklook}
    grades = {_number(member.unit): str(member.value["grade"]) for member in verdict or ()}
    detectors = plane["detectors"]
    scale, low, shape = _frame(plane, settings.size)
    canvas = np.empty((*shape, 3), np.uint8)
    canvas[:] = GROUND
    for spec in detectors:
        number = int(spec["id"])
        matrix, origin = _placed(spec, float(plane["pixel_size"]), scale, low)
        size = (int(spec["ny"]), int(spec["nx"]))
        small = pictures.get(number)
        if small is not None:
            grade = grades.get(number, "")
            colour = COLOURS.get(grade, MISSING[1])
            place(canvas, small if small.ndim == 2 else small[..., 0], matrix, origin, size, (colour, _edge(shape)))
            _label(canvas, spec, (matrix, origin, size), f"{spec['name']} {grade}", colour)
        else:
            said, (ground, line) = ("FAILED", FAILED) if number in members else ("NO DATA", MISSING)
            place(canvas, ground, matrix, origin, size, (line, _edge(shape)))
            _label(canvas, spec, (matrix, origin, size), f"{spec['name']} {said}", line)
    _title(canvas, exposure, members, pictures, grades)
    return {"focal_plane": canvas}


def _number(unit: str) -> int:
    return int(unit.rpartition("/")[2])


def _edge(shape: tuple[int, int]) -> float:
    return max(1.5, max(shape) / 500.0)


def _turn(spec: Mapping[str, Any], pixel_size: float) -> Float64:
    """Matrix [mm per pixel] of a detector (see `spica.instruments.geometry.pixel_to_focal`)."""
    angle = np.radians(float(spec["rotation"]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pitch = pixel_size * 1e-3
    return np.asarray(turn @ np.diag([-pitch if spec["flip"] else pitch, pitch]), np.float64)


def _frame(plane: Mapping[str, Any], size: int) -> tuple[float, Float64, tuple[int, int]]:
    """Canvas pixels per mm, the focal-plane place of the lower left corner [mm], and (ny, nx) with room for the title."""
    corners = []
    for spec in plane["detectors"]:
        half = np.array([float(spec["nx"]), float(spec["ny"])]) / 2.0
        signs = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
        corners.append((signs * half) @ _turn(spec, float(plane["pixel_size"])).T + [spec["x_mm"], spec["y_mm"]])
    every = np.concatenate(corners)
    low, high = every.min(axis=0), every.max(axis=0)
    margin = 0.01 * float(np.max(high - low))
    low, high = low - margin, high + margin
    scale = size / float(np.max(high - low))
    width, height = (int(np.ceil(scale * side)) for side in high - low)
    width = max(width, 200)
    return scale, low, (height + _title_height((height, width)), width)


def _placed(spec: Mapping[str, Any], pixel_size: float, scale: float, low: Float64) -> tuple[Float64, Float64]:
    """Matrix and origin from the detector's pixels to the canvas."""
    matrix = scale * _turn(spec, pixel_size)
    centre = scale * (np.array([float(spec["x_mm"]), float(spec["y_mm"])]) - low)
    middle = np.array([(float(spec["nx"]) - 1.0) / 2.0, (float(spec["ny"]) - 1.0) / 2.0])
    return matrix, np.asarray(centre - matrix @ middle, np.float64)


def _label(
    canvas: Canvas, spec: Mapping[str, Any], placed: tuple[Float64, Float64, tuple[int, int]], text: str, colour: Colour
) -> None:
    """Name and verdict in the middle of the lower edge, as large as there is room; the number where the name is long."""
    matrix, origin, (nv, nu) = placed
    corners = np.array([(0.0, 0.0), (nu, 0.0), (nu, nv), (0.0, nv)]) @ matrix.T + origin
    (x0, y0), (x1, _) = corners.min(axis=0), corners.max(axis=0)
    room = x1 - x0 - 8
    if len(text) * ADVANCE > room:
        text = f"{spec['id']} {text.rpartition(' ')[2]}"
    size = int(min(max(room // (len(text) * ADVANCE), 1), max(canvas.shape) // 450 + 1))
    x = 0.5 * (x0 + x1) - 0.5 * len(text) * ADVANCE * size
    write(canvas, text, round(float(x)), round(float(y0)) + 3 + 2 * size, colour, size)


def _title_height(shape: tuple[int, int]) -> int:
    return (HEIGHT + 6) * max(1, shape[1] // 500)


def _title(
    canvas: Canvas,
    exposure: Exposure,
    members: tuple[int, ...],
    pictures: Mapping[int, object],
    grades: Mapping[int, str],
) -> None:
    """The exposure's name and filter, and how many detectors have which grade, above all."""
    size = max(1, canvas.shape[1] // 500)
    y = canvas.shape[0] - (HEIGHT + 3) * size
    x = 4 * size
    words = [(f"{exposure.name} {exposure.band} {exposure.exposure_time:.0f}S", INK)]
    words += [
        (f"{grade}:{n}", colour) for grade, colour in COLOURS.items() if (n := list(grades.values()).count(grade))
    ]
    failed = len(set(members) - set(pictures))
    words += [(f"FAILED:{failed}", FAILED[1])] if failed else []
    for text, colour in words:
        write(canvas, text, x, y, colour, size, shade=False)
        x += (len(text) + 2) * ADVANCE * size


TASK = Task(
    name="focal_plane",
    version=1,
    grain=Grain.EXPOSURE,
    settings=FocalPlaneSettings,
    needs=(
        Need("quicklook", grain=Grain.DETECTOR, quorum=1),
        Need("verdict", grain=Grain.DETECTOR, quorum=1, optional=True),
        Need("members", source="members"),
        Need("plane", source="camera", section="focal plane"),
        Need("exposure", source="exposure"),
    ),
    gives=(Give("focal_plane", Form.PICTURE, meaning="all detectors of an exposure where they stand, with verdicts"),),
    run=focal_plane,
)
