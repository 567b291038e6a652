"""Stack: exposures resampled onto a tile and combined, by bands of rows, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spica.core.faults import DataFault
from spica.core.records import Grain, Scalar, Unit
from spica.core.streams import Banded
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.correlation import of_resampling
from spica.kernels.projection import projection
from spica.tasks.stack.bands import Quality, bands
from spica.tasks.stack.homogenised import homogenised
from spica.tasks.stack.inputs import Canvas, Given, Input, dated, depth, make
from spica.tasks.stack.keywords import Source, propagated, understood
from spica.tasks.stack.matching import matched
from spica.tasks.stack.settings import StackSettings

_READ = 256
Members = tuple[Member, ...] | None


def stack(
    settings: StackSettings,
    unit: Unit,
    tile: Any,
    inputs: Mapping[str, Any] | None,
    science: tuple[Member, ...],
    sky_solution: Members,
    light: Members,
    sky_mesh: Members,
) -> Products:
    """Exposures resampled onto the tile and combined, each with its sky taken off, on one scale, by its weight.

    Parameters
    ----------
    tile : `spica.core.tiles.Tile`.
    inputs : by unit: `weight`, a factor beside that of the noise (1 where it is not told).
    science : `Rows` per detector [electron].
    sky_solution, light, sky_mesh : values per detector, as `express`, `magnitudes` and `background` give them.

    Returns
    -------
    stack : Banded: science [1 unit: magnitude MAGZERO of the system MAGSYS], variance, mask, and number of exposures, time [s], epoch [day
        since MJDREF]. Where there is nothing: NaN, infinity, NO_DATA, 0.
    stack_quality : metrics; complete when the last band has been taken.

    Raises
    ------
    DataFault
        ``stack.nothing`` where no exposure reaches the tile; ``stack.no-solution``, ``stack.no-zero-point``, ``stack.scale``,
        ``stack.no-sky``, ``stack.no-flux-scale``, ``stack.no-weight``, ``stack.input`` with the name of an input, unless those are to be left out;
        ``stack.mixed-scales`` where zero points are of different systems.
    """
    canvas = Canvas(projection(tile.cards), (int(tile.ny), int(tile.nx)))
    solutions, lights, meshes = (
        {each.unit: each.value for each in given or ()} for given in (sky_solution, light, sky_mesh)
    )
    given = [
        Given(
            *(each.unit, each.value, solutions.get(each.unit), lights.get(each.unit), meshes.get(each.unit)),
            sky_mesh is not None,
            float(((inputs or {}).get(each.unit) or {}).get("weight", 1.0)),
        )
        # The same whatever the order in which they come.
        for each in sorted(science, key=lambda each: each.unit)
    ]
    used, left_out = _usable(settings, canvas, given)
    if not used:
        raise DataFault(
            "stack.nothing",
            f"{unit}: none of {len(science)} exposures of a detector can be stacked on the tile"
            + "".join(f"; {name}: {code}" for name, code in left_out.items()),
            exposures=len(science),
            left_out=len(left_out),
        )
    _refuse_mixed(unit, used)
    used, day = dated(used)
    deep, _ = depth(canvas, used)
    quality = Quality()
    if settings.background == "matched":
        used, told = matched(settings.match_order, canvas, used)
        quality.update(told)
    quality["stack_inputs"] = Measured(float(len(used)))
    quality["stack_left_out"] = Measured(float(len(left_out)))
    cards = _cards(settings, canvas, used, left_out, day, without_sky=sky_mesh is None)
    if settings.propagate:
        more, lost = propagated(understood(settings.propagate), [_source(each) for each in used])
        cards |= more
        quality["stack_cards_left_out"] = Measured(float(lost))
    return {
        "stack": Banded(canvas.shape, bands(settings, canvas, used, deep, quality), cards),
        "stack_quality": quality,
    }


def _usable(settings: StackSettings, canvas: Canvas, given: list[Given]) -> tuple[list[Input], dict[str, str]]:
    """What reaches the tile; and by name the code of why another cannot be used, where that is to be left out."""
    used: list[Input] = []
    left_out: dict[str, str] = {}
    for each in given:
        try:
            made = make(settings, canvas, each)
            if made is not None and settings.lost != "fail":
                _read_once(made)
        except DataFault as fault:
            if settings.lost == "fail":
                raise
            left_out[each.unit] = fault.code
            continue
        if made is not None:
            used.append(made)
    return used, left_out


def _refuse_mixed(unit: Unit, used: list[Input]) -> None:
    systems = {each.system: each.unit for each in reversed(used)}
    if len(systems) > 1:
        told = "; ".join(f"{unit}: {system}" for system, unit in sorted(systems.items()))
        raise DataFault(
            "stack.mixed-scales", f"{unit}: zero points of different systems cannot be stacked ({told})", systems=told
        )


def _source(made: Input) -> Source:
    # Each input's headers are read once, whatever is asked for.
    delivered = made.rows.delivered()
    exposure = made.unit.rpartition(":")[2].partition("/")[0]
    return Source(exposure, made.mjd, (dict(delivered) | dict(made.rows.header)).get)


def _read_once(made: Input) -> None:
    """See that all rows of an input can be read: what is left out has to be told before the first band is written."""
    rows = made.rows
    for y0 in range(0, rows.shape[0], _READ):
        for plane in ("science", "variance"):
            try:
                rows.read(y0, min(y0 + _READ, rows.shape[0]), plane)
            except (DataFault, OSError, KeyError) as error:
                raise DataFault("stack.input", f"{made.unit} cannot be read: {error}", unit=made.unit) from error


def _pixel_ratio(used: list[Input]) -> float:
    """Width of the exposures' pixels in those of the tile, its mean square by weight: large sums see the noise of whole pixels."""
    total = square = 0.0
    for each in used:
        x, _, area, _ = each.path.nodes
        here = x > -1e8
        total += each.facts.weight
        square += each.facts.weight / float(np.median(area[here]))
    return float(np.sqrt(square / total))


