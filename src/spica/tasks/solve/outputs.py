"""What a joint solution gives: catalogues, metrics, and who was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spica.core.columns import Catalogue, Column
from spica.core.records import Scalar
from spica.core.solution import MATCH_COLUMNS, SOLUTION_COLUMNS, Standing
from spica.core.streams import Parts
from spica.core.task import Measured
from spica.kernels.express import Shift, as_tpv
from spica.kernels.focal_model import Mosaic
from spica.kernels.joint import Identified
from spica.kernels.joint_astrometry import Fit
from spica.kernels.joint_refraction import Refraction
from spica.kernels.joint_report import ImageFigures, position_errors
from spica.kernels.joint_turbulence import Field
from spica.tasks.solve.inputs import Floats, Inputs, Integers, Values

_ROWS = 1 << 17
"""Rows of a part of `matches`."""


@dataclass(frozen=True)
class Light:
    """The photometric side, in the order of the detections and stars of the solution: NaN or 0 where not taken along.

    Attributes
    ----------
    zero, zero_err, scatter : (m,) of each image [mag].
    flat, flat_err : (m, 15) what the flat field got wrong on its detector [mag]; see `spica.kernels.illumination`.
    tied : (m,) 1 with reference magnitudes, 0 without, -1 where nothing was measured.
    mag, off, pull, used : (n,) of the detections.
    island, island_ties : (m,) number of the exposures' island, sources with known magnitudes in it.
    departure : scatter of images about exposure and detector together, the greatest of the bands [mag].
    told : by band what the magnitudes are and how many standards tie them.
    """

    zero: Floats
    zero_err: Floats
    scatter: Floats
    flat: Floats
    flat_err: Floats
    tied: Integers
    mag: Values
    off: Values
    pull: Values
    used: Values
    chi2: float
    floor: float
    departure: float
    told: dict[str, Any]
    island: Integers
    island_ties: Integers


@dataclass(frozen=True)
class Outcome:
    """A solution with all that belongs to it."""

    inputs: Inputs
    mosaic: Mosaic
    found: Identified
    fit: Fit
    figures: ImageFigures
    light: Light
    fields: Sequence[Field | None]
    refraction: Refraction | None
    rungs: Sequence[int]
    standing: Integers
    stretch: Floats


def solution(outcome: Outcome) -> Catalogue:
    """One row for each image."""
    mosaic, inputs, figures, light = outcome.mosaic, outcome.inputs, outcome.figures, outcome.light
    count, fields = mosaic.exposure.size, outcome.fields
    errors = position_errors(mosaic, outcome.fit)
    columns = {name: np.empty((count, width)) for name, width in (("crval", 2), ("crpix", 2), ("cd", 4), ("pv", 80))}
    expressed = np.empty(count)
    for image in range(count):
        made = as_tpv(mosaic, outcome.fit.terms, image, _shift(outcome, image))
        expressed[image] = made.residual
        for name, column in columns.items():
            column[image] = getattr(made.wcs, name).ravel()
    numbers = np.array([record.id for record in inputs.exposures], np.int64)
    values = {
        "exposure_id": numbers[mosaic.exposure],
        "detector": inputs.detector,
        "standing": outcome.standing,
        "nx": mosaic.size[:, 0],
        "ny": mosaic.size[:, 1],
        **columns,
        "expressed": expressed,
        "sky_err": errors * np.sqrt(max(outcome.fit.chi2 / max(outcome.fit.freedom, 1.0), 1.0)),
        "stretch": outcome.stretch,
        "used": figures.used,
        "rejected": figures.rejected,
        "ties": figures.ties,
        "rms_internal": figures.internal,
        "rms_external": figures.external,
        "chi2": figures.chi2,
        "rung": np.array(outcome.rungs)[mosaic.exposure],
        "share": figures.share,
        "field_sigma": np.array([0.0 if each is None else each.sigma for each in fields])[mosaic.exposure],
        "field_gain": np.array([1.0 if each is None else each.gain for each in fields])[mosaic.exposure],
        "zero_point": light.zero,
        "zero_point_err": light.zero_err,
        "photometric": light.tied,
        "flat": light.flat,
        "flat_err": light.flat_err,
        "mag_used": np.bincount(outcome.found.seen.image, light.used, count),
        "mag_scatter": light.scatter,
        "island": light.island,
        "island_ties": light.island_ties,
    }
    header: dict[str, Scalar] = {
        "DEGREE": mosaic.degree,
        "FLDDEG": mosaic.field_degree,
        "EXPOSURE": len(inputs.exposures),
        "CHI2": round(outcome.fit.chi2 / max(outcome.fit.freedom, 1.0), 4),
        "CONVERGE": outcome.fit.converged,
        "MAGSYS": _scale(outcome.light),
    }
    return _table(values, header, SOLUTION_COLUMNS)


def _shift(outcome: Outcome, image: int) -> Shift | None:
    """What is to be taken off the places of an image: what the air did."""
    field = outcome.fields[outcome.mosaic.exposure[image]]
    parts = [] if field is None else [field.at]
    if outcome.refraction is not None:
        parts.append(outcome.refraction.shift(image))
    return (lambda plane: np.sum([part(plane) for part in parts], axis=0)) if parts else None


def _scale(light: Light) -> str:
    """Scale of all tied zero points; where bands differ, it is not known."""
    scales = {str(told["scale"]) for told in light.told.values()} - {"relative"}
    return scales.pop() if len(scales) == 1 else "unknown"


def _table(values: Mapping[str, Any], header: dict[str, Scalar], declared: Mapping[str, Column]) -> Catalogue:
    columns = {name: np.asarray(value).astype(declared[name].dtype) for name, value in values.items()}
    return Catalogue(columns, header, declared)


def matches(outcome: Outcome) -> Parts:
    """One row for each detection, then one for each reference star, ordered by source within both; part by part."""
    sources = outcome.fit.centre.shape[0]
    return Parts(_parts(outcome), {"SOURCES": sources})


def _parts(outcome: Outcome) -> Iterator[Catalogue]:
    for begin in range(0, outcome.found.seen.group.size, _ROWS):
        yield _table(_seen(outcome, slice(begin, begin + _ROWS)), {}, MATCH_COLUMNS)
    for begin in range(0, outcome.found.known.group.size, _ROWS):
        yield _table(_known(outcome, slice(begin, begin + _ROWS)), {}, MATCH_COLUMNS)


def _places(outcome: Outcome, group: Integers) -> dict[str, Any]:
    """Means of sources [degree]."""
    centre = outcome.fit.centre[group]
    ra = np.degrees(np.arctan2(centre[:, 1], centre[:, 0])) % 360.0
    return {"ra": ra, "dec": np.degrees(np.arctan2(centre[:, 2], np.hypot(centre[:, 0], centre[:, 1])))}


def _seen(outcome: Outcome, rows: slice) -> dict[str, Any]:
    """Some rows of detections."""
    found, fit, inputs, light, mosaic = outcome.found, outcome.fit, outcome.inputs, outcome.light, outcome.mosaic
    seen = found.seen
    image, group, residual = seen.image[rows], seen.group[rows], fit.residual[rows]
    numbers = np.array([record.id for record in inputs.exposures], np.int64)
    return {
        "exposure_id": numbers[mosaic.exposure[image]],
        "detector": inputs.detector[image],
        "match_id": group,
        "source_id": inputs.source_id[found.rows[rows]],
        "x": seen.x[rows],
        "y": seen.y[rows],
        **_places(outcome, group),
        "off_east": residual.real,
        "off_north": residual.imag,
        "sigma": np.hypot(seen.sigma[rows], fit.state.floor[mosaic.context[mosaic.sensor[image]]]),
        "pull": fit.state.seen_pull[rows],
        "used": fit.state.seen[rows] > 0.0,
        "mag": light.mag[rows],
        "mag_off": light.off[rows],
        "mag_pull": light.pull[rows],
        "mag_used": light.used[rows],
    }


def _known(outcome: Outcome, rows: slice) -> dict[str, Any]:
    """Some rows of reference stars."""
    fit, known = outcome.fit, outcome.found.known
    group, residual = known.group[rows], fit.known_residual[rows]
    nothing, none = np.full(group.size, np.nan), np.zeros(group.size, np.int64)
    return {
        "exposure_id": none,
        "detector": none - 1,
        "match_id": group,
        "source_id": outcome.inputs.stars.source_id[outcome.found.stars[rows]],
        "x": nothing,
        "y": nothing,
        **_places(outcome, group),
        "off_east": residual.real,
        "off_north": residual.imag,
        "sigma": np.hypot(known.sigma[rows], fit.state.known_floor),
        "pull": fit.state.known_pull[rows],
        "used": fit.state.known[rows] > 0.0,
        "mag": nothing,
        "mag_off": nothing,
        "mag_pull": nothing,
        "mag_used": none,
    }


def metrics(outcome: Outcome) -> dict[str, Measured]:
    """Figures of the solution as a whole."""
    fit, figures, solved = outcome.fit, outcome.figures, outcome.standing == Standing.SOLVED
    state = fit.state
    told = {
        "astrometry_internal": (_median(figures.internal[solved]), "mas"),
        "astrometry_external": (_median(figures.external[solved]), "mas"),
        "astrometry_chi2": (fit.chi2 / max(fit.freedom, 1.0), ""),
        "astrometry_floor": (float(np.max(state.floor, initial=0.0)), "mas"),
        "astrometry_reference_floor": (state.known_floor, "mas"),
        "astrometry_used": (float(np.count_nonzero(state.seen)), ""),
        "astrometry_rejected": (float(np.count_nonzero(state.seen == 0.0)), ""),
        "astrometry_reference": (float(np.count_nonzero(state.known)), ""),
        "astrometry_reference_rejected": (float(np.count_nonzero(state.known == 0.0)), ""),
        "astrometry_refused": (float(np.count_nonzero(~solved)), ""),
        "astrometry_steps": (float(fit.steps), ""),
        "astrometry_share": (_median(figures.share[solved]), ""),
        "astrometry_rescued": (float(np.count_nonzero(outcome.rungs)), ""),
        "astrometry_fields": (float(sum(each is not None for each in outcome.fields)), ""),
        "photometry_scatter": (_median(outcome.light.scatter[solved]), "mag"),
        "photometry_islands": (float(sum(len(told["islands"]) for told in outcome.light.told.values())), ""),
        "photometry_loose": (float(sum(len(told["loose"]) for told in outcome.light.told.values())), ""),
        "photometry_weakest": (_greatest(outcome.light), "mag"),
        "photometry_chi2": (outcome.light.chi2, ""),
        "photometry_floor": (outcome.light.floor, "mag"),
        "photometry_departure": (outcome.light.departure, "mag"),
        "reference_without_error": (float(outcome.inputs.stars.without_error), ""),
    }
    if outcome.refraction is not None:
        found = outcome.refraction
        for name, values, unit in (
            ("refraction_amplitude", found.amplitude, ""),
            ("refraction_amplitude_error", found.amplitude_err, ""),
            ("refraction_colour", found.chromatic, "mas/mag"),
            ("refraction_colour_error", found.chromatic_err, "mas/mag"),
        ):
            told[name] = (float(np.mean(values)), unit)
    return {name: Measured(value, unit) for name, (value, unit) in told.items() if np.isfinite(value)}


def _greatest(light: Light) -> float:
    """The greatest error of a zero point that is tied to reference magnitudes."""
    tied = light.zero_err[light.tied == 1]
    return float(np.max(tied)) if tied.size else float("nan")


def _median(values: Floats) -> float:
    some = values[np.isfinite(values)]
    return float(np.median(some)) if some.size else float("nan")
