"""Psf: the point spread function at every place of one detector, from its stars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import COLUMNS, Catalogue, Column
from spica.core.images import Image
from spica.core.psf import PsfModel
from spica.core.records import Grain, Scalar, Unit
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.psf_fit import Stamps
from spica.kernels.psf_look import gallery, places_over, shapes_at
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_prior import Varying, fit_profiles, of_unit_light, one_profile, powers, prior_cube, terms_of
from spica.kernels.psf_solve import Basis, Grid, Solved, grid_for, left_over, legendre_basis, solve
from spica.kernels.stars import fit_moffats
from spica.tasks.psf.lent import OF_STARS, SEEING, lent_model
from spica.tasks.psf.seen import Stars, above_haze, accepted, cut_out, first_of, gathered_by, none_of, seeing_of
from spica.tasks.psf.settings import PsfSettings

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_PROFILED = 250
"""So many of the brightest stars tell the profile's polynomials."""
_BETA = 3.0
"""Exponent of the neighbours' profiles."""
_STARS_PER_TERM = 10
_HELD_FROM = 50
"""With fewer stars none is held out."""
_BRIGHT_ENOUGH = 0.003
"""Relative error at which a brighter star counts no more for the profile."""
_TELLING = 30.0
"""Signal-to-noise above which a star tells the profile though there are too few for a model."""
_ALIKE = 1.15
"""So much wider than the narrowest is still as wide as a star."""
_NUMBERS = 7e6
"""Pixels of all stars together, at most: what is held of them takes 28 bytes each."""
_SHOWN = 300
"""So many of the brightest stars show residuals in the picture."""
_MAP = (5, 5)
"""Places along x and y at which width and shape are reported."""


class _Others(NamedTuple):
    """What a rung of the rescue ladder adds: the detector, models of other units, the place of detectors in the focal plane."""

    unit: Unit | None
    lent: tuple[Member, ...] | None
    plane: Mapping[str, Any] | None


def psf(
    settings: PsfSettings,
    science: Image,
    background: Image,
    sources: Catalogue,
    stars: Catalogue,
    unit: Unit | None = None,
    psf: tuple[Member, ...] | None = None,
    plane: Mapping[str, Any] | None = None,
) -> Products:
    """Model the point spread function of a detector: a varying profile, and corrections sample by sample.

    The method is that of Bertin (2011, ASP Conf. 442, 435), samples finer than pixels with a polynomial each, solved for
    together with light, place and sky of every star; as prior the elliptical Moffat profile that the stars agree on, from which
    the samples depart as far as the stars show it above the noise (`spica.kernels.psf_solve`).

    Returns
    -------
    psf : Catalogue, `PsfModel.to_catalogue`.
    psf_stars : Catalogue of the stars: source_id, x, y (where the model has them), flux, chi2, used, held.
    psf_quality : metrics: width, ellipticity, χ² of the fitted and of the held-out stars; of a model that is lent: by how
        many units, and by what part light comes out wrong with it.
    psf_picture : the model at nine places above the mean residuals of the stars there.

    Raises
    ------
    DataFault
        ``psf.too-few-stars`` unless a fall-back is asked for, and is there.
    """
    others = _Others(unit, psf, plane)
    seen = accepted(science, background, stars)
    guess = seeing_of(sources, stars)
    if len(seen.x) < settings.least_stars:
        varying = _of_few(settings, science, background, sources, seen, guess)
        return _too_few(settings, science, (sources, stars), len(seen.x), others, varying)
    seen, (light, good, corner), start, (u, v), reach = _cut(settings, science, background, sources, seen, guess)
    varying = _profiles(settings, light, start, seen, (u, v), (guess, gathered_by(science)))
    width, beta = float(np.exp(varying.width[0])), 1.0 / varying.inverse_beta
    held = _held(settings, len(seen.x))
    degree = _degree(settings, int(np.count_nonzero(~held)))
    basis, grid = legendre_basis(degree), grid_for(width, settings.sampling)
    stamps = Stamps(light, good, np.ascontiguousarray(basis.values(powers(degree, u, v))), seen.noise, start)
    prior = prior_cube(varying, basis, degree, _side(reach, grid), grid.model)
    noise = 1.0 / gathered_by(science), settings.floor
    smooth = settings.smooth * width
    clip, outlying = settings.clip, settings.outlying
    solved = solve(
        *(stamps, prior, basis, grid, noise), reach=reach, smooth=smooth, clip=clip, outlying=outlying, held=held
    )
    used = int(np.count_nonzero(solved.used))
    if used < settings.least_stars:
        return _too_few(settings, science, (sources, stars), used, others, varying)
    facts: dict[str, Scalar] = {
        "made": OF_STARS,
        "beta": round(beta, 3),
        "reach": round(reach, 2),
        SEEING: float(guess),
    }
    model = _model(solved, basis, degree, _domain(science.shape), grid, width, facts)
    table = _table(seen, stamps, solved, held, corner)
    shown = seen.x[:_SHOWN], seen.y[:_SHOWN]
    metrics = _metrics(model, science.shape, solved, held, seen, table)
    return {
        "psf": model.to_catalogue(),
        "psf_stars": table,
        "psf_quality": metrics,
        "psf_picture": gallery(
            _nine(model, science.shape, 2 * int(np.ceil(reach)) + 1),
            science.shape,
            left_over(stamps, solved, _SHOWN),
            *shown,
        ),
    }


