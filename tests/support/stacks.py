"""Simulated stacks: exposures drawn on their own pixels, brought to common ones by Lanczos-3, averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d
from scipy.spatial import cKDTree

from spica.core.images import Image
from spica.core.records import Grain, Unit
from spica.core.task import Member
from spica.kernels.aperture import circular_photometry
from spica.kernels.draw import Psf, add_galaxies, add_stars
from spica.simulate.profiles import moffat, sersic
from spica.tasks import (
    background,
    completeness,
    deep_noise,
    deep_sources,
    detect,
    detection,
    forced,
    measure,
    psf,
    psf_measure,
    stars,
)

Floats = npt.NDArray[np.float64]

SCALE = 0.2 / 3600.0
"""Degrees per pixel."""


@dataclass(frozen=True)
class Sky:
    """What is drawn: light in electrons of one exposure; galaxies where a size (half-light radius, pixel) is above 0."""

    x: Floats
    y: Floats
    flux: Floats
    size: Floats
    shear: tuple[Floats, Floats]


@dataclass(frozen=True)
class Plan:
    """How exposures are taken and laid over each other."""

    side: int = 600
    exposures: int = 6
    level: float = 300.0
    fwhm: float = 4.0
    beta: float = 3.5
    zero: float = 31.0
    """AB magnitude of an electron of one exposure."""
    seed: int = 1
    cards: Mapping[str, Any] = field(default_factory=dict)


def grid_of_stars(plan: Plan, spacing: float, magnitudes: tuple[float, float]) -> Sky:
    """Isolated stars: one near each point of a grid, of random brightness."""
    rng = np.random.default_rng(plan.seed)
    at = np.arange(spacing, plan.side - 0.8 * spacing, spacing)
    x, y = (grid.ravel() + rng.uniform(-2, 2, grid.size) for grid in np.meshgrid(at, at))
    flux = 10 ** (0.4 * (plan.zero - rng.uniform(*magnitudes, x.size)))
    zero = np.zeros(x.size)
    return Sky(x, y, flux, zero, (zero, zero))


def field_of(
    plan: Plan, number: int, magnitudes: tuple[float, float], galaxies: float = 0.5, slope: float = 0.3
) -> Sky:
    """Stars and galaxies anywhere, more of them the fainter they are (`slope` of log counts by magnitude)."""
    rng = np.random.default_rng(plan.seed + 1)
    bright, faint = (10 ** (slope * m) for m in magnitudes)
    magnitude = np.log10(rng.uniform(bright, faint, number)) / slope
    x, y = rng.uniform(0, plan.side, (2, number))
    size = np.where(rng.random(number) < galaxies, 10 ** rng.normal(0.35, 0.15, number), 0.0)
    shear = rng.normal(0, 0.15, (2, number)).clip(-0.5, 0.5)
    return Sky(x, y, 10 ** (0.4 * (plan.zero - magnitude)), size, (shear[0], shear[1]))


def draw(light: npt.NDArray[np.float32], sky: Sky, plan: Plan, shift: tuple[float, float], edge: float) -> None:
    """Add all of it to an image, moved by `shift`."""
    point = sky.size <= 0

    def seen(rows: npt.NDArray[np.bool_]) -> Psf:
        n = int(np.count_nonzero(rows))
        return Psf(np.full(n, plan.fwhm), np.zeros(n), np.zeros(n), plan.beta)

    x, y = sky.x + shift[0], sky.y + shift[1]
    add_stars(light, x[point], y[point], sky.flux[point], seen(point), edge)
    wide = ~point
    if wide.any():
        shear = sky.shear[0][wide], sky.shear[1][wide]
        add_galaxies(
            light, x[wide], y[wide], sky.flux[wide], sky.size[wide], shear, sersic(1.0), seen(wide), moffat(plan.beta), edge
        )  # fmt: skip


def lanczos(shift: float) -> Floats:
    """Weights that bring pixels to places `shift` to the right, an odd number of them."""
    at = np.arange(-3, 4) - shift
    weights = np.where(np.abs(at) < 3, np.sinc(at) * np.sinc(at / 3), 0.0)
    return np.asarray(weights / weights.sum())


def stack(sky: Sky, plan: Plan, *, noisy: bool = True) -> Image:
    """The mean of resampled exposures, its variance that of single pixels, MAGZERO 30; or what it is expected to be."""
    rng = np.random.default_rng(plan.seed + 100)
    shape = (plan.side, plan.side)
    total, spread = np.zeros(shape), np.zeros(shape)
    for _ in range(plan.exposures):
        shift = rng.uniform(-0.5, 0.5, 2)
        light = np.zeros(shape, np.float32)
        draw(light, sky, plan, (-shift[0], -shift[1]), 1e-3 * np.sqrt(plan.level))
        counts = light.astype(np.float64)
        if noisy:
            counts = rng.poisson(light + plan.level).astype(np.float64) - plan.level
        weights = lanczos(-shift[0]), lanczos(-shift[1])
        for axis, each in ((1, weights[0]), (0, weights[1])):
            counts = correlate1d(counts, each, axis, mode="nearest")
        noise = (light + plan.level).astype(np.float64)
        for axis, each in ((1, weights[0]), (0, weights[1])):
            noise = correlate1d(noise, each**2, axis, mode="nearest")
        total += counts
        spread += noise
    factor = 10 ** (0.4 * (30.0 - plan.zero)) / plan.exposures
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0,
        "CRPIX1": 0.5 * plan.side, "CRPIX2": 0.5 * plan.side, "CD1_1": -SCALE, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE,
        "MAGZERO": 30.0, "BUNIT": "3631 nJy", **plan.cards,
    }  # fmt: skip
    return Image(
        (total * factor).astype(np.float32), (spread * factor**2).astype(np.float32), np.zeros(shape, np.int32), cards
    )


def truth_flux(sky: Sky, plan: Plan) -> Floats:
    """Light in units of the stack."""
    return np.asarray(sky.flux * 10 ** (0.4 * (30.0 - plan.zero)))


def catalogue(image: Image, unit: Unit | None = None, **settings: Mapping[str, Any]) -> dict[str, Any]:
    """All that the tasks of a tile in a band make of a stack."""

    def of(task: Any, name: str) -> Any:
        return task.settings(**settings.get(name, {}))

    made: dict[str, Any] = {}
    made |= background.background(of(background.TASK, "background"), image)
    made |= deep_noise.deep_noise(of(deep_noise.TASK, "deep_noise"), image, made["background"])
    honest, level = made["honest"], made["sky"]
    made |= detect.detect(of(detect.TASK, "detect"), honest, level)
    where = unit or Unit(Grain.TILE_BAND, ("t1", "r"))
    made |= measure.measure_deep(of(measure.TASK, "measure"), honest, level, made["segments"], where)
    made |= stars.stars(of(stars.TASK, "stars"), made["sources"])
    made |= psf.DEEP.run(of(psf.DEEP, "psf"), honest, level, made["sources"], made["stars"])
    made |= psf_measure.psf_measure(of(psf_measure.TASK, "psf_measure"), honest, level, made["sources"], made["psf"])
    made |= deep_sources.TASK.run(
        of(deep_sources.TASK, "deep_sources"), image, made["sources"], made["psf_sources"], made["noise"], None
    )
    return made


def pulls(plan: Plan) -> tuple[dict[str, Any], dict[str, Floats]]:
    """What the tasks made of isolated stars, and deviations from truth in units of the errors, S/N above 10."""
    sky = grid_of_stars(plan, 45.0, (21.8, 24.2))
    image, bare = stack(sky, plan), stack(sky, plan, noisy=False)
    made = catalogue(image)
    found = made["deep_sources"]
    apart, nearest = cKDTree(np.stack([sky.x, sky.y], axis=-1)).query(np.stack([found["x"], found["y"]], axis=-1))
    rows = np.flatnonzero((apart < 2.0) & (found["flags"] == 0) & (found["snr_psf"] > 10.0))
    star = nearest[rows]
    radii = [float(found.header[f"APER{n}"]) for n in (1, 2, 3)]
    light = circular_photometry(bare.pixels, np.ones_like(bare.pixels), sky.x, sky.y, radii).flux
    truth = {"flux_psf": truth_flux(sky, plan), "flux_auto": truth_flux(sky, plan), "x": sky.x, "y": sky.y}
    truth |= {f"flux_aper {n}": light[:, n] for n in range(3)} | {"x_psf": sky.x, "y_psf": sky.y}
    off = {}
    for name, true in truth.items():
        column, _, part = name.partition(" ")
        value, error = found[column][rows], found[f"{column}_err"][rows]
        if part:
            value, error = value[:, int(part)], error[:, int(part)]
        off[name] = (value - true[star]) / error
    return made, off


def claimed(sky: Sky, plan: Plan, found: Any, radius: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Magnitude of each true source, and whether the catalogue has it: the brightest claims first what lies nearest to it."""
    magnitude = 30.0 - 2.5 * np.log10(truth_flux(sky, plan))
    tree = cKDTree(np.stack([found["x_iso"], found["y_iso"]], axis=-1))
    used, hit = np.zeros(len(found), np.bool_), np.zeros(magnitude.size, np.bool_)
    for k in np.argsort(magnitude):
        near = [j for j in tree.query_ball_point((sky.x[k], sky.y[k]), radius) if not used[j]]
        if near:
            off = [np.hypot(found["x_iso"][j] - sky.x[k], found["y_iso"][j] - sky.y[k]) for j in near]
            used[near[int(np.argmin(off))]] = hit[k] = True
    return magnitude, hit


