"""Express: the joint solution of one detector as header cards, with its zero point, outline and verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from spica.core.catalogue import CODES
from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.records import Exposure, Grain, Unit
from spica.core.settings import Settings, setting
from spica.core.solution import Standing
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.core.verdict import GRADES, number_of, reasons_of
from spica.kernels.wcs import TangentWcs, outline
from spica.kernels.wcs_cards import to_cards
from spica.kernels.wcs_convert import polynomial_of, to_sip
from spica.kernels.wcs_rows import from_columns

_COLUMNS = {
    "astrometry_internal": ("rms_internal", "mas"),
    "astrometry_external": ("rms_external", "mas"),
    "astrometry_error": ("sky_err", "mas"),
    "astrometry_stretch": ("stretch", ""),
    "astrometry_chi2": ("chi2", ""),
    "astrometry_used": ("used", ""),
    "astrometry_rejected": ("rejected", ""),
    "astrometry_ties": ("ties", ""),
    "astrometry_share": ("share", ""),
    "zero_point": ("zero_point", "mag"),
    "zero_point_err": ("zero_point_err", "mag"),
    "photometry_scatter": ("mag_scatter", "mag"),
    "photometry_used": ("mag_used", ""),
}
"""Metrics of a detector: the column of `solution`, and the unit."""


ZERO = ("zero_point", "zero_point_err", "photometric")


class ExpressSettings(Settings):
    """In which form, and what a good solution is."""

    form: Literal["tpv", "sip"] = setting("tpv", "form of the sky solution in headers: tpv or sip")
    internal: tuple[float, float, float] = setting((0.1, 0.2, 0.5), "scatter of bright sources; A, B, C end", "pixel")
    external: tuple[float, float, float] = setting((0.35, 0.7, 1.5), "scatter about references; A, B, C end", "pixel")
    error: tuple[float, float, float] = setting((0.3, 0.6, 1.5), "error of the solution itself; A, B, C end", "pixel")
    stretch: tuple[float, float, float] = setting(
        (0.01, 0.02, 0.05), "departure of the scale from that of the first focal plane; A, B, C end"
    )
    chi2: tuple[float, float, float] = setting((1.5, 3.0, 8.0), "mean squared pull; A, B, C end")
    ties: tuple[float, float, float] = setting((20.0, 10.0, 3.0), "reference stars that count; A, B, C end")
    share: tuple[float, float, float] = setting((0.3, 0.1, 0.03), "share of matched references; A, B, C end")


def express(
    settings: ExpressSettings,
    unit: Unit,
    exposure: Exposure,
    solution: Catalogue,
    refused: Mapping[str, Any],
    grading: Mapping[str, Any],
) -> Products:
    """The row of `solution` that is of this detector, as others read it: the one place that says where it lies.

    Limits of the verdict are the settings', in pixels where they are lengths; the camera's table overrules them by the
    metric's name.

    Returns
    -------
    sky_solution : value: `cards` of the header, `standing`, `figures` (value and unit by name), `grade`, `reasons`,
        `exposure_time` [s], `photometric` (1 tied to reference magnitudes, 0 relative, -1 none), `scale` of the zero
        point (AB, Vega, unknown), `outline`.
    detector_outline : vertices on the sky, middles of the sides among them.
    astrometry : metrics: scatter within and against the reference, errors, counts, zero point, `sky_verdict` (A 1 … D 4).

    Raises
    ------
    DataFault
        Under the name under which `solve` refused the exposure; ``solve.sparse`` without a row or without a solution.
    """
    row = _row(unit, exposure, solution, refused)
    standing = Standing(int(solution["standing"][row]))
    wcs = from_columns(solution.columns, row)
    if settings.form == "sip":
        polynomial = polynomial_of(wcs)
        if polynomial is None:
            raise DataFault("solve.sparse", f"{unit}: its solution has terms that SIP does not know", unit=str(unit))
        wcs = to_sip(polynomial)
    figures = {
        name: Measured(float(solution[column][row]), units)
        for name, (column, units) in _COLUMNS.items()
        if column in solution.columns and np.isfinite(solution[column][row])
    }
    photometric = int(solution["photometric"][row])
    if photometric < 0:
        figures = {name: each for name, each in figures.items() if not name.startswith(("zero_point", "photometry"))}
    else:
        figures["photometric"] = Measured(float(photometric))
    limits = _limits(settings, wcs) | {name: tuple(each) for name, each in grading.items() if name in _COLUMNS}
    reasons = reasons_of(figures, limits, ("astrometry_internal",) if standing is Standing.SOLVED else ())
    grade = reasons[0]["grade"] if reasons else GRADES[0]
    told = {
        "cards": to_cards(wcs),
        "standing": int(standing),
        "figures": {name: [each.value, each.units] for name, each in figures.items()},
        "grade": grade,
        "reasons": reasons,
        "exposure_time": exposure.exposure_time,
        "photometric": photometric,
        "scale": str(solution.header.get("MAGSYS") or "unknown"),
        "outline": outline(wcs, (int(solution["nx"][row]), int(solution["ny"][row]))),
    }
    return {
        "sky_solution": told,
        "detector_outline": told["outline"],
        "astrometry": _of_place(figures) | {"sky_verdict": Measured(number_of(grade))},
    }


def _of_place(figures: dict[str, Measured]) -> dict[str, Measured]:
    """Those that are not the zero point's: the task `magnitudes` tells which one holds."""
    return {name: each for name, each in figures.items() if name not in ZERO}


