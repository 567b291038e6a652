"""The photometric side of a joint solution: zero points band by band."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.reference import ReferenceFlag
from spica.core.systems import Magnitudes, Systems, magnitudes_in
from spica.kernels.associate import unit_vectors
from spica.kernels.focal_model import Mosaic
from spica.kernels.illumination import MOST_TERMS, departure
from spica.kernels.joint import Identified
from spica.kernels.joint_astrometry import Fit
from spica.kernels.joint_photometry import (
    Fluxes,
    Frames,
    PhotometryFit,
    PhotometryOptions,
    Standards,
    adjust_photometry,
)  # fmt: skip
from spica.tasks.solve.inputs import Floats, Inputs, Integers
from spica.tasks.solve.outputs import Light
from spica.tasks.solve.settings import SolveSettings

_PER_MAG = 2.5 / np.log(10.0)
_ARCSEC = np.pi / 648_000.0
LOOSE = 0.5
"""A zero point of a larger error is tied to nothing [mag]."""
_DOUBTFUL = ReferenceFlag.VARIABLE | ReferenceFlag.DUPLICATED | ReferenceFlag.EXTENDED | ReferenceFlag.POOR_PHOTOMETRY

Solved = tuple[Mosaic, Identified, Fit]


class _Detections(NamedTuple):
    """Those of one band that are bright enough: rows of the solution, electrons per second and errors."""

    rows: Integers
    flux: Floats
    error: Floats


def brightness(
    settings: SolveSettings, inputs: Inputs, solved: Solved, standards: Catalogue | None, systems: Systems | None
) -> Light:
    """Zero points, band by band, tied to the standards that are found among the sources of the solution."""
    mosaic, found, _ = solved
    images, count = mosaic.exposure.size, found.seen.group.size
    light = Light(
        *(np.full(images, np.nan), np.full(images, np.nan), np.full(images, np.nan)),
        *(np.zeros((images, MOST_TERMS)), np.zeros((images, MOST_TERMS)), np.full(images, -1)),
        *(np.full(count, np.nan, "f4"), np.full(count, np.nan, "f4"), np.full(count, np.nan, "f4")),
        used=np.zeros(count, bool),
        chi2=float("nan"),
        floor=0.0,
        departure=0.0,
        told={},
        island=np.full(images, -1),
        island_ties=np.zeros(images, np.int64),
    )
    flux, error = inputs.flux[found.rows], inputs.flux_err[found.rows]
    names, number = np.unique([record.band for record in inputs.exposures], return_inverse=True)
    band = number.astype(np.int16)[mosaic.exposure][found.seen.image]
    star = _standard_of(settings, solved, standards)
    for place, name in enumerate(names.tolist()):
        rows = np.flatnonzero((band == place) & (flux > settings.least_photometric_snr * error))
        if rows.size:
            known = _known(settings, name, standards, systems)
            chosen = _Detections(rows, flux[rows], error[rows])
            light = _band(settings, inputs, solved, light, (name, chosen, known, star))
    return light


def _known(settings: SolveSettings, band: str, standards: Catalogue | None, systems: Systems | None) -> Magnitudes:
    """Magnitudes of the standards in a band, all NaN where nothing tells of it; errors with the scatter of the relation."""
    stars = standards if standards is not None else Catalogue({"ra": np.zeros(0)})
    column = settings.reference_magnitude
    known = magnitudes_in(systems or Systems(), band, stars, column=column, colour=settings.colour)
    nothing = np.full(len(stars), np.nan)
    if known is None:
        return Magnitudes(nothing, nothing, 0.0, nothing, ("", ""), 0.0, "unknown", "nothing: zero points are relative")
    given = np.isfinite(known.error) & (known.error > 0.0)
    error = np.hypot(np.where(given, known.error, settings.reference_magnitude_error), known.scatter)
    return replace(known, error=error)


def _standard_of(settings: SolveSettings, solved: Solved, standards: Catalogue | None) -> Integers:
    """Which standard each source of the solution is, -1 for none: each other's nearest within the radius."""
    fit = solved[2]
    out = np.full(len(fit.centre), -1, np.int64)
    if standards is None or len(standards) == 0 or len(out) == 0:
        return out
    rows = np.isfinite(standards["ra"]) & np.isfinite(standards["dec"])
    if "flags" in standards.columns:
        rows &= (standards["flags"].astype(np.int64) & _DOUBTFUL) == 0
    number = np.flatnonzero(rows)
    direction = unit_vectors(np.asarray(standards["ra"][rows], float), np.asarray(standards["dec"][rows], float))
    if number.size == 0:
        return out
    groups = np.flatnonzero(np.all(np.isfinite(fit.centre), axis=1))
    away, there = cKDTree(direction).query(fit.centre[groups], distance_upper_bound=settings.radius * _ARCSEC)
    near = np.isfinite(away)
    groups, there = groups[near], there[near]
    _, back = cKDTree(fit.centre[groups]).query(direction[there]) if groups.size else (None, np.zeros(0, np.int64))
    mutual = back == np.arange(groups.size)
    out[groups[mutual]] = number[there[mutual]]
    return out


