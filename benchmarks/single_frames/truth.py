"""Measured against the truth: pulls of bright isolated stars, and how linear fluxes are at known positions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from benchmarks.figure import Figure, at_most, figure
from benchmarks.single_frames._peers import APERTURES, chain, measured
from benchmarks.single_frames._scene import Scene, scenes
from spica.core.images import Image
from spica.kernels.aperture import circular_photometry
from spica.kernels.draw import Psf, add_stars
from spica.services.judging import spread
from spica.services.truth import match
from spica.tasks.background import BackgroundSettings, background

Floats = npt.NDArray[np.float64]

ALONE = 25.0
"""Pixels to the nearest source of a hundredth of a star's light that leave it isolated."""
BRIGHT = 50.0
FULL_WELL = 150_000.0
SKY = 900.0
FWHM = 3.8
BETA = 3.0
STEP = 64
"""Pixels between the stars of known positions."""
DEPTH = 8
"""Magnitudes below saturation."""


def figures() -> Iterator[Figure]:
    """Widths of pulls as their distance from 1; residuals of magnitude bins in mmag."""
    drawn = scenes((0.95,), density=400.0, bright=17.0, faint=22.0, stars=1.0, size=(2048, 2048))
    pulls = pulls_of(drawn[0])
    yield figure("isolated stars, S/N > 50", pulls["x"].size, "stars")
    for name, values in pulls.items():
        yield figure(f"pulls of {name}, width away from 1", abs(spread(values) - 1.0), "", at_most(0.15))
        yield figure(f"pulls of {name}, median", float(np.median(values)), "sigma")
    for radius in APERTURES:
        bins = linearity(radius)
        bright, whole = (float(np.abs(1e3 * chosen).max()) for chosen in (bins[:5], bins))
        yield figure(f"linearity over 5 mag, aperture of {radius:g} pixels", bright, "mmag", at_most(1))
        yield figure(f"linearity over {DEPTH} mag, aperture of {radius:g} pixels", whole, "mmag", at_most(3))


def pulls_of(scene: Scene) -> dict[str, Floats]:
    """(measured - true) / stated error of bright isolated stars; fluxes against the true light in the same circle."""
    sources = measured(scene, chain())["sources"]
    places = scene.places
    rows, true_rows = match(sources, places)
    tree = cKDTree(np.column_stack([places["x"], places["y"]]))
    light = places["electrons"]
    near = tree.query_ball_point(np.column_stack([places["x"], places["y"]])[true_rows], ALONE)
    alone = np.array(
        [
            sum(light[other] > 0.01 * light[own] for other in others) == 1
            for own, others in zip(true_rows, near, strict=True)
        ]
    )
    ny, nx = scene.image.shape
    x, y = places["x"][true_rows], places["y"][true_rows]
    inside = (x > ALONE) & (y > ALONE) & (x < nx - ALONE) & (y < ny - ALONE)
    good = alone & inside & (sources["snr"][rows] > BRIGHT) & (sources["flags"][rows] == 0)
    rows, true_rows = rows[good], true_rows[good]
    x, y = places["x"][true_rows], places["y"][true_rows]
    true = circular_photometry(scene.light, scene.light, x, y, APERTURES).flux
    pulls = {
        "x": (sources["x"][rows] - x) / sources["x_err"][rows],
        "y": (sources["y"][rows] - y) / sources["y_err"][rows],
    }
    for k, radius in enumerate(APERTURES):
        flux, error = sources["flux_aper"][rows, k], sources["flux_aper_err"][rows, k]
        pulls[f"flux in {radius:g} pixels"] = (flux - true[:, k]) / error
    return {name: np.asarray(values, dtype=np.float64) for name, values in pulls.items()}


def linearity(radius: float, side: int = 2048, seed: int = 11) -> Floats:
    """Median of measured minus true magnitude in bins of one magnitude below saturation, at known positions.

    Each star is measured in two frames whose noise is opposite: what stays is what the background and the aperture do
    to the flux, not chance.
    """
    rng = np.random.default_rng(seed)
    y, x = (
        grid.ravel() + rng.uniform(-5, 5, grid.size)
        for grid in np.mgrid[STEP // 2 : side : STEP, STEP // 2 : side : STEP]
    )
    below = rng.uniform(0.0, DEPTH, x.size)
    alpha = 0.5 * FWHM / np.sqrt(2.0 ** (1.0 / BETA) - 1.0)
    flux = FULL_WELL * np.pi * alpha**2 / (BETA - 1.0) * 10.0 ** (-0.4 * below)
    light = np.zeros((side, side), dtype=np.float32)
    add_stars(light, x, y, flux, Psf(np.full(x.size, FWHM), np.zeros(x.size), np.zeros(x.size), BETA), 0.1)
    expected = light + np.float32(SKY)
    noise = np.sqrt(expected) * rng.normal(size=light.shape).astype(np.float32)
    true = circular_photometry(light, light, x, y, [radius]).flux[:, 0]
    made = np.zeros(x.size)
    for sign in (1, -1):
        pixels = expected + np.float32(sign) * noise
        sky = background(BackgroundSettings(), Image(pixels))["background"]
        made += 0.5 * circular_photometry(pixels - sky.pixels, pixels, x, y, [radius]).flux[:, 0]
    residual = -2.5 * np.log10(made / true)
    return np.array([np.median(residual[(below >= m) & (below < m + 1)]) for m in range(DEPTH)])