def psf_deep(
    settings: PsfSettings, science: Image, background: Image, sources: Catalogue, stars: Catalogue
) -> Products:
    """Model the point spread function of a stack; as `psf`."""
    return psf(settings, science, background, sources, stars)


def _cut(
    settings: PsfSettings, science: Image, background: Image, sources: Catalogue, seen: Stars, guess: float
) -> tuple[Stars, tuple[Float32, Float32, npt.NDArray[np.int64]], Float64, tuple[Float64, Float64], float]:
    """As many of the stars as memory has room for, what `cut_out` has of them, first guesses, places, radius."""
    mask = np.zeros(science.shape, np.int32) if science.mask is None else science.mask
    centre, scale = _domain(science.shape)
    reach = min(settings.reach * guess, float(settings.largest_reach))
    seen = first_of(seen, int(_NUMBERS / (2 * np.ceil(reach) + 1) ** 2))
    cut = cut_out(science, background, mask, sources, seen, (guess, _BETA), reach)
    start = np.stack([seen.flux, seen.x - cut[2][0], seen.y - cut[2][1], np.zeros(len(seen.x))], axis=-1)
    return seen, cut, start, ((seen.x - centre[0]) / scale[0], (seen.y - centre[1]) / scale[1]), reach


def _of_few(
    settings: PsfSettings, science: Image, background: Image, sources: Catalogue, seen: Stars, guess: float
) -> Varying | None:
    """The profile of a few bright stars; a round one of the seeing where there are none, None where that is not known."""
    if not np.isfinite(guess):
        return None
    bright = np.flatnonzero(seen.snr > _TELLING)
    if not bright.size:
        return one_profile(guess)
    seen, (light, _, _), start, places, reach = _cut(
        settings,
        science,
        background,
        sources,
        Stars(seen.source_id[bright], *(column[bright] for column in seen[1:])),
        guess,
    )
    light = above_haze(light, reach)
    return _profiles(settings, light, start, seen, places, (guess, gathered_by(science)), narrow=True)


def _too_few(
    settings: PsfSettings,
    science: Image,
    tables: tuple[Catalogue, Catalogue],
    number: int,
    others: _Others,
    varying: Varying | None,
) -> Products:
    """What is told, or taken, where there are too few stars."""
    model, figures = None, {"psf_stars": Measured(0.0)}
    if settings.fallback == "lent" and others.unit and others.lent and others.plane:
        lent = lent_model(*(others.unit, others.lent, others.plane, settings.plane_degree), seeing_of(*tables))
        if lent is not None:
            model = lent.model
            figures |= {"psf_lent": Measured(float(lent.lenders)), "psf_lent_error": Measured(lent.error)}
    elif settings.fallback == "profile" and varying is not None:
        model = _profile(settings, science, varying)
    if model is None:
        raise none_of(tables[1], number, settings.least_stars)
    figures["psf_fwhm"] = Measured(model.fwhm, "pixel")
    none, nothing = np.zeros(0), np.zeros((0, 3, 3), np.float32)
    nine = _nine(model, science.shape, 2 * int(3 * model.fwhm) + 1)
    return {
        "psf": model.to_catalogue(),
        "psf_stars": _stars_table(dict.fromkeys(_STAR_COLUMNS, none)),
        "psf_quality": {name: each for name, each in figures.items() if np.isfinite(each.value)},
        "psf_picture": gallery(nine, science.shape, nothing, none, none),
    }