def _band(
    settings: SolveSettings,
    inputs: Inputs,
    solved: Solved,
    light: Light,
    chosen: tuple[str, _Detections, Magnitudes, Integers],
) -> Light:
    """Add the zero points of one band."""
    mosaic, found, _ = solved
    name, (rows, flux, error), known, star = chosen
    seen = found.seen
    image = seen.image[rows]
    new = np.diff(seen.group[rows], prepend=-1) > 0
    groups, group = seen.group[rows[new]], np.cumsum(new, dtype=np.int32) - np.int32(1)
    standard = star[groups]
    mag, hue = (
        np.where(standard >= 0, values[standard], np.nan) if values.size else np.full(groups.size, np.nan)
        for values in (known.mag, known.colour)
    )
    coloured = settings.colour is not None
    tied = np.flatnonzero(np.isfinite(mag) & (np.isfinite(hue) | (not coloured)))
    exposure, count = mosaic.exposure[image], len(inputs.exposures)
    island, standards = _islands(exposure, group, (count, groups.size), np.isfinite(mag), settings.least_matches)
    frames = Frames(
        *(mosaic.exposure, mosaic.sensor, mosaic.size, mosaic.context),
        _nights(settings, inputs),
        np.array([record.airmass or 1.0 for record in inputs.exposures]),
        np.where(standards > 0, -1, island),
    )
    colour = np.nan_to_num(hue, nan=0.0)[group] if coloured else np.broadcast_to(np.float32(0.0), rows.size)
    fluxes = Fluxes(
        *(group, image, seen.x[rows].astype(np.float32), seen.y[rows].astype(np.float32)),
        *(-2.5 * np.log10(flux), _PER_MAG * error / flux, colour),
    )
    ties = Standards(tied, mag[tied], known.error[standard[tied]] if tied.size else np.zeros(0))
    options = PhotometryOptions(
        settings.flat_degree, settings.clip, grey=settings.grey, colour=coloured, fit_floor=settings.fit_floor
    )
    fit = adjust_photometry(frames, fluxes, ties, options)
    _fill(light, mosaic, (rows, image, fluxes), fit, tied.size)
    for target, of in ((light.island, island), (light.island_ties, standards)):
        target[image] = of[exposure]
    told: dict[str, Any] = {
        "scale": known.scale if tied.size else "relative",
        "magnitudes": known.statement,
        "standards": int(tied.size),
    }
    told |= _ties_told(inputs, np.unique(exposure), island, standards, fit)
    return replace(
        light,
        chi2=fit.chi2 / max(fit.freedom, 1.0),
        floor=fit.floor,
        departure=max(light.departure, fit.image_scatter),
        told=light.told | {name: told},
    )