def both_completenesses(
    plan: Plan, number: int, passes: int
) -> tuple[Mapping[str, Any], Floats, npt.NDArray[np.bool_]]:
    """What the task says of a field of stars; magnitudes of the true ones within its range, and whether each was found."""
    sky = field_of(plan, number, (20.0, 26.0), galaxies=0.0)
    made = catalogue(stack(sky, plan))
    settings = completeness.CompletenessSettings(passes=passes, seed=plan.seed, galaxies=0.0)
    needs = {name: made[name] for name in ("honest", "sky", "psf", "noise")}
    told = completeness.TASK.run(settings, **needs)
    magnitude, hit = claimed(sky, plan, made["deep_sources"], 0.6 * made["noise"]["fwhm"])
    depth = told["completeness_figures"]["completeness_depth"].value
    inside = (magnitude > depth - settings.brighter) & (magnitude < depth + settings.fainter)
    return told, magnitude[inside], hit[inside]


def members(by_band: Mapping[str, Any], tile: str = "t1") -> tuple[Member, ...]:
    """One for each band of a tile."""
    return tuple(Member(f"tile-band:{tile}/{band}", value) for band, value in by_band.items())


@dataclass(frozen=True, eq=False)
class Bands:
    """A field in three bands of unlike seeing, sources of unlike colours; what was made of it."""

    skies: Mapping[str, Sky]
    plans: Mapping[str, Plan]
    images: Mapping[str, Image]
    made: Mapping[str, Mapping[str, Any]]
    detection: Mapping[str, Any]
    forced: Mapping[str, Any]


