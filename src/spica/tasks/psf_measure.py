"""PSF photometry: place and flux of every source as a point, and whether it is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import PSF_COLUMNS, Catalogue, Flag, PsfFlag
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.aperture import circular_photometry
from spica.kernels.point_sources import star_probability
from spica.kernels.psf_again import Again, look_again
from spica.kernels.psf_members import FAILED, HELD, UNFINISHED
from spica.kernels.psf_sources import Fitting, blurred, fit_sources
from spica.kernels.robust import MAD_TO_SIGMA

Column = npt.NDArray[Any]
BAD = int(Mask.unusable() | Mask.INTERPOLATED)
"""Left out of the fit; an interpolated pixel too, which holds no light of its own."""
BRIGHT, DARK = 20.0, 0.3
"""Pixels that many times the noise above the darkest part of all tell how the variance grows with light."""
FEWEST, SEEN, THIN = 50, 1 << 21, 16
"""So many of them at least, among about so many pixels; one of so many of these tells what the darkest are."""
WHOLE = 0.9
"""A profile with less of it on good pixels is incomplete."""
PLACES, CORE, UNREST = 5, 1.0, 0.02
"""Along each axis, and radius in units of the FWHM, at and within which the model's light is looked at; the scatter of
its part there above which the wings are not believed."""
SPREAD_SCALE = 1.0 / 16.0
"""Scale length of the disk of spread_model in units of the FWHM (Desai et al. 2012, ApJ 757, 83)."""
READ = (
    "source_id", "x", "y", "x_err", "y_err", "xy_cov", "flux_auto", "flux_aper", "flux_aper_err", "snr", "flags", "mask_bits",
)  # fmt: skip


class PsfMeasureSettings(Settings):
    """How point sources are fitted."""

    reach: float = setting(2.0, "radius of the pixels that are fitted, in units of the FWHM", gt=0.5, le=10)
    link: float = setting(2.0, "sources nearer to each other are fitted at once, in units of the FWHM", ge=0, le=5)
    largest_group: int = setting(8, "sources fitted at once; larger groups are divided", ge=1, le=50)
    sweeps: int = setting(3, "times that sources are fitted again where neighbours changed", ge=1, le=20)
    free_snr: float = setting(6.0, "sources below this isophotal S/N keep the place of their detection", ge=0)
    furthest: float = setting(0.5, "a place may move this far from the detection, in units of the FWHM", gt=0)
    again: bool = setting(True, "look again at what is no single point: light of extended neighbours, companions")
    haze: bool = setting(True, "take away the mean light of sources unseen, as measured (card HAZE)")


def psf_measure(
    settings: PsfMeasureSettings,
    science: Image,
    background: Image,
    sources: Catalogue,
    psf: Catalogue,
) -> Products:
    """Fit the point spread function to every source, neighbours at once; star or galaxy.

    Returns
    -------
    psf_sources : Catalogue, a row for each of `sources`, in their order.
    psf_photometry : metrics: aperture corrections, medians of χ², sources by flag.

    Card PSFMADE tells what made the model: stars, or where there were too few plane, neighbour, exposure, profile.

    Raises
    ------
    DataFault
        ``psf.missing`` without a model; ``data.bad-value`` where neither image nor background has a variance.
    """
    model = _model(psf)
    haze = float(sources.header.get("HAZE") or 0.0) if settings.haze else 0.0
    level = background.pixels + np.float32(haze) if haze != 0.0 else background.pixels
    variance, dark, gain = _variances(science, background)
    x, y = (np.asarray(sources[name], float) for name in ("x", "y"))
    free = np.asarray(sources["snr"]) >= settings.free_snr
    lost = np.asarray(sources["flags"]) & Flag.SATURATED != 0
    values = model.values(x, y)
    cube = model.coefficients[: values.shape[1]]
    light, unrest = _unit(model)
    values /= (values @ light)[:, None]
    fitting = Fitting(
        fwhm=model.fwhm,
        reach=max(settings.reach * model.fwhm, 2.5),
        link=settings.link * model.fwhm,
        largest=settings.largest_group,
        sweeps=settings.sweeps,
        furthest=max(settings.furthest * model.fwhm, 1.0),
        gain=gain,
        sky=dark,
    )
    mask = np.zeros(science.shape, np.int32) if science.mask is None else science.mask
    profile = cube, blurred(cube, SPREAD_SCALE * model.fwhm / model.sampling), values, model.sampling
    start = x, y, np.asarray(sources["flux_auto"], float), free, lost
    fitted = fit_sources(science.pixels, level, variance, mask, profile, start, fitting, bad_bits=BAD)
    seen = Again(fitted, np.zeros(x.size), np.zeros(x.size, np.bool_))
    if settings.again:
        seen = look_again(variance, mask, BAD, profile, fitted, lost | ~free, fitting)
    columns = _columns(seen, sources, free, lost)
    whole = columns["flags_psf"] & (PsfFlag.INCOMPLETE | PsfFlag.CORE_LOST | PsfFlag.FAILED) == 0
    kinds = star_probability(columns["spread_model"], columns["spread_model_err"], columns["snr_psf"], whole)
    columns["p_star"] = kinds.star
    columns["flags_psf"] |= np.where(np.isfinite(kinds.star), 0, PsfFlag.UNCLASSED)
    columns = {name: columns[name].astype(column.dtype) for name, column in PSF_COLUMNS.items()}
    header: dict[str, Scalar] = {"PSFFWHM": round(model.fwhm, 4), "VARGAIN": round(gain, 5), "HAZE": round(haze, 5)}
    header |= {"PSFWINGS": round(unrest, 5), "PSFMADE": str(model.facts.get("made") or "")}
    header |= {name: value for name, value in sources.header.items() if name.startswith("APER")}
    header |= {f"CLS_{name}".upper(): round(value, 5) for name, value in kinds.mixture.items()}
    made = Catalogue(columns, header)
    return {
        "psf_sources": made,
        "psf_photometry": _figures(made, sources, model) | {"psf_wing_unrest": Measured(unrest)},
    }


def _model(psf: Catalogue) -> PsfModel:
    if len(psf) == 0:
        raise DataFault("psf.missing", "the detector has no PSF model")
    model = PsfModel.from_catalogue(psf)
    if not (np.all(np.isfinite(model.coefficients)) and model.fwhm > 0.0):
        raise DataFault("psf.missing", "the PSF model is not finite", fwhm=model.fwhm, stars=model.stars)
    return model


def _unit(model: PsfModel) -> tuple[Column, float]:
    """Light of the model by term, (terms,), so that it can be made the same at every place; and how unsteady its wings are.

    Its sum, unless noise or a crowd have bent the wings: of profiles of one form the same part of the light is within
    circles that grow with their widths. Where that part is scattered over the detector by more than any telescope does
    it, the light within those circles is made the same.
    """
    steps = np.linspace(-0.9, 0.9, PLACES)
    x, y = (
        grid.ravel() for grid in np.meshgrid(*(c + s * steps for c, s in zip(model.centre, model.scale, strict=True)))
    )
    unit = model.samples(x, y) * np.float32(model.sampling**2)
    middle, radii = [float(model.size // 2)], np.linspace(0.05, 1.0, 96) * (model.size // 2)
    curves = np.array([circular_photometry(each, np.ones_like(each), middle, middle, radii).flux[0] for each in unit])
    v, u = np.indices(unit.shape[1:]) - model.size // 2
    near = np.hypot(u, v) * model.sampling < 2.0 * CORE * model.fwhm
    core = np.sum(unit**2, axis=(1, 2), where=near, dtype=np.float64)
    reach, light = np.full(len(x), CORE * model.fwhm / model.sampling), np.ones(len(x))
    for _ in range(3):
        light = np.array([np.interp(at, radii, curve) for at, curve in zip(reach, curves, strict=True)])
        # Root of the area that the noise of so wide a profile comes from.
        width = np.abs(light) / np.sqrt(core)
        reach = CORE * model.fwhm / model.sampling * width / np.median(width)
    whole = np.sum(unit, axis=(1, 2), dtype=np.float64)
    part = light / whole
    unrest = float(np.std(part) / np.median(part))
    if unrest > UNREST:
        whole = light / np.median(part)
    return np.asarray(np.linalg.lstsq(model.values(x, y), whole, rcond=None)[0]), unrest


def _variances(science: Image, background: Image) -> tuple[Column, float, float]:
    """Complete variance of each pixel, that of dark sky, and the variance that one unit of light brings.

    The last is what the plane itself says when bright pixels are compared with dark ones: flat fields and gains of all
    kinds are in it, and a crowd has no part.
    """
    rows = slice(None, None, max(science.pixels.size // SEEN, 1))
    pixels = science.pixels[rows]
    good = np.isfinite(pixels) if science.mask is None else science.mask[rows] == 0
    if science.variance is None:
        if background.variance is None:
            raise DataFault("data.bad-value", "neither image nor background carries a variance", need="background")
        # A delivered image without weights: the measured sky noise plus the photons of sources.
        gain = 1.0 / float(science.header.get("GAIN") or 1.0)
        variance = background.variance + np.float32(gain) * (science.pixels - background.pixels)
        return variance, float(np.median(background.variance)), gain
    spread = science.variance[rows]
    good &= np.isfinite(spread) & (spread > 0.0)
    if not np.any(good):
        raise DataFault("data.no-pixels", "no pixel has a variance", need="science")
    places = np.flatnonzero(good)
    some = places[:: max(min(THIN, places.size // FEWEST), 1)]
    light, noise = pixels.flat[some].astype(np.float64), spread.flat[some].astype(np.float64)
    dark = light <= np.quantile(light, DARK)
    level, sky = float(np.median(light[dark])), float(np.median(noise[dark]))
    bright = good & (pixels > level + BRIGHT * np.sqrt(sky))
    gain = 0.0
    if np.count_nonzero(bright) >= FEWEST:
        gain = float(np.median((spread[bright].astype(np.float64) - sky) / (pixels[bright].astype(np.float64) - level)))
    return science.variance, sky, max(gain, 0.0)


def _columns(seen: Again, sources: Catalogue, free: Column, lost: Column) -> dict[str, Column]:
    fitted = seen.fitted
    flux_err = np.sqrt(fitted.var_flux)
    own = np.isfinite(fitted.var_x)
    snr = np.divide(fitted.flux, flux_err, out=np.full(len(sources), np.nan), where=flux_err > 0)
    size = np.bincount(fitted.group)[fitted.group] if len(sources) else np.zeros(0, np.int64)
    flags = np.zeros(len(sources), np.int64)
    for is_so, flag in (
        (~free, PsfFlag.FORCED),
        (fitted.status & HELD != 0, PsfFlag.HELD),
        (size > 1, PsfFlag.BLENDED),
        (fitted.covered < WHOLE, PsfFlag.INCOMPLETE),
        (lost, PsfFlag.CORE_LOST),
        (fitted.status & UNFINISHED != 0, PsfFlag.UNFINISHED),
        (fitted.status & FAILED != 0, PsfFlag.FAILED),
        (seen.beside > 0.0, PsfFlag.COMPANION),
        (seen.cleared, PsfFlag.CLEARED),
    ):
        flags |= np.where(is_so, flag, 0)
    return {
        "source_id": np.asarray(sources["source_id"]),
        "x_psf": fitted.x,
        "y_psf": fitted.y,
        # A place that was not fitted has the error of the one that was taken.
        "x_psf_err": np.where(own, np.sqrt(fitted.var_x), sources["x_err"]),
        "y_psf_err": np.where(own, np.sqrt(fitted.var_y), sources["y_err"]),
        "xy_psf_cov": np.where(own, fitted.cov_xy, sources["xy_cov"]),
        "flux_psf": fitted.flux,
        "flux_psf_err": flux_err,
        "snr_psf": snr,
        "chi2_psf": fitted.chi2 / np.maximum(fitted.pixels - np.where(own, 3, 1), 1),
        "covered_psf": fitted.covered,
        "group_size": size,
        "flux_beside": seen.beside,
        "spread_model": fitted.spread,
        "spread_model_err": fitted.spread_err,
        "flags_psf": flags,
    }


def _figures(made: Catalogue, sources: Catalogue, model: PsfModel) -> dict[str, Measured]:
    """Aperture corrections by the model and by the frame's stars, and how the fits went."""
    flags, snr = made["flags_psf"], made["snr_psf"]
    stars = (made["p_star"] > 0.9) & (snr > 50.0) & (flags == 0) & (np.asarray(sources["flags"]) == 0)
    figures = {
        "psf_fit_chi2": Measured(float(np.median(made["chi2_psf"][stars])) if np.any(stars) else float("nan")),
        "point_sources": Measured(float(np.count_nonzero((made["p_star"] > 0.5) & (snr > 10.0)))),
        "extended_sources": Measured(float(np.count_nonzero((made["p_star"] <= 0.5) & (snr > 10.0)))),
        "psf_companions": Measured(float(np.count_nonzero(flags & PsfFlag.COMPANION))),
        "psf_held": Measured(float(np.count_nonzero(flags & PsfFlag.HELD))),
        "psf_failed": Measured(float(np.count_nonzero(flags & PsfFlag.FAILED))),
    }
    radii = [float(made.header[name] or 0.0) for name in sorted(made.header) if name.startswith("APER")]
    for number, part in enumerate(light_within(model, radii), start=1):
        figures[f"apcor_{number}"] = Measured(-2.5 * float(np.log10(part)), "mag")
        with np.errstate(invalid="ignore", divide="ignore"):
            seen = -2.5 * np.log10(np.asarray(sources["flux_aper"])[stars, number - 1] / made["flux_psf"][stars])
        seen = seen[np.isfinite(seen)]
        if seen.size:
            middle = float(np.median(seen))
            figures[f"apcor_{number}_stars"] = Measured(middle, "mag")
            figures[f"apcor_{number}_scatter"] = Measured(MAD_TO_SIGMA * float(np.median(np.abs(seen - middle))), "mag")
    return {name: each for name, each in figures.items() if np.isfinite(each.value)}


def light_within(model: PsfModel, radii: list[float]) -> Column:
    """Part of the model's light in the middle of the domain within circles of those radii [pixel], (radii,)."""
    unit = model.samples(model.centre[0], model.centre[1])[0] * np.float32(model.sampling**2)
    middle, ones = [float(model.size // 2)], np.ones_like(unit)
    inside = np.asarray(radii) / model.sampling
    return circular_photometry(unit, ones, middle, middle, inside).flux[0] if radii else np.zeros(0)


TASK = Task(
    name="psf_measure",
    version=6,
    grain=Grain.DETECTOR,
    settings=PsfMeasureSettings,
    needs=(
        Need("science"),
        Need("background"),
        Need("sources", columns=READ),
        Need("psf"),
    ),
    gives=(
        Give("psf_sources", Form.CATALOGUE, meaning="places and fluxes by PSF fit, and kind, of the sources"),
        Give("psf_photometry", Form.METRICS, meaning="aperture corrections, how PSF fits went"),
    ),
    run=psf_measure,
)

DEEP = replace(TASK, name="deep_psf_measure", grain=Grain.TILE_BAND)
"""The same of a stack."""
