"""Forced: light in one band of sources that were found in others, whether it is above the noise or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.ab import ab_magnitudes
from spica.kernels.aperture import circular_photometry
from spica.kernels.correlation import excess_within
from spica.kernels.dual import flat_sky, light_gain, rounded
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_sources import Fitting, fit_sources

Values = npt.NDArray[Any]

BAD = int(Mask.unusable())
KINDS = ("auto", "psf", "colour")


class ForcedSettings(Settings):
    """How light is measured at places that are given."""

    colour_radius: float = setting(1.0, "aperture of colours, in units of the broadest band's seeing", gt=0.2, le=10)
    largest_radius: float = setting(60.0, "no aperture is larger", "pixel", gt=2)
    box: int = setting(64, "side of a cell of the background", "pixel", ge=16)


def forced(
    settings: ForcedSettings,
    stack: Image,
    psf: Catalogue,
    noise: Mapping[str, Any],
    detection_labels: Image,
    detected: Catalogue,
) -> Products:
    """Measure a band's stack at the places, and in the apertures, of the tile's sources.

    `flux_auto` is the light in the circle as large as the Kron ellipse of the detection, the same in all bands; `flux_psf` that of the band's
    PSF at the source's place, neighbours at once; `flux_colour` that in a circle as wide as the broadest band's seeing asks for, over the part that the
    band's own PSF has in it: ratios between bands are colours of the same part of the source. Light may be negative.

    Returns
    -------
    forced : Catalogue, a row for each of `detected`, in their order.
    forced_figures : metrics.

    Raises
    ------
    DataFault
        ``psf.missing``, ``zero-point.none``, ``data.no-pixels``, ``data.bad-value`` without a variance.
    """
    zero = stack.header.get("MAGZERO")
    if not isinstance(zero, int | float):
        raise DataFault("zero-point.none", "the stack has no zero point MAGZERO")
    if stack.variance is None:
        raise DataFault("data.bad-value", "a stack is measured with its variance", need="stack")
    if len(psf) == 0:
        raise DataFault("psf.missing", "the stack has no PSF model")
    told = flat_sky(stack.pixels, stack.mask, BAD, settings.box)
    if told is None:
        raise DataFault("data.no-pixels", "the stack has no pixels to measure in", need="stack")
    level, mask = told[0], np.zeros(stack.shape, np.int32) if stack.mask is None else stack.mask
    planes = stack.pixels, level, stack.variance, mask
    model, covariance = PsfModel.from_catalogue(psf), np.asarray(noise["covariance"], np.float64)
    radius = settings.colour_radius * float(detected.header["FWHMBAND"] or 0.0)
    labels = _labels(detection_labels, detected)
    kron = rounded(detected["auto_radius"].astype(np.float64), 1.0, settings.largest_radius)
    columns: dict[str, Values] = {}
    for name, radii in (("auto", kron), ("colour", np.full(len(detected), radius))):
        light, error, bad = _within(planes, detected, labels, radii)
        part = light_within(model, radius) if name == "colour" else 1.0
        columns[f"flux_{name}"] = light / part
        columns[f"flux_{name}_err"] = error * excess_within(covariance, radii) / part
        columns[f"bad_{name}"] = bad
    columns["flux_psf"], error = _fitted(planes, detected, model, columns["flux_auto"])
    columns["flux_psf_err"] = error * float(noise["point"])
    for name in KINDS:
        columns[f"mag_{name}"], columns[f"mag_{name}_err"] = ab_magnitudes(
            columns[f"flux_{name}"], columns[f"flux_{name}_err"], float(zero)
        )
    declared = declarations(str(stack.header.get("BUNIT") or ""))
    cards: dict[str, Scalar] = {"MAGZERO": float(zero), "COLOURAP": round(radius, 3)}
    table = Catalogue({name: columns[name].astype(each.dtype) for name, each in declared.items()}, cards, declared)
    strong = np.count_nonzero(table["flux_psf"] > 5.0 * table["flux_psf_err"])
    return {"forced": table, "forced_figures": {"forced_above_5": Measured(float(strong))}}


def declarations(unit: str) -> dict[str, Column]:
    """Columns in order."""
    meanings = {
        "auto": "within the circle as large as the Kron ellipse of the detection",
        "psf": "of the band's PSF at the place of the detection",
        "colour": "within the aperture of colours, over the PSF's part in it",
    }
    columns = []
    for name, meaning in meanings.items():
        columns += [
            Column(f"flux_{name}", "f8", unit, "phot.flux", f"light {meaning}"),
            Column(f"flux_{name}_err", "f4", unit, "stat.error;phot.flux", f"standard error of flux_{name}"),
            Column(f"mag_{name}", "f4", "mag", "phot.mag", f"AB magnitude of flux_{name}"),
            Column(f"mag_{name}_err", "f4", "mag", "stat.error;phot.mag", f"standard error of mag_{name}"),
        ]
    for name in ("auto", "colour"):
        columns.append(Column(f"bad_{name}", "i4", "", "meta.number", f"bad pixels in the circle of flux_{name}"))
    return {column.name: column for column in columns}


def _labels(detection_labels: Image, detected: Catalogue) -> Values:
    """Numbers of the sources that pixels belong to, as the detection has them."""
    labels = np.rint(detection_labels.pixels).astype(np.int32)
    if labels.max(initial=0) != len(detected):
        count = labels.max(initial=0)
        raise DataFault(
            "data.bad-value", f"{count} sources in the detection's image, {len(detected)} in its catalogue", need="detected"
        )  # fmt: skip
    return labels


def _within(
    planes: tuple[Values, Values, Values, Values], detected: Catalogue, labels: Values, radii: Values
) -> tuple[Values, Values, Values]:
    """Light, its error for uncorrelated noise, and bad pixels in circles of a radius each."""
    pixels, level, variance, mask = planes
    light, error, bad = np.zeros((3, len(detected)))
    for radius in np.unique(radii):
        rows = np.flatnonzero(radii == radius)
        x, y = detected["x"][rows], detected["y"][rows]
        found = circular_photometry(
            pixels, variance, x, y, [radius], mask, bad_bits=BAD, sky=level, labels=labels, own=rows + 1
        )
        light[rows], error[rows] = found.flux[:, 0], np.sqrt(found.flux_variance[:, 0])
        bad[rows] = found.masked[:, 0]
    return light, error, bad


def _fitted(
    planes: tuple[Values, Values, Values, Values], detected: Catalogue, model: PsfModel, start: Values
) -> tuple[Values, Values]:
    """Light of the PSF at the places, and its error for uncorrelated noise."""
    pixels, level, variance, mask = planes
    x, y = detected["x"], detected["y"]
    values = model.values(x, y)
    cube = model.coefficients[: values.shape[1]]
    sky = float(np.median(variance[np.isfinite(variance) & (variance > 0)]))
    how = Fitting(
        fwhm=model.fwhm, reach=max(2.0 * model.fwhm, 2.5), link=2.0 * model.fwhm, largest=8, sweeps=3,
        furthest=model.fwhm, gain=light_gain(pixels - level, variance), sky=sky,
    )  # fmt: skip
    none = np.zeros(len(detected), np.bool_)
    found = fit_sources(
        pixels,
        level,
        variance,
        mask,
        (cube, cube, values, model.sampling),
        (x, y, start, none, none),
        how,
        bad_bits=BAD,
    )
    return found.flux, np.sqrt(found.var_flux)


def light_within(model: PsfModel, radius: float) -> float:
    """Part of the model's light in the middle of the domain within a circle [pixel]."""
    side = 2 * int(model.size * model.sampling / 2) - 1
    unit = psf_stamps(model.coefficients, model.values(*model.centre), model.sampling, [0.0], [0.0], side)[0, 0]
    half = [float(side // 2)]
    return float(circular_photometry(unit, np.ones_like(unit), half, half, [radius]).flux[0, 0] / unit.sum())


TASK = Task(
    name="forced",
    version=1,
    grain=Grain.TILE_BAND,
    settings=ForcedSettings,
    needs=(
        Need("stack"),
        Need("psf"),
        Need("noise"),
        Need("detection_labels", grain=Grain.TILE),
        Need("detected", grain=Grain.TILE),
    ),
    gives=(
        Give("forced", Form.CATALOGUE, meaning="light in one band of all sources of the tile"),
        Give("forced_figures", Form.METRICS, meaning="how many sources of the tile shine in the band"),
    ),
    run=forced,
)