def _side(reach: float, grid: Grid) -> int:
    """Samples on a side of a model that reaches so far [pixel]."""
    return 2 * int(np.ceil(reach / grid.model) + 2) + 1


def _profile(settings: PsfSettings, science: Image, varying: Varying) -> PsfModel:
    """A profile as a model, the same everywhere."""
    width = float(np.exp(varying.width[0]))
    once = replace(varying, degree=0, width=varying.width[:1], e1=varying.e1[:1], e2=varying.e2[:1])
    centre, scale = _domain(science.shape)
    grid = grid_for(width, settings.sampling)
    n = _side(min(settings.reach * width, settings.largest_reach), grid)
    basis = legendre_basis(0)
    light = of_unit_light(prior_cube(once, basis, 0, n, grid.model), basis, 0, grid.model)
    return PsfModel(light, 0, centre, scale, grid.model, width, facts={"made": "profile"})


def _domain(shape: tuple[int, int]) -> tuple[tuple[float, float], tuple[float, float]]:
    ny, nx = shape
    return (0.5 * (nx - 1), 0.5 * (ny - 1)), (0.5 * nx, 0.5 * ny)


def _degree(settings: PsfSettings, stars: int) -> int:
    return max(d for d in range(settings.degree + 1) if d == 0 or stars >= _STARS_PER_TERM * terms_of(d))