def _islands(
    exposure: Integers, group: Integers, size: tuple[int, int], standard: npt.NDArray[np.bool_], least: int
) -> tuple[Integers, Integers]:
    """How the exposures of a band hang together by the sources that they share, `least` of them at least.

    Returns
    -------
    (exposures,) number of the island, and how many sources with a known magnitude its exposures see.
    """
    sees = coo_array((np.ones(exposure.size, np.int64), (exposure, group)), size).tocsr()
    common = (sees @ sees.T).tocoo()
    strong = common.data >= least
    graph = coo_array((np.ones(int(strong.sum()), np.int8), (common.row[strong], common.col[strong])), (size[0],) * 2)
    part = connected_components(graph, directed=False)[1].astype(np.int64)
    seen = np.bincount(part[exposure], standard[group], int(part.max(initial=0)) + 1)
    return part, seen[part].astype(np.int64)


def _ties_told(
    inputs: Inputs, there: Integers, island: Integers, standards: Integers, fit: PhotometryFit
) -> dict[str, Any]:
    """Where a band is weakly tied: its islands, the weakest zero point of each, and exposures that nothing ties."""
    islands = [
        {
            "exposures": [inputs.exposures[number].name for number in there[island[there] == each]],
            "standards": int(standards[there[island[there] == each]][0]),
            "weakest": float(np.max(fit.zero_err[there[island[there] == each]])),
        }
        for each in np.unique(island[there])
    ]
    loose = {
        inputs.exposures[number].name: {"code": "solve.loose", "error": float(fit.zero_err[number])}
        for number in there[fit.zero_err[there] >= LOOSE]
    }
    nights = [
        {"zero_point": float(zero), "extinction": float(slope)}
        for zero, slope in zip(fit.night_zero, fit.night_extinction, strict=True)
    ]
    clouds = {inputs.exposures[number].name: bool(fit.clouded[number]) for number in there} if nights else {}
    return {"islands": islands, "loose": loose, "nights": nights, "clouded": clouds}


def _fill(light: Light, mosaic: Mosaic, seen: tuple[Integers, Integers, Fluxes], fit: PhotometryFit, ties: int) -> None:
    """Write the results of a band into the places of its images and detections."""
    rows, image, fluxes = seen
    images = np.unique(image)
    zero = fit.zero[mosaic.exposure] + fit.sensors[mosaic.sensor, 0]
    for target, values in (
        (light.zero, zero),
        (light.zero_err, fit.image_err),
        (light.tied, np.where(fit.zero_err[mosaic.exposure] < LOOSE, int(ties > 0), 0)),
    ):
        target[images] = values[images]
    for table, each in ((light.flat, fit.sensors), (light.flat_err, fit.sensors_err)):
        # The constant is part of the zero point.
        table[images, 1 : each.shape[1]] = each[mosaic.sensor[images], 1:]
    flat = np.zeros(rows.size)
    if fit.sensors.shape[1] > 1:
        for number, here in enumerate(rows_of(image, mosaic.exposure.size)):
            size = (mosaic.size[number, 0], mosaic.size[number, 1])
            flat[here] = departure(fluxes.x[here], fluxes.y[here], size, light.flat[number])
    for target, values in (
        (light.mag, fluxes.mag + zero[image] + flat),
        (light.off, fit.residual),
        (light.pull, fit.seen_pull),
        (light.used, fit.seen > 0.0),
    ):
        target[rows] = values
    bright = (fit.seen > 0.0) & (fluxes.sigma < 0.01)
    rows_by_image = rows_of(np.where(bright, image, -1), mosaic.exposure.size)
    for number in images:
        away = np.abs(fit.residual[rows_by_image[number]])
        light.scatter[number] = 1.4826 * np.median(away) if away.size else np.nan


def rows_of(number: Integers, count: int) -> list[Integers]:
    """Rows of each number from 0 to `count` - 1, in their order."""
    order = np.argsort(number, kind="stable")
    return np.split(order, np.searchsorted(number[order], np.arange(count + 1)))[1:-1]


def _nights(settings: SolveSettings, inputs: Inputs) -> Integers:
    if not settings.nightly:
        return np.full(len(inputs.exposures), -1)
    nights = [(record.night, record.camera, record.filter or record.band) for record in inputs.exposures]
    known = sorted(set(nights))
    return np.array([known.index(night) for night in nights])
