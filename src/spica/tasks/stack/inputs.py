"""What is stacked: each exposure's detector with its way to the tile, its factor, its weight; or why it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.core.streams import Rows
from spica.kernels.projection import Projection
from spica.kernels.resample_way import CHUNK, Way, way
from spica.kernels.stack import Facts
from spica.kernels.wcs import TangentWcs
from spica.kernels.wcs_cards import from_cards
from spica.tasks.stack.settings import StackSettings

Floats = npt.NDArray[np.float64]
_BEYOND = 6
"""Cells by which a mesh is continued."""
_SAMPLED = 16
"""Rows of a variance that tell its level, where no mesh does."""


@dataclass(frozen=True, eq=False)
class Input:
    """One detector that is stacked."""

    unit: str
    rows: Rows
    path: Way
    facts: Facts
    mjd: float
    system: str


@dataclass(frozen=True, eq=False)
class Given:
    """What is known of one detector; None where it is not. `meshed`: the exposures have meshes of their sky."""

    unit: str
    rows: Rows
    solution: Mapping[str, Any] | None
    light: Mapping[str, Any] | None
    mesh: Mapping[str, Any] | None
    meshed: bool = False
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Canvas:
    """The tile: projection and shape (ny, nx)."""

    projection: Projection
    shape: tuple[int, int]


def make(settings: StackSettings, canvas: Canvas, given: Given) -> Input | None:
    """The input of a detector; None where it does not reach the tile.

    Raises
    ------
    DataFault
        ``stack.no-sky``, ``stack.no-solution``, ``stack.no-zero-point``, ``stack.scale``, ``stack.no-weight``,
        ``stack.input``.
    """
    if given.meshed and given.mesh is None:
        raise DataFault("stack.no-sky", f"{given.unit} has no mesh of its sky, as others have", unit=given.unit)
    wcs = _wcs(given)
    _check_scale(settings, canvas, wcs, given)
    shape = given.rows.shape
    try:
        path = way(canvas.projection, canvas.shape, wcs, shape)
    except ValueError as error:
        raise DataFault("stack.scale", f"{given.unit}: {error}", unit=given.unit) from error
    if path is None:
        return None
    seconds = float((given.solution or {}).get("exposure_time") or given.rows.header.get("EXPTIME") or 0.0)
    scale = _scale(settings, given, seconds)
    nodes = path.nodes.copy()
    x, y = nodes[0].ravel(), nodes[1].ravel()
    here = (x > -1e8) & (y > -1e8)
    flat = np.asarray((given.light or {}).get("flat") or (), np.float64)
    if settings.flux == "photometry" and flat.size > 1 and np.any(flat[1:]):
        # It brings half a second of SciPy.
        from spica.kernels.illumination import departure

        size = (given.light or {}).get("size") or (shape[1], shape[0])
        # Beyond the edge a polynomial may run away.
        place = np.clip(x, 0, shape[1] - 1), np.clip(y, 0, shape[0] - 1)
        nodes[2] *= (10 ** (-0.4 * departure(*place, (float(size[0]), float(size[1])), flat))).reshape(nodes[2].shape)
    if given.mesh is not None and settings.background == "mesh":
        nodes[3] = np.where(here, sky_at(np.array(given.mesh["level"], np.float64), shape, x, y), 0.0).reshape(
            nodes[3].shape
        )
    if given.mesh is not None and settings.background == "matched":
        nodes[3] = np.where(here, float(np.median(np.array(given.mesh["level"], np.float64))), 0.0).reshape(
            nodes[3].shape
        )
    area = float(np.median(nodes[2].ravel()[here]))
    noise = _noise(given) * (scale * area) ** 2
    if not noise > 0.0 or not np.isfinite(noise) or not given.weight > 0.0:
        raise DataFault("stack.no-weight", f"{given.unit} has weight nowhere", unit=given.unit)
    start = given.rows.header.get("MJD-OBS")
    mjd = float(start) + 0.5 * seconds / 86400.0 if isinstance(start, int | float) else float("nan")
    return Input(
        *(given.unit, given.rows, path._replace(nodes=nodes), Facts(given.weight / noise, seconds, 0.0, scale), mjd),
        str((given.light or {}).get("scale") or "AB") if settings.flux == "photometry" else "unknown",
    )


def _wcs(given: Given) -> TangentWcs:
    if given.solution is None:
        raise DataFault("stack.no-solution", f"{given.unit} has no sky solution", unit=given.unit)
    try:
        return from_cards(given.solution["cards"])
    except ValueError as error:
        raise DataFault("stack.no-solution", f"{given.unit}: {error}", unit=given.unit) from error


def _check_scale(settings: StackSettings, canvas: Canvas, wcs: TangentWcs, given: Given) -> None:
    ratio = float(np.sqrt(abs(np.linalg.det(wcs.cd) / np.linalg.det(canvas.projection.cd))))
    if not 1.0 / settings.scale_ratio <= ratio <= settings.scale_ratio:
        raise DataFault(
            "stack.scale",
            f"{given.unit}: its pixels are {ratio:.3g} times as wide as the tile's",
            unit=given.unit,
            ratio=ratio,
            limit=settings.scale_ratio,
        )


def card(rows: Rows, name: str) -> Scalar:
    """What an input says under a keyword: its own header, else the one that the observatory delivered; None: nothing."""
    own = rows.header.get(name)
    return rows.delivered().get(name) if own is None else own


def _scale(settings: StackSettings, given: Given, seconds: float) -> float:
    light = given.light
    if settings.flux != "photometry":
        return _told_scale(settings, given)
    if light is None or not np.isfinite(float(light["zero"])) or not seconds > 0.0:
        raise DataFault("stack.no-zero-point", f"{given.unit} has no zero point, or no exposure time", unit=given.unit)
    return float(10.0 ** (0.4 * (settings.magzero - float(light["zero"]))) / seconds)


def _told_scale(settings: StackSettings, given: Given) -> float:
    unit, table = given.unit, settings.flux_table
    if settings.flux == "keyword":
        where = f"under {settings.flux_keyword} in its header, or in the one that was delivered"
        value = card(given.rows, settings.flux_keyword)
    else:
        name = unit.rpartition(":")[2]
        where = f"under {name} or {name.partition('/')[0]} in flux_table"
        value = table.get(name, table.get(name.partition("/")[0]))
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    if not (number > 0.0 and np.isfinite(number)):
        said = "no factor of its flux" if value is None else f"{value!r}, which is no factor,"
        raise DataFault("stack.no-flux-scale", f"{unit} has {said} {where}", unit=unit, by=settings.flux)
    return number


def _noise(given: Given) -> float:
    """Variance of the blank sky: without the light of stars, by which bright ones would weigh less."""
    if given.mesh is not None:
        return float(given.mesh["rms"]) ** 2
    ny = given.rows.shape[0]
    try:
        rows = [
            given.rows.read(y, y + 1, "variance")
            for y in np.unique(np.linspace(0, ny - 1, _SAMPLED).astype(int)).tolist()
        ]
    except (DataFault, OSError) as error:
        raise DataFault("stack.input", f"{given.unit} cannot be read: {error}", unit=given.unit) from error
    values = np.concatenate(rows).ravel().astype(np.float64)
    values = values[np.isfinite(values) & (values > 0.0)]
    return float(np.median(values)) if values.size else 0.0


def sky_at(level: Floats, shape: tuple[int, int], x: Floats, y: Floats) -> Floats:
    """A mesh of the sky at places (n,): cubic between the middles of cells that divide the image evenly, linear beyond."""
    from scipy.ndimage import map_coordinates

    # The spline's own ends lie that far out.
    pad = tuple((_BEYOND, _BEYOND) if size > 1 else (0, 0) for size in level.shape)
    edged = np.pad(level, pad, mode="reflect", reflect_type="odd")
    edged = np.pad(edged, tuple((_BEYOND - low, _BEYOND - low) for low, _ in pad), mode="edge")
    gy, gx = level.shape
    v, u = (y + 0.5) * gy / shape[0] - 0.5, (x + 0.5) * gx / shape[1] - 0.5
    place = (
        np.stack([np.clip(v, -_BEYOND + 1.0, gy + _BEYOND - 2.0), np.clip(u, -_BEYOND + 1.0, gx + _BEYOND - 2.0)])
        + _BEYOND
    )
    return np.asarray(map_coordinates(edged, place, order=3, mode="nearest"), np.float64)


def depth(canvas: Canvas, inputs: list[Input]) -> tuple[int, npt.NDArray[np.int32]]:
    """Most inputs over any pixel, at least; and the inputs over each cell of `CHUNK` pixels."""
    count = np.zeros(tuple(-(-size // CHUNK) for size in canvas.shape), np.int32)
    for each in inputs:
        x, y, step = each.path.nodes[0], each.path.nodes[1], each.path.step
        ny, nx = each.rows.shape
        slack = 2.0 * max(abs(float(np.median(np.diff(x, axis=1)))), abs(float(np.median(np.diff(y, axis=0)))), 1.0)
        near = (x > -slack) & (x < nx + slack) & (y > -slack) & (y < ny + slack)
        rows, columns = np.nonzero(near)
        touched = np.zeros(count.shape, np.bool_)
        for move in (0, -1):
            for side in (0, -1):
                v = (each.path.y0 + (rows + move) * step) // CHUNK
                u = (each.path.x0 + (columns + side) * step) // CHUNK
                good = (v >= 0) & (v < count.shape[0]) & (u >= 0) & (u < count.shape[1])
                touched[v[good], u[good]] = True
        count += touched
    return int(count.max(initial=0)), count


def dated(inputs: list[Input]) -> tuple[list[Input], float]:
    """Inputs with their times counted from the first day among them, and that day [MJD]."""
    days = [each.mjd for each in inputs if np.isfinite(each.mjd)]
    day = float(np.floor(min(days))) if days else 0.0
    middle = float(np.mean(days)) if days else day
    return [
        replace(each, facts=each.facts._replace(epoch=(each.mjd if np.isfinite(each.mjd) else middle) - day))
        for each in inputs
    ], day
