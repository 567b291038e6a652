"""Map of a stack's point spread function: what its model says cell by cell, beside the exposures that lie there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault
from spica.core.psf import PsfModel, width_and_domain
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.core.tiles import Tile
from spica.kernels.projection import projection
from spica.kernels.psf_look import places_over, shapes_at
from spica.kernels.wcs import TangentWcs, sky_to_pixel
from spica.kernels.wcs_cards import from_cards

Floats = npt.NDArray[np.float64]
ARCSEC = 3600.0
Members = tuple[Member, ...] | None


class PsfMapSettings(Settings):
    """How fine the map is."""

    cell: int = setting(256, "side of a cell of the map", "pixel", ge=16, le=10000)


def psf_map(
    settings: PsfMapSettings, tile: Tile, stack_psf: Catalogue, psf: Members, sky_solution: Members, sky_mesh: Members
) -> Products:
    """Width and shape of a stack's model over the tile, and the widths of the exposures that lie at each place.

    A model is smooth, but where an exposure ends the stack's true profile jumps: `fwhm_exposures`, their mean by the weight of their skies,
    and its extremes tell where, and by how much.

    Parameters
    ----------
    stack_psf : the stack's model.
    psf, sky_solution, sky_mesh : of each detector; of the models only headers are read.

    Returns
    -------
    psf_map : Catalogue, a row for each cell, from below.
    psf_map_figures : metrics: extremes of the model's width, and the largest part by which the exposures' mean width departs from its median.
    """
    model = PsfModel.from_catalogue(stack_psf)
    canvas = projection(tile.cards)
    pixel = ARCSEC * float(np.sqrt(abs(np.linalg.det(canvas.cd))))
    x, y = places_over((tile.ny, tile.nx), -(-tile.nx // settings.cell), -(-tile.ny // settings.cell))
    ra, dec = canvas.pixel_to_sky(x, y)
    found = shapes_at(model.coefficients, model.values(x, y), model.sampling, model.fwhm)
    seen = _exposures(ra, dec, psf or (), sky_solution or (), sky_mesh or ())
    place = {"x": x, "y": y, "ra": ra, "dec": dec}
    shape = {"fwhm": found.fwhm * pixel, "e1": found.e1, "e2": found.e2, "beta": found.beta}
    columns = place | shape | seen
    typed = {name: np.asarray(columns[name]).astype(each.dtype) for name, each in DECLARED.items()}
    return {"psf_map": Catalogue(typed, {}, DECLARED), "psf_map_figures": _figures(typed)}


def _exposures(
    ra: Floats, dec: Floats, psf: tuple[Member, ...], solution: tuple[Member, ...], mesh: tuple[Member, ...]
) -> dict[str, Floats]:
    """Of the detectors at each place: how many, the mean of their widths by weight, the least and the largest [arcsec]."""
    solutions = {each.unit: each.value for each in solution}
    skies = {each.unit: float(each.value["rms"]) for each in mesh}
    count, total, sum_ = np.zeros(ra.size), np.zeros(ra.size), np.zeros(ra.size)
    least, largest = np.full(ra.size, np.inf), np.full(ra.size, -np.inf)
    # The same whatever the order in which they come.
    for each in sorted(psf, key=lambda each: each.unit):
        if each.unit not in solutions:
            continue
        wcs = _wcs(each.unit, solutions[each.unit])
        fwhm, centre, scale = width_and_domain(each.value.header)
        u, v = sky_to_pixel(wcs, ra, dec)
        # The model's domain is the detector.
        inside = (np.abs(u - centre[0]) <= scale[0]) & (np.abs(v - centre[1]) <= scale[1])
        width = fwhm * ARCSEC * float(np.sqrt(abs(np.linalg.det(wcs.cd))))
        weight = 1.0 / max(skies.get(each.unit, 1.0), 1e-30) ** 2
        count[inside] += 1.0
        total[inside] += weight
        sum_[inside] += weight * width
        least[inside], largest[inside] = np.minimum(least[inside], width), np.maximum(largest[inside], width)
    none = count == 0.0
    mean = np.divide(sum_, total, out=np.full(ra.size, np.nan), where=~none)
    least[none] = largest[none] = np.nan
    return {"exposures": count, "fwhm_exposures": mean, "fwhm_least": least, "fwhm_largest": largest}


def _wcs(unit: str, solution: Mapping[str, Any]) -> TangentWcs:
    try:
        return from_cards(solution["cards"])
    except ValueError as error:
        raise DataFault("stack.no-solution", f"{unit}: {error}", unit=unit) from error


def _figures(columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, Measured]:
    there = np.isfinite(columns["fwhm"]) & (columns["exposures"] > 0)
    if not there.any():
        return {}
    model, mean = columns["fwhm"][there], columns["fwhm_exposures"][there]
    middle = float(np.median(mean))
    return {
        "psf_map_least": Measured(float(model.min()), "arcsec"),
        "psf_map_largest": Measured(float(model.max()), "arcsec"),
        "psf_map_jump": Measured(float(np.abs(mean / middle - 1.0).max())),
    }


DECLARED = {
    column.name: column
    for column in (
        Column("x", "f4", "pixel", "pos.cartesian.x", "middle of the cell, from 0"),
        Column("y", "f4", "pixel", "pos.cartesian.y", "middle of the cell, from 0"),
        Column("ra", "f8", "deg", "pos.eq.ra;meta.main", "right ascension of the middle"),
        Column("dec", "f8", "deg", "pos.eq.dec;meta.main", "declination of the middle"),
        Column("fwhm", "f4", "arcsec", "phys.angSize;instr.det.psf", "full width of the stack's model at half maximum"),
        Column("e1", "f4", "", "phys.size.axisRatio", "distortion of the model along the tile's x"),
        Column("e2", "f4", "", "phys.size.axisRatio", "distortion of the model at 45 degrees"),
        Column("beta", "f4", "", "stat.fit.param", "exponent of the Moffat profile that the model is like"),
        Column("exposures", "i4", "", "meta.number;obs.exposure", "detectors with a model that lie there"),
        Column("fwhm_exposures", "f4", "arcsec", "phys.angSize;stat.mean", "mean width of their models, by weight"),
        Column("fwhm_least", "f4", "arcsec", "phys.angSize;stat.min", "the least of their widths"),
        Column("fwhm_largest", "f4", "arcsec", "phys.angSize;stat.max", "the largest of their widths"),
    )
}

TASK = Task(
    name="psf_map",
    version=1,
    grain=Grain.TILE_BAND,
    settings=PsfMapSettings,
    needs=(
        Need("tile", source="tile"),
        Need("stack_psf"),
        Need("psf", grain=Grain.DETECTOR, stream=True, quorum=1, optional=True),
        Need("sky_solution", grain=Grain.DETECTOR, quorum=1, optional=True),
        Need("sky_mesh", grain=Grain.DETECTOR, quorum=1, optional=True),
    ),
    gives=(
        Give("psf_map", Form.CATALOGUE, meaning="a stack's point spread function cell by cell, and its exposures'"),
        Give("psf_map_figures", Form.METRICS, meaning="how a stack's point spread function varies and jumps"),
    ),
    run=psf_map,
)
