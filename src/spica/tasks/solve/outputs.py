"""What a joint solution gives: catalogues, metrics, and who was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spica.core.columns import Catalogue, Column
from spica.core.records import Scalar
from spica.core.solution import MATCH_COLUMNS, SOLUTION_COLUMNS, Standing
from spica.core.task import Measured
from spica.kernels.express import as_tpv
from spica.kernels.focal_model import Mosaic
from spica.kernels.joint import Identified
from spica.kernels.joint_astrometry import Fit
from spica.kernels.joint_report import ImageFigures, position_errors
from spica.tasks.solve.inputs import Floats, Inputs, Integers


@dataclass(frozen=True)
class Light:
    """The photometric side, in the order of the detections and stars of the solution: NaN or 0 where not taken along.

    Attributes
    ----------
    zero, zero_err, scatter : (m,) of each image [mag].
    tied : (m,) 1 with reference magnitudes, 0 without, -1 where nothing was measured.
    mag, off, pull, used : (n,) of the detections.
    colour : band to its colour term.
    """

    zero: Floats
    zero_err: Floats
    scatter: Floats
    tied: Integers
    mag: Floats
    off: Floats
    pull: Floats
    used: Integers
    chi2: float
    floor: float


@dataclass(frozen=True)
class Outcome:
    """A solution with all that belongs to it."""

    inputs: Inputs
    mosaic: Mosaic
    found: Identified
    fit: Fit
    figures: ImageFigures
    light: Light
    standing: Integers


def solution(outcome: Outcome) -> Catalogue:
    """One row for each image."""
    mosaic, inputs, figures, light = outcome.mosaic, outcome.inputs, outcome.figures, outcome.light
    count = mosaic.exposure.size
    made = [as_tpv(mosaic, outcome.fit.terms, image) for image in range(count)]
    errors = position_errors(mosaic, outcome.fit)
    numbers = np.array([record.id for record in inputs.exposures], np.int64)
    wcs = [each.wcs for each in made]
    values = {
        "exposure_id": numbers[mosaic.exposure],
        "detector": inputs.detector,
        "standing": outcome.standing,
        "nx": mosaic.size[:, 0],
        "ny": mosaic.size[:, 1],
        "crval": np.array([each.crval for each in wcs]),
        "crpix": np.array([each.crpix for each in wcs]),
        "cd": np.array([each.cd.ravel() for each in wcs]),
        "pv": np.array([each.pv.ravel() for each in wcs]),
        "expressed": np.array([each.residual for each in made]),
        "sky_err": errors * np.sqrt(max(outcome.fit.chi2 / max(outcome.fit.freedom, 1.0), 1.0)),
        "used": figures.used,
        "rejected": figures.rejected,
        "ties": figures.ties,
        "rms_internal": figures.internal,
        "rms_external": figures.external,
        "chi2": figures.chi2,
        "zero_point": light.zero,
        "zero_point_err": light.zero_err,
        "photometric": light.tied,
        "mag_used": np.bincount(outcome.found.seen.image, light.used, count),
        "mag_scatter": light.scatter,
    }
    header: dict[str, Scalar] = {
        "DEGREE": mosaic.degree,
        "FLDDEG": mosaic.field_degree,
        "EXPOSURE": len(inputs.exposures),
        "CHI2": round(outcome.fit.chi2 / max(outcome.fit.freedom, 1.0), 4),
        "CONVERGE": outcome.fit.converged,
    }
    return _table(values, header, SOLUTION_COLUMNS)


def _table(values: Mapping[str, Any], header: dict[str, Scalar], declared: Mapping[str, Column]) -> Catalogue:
    columns = {name: np.asarray(value).astype(declared[name].dtype) for name, value in values.items()}
    return Catalogue(columns, header, declared)


def matches(outcome: Outcome) -> Catalogue:
    """One row for each detection, then one for each reference star, ordered by source within both."""
    found, fit, inputs, light = outcome.found, outcome.fit, outcome.inputs, outcome.light
    seen, known = found.seen, found.known
    ra = np.degrees(np.arctan2(fit.centre[:, 1], fit.centre[:, 0])) % 360.0
    dec = np.degrees(np.arctan2(fit.centre[:, 2], np.hypot(fit.centre[:, 0], fit.centre[:, 1])))
    group = np.concatenate([seen.group, known.group])
    residual = np.concatenate([fit.residual, fit.known_residual])
    context = outcome.mosaic.context[outcome.mosaic.sensor[seen.image]]
    sigma = np.hypot(seen.sigma, fit.state.floor[context])
    numbers = np.array([record.id for record in inputs.exposures], np.int64)
    stars = known.group.size
    nothing = np.full(stars, np.nan)
    values = {
        "exposure_id": np.r_[numbers[outcome.mosaic.exposure[seen.image]], np.zeros(stars, np.int64)],
        "detector": np.r_[inputs.detector[seen.image], np.full(stars, -1)],
        "match_id": group,
        "source_id": np.r_[inputs.source_id[found.rows], inputs.stars.source_id[found.stars]],
        "x": np.r_[seen.x, nothing],
        "y": np.r_[seen.y, nothing],
        "ra": ra[group],
        "dec": dec[group],
        "off_east": residual.real,
        "off_north": residual.imag,
        "sigma": np.r_[sigma, np.hypot(known.sigma, fit.state.known_floor)],
        "pull": np.r_[fit.state.seen_pull, fit.state.known_pull],
        "used": np.r_[fit.state.seen, fit.state.known] > 0.0,
        "mag": np.r_[light.mag, nothing],
        "mag_off": np.r_[light.off, nothing],
        "mag_pull": np.r_[light.pull, nothing],
        "mag_used": np.r_[light.used, np.zeros(stars, np.int64)],
    }
    return _table(values, {"SOURCES": len(ra)}, MATCH_COLUMNS)


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
        "photometry_scatter": (_median(outcome.light.scatter[solved]), "mag"),
        "photometry_chi2": (outcome.light.chi2, ""),
        "photometry_floor": (outcome.light.floor, "mag"),
        "reference_without_error": (float(outcome.inputs.stars.without_error), ""),
    }
    return {name: Measured(value, unit) for name, (value, unit) in told.items() if np.isfinite(value)}


def _median(values: Floats) -> float:
    some = values[np.isfinite(values)]
    return float(np.median(some)) if some.size else float("nan")