def three_bands(side: int = 600, number: int = 350) -> Bands:
    """Stacks of three bands, the sources found in all, and measured in each."""
    rng = np.random.default_rng(5)
    widths = {"g": 4.6, "r": 4.0, "i": 3.6}
    plans = {
        band: Plan(side=side, seed=40 + k, fwhm=width, exposures=4) for k, (band, width) in enumerate(widths.items())
    }
    base = field_of(Plan(side=side, seed=9), number, (20.0, 25.0), galaxies=0.4)
    colour = rng.uniform(-0.5, 0.5, base.x.size)
    skies = {
        band: replace(base, flux=base.flux * 10 ** (-0.4 * sign * colour))
        for band, sign in (("g", -1.0), ("r", 0.0), ("i", 1.0))
    }
    images = {band: stack(skies[band], plans[band]) for band in plans}
    made = {band: catalogue(images[band], Unit(Grain.TILE_BAND, ("t1", band))) for band in plans}
    noise = {band: made[band]["noise"] for band in plans}
    found = detection.detection(detection.DetectionSettings(), members(images), members(noise))
    light = {
        band: forced.forced(
            forced.ForcedSettings(),
            images[band],
            made[band]["psf"],
            noise[band],
            found["detection_labels"],
            found["detected"],
        )["forced"]
        for band in plans
    }
    return Bands(skies, plans, images, made, found, light)


@dataclass(frozen=True)
class Everywhere:
    """A tile that owns all of its sky."""

    name: str = "t1"

    def owns(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        return np.asarray(np.isfinite(np.asarray(ra) + np.asarray(dec)), np.bool_)
