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
from spica.core.systems import Systems
from spica.core.task import Form, Give, Member, Need, Products, Task
from spica.kernels.focal_model import Mosaic, Terms
from spica.kernels.focal_prior import held_terms, stretches
from spica.kernels.joint import Identified, Matching, identify, lay, ties, without
from spica.kernels.joint_astrometry import Fit, Options, adjust
from spica.kernels.joint_refraction import Refraction, refracted
from spica.kernels.joint_report import image_figures
from spica.kernels.joint_turbulence import Field, follow
from spica.kernels.leave_out import robust_scale
from spica.tasks.solve.inputs import Floats, Inputs, Integers, air, gather, moving
from spica.tasks.solve.light import brightness, rows_of
from spica.tasks.solve.outputs import Outcome, matches, metrics, solution
from spica.tasks.solve.settings import SolveSettings

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
    standards: Catalogue | None,
    systems: Systems | None,
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
    standards, systems : stars that zero points are tied to, and what their magnitudes are; None: zero points are relative.
    site : `longitude`, `latitude` [degree], `height` [m], `wavelengths` [nm] by band.

    Returns
    -------
    solution : one row for each image: sky solution (TPV), errors, zero point, residuals, counts.
    matches : one row for each detection and reference star: residuals, weights, magnitudes; a part after the other.
    solving : metrics of the whole.
    refused : value: name of each refused exposure to its fault code and reason.
    brightness : value: by band what the magnitudes are; `islands` of exposures, those that are `loose`, `nights`.
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
    fit, found, worse, options = _fitted(settings, mosaic, terms, found)
    for number, wide in worse.items():
        standing[number] = Standing.BAD
        reasons |= _reason(inputs, number, Standing.BAD, scale=wide)
    refraction: Refraction | None = None
    if settings.refraction:
        above = air(settings, inputs, mosaic, found, site)
        fit, seen, refraction = refracted(mosaic, found.seen, found.known, fit, above, options)
        found = replace(found, seen=seen)
    fields: list[Field | None] = [None] * mosaic.ra.size
    if settings.residual_field:
        fit, seen, fields = follow(mosaic, found.seen, found.known, fit, options)
        found = replace(found, seen=seen)
    light = brightness(settings, inputs, (mosaic, found, fit), standards, systems)
    figures = image_figures(mosaic, found.seen, found.known, fit, inputs.stars.direction)
    of_image = standing[mosaic.exposure]
    of_image[(of_image == Standing.SOLVED) & (figures.used < mosaic.terms)] = Standing.SPARSE
    outcome = Outcome(
        *(inputs, mosaic, found, fit, figures, light, fields, refraction, [each.rung for each in laid], of_image),
        stretches(mosaic, terms, fit.terms),
    )
    return {
        "solution": solution(outcome),
        "matches": matches(outcome),
        "solving": metrics(outcome),
        "refused": reasons,
        "brightness": light.told,
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


def _fitted(
    settings: SolveSettings, mosaic: Mosaic, terms: Terms, found: Identified
) -> tuple[Fit, Identified, dict[int, float], Options]:
    """The solution, once more without the exposures that do not fit into it, and with detectors of few stars held to the others."""
    prior = settings.distortion_prior
    options = Options(clip=settings.clip, fit_floor=settings.fit_floor, distortion_prior=prior)
    fit = adjust(mosaic, terms, found.seen, found.known, options)
    exposure = mosaic.exposure[found.seen.image]
    wide = {
        number: robust_scale(fit.state.seen_pull[rows], _RAYLEIGH)
        for number, rows in enumerate(rows_of(exposure, mosaic.ra.size))
        if rows.size
    }
    worse = {number: scale for number, scale in wide.items() if scale > settings.largest_scatter}
    if worse and len(worse) < len(wide):
        dropped = np.zeros(mosaic.ra.size, bool)
        dropped[list(worse)] = True
        found = without(found, mosaic.exposure, dropped)
        fit = adjust(mosaic, terms, found.seen, found.known, options)
    stretch = float(np.sqrt(max(fit.chi2 / max(fit.freedom, 1.0), 1.0)))
    held = held_terms(mosaic, terms, fit.terms, fit.solved, stretch)
    if held is not None:
        options = replace(options, held=held)
        fit = adjust(mosaic, terms, found.seen, found.known, options, fit.state)
    return fit, found, worse, options


TASK = Task(
    name="solve",
    version=12,
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
        Need("reference", source="reference", section="astrometry", placed="pointing"),
        Need(
            *("standards", "reference", "photometry"),
            columns=("ra", "dec", "mag_*", "flags"),
            optional=True,
        ),
        Need("systems", source="systems", section="photometry", optional=True),
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
        Give("brightness", Form.VALUE, meaning="by band what the magnitudes are, and where they are weakly tied"),
    ),
    run=solve,
)