def _cards(
    settings: StackSettings,
    canvas: Canvas,
    used: list[Input],
    left_out: Mapping[str, str],
    day: float,
    *,
    without_sky: bool,
) -> dict[str, Scalar]:
    ratio = round(_pixel_ratio(used), 4)
    alike = homogenised([(each.rows.header, each.facts.weight) for each in used])
    cards: dict[str, Scalar] = {
        **canvas.projection.cards(),
        "BUNIT": "",
        "MAGZERO": settings.magzero,
        "MAGSYS": used[0].system,
        "BACKMETH": "none" if without_sky and settings.background == "mesh" else settings.background,
        "NCOMBINE": len(used),
        "NLEFTOUT": len(left_out),
        "COMBINE": settings.method,
        "RESAMPLE": settings.kernel,
        "PIXRATIO": ratio,
        "NOISECOR": round(
            float(np.sqrt(of_resampling(settings.kernel, ratio).sum())) / float(alike.get("HOMONOIS", 1.0)), 5
        ),
        "MJDREF": day,
        "EXPTIME": float(
            np.sum([each.facts.time for each in {each.unit.rpartition("/")[0]: each for each in used}.values()])
        ),
    }
    cards |= alike
    cameras = sorted({str(each.rows.header.get("INSTRUME") or "") for each in used} - {""})
    if cameras:
        cards["INSTRUME"] = ", ".join(cameras)
    if settings.flux != "photometry":
        cards["FLUXFROM"] = f"keyword {settings.flux_keyword}" if settings.flux == "keyword" else "table"
    return cards | {f"LEFT{number:02d}": f"{name} {code}" for number, (name, code) in enumerate(left_out.items(), 1)}


TASK = Task(
    name="stack",
    version=11,
    grain=Grain.TILE_BAND,
    settings=StackSettings,
    needs=(
        Need("unit", source="unit"),
        Need("tile", source="tile"),
        Need("inputs", source="inputs", optional=True),
        Need("science", grain=Grain.DETECTOR, stream=True, quorum=1),
        Need("sky_solution", grain=Grain.DETECTOR, quorum=1, optional=True),
        Need("light", grain=Grain.DETECTOR, quorum=1, optional=True),
        Need("sky_mesh", grain=Grain.DETECTOR, quorum=1, optional=True),
    ),
    gives=(
        Give("stack", Form.IMAGE, stream=True, meaning="the sky of the tile in the band, from all exposures chosen"),
        Give("stack_quality", Form.METRICS, meaning="inputs, coverage, exposure time, noise, share of clipped pixels"),
    ),
    run=stack,
)
