"""Deep sources: the catalogue of a stack, with errors that count with its correlated noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import COLUMNS, DEEP_COLUMNS, PSF_COLUMNS, SOURCE_COLUMNS, Catalogue, Column
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.records import Grain, Scalar
from spica.core.settings import NoSettings
from spica.core.streams import Rows
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.ab import ab_magnitudes
from spica.kernels.correlation import bell, excess, excess_within

Values = npt.NDArray[Any]

PLACES = ("x_err", "y_err", "x_iso_err", "y_iso_err", "x_psf_err", "y_psf_err")
"""Errors of places, and those of shapes, which come from pixels weighted by their distance as well."""
SHAPES = ("a_err", "b_err", "theta_err", "elongation_err", "half_light_radius_err", "radius_80_err", "fwhm_err")
SQUARES = ("x2_err", "y2_err", "xy_err")
COVARIANCES = ("xy_cov", "xy_psf_cov")
DEPTH = 5.0
"""Depth is the magnitude of a point source that many times its error."""


def deep_sources(
    settings: NoSettings,  # noqa: ARG001
    stack: Image,
    sources: Catalogue,
    psf_sources: Catalogue,
    noise: Mapping[str, Any],
    number: Rows | None,
) -> Products:
    """One catalogue of what `measure` and `psf_measure` found on a stack, errors put right, AB magnitudes.

    Both worked with variances that are right for a point source (`deep_noise`). Sums in circles, isophotes and ellipses
    are corrected by the excess of noise in a circle of their area, places by that of a point source's centroid.

    Parameters
    ----------
    number : the stack again, as rows that have the plane `number` (an image in memory has it not).

    Returns
    -------
    deep_sources : Catalogue, a row for each of `sources`.
    deep_figures : metrics: sources, point sources, depth.

    Raises
    ------
    DataFault
        ``zero-point.none`` where the stack has no MAGZERO.
    """
    zero = zero_point(stack)
    columns: dict[str, Values] = {
        **{name: np.array(sources[name]) for name in SOURCE_COLUMNS},
        **{name: np.array(psf_sources[name]) for name in PSF_COLUMNS},
    }
    _put_right(columns, noise, sources.header)
    for name in ("auto", "psf", "aper"):
        found = ab_magnitudes(columns[f"flux_{name}"], columns[f"flux_{name}_err"], zero)
        columns[f"mag_{name}"], columns[f"mag_{name}_err"] = found
    columns["exposures"] = _exposures(columns, number)
    declared = declarations(str(stack.header.get("BUNIT") or ""))
    columns = {name: columns[name].astype(each.dtype) for name, each in declared.items()}
    header: dict[str, Scalar] = {**sources.header, **psf_sources.header, "MAGZERO": zero}
    catalogue = Catalogue(columns, header, declared)
    return {"deep_sources": catalogue, "deep_figures": _figures(catalogue, zero)}


def zero_point(stack: Image) -> float:
    """AB magnitude of one unit of the stack."""
    zero = stack.header.get("MAGZERO")
    if not isinstance(zero, int | float) or not np.isfinite(zero):
        raise DataFault("zero-point.none", "the stack has no zero point MAGZERO")
    return float(zero)


def declarations(unit: str) -> dict[str, Column]:
    """Columns in order; light in the stack's unit."""
    names = [*SOURCE_COLUMNS, *(name for name in PSF_COLUMNS if name not in SOURCE_COLUMNS)]
    known = {name: COLUMNS[name] for name in names}
    lit = {name: replace(each, unit=unit) if each.unit == "electron" else each for name, each in known.items()}
    return lit | DEEP_COLUMNS


def _put_right(columns: dict[str, Values], noise: Mapping[str, Any], header: Mapping[str, Scalar]) -> None:
    """Errors from those that hold for a point source's light to those of each figure's own extent."""
    covariance, point = np.asarray(noise["covariance"], np.float64), float(noise["point"])
    radii = [float(header[f"APER{n}"] or 0.0) for n in (1, 2, 3)]
    columns["flux_aper_err"] = columns["flux_aper_err"] * excess_within(covariance, radii) / point
    columns["flux_auto_err"] = columns["flux_auto_err"] * excess_within(covariance, columns["auto_radius"]) / point
    round_one = np.sqrt(columns["area"] / np.pi)
    columns["flux_iso_err"] = columns["flux_iso_err"] * excess_within(covariance, round_one) / point
    with np.errstate(invalid="ignore", divide="ignore"):
        columns["snr"] = np.where(columns["flux_iso_err"] > 0, columns["flux_iso"] / columns["flux_iso_err"], 0.0)
    columns["peak_err"] = columns["peak_err"] * excess(covariance, np.ones((1, 1))) / point
    centre = excess(covariance, bell(float(noise["fwhm"]))[1]) / point
    for name in (*PLACES, *SHAPES, *SQUARES):
        columns[name] = columns[name] * centre
    columns["theta_err"] = np.minimum(columns["theta_err"], 90.0)
    for name in COVARIANCES:
        columns[name] = columns[name] * centre**2


def _exposures(columns: Mapping[str, Values], number: Rows | None) -> Values:
    """Exposures at the nearest pixel of each source; -1 where the stack does not tell."""
    if number is None:
        return np.full(len(columns["x"]), -1)
    ny, nx = number.shape
    try:
        plane = number.read(0, ny, "number")
    except KeyError:
        return np.full(len(columns["x"]), -1)
    y, x = (
        np.clip(np.rint(np.nan_to_num(columns[name])).astype(np.int64), 0, size - 1)
        for name, size in (("y", ny), ("x", nx))
    )
    return np.asarray(np.rint(np.asarray(plane[y, x], np.float64)))


def _figures(made: Catalogue, zero: float) -> dict[str, Measured]:
    errors = made["flux_psf_err"][(made["flags"] == 0) & (made["snr_psf"] < 2.0 * DEPTH)]
    if not errors.size:
        errors = made["flux_psf_err"]
    errors = errors[np.isfinite(errors) & (errors > 0)]
    figures = {
        "deep_sources": Measured(float(len(made))),
        "deep_points": Measured(float(np.count_nonzero((made["p_star"] > 0.5) & (made["snr_psf"] > 10.0)))),
        "deep_flagged": Measured(float(np.count_nonzero(made["flags"]))),
    }
    if errors.size:
        depth = zero - 2.5 * np.log10(DEPTH * float(np.median(errors)))
        figures["deep_depth"] = Measured(float(depth), "mag")
    return figures


TASK = Task(
    name="deep_sources",
    version=2,
    grain=Grain.TILE_BAND,
    settings=NoSettings,
    needs=(
        Need("stack"),
        Need("sources"),
        Need("psf_sources"),
        Need("noise"),
        Need("number", stream=True, optional=True),
    ),
    gives=(
        Give("deep_sources", Form.CATALOGUE, meaning="the sources of a stack, with AB magnitudes and honest errors"),
        Give("deep_figures", Form.METRICS, meaning="how many sources a stack has, and its depth"),
    ),
    run=deep_sources,
)
