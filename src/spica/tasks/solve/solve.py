"""Solve: one astrometric and photometric solution for all exposures of a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.records import Exposure, Grain, Scalar
from spica.core.solution import Standing
from spica.core.task import Form, Give, Member, Need, Products, Task
from spica.kernels.focal_model import Mosaic, Terms
from spica.kernels.joint import Identified, Matching, identify, lay, ties, without
from spica.kernels.joint_astrometry import Fit, Options, adjust
from spica.kernels.joint_photometry import Fluxes, Frames, PhotometryOptions, Standards, adjust_photometry
from spica.kernels.joint_refraction import Refraction, refracted
from spica.kernels.joint_report import image_figures, star_of
from spica.kernels.joint_turbulence import Field, follow
from spica.kernels.leave_out import robust_scale
from spica.tasks.solve.inputs import Floats, Inputs, Integers, air, gather, moving
from spica.tasks.solve.outputs import Light, Outcome, matches, metrics, solution
from spica.tasks.solve.settings import SolveSettings

_PER_MAG = 2.5 / np.log(10.0)
_RAYLEIGH = float(np.sqrt(2.0 * np.log(2.0)))
_REASONS = {
    Standing.UNTIED: (
        "solve.untied",
        "it and what overlaps with it have {ties} reference stars, {least_reference} are asked for",
    ),
    Standing.UNMATCHED: (
        "solve.unmatched",
        "it shares {shared} sources with others or the reference, {least_matches} are asked for",
    ),
    Standing.BAD: ("solve.bad-fit", "its sources scatter {scale:.1f} times as far as their errors say"),
}


def solve(
    settings: SolveSettings,
    exposures: tuple[Exposure, ...],
    wcs: Mapping[str, Mapping[str, Scalar]],
    sources: tuple[Member, ...],
    pointing: tuple[Member, ...] | None,
    reference: Catalogue,
    site: Mapping[str, Any],
) -> Products:
    """Distortions, pointings and zero points of all exposures at once, from sources seen again and from the reference.

    Exposures that hang together with nothing known are refused one by one, with the reason, and do the others no harm.

    Parameters
    ----------
    exposures : records.
    wcs : by ``exposure/detector`` the cards of the first sky solution, with NAXIS1 and NAXIS2.
    sources : catalogues, or tables that are read one by one.
    pointing : solutions to begin with: what the task `pointing` found, or a former `solution`.
    reference : with positions at the exposures' epoch.
    site : `longitude`, `latitude` [degree], `height` [m], `wavelengths` [nm] by band.

    Returns
    -------
    solution : one row for each image: sky solution (TPV), errors, zero point, residuals, counts.
    matches : one row for each detection and reference star: residuals, weights, magnitudes; a part after the other.
    solving : metrics of the whole.
    refused : value: name of each refused exposure to its fault code and reason.
    """
    inputs = gather(settings, exposures, wcs, sources, pointing, reference)
    how = Matching(settings.search, settings.radius, settings.degree, settings.field_degree, settings.density)
    mosaic, terms, laid = lay(inputs.images, inputs.lists, inputs.stars.direction, how)
    scale = _scales(mosaic, terms)
    reference_stars = inputs.stars.direction, inputs.stars.error
    motions = moving(inputs) if settings.motions else None
    found = identify(mosaic, terms, inputs.lists, scale, reference_stars, how, motions)
    inputs = inputs.placed()
    standing, reasons = _refused(settings, inputs, mosaic, found)
    found = without(found, mosaic.exposure, standing > 0)
    if found.known.group.size == 0 or np.all(standing > 0):
        raise DataFault(
            "solve.no-solution",
            f"none of {len(inputs.exposures)} exposures could be tied to the reference",
            exposures=len(inputs.exposures),
            stars=len(inputs.stars.error),
        )
    fit, found, worse = _fitted(settings, mosaic, terms, found)
    for number, wide in worse.items():
        standing[number] = Standing.BAD
        reasons |= _reason(inputs, number, Standing.BAD, scale=wide)
    refraction: Refraction | None = None
    if settings.refraction:
        above = air(settings, inputs, mosaic, found, site)
        fit, seen, refraction = refracted(mosaic, found.seen, found.known, fit, above, _options(settings))
        found = replace(found, seen=seen)
    fields: list[Field | None] = [None] * mosaic.ra.size
    if settings.residual_field:
        fit, seen, fields = follow(mosaic, found.seen, found.known, fit, _options(settings))
        found = replace(found, seen=seen)
    light = _light(settings, inputs, mosaic, found)
    figures = image_figures(mosaic, found.seen, found.known, fit, inputs.stars.direction)
    of_image = standing[mosaic.exposure]
    of_image[(of_image == Standing.SOLVED) & (figures.used < mosaic.terms)] = Standing.SPARSE
    outcome = Outcome(
        inputs, mosaic, found, fit, figures, light, fields, refraction, [each.rung for each in laid], of_image
    )
    return {
        "solution": solution(outcome),
        "matches": matches(outcome),
        "solving": metrics(outcome),
        "refused": reasons,
    }


def _scales(mosaic: Mosaic, terms: Terms) -> Floats:
    """Milliarcseconds per pixel of each image, from the area that its polynomial gives a pixel."""
    # Of Legendre terms of degree 1 alone: what the others add vanishes at the middle or is small.
    along, across = (terms.detectors[mosaic.sensor, k] * 2.0 for k in (2, 1))
    area = np.abs((along.conj() * across).imag) / np.prod(mosaic.size - 1.0, axis=1)
    return np.asarray(3.6e6 * np.sqrt(area), np.float64)


def _reason(inputs: Inputs, number: int, standing: Standing, **numbers: float) -> dict[str, dict[str, str | float]]:
    code, text = _REASONS[standing]
    record = inputs.exposures[number]
    return {record.name: {"code": code, "message": f"{record.name}: {text.format(**numbers)}", **numbers}}


def _refused(
    settings: SolveSettings, inputs: Inputs, mosaic: Mosaic, found: Identified
) -> tuple[Integers, dict[str, dict[str, str | float]]]:
    """Exposures that nothing ties."""
    shared, tied = ties(mosaic, found, settings.least_matches)
    standing = np.where(tied < settings.least_reference, int(Standing.UNTIED), 0)
    standing[shared < settings.least_matches] = Standing.UNMATCHED
    reasons: dict[str, dict[str, str | float]] = {}
    for number in np.flatnonzero(standing):
        kind = Standing(int(standing[number]))
        numbers = {"shared": int(shared[number]), "ties": int(tied[number])}
        least = {"least_matches": settings.least_matches, "least_reference": settings.least_reference}
        reasons |= _reason(inputs, int(number), kind, **numbers, **least)
    return standing, reasons


def _options(settings: SolveSettings) -> Options:
    prior = settings.distortion_prior
    return Options(clip=settings.clip, fit_floor=settings.fit_floor, distortion_prior=prior)


def _fitted(
    settings: SolveSettings, mosaic: Mosaic, terms: Terms, found: Identified
) -> tuple[Fit, Identified, dict[int, float]]:
    """The solution, once more without the exposures that do not fit into it."""
    options = _options(settings)
    fit = adjust(mosaic, terms, found.seen, found.known, options)
    exposure = mosaic.exposure[found.seen.image]
    wide = {
        number: robust_scale(fit.state.seen_pull[rows], _RAYLEIGH)
        for number, rows in enumerate(_rows_of(exposure, mosaic.ra.size))
        if rows.size
    }
    worse = {number: scale for number, scale in wide.items() if scale > settings.largest_scatter}
    if worse and len(worse) < len(wide):
        dropped = np.zeros(mosaic.ra.size, bool)
        dropped[list(worse)] = True
        found = without(found, mosaic.exposure, dropped)
        fit = adjust(mosaic, terms, found.seen, found.known, options)
    return fit, found, worse


def _light(settings: SolveSettings, inputs: Inputs, mosaic: Mosaic, found: Identified) -> Light:
    """Zero points, band by band."""
    seen, known = found.seen, found.known
    images, count = mosaic.exposure.size, seen.group.size
    light = Light(
        *(np.full(images, np.nan), np.full(images, np.nan), np.full(images, np.nan), np.full(images, -1)),
        *(np.full(count, np.nan, "f4"), np.full(count, np.nan, "f4"), np.full(count, np.nan, "f4")),
        used=np.zeros(count, bool),
        chi2=float("nan"),
        floor=0.0,
    )
    flux, error = inputs.flux[found.rows], inputs.flux_err[found.rows]
    names, number = np.unique([record.band for record in inputs.exposures], return_inverse=True)
    band = number.astype(np.int16)[mosaic.exposure][seen.image]
    star = star_of(seen, known)
    for place, name in enumerate(names.tolist()):
        rows = np.flatnonzero((band == place) & (flux > settings.least_photometric_snr * error))
        if rows.size:
            light = _band(settings, inputs, (mosaic, found, star), light, (name, rows, flux[rows], error[rows]))
    return light


def _band(
    settings: SolveSettings,
    inputs: Inputs,
    solved: tuple[Mosaic, Identified, Integers],
    light: Light,
    chosen: tuple[str, Integers, Floats, Floats],
) -> Light:
    """Add the zero points of one band."""
    mosaic, found, star = solved
    name, rows, flux, error = chosen
    seen = found.seen
    image = seen.image[rows]
    new = np.diff(seen.group[rows], prepend=-1) > 0
    first, group = np.flatnonzero(new), np.cumsum(new, dtype=np.int32) - np.int32(1)
    ties = star[rows[first]]
    mag, mag_err = inputs.stars.mag.get(name, (np.full(len(inputs.stars.error), np.nan),) * 2)
    mag, mag_err, hue = (values[found.stars] for values in (mag, mag_err, inputs.stars.colour))
    tied = np.flatnonzero((ties >= 0) & np.isfinite(np.where(ties >= 0, mag[ties], np.nan)) & np.isfinite(hue[ties]))
    colour = np.broadcast_to(np.float32(0.0), rows.size)
    if settings.colour is not None:
        colour = np.nan_to_num(np.where(star[rows] >= 0, hue[star[rows]], 0.0), posinf=0.0, neginf=0.0)
    frames = Frames(
        *(mosaic.exposure, mosaic.sensor, mosaic.size, mosaic.context),
        _nights(settings, inputs),
        np.array([record.airmass or 1.0 for record in inputs.exposures]),
    )
    fluxes = Fluxes(
        *(group, image, seen.x[rows].astype(np.float32), seen.y[rows].astype(np.float32)),
        *(-2.5 * np.log10(flux), _PER_MAG * error / flux, colour),
    )
    standards = Standards(tied, mag[ties[tied]], mag_err[ties[tied]])
    options = PhotometryOptions(
        settings.flat_degree,
        settings.clip,
        grey=settings.grey,
        colour=settings.colour is not None,
        fit_floor=settings.fit_floor,
    )
    fit = adjust_photometry(frames, fluxes, standards, options)
    images = np.unique(image)
    zero = fit.zero[mosaic.exposure] + fit.sensors[mosaic.sensor, 0]
    for target, values in (
        (light.zero, zero),
        (light.zero_err, fit.zero_err[mosaic.exposure]),
        (light.tied, np.where(fit.zero_err[mosaic.exposure] < 0.5, int(tied.size > 0), 0)),
    ):
        target[images] = values[images]
    for target, values in (
        (light.mag, fluxes.mag + zero[image]),
        (light.off, fit.residual),
        (light.pull, fit.seen_pull),
        (light.used, fit.seen > 0.0),
    ):
        target[rows] = values
    bright = (fit.seen > 0.0) & (fluxes.sigma < 0.01)
    rows_of = _rows_of(np.where(bright, image, -1), mosaic.exposure.size)
    for number in images:
        away = np.abs(fit.residual[rows_of[number]])
        light.scatter[number] = 1.4826 * np.median(away) if away.size else np.nan
    return replace(light, chi2=fit.chi2 / max(fit.freedom, 1.0), floor=fit.floor)


def _rows_of(number: Integers, count: int) -> list[Integers]:
    """Rows of each number from 0 to `count` - 1, in their order."""
    order = np.argsort(number, kind="stable")
    return np.split(order, np.searchsorted(number[order], np.arange(count + 1)))[1:-1]


def _nights(settings: SolveSettings, inputs: Inputs) -> Integers:
    if not settings.nightly:
        return np.full(len(inputs.exposures), -1)
    nights = [(record.night, record.camera, record.filter or record.band) for record in inputs.exposures]
    known = sorted(set(nights))
    return np.array([known.index(night) for night in nights])


TASK = Task(
    name="solve",
    version=6,
    grain=Grain.GROUP,
    settings=SolveSettings,
    needs=(
        Need("exposures", source="exposures"),
        Need("wcs", source="wcs"),
        Need(
            "sources",
            grain=Grain.DETECTOR,
            columns=("source_id", "x", "y", "x_err", "y_err", "flux_auto", "flux_auto_err", "flags"),
            where="snr > 5",
            quorum=1,
            stream=True,
        ),
        Need("pointing", grain=Grain.EXPOSURE, quorum=1, optional=True),
        Need("reference", source="reference", section="astrometry"),
        Need("site", source="camera", section="site"),
    ),
    gives=(
        Give("solution", Form.CATALOGUE, meaning="sky solution and zero point of each exposure and detector"),
        Give(
            "matches",
            Form.CATALOGUE,
            stream=True,
            meaning="detections and reference stars of the solution, with residuals",
        ),
        Give("solving", Form.METRICS, meaning="residuals, counts, zero points of the whole"),
        Give("refused", Form.VALUE, meaning="exposures without a solution, and why"),
    ),
    run=solve,
)