def _held(settings: PsfSettings, number: int) -> npt.NDArray[np.bool_]:
    """Stars that only judge the model: each so many of them, in order of brightness."""
    held = np.zeros(number, np.bool_)
    if number >= _HELD_FROM and settings.held > 0:
        every = round(1.0 / settings.held)
        held[every // 2 :: every] = True
    return held


def _profiles(
    settings: PsfSettings,
    light: Float32,
    start: Float64,
    seen: Stars,
    places: tuple[Float64, Float64],
    known: tuple[float, float],
    *,
    narrow: bool = False,
) -> Varying:
    """The profile that the bright stars agree on, or the `narrow` ones of a few; a round one of their size where they have none."""
    guess, gathered = known
    few = slice(0, _PROFILED)
    size, number = light.shape[1], len(light[few])
    # Stamps side by side are an image, whose neighbours are taken away.
    image = np.ascontiguousarray(light[few].transpose(1, 0, 2).reshape(size, -1))
    x = start[few, 1] + size * np.arange(number)
    bad = (image == 0.0).astype(np.int32)
    widths = np.full(number, guess)
    found = fit_moffats(
        image, np.zeros_like(image), seen.noise[few] * gathered, x, start[few, 2], widths, bad, bad_bits=1
    )
    if narrow and np.isfinite(found.fwhm).any():
        found = found._replace(fwhm=np.where(found.fwhm < _ALIKE * np.nanmin(found.fwhm), found.fwhm, np.nan))
    weight = 1.0 / (1.0 / np.maximum(seen.snr[few], 1.0) ** 2 + _BRIGHT_ENOUGH**2)
    varying = fit_profiles(found, weight, places[0][few], places[1][few], _degree(settings, number))
    return one_profile(guess) if varying is None else varying


def _model(
    solved: Solved,
    basis: Basis,
    degree: int,
    domain: tuple[tuple[float, float], tuple[float, float]],
    grid: Grid,
    width: float,
    facts: Mapping[str, Scalar],
) -> PsfModel:
    """The model in powers, of unit light everywhere."""
    fitted = solved.used > 0
    errors = np.sqrt(np.tensordot(basis.to_powers**2, solved.variance, axes=1))
    return PsfModel(
        coefficients=of_unit_light(solved.coefficients, basis, degree, grid.model),
        degree=degree,
        centre=domain[0],
        scale=domain[1],
        sampling=grid.model,
        fwhm=width,
        chi2=float(np.median(solved.chi2[fitted])),
        stars=int(np.count_nonzero(fitted)),
        errors=errors.astype(np.float32),
        facts=facts,
    )


def _table(
    seen: Stars, stamps: Stamps, solved: Solved, held: npt.NDArray[np.bool_], corner: npt.NDArray[np.int64]
) -> Catalogue:
    """The stars as the model has them."""
    return _stars_table(
        {
            "source_id": seen.source_id,
            "x": stamps.star[:, 1] + corner[0],
            "y": stamps.star[:, 2] + corner[1],
            "flux": stamps.star[:, 0],
            "snr": seen.snr,
            "chi2": solved.chi2,
            "used": solved.used,
            "held": held,
        }
    )


def _stars_table(columns: Mapping[str, npt.NDArray[np.generic]]) -> Catalogue:
    typed = {name: np.asarray(columns[name]).astype(each.dtype) for name, each in _STAR_COLUMNS.items()}
    return Catalogue(typed, {}, _STAR_COLUMNS)


_STAR_COLUMNS = {
    column.name: column
    for column in (
        COLUMNS["source_id"],
        Column("x", "f8", "pixel", "pos.cartesian.x;instr.det", "place by the model, 0-based pixel centres"),
        Column("y", "f8", "pixel", "pos.cartesian.y;instr.det", "place by the model, 0-based pixel centres"),
        Column("flux", "f8", "electron", "phot.flux", "light by the model"),
        COLUMNS["snr"],
        Column("chi2", "f4", "", "stat.fit.chi2", "chi2 per degree of freedom"),
        Column("used", "i4", "", "meta.code", "1 where the star was fitted"),
        Column("held", "i4", "", "meta.code", "1 where the star only judges the model"),
    )
}


def _metrics(
    model: PsfModel, shape: tuple[int, int], solved: Solved, held: npt.NDArray[np.bool_], seen: Stars, table: Catalogue
) -> dict[str, Measured]:
    """Width and shape over the detector, and how well the model says the stars."""
    found = shapes_at(model.coefficients, model.values(*places_over(shape, *_MAP)), model.sampling, model.fwhm)
    shift = np.stack([table["x"] - seen.x, table["y"] - seen.y])[:, solved.used > 0]
    metrics = {
        "psf_stars": Measured(float(model.stars)),
        "psf_degree": Measured(float(model.degree)),
        "psf_sampling": Measured(model.sampling, "pixel"),
        "psf_fwhm": Measured(model.fwhm, "pixel"),
        "psf_fwhm_least": Measured(float(np.nanmin(found.fwhm)), "pixel"),
        "psf_fwhm_largest": Measured(float(np.nanmax(found.fwhm)), "pixel"),
        "psf_ellipticity": Measured(float(np.nanmedian(found.ellipticity))),
        "psf_ellipticity_largest": Measured(float(np.nanmax(found.ellipticity))),
        "psf_chi2": Measured(model.chi2),
        "psf_offset_x": Measured(float(np.median(shift[0])), "pixel"),
        "psf_offset_y": Measured(float(np.median(shift[1])), "pixel"),
    }
    judged = held & np.isfinite(solved.chi2)
    if judged.any():
        metrics["psf_chi2_held"] = Measured(float(np.median(solved.chi2[judged])))
    return {name: metric for name, metric in metrics.items() if np.isfinite(metric.value)}


def _nine(model: PsfModel, shape: tuple[int, int], size: int) -> Float32:
    """The model at nine places, in the middle of a pixel each."""
    values, zero = model.values(*places_over(shape, 3, 3)), np.zeros(9)
    drawn: Float32 = psf_stamps(model.coefficients, values, model.sampling, zero, zero, size)[:, 0]
    return drawn


TASK = Task(
    name="psf",
    version=5,
    grain=Grain.DETECTOR,
    settings=PsfSettings,
    needs=(
        Need("science"),
        Need("background"),
        Need("sources"),
        Need("stars"),
        Need("unit", source="unit", optional=True, late=True),
        Need("psf", source="lent", optional=True, late=True),
        Need("plane", source="camera", section="focal plane", optional=True, late=True),
    ),
    gives=(
        Give("psf", Form.CATALOGUE, meaning="model of the point spread function over the detector"),
        Give("psf_stars", Form.CATALOGUE, meaning="stars of the PSF's model, as the model has them"),
        Give("psf_quality", Form.METRICS, meaning="width and shape of the PSF, and how well it is known"),
        Give("psf_picture", Form.PICTURE, meaning="the PSF at nine places, and what it leaves of the stars there"),
    ),
    run=psf,
)

DEEP = replace(
    TASK,
    name="deep_psf",
    grain=Grain.TILE_BAND,
    needs=tuple(need for need in TASK.needs if not need.late),
    run=psf_deep,
)
"""The same of a stack, which nothing is lent."""
