"""A drawn field as the engine would hand it to the task `solve`."""

from __future__ import annotations

from typing import Any

import numpy as np

from spica.core.columns import Catalogue
from spica.core.records import Exposure, FrameType, Scalar
from spica.core.reference import declaration
from spica.core.streams import Parts
from spica.core.systems import Systems
from spica.core.task import Member
from spica.kernels.wcs import TangentWcs
from spica.tasks.solve import TASK as SOLVE
from spica.tasks.solve.settings import SolveSettings
from tests.support.joint_field import Field


def cards(wcs: TangentWcs) -> dict[str, Scalar]:
    plain: dict[str, Scalar] = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    for axis in (0, 1):
        plain |= {f"CRVAL{axis + 1}": float(wcs.crval[axis]), f"CRPIX{axis + 1}": float(wcs.crpix[axis]) + 1.0}
        plain |= {f"CD{axis + 1}_{k + 1}": float(wcs.cd[axis, k]) for k in (0, 1)}
    return plain


def inputs(field: Field) -> dict[str, Any]:
    """What the engine would hand to the task."""
    exposures, wcs, sources = [], {}, []
    for number, (solutions, lists) in enumerate(zip(field.header, field.detections, strict=True)):
        name = f"demo-{number}"
        record = Exposure(100 + number, name, "demo", FrameType.OBJECT, "2026-01-01", 61000.0 + number, 10.0, band="r")
        exposures.append(record)
        for chip, (first, seen) in enumerate(zip(solutions, lists, strict=True)):
            unit = f"detector:{name}/{chip}"
            wcs[f"{name}/{chip}"] = cards(first) | {"NAXIS1": field.plan.nx, "NAXIS2": field.plan.ny}
            columns: dict[str, np.ndarray] = {
                "source_id": 10_000 * number + np.arange(seen.x.size),
                "x": seen.x,
                "y": seen.y,
                "x_err": seen.err.astype(np.float32),
                "y_err": seen.err.astype(np.float32),
                "flux_auto": 10.0 * seen.flux,
                "flux_auto_err": (10.0 * seen.flux_err).astype(np.float32),
                "flags": np.zeros(seen.x.size, np.int32),
            }
            sources.append(Member(unit, Catalogue(columns)))
    error = np.full(field.ref_ra.size, field.plan.error, np.float32)
    stars: dict[str, np.ndarray] = {
        "source_id": field.reference,
        "ra": field.ref_ra,
        "dec": field.ref_dec,
        "ra_err": error,
        "dec_err": error,
        "mag_r": field.ref_mag.astype(np.float32),
        "mag_r_err": np.full(error.size, 0.015, np.float32),
        "flags": np.zeros(error.size, np.int32),
    }
    reference = Catalogue(stars, extra={name: declaration(name) for name in stars})
    return {
        "exposures": tuple(exposures),
        "wcs": wcs,
        "sources": tuple(sources),
        "pointing": None,
        "reference": reference,
        "site": {"longitude": -70.8, "latitude": -30.2, "height": 2200.0, "wavelengths": {"r": 623.0}},
        "standards": reference,
        "systems": Systems(scales={"r": "AB"}),
    }


def solved(settings: SolveSettings, **given: Any) -> dict[str, Any]:
    """What the task gives, its `matches` as one catalogue."""
    made = dict(SOLVE.run(settings, **given))
    return made | {"matches": whole(made["matches"])}


def whole(parts: Parts) -> Catalogue:
    """All parts as one catalogue."""
    each = list(parts.parts)
    columns = {name: np.concatenate([part[name] for part in each]) for name in each[0].columns}
    return Catalogue(columns, parts.header, each[0].extra)


def exposure_inputs(field: Field, number: int) -> dict[str, Any]:
    """One of its exposures for the task `zero_point`, with its true solution as first one."""
    whole = inputs(field)
    record = whole["exposures"][number]
    mine = tuple(member for member in whole["sources"] if f":{record.name}/" in member.unit)
    return {
        "exposure": record,
        "wcs": {chip: true_cards(field, number, chip) for chip in range(field.plan.detectors)},
        "sources": mine,
        "pointing": None,
        "reference": whole["reference"],
        "systems": whole["systems"],
        "passband": {"zero_point": 25.0, "extinction": 0.1},
    }


def true_cards(field: Field, number: int, chip: int) -> dict[str, Scalar]:
    """The true solution of an image as TPV cards, with its size."""
    wcs = field.truth[number][chip]
    plain = cards(wcs) | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "NAXIS1": field.plan.nx, "NAXIS2": field.plan.ny}
    plain |= {f"PV{axis + 1}_{k}": float(wcs.pv[axis, k]) for axis in (0, 1) for k in range(11)}
    return plain