def _row(unit: Unit, exposure: Exposure, solution: Catalogue, refused: Mapping[str, Any]) -> int:
    """The detector's row of the solution, if it is a solution."""
    reason = refused.get(exposure.name)
    if reason is not None:
        code = str(reason["code"])
        numbers = {name: value for name, value in reason.items() if name not in {"code", "message"}}
        raise DataFault(code, str(reason["message"]), advice=CODES[code].advice, **numbers)
    mine = (solution["exposure_id"] == exposure.id) & (solution["detector"] == int(unit.keys["detector"]))
    rows = np.flatnonzero(mine)
    if rows.size == 0:
        raise DataFault("solve.sparse", f"{unit} had no clean source that a solution could use", unit=str(unit))
    row = int(rows[0])
    if int(solution["standing"][row]) not in {Standing.SOLVED, Standing.SPARSE}:
        raise DataFault("solve.sparse", f"{unit} has no solution of its own", unit=str(unit))
    return row


def _limits(settings: ExpressSettings, wcs: TangentWcs) -> dict[str, tuple[float, ...]]:
    """Where grades end, by metric."""
    pixel = 3.6e6 * float(np.sqrt(np.abs(np.linalg.det(wcs.cd))))
    return {
        "astrometry_internal": tuple(pixel * value for value in settings.internal),
        "astrometry_external": tuple(pixel * value for value in settings.external),
        "astrometry_error": tuple(pixel * value for value in settings.error),
        "astrometry_stretch": settings.stretch,
        "astrometry_chi2": settings.chi2,
        "astrometry_ties": settings.ties,
        "astrometry_share": settings.share,
    }


TASK = Task(
    name="express",
    version=4,
    grain=Grain.DETECTOR,
    settings=ExpressSettings,
    needs=(
        Need("unit", source="unit"),
        Need("exposure", source="exposure"),
        Need("solution", grain=Grain.GROUP),
        Need("refused", grain=Grain.GROUP),
        Need("grading", source="camera", section="grading"),
    ),
    gives=(
        Give("sky_solution", Form.VALUE, meaning="header cards of the detector's place on the sky, figures, verdict"),
        Give("detector_outline", Form.OUTLINE, meaning="the detector's outline on the sky"),
        Give("astrometry", Form.METRICS, meaning="scatter, errors and counts of the sky solution, zero point"),
    ),
    run=express,
)
