"""The simulator: raw compressed mosaics per CPU-second, and its stamps against GalSim."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import galsim
import numpy as np

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from spica.instruments import tables
from spica.kernels.draw import Psf, add_galaxies, add_stars
from spica.simulate.profiles import moffat, sersic
from spica.simulate.settings import SimulationSettings
from spica.simulate.survey import simulate

SIDE = 301
PLACE = (SIDE // 2 + 0.3, SIDE // 2 - 0.17)
FWHM = 4.5
STAMPS = 300


def rate(density: float) -> float:
    """Mpix per CPU-second of science exposures of a 4 x 2k x 4k mosaic, detectors' truth and files included."""
    camera = tables.load("decam")
    order = SimulationSettings(
        density=density,
        detectors=tuple(spec.id for spec in camera.detectors[:4]),
        exposures=4,
        biases=0,
        darks=0,
        flats=0,
        bands=("r",),
        truth_images=False,
    )
    with tempfile.TemporaryDirectory() as name:
        simulate(order.model_copy(update={"detector_size": (128, 128)}), camera, Path(name) / "first")
        with costing() as cost:
            survey = simulate(order, camera, Path(name) / "survey")
    return survey.pixels / 1e6 / cost.cpu


def stamp(profile: str, size: float) -> tuple[np.ndarray, np.ndarray]:
    """One source as we draw it and as GalSim does."""
    one = np.ones(1)
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    x, y = PLACE[0] * one, PLACE[1] * one
    psf = Psf(FWHM * one, 0.02 * one, -0.01 * one, 3.0)
    atmosphere = galsim.Moffat(beta=3.0, fwhm=FWHM).shear(g1=0.02, g2=-0.01)
    if profile == "star":
        add_stars(image, x, y, 1e5 * one, psf, 0.01)
        model = atmosphere * 1e5
    else:
        index = {"exponential": 1.0, "de Vaucouleurs": 4.0}[profile]
        shape = (0.2 * one, 0.1 * one)
        add_galaxies(image, x, y, 1e5 * one, size * one, shape, sersic(index), psf, moffat(3.0), 0.01)
        light = galsim.Sersic(n=index, half_light_radius=size, flux=1e5).shear(g1=0.2, g2=0.1)
        model = galsim.Convolve(light, atmosphere, gsparams=galsim.GSParams(folding_threshold=1e-3))
    offset = (PLACE[0] - SIDE // 2, PLACE[1] - SIDE // 2)
    canvas = galsim.Image(SIDE, SIDE, scale=1.0, dtype=float)
    return image, model.drawImage(canvas, method="no_pixel", offset=offset).array


def half_light_radius(image: np.ndarray) -> float:
    """Radius that holds half of the light inside 60 pixels."""
    y, x = np.indices(image.shape)
    r = np.hypot(x - PLACE[0], y - PLACE[1]).ravel()
    order = np.argsort(r, kind="stable")
    order = order[r[order] < 60]
    grown = np.cumsum(image.ravel()[order], dtype=float)
    return float(np.interp(0.5 * grown[-1], grown, r[order]))


def speed(profile: str) -> tuple[float, float]:
    """Stamps per CPU-second: ours, and GalSim's."""
    n = STAMPS
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 1000, n), rng.uniform(0, 1000, n)
    image = np.zeros((1000, 1000), dtype=np.float32)
    psf = Psf(np.full(n, FWHM), np.zeros(n), np.zeros(n), 3.0)
    shape = np.zeros(n), np.zeros(n)
    with costing() as ours:
        for _ in range(20):
            if profile == "star":
                add_stars(image, x, y, np.full(n, 1e3), psf, 0.5)
            else:
                add_galaxies(image, x, y, np.full(n, 1e3), np.full(n, 2.5), shape, sersic(1.0), psf, moffat(3.0), 0.5)
    atmosphere = galsim.Moffat(beta=3.0, fwhm=FWHM)
    with costing() as theirs:
        for size in rng.uniform(2.4, 2.6, n):
            model = atmosphere if profile == "star" else galsim.Convolve(galsim.Exponential(size), atmosphere)
            model.drawImage(nx=51, ny=51, scale=1.0, method="no_pixel")
    return 20 * n / ours.cpu, n / theirs.cpu


def figures() -> Iterator[Figure]:
    """Rates at two densities of sources; light and size of stamps; stamps per second."""
    yield figure("simulator, 1700 sources per Mpix", rate(1700.0), "Mpix per CPU s", at_least(4))
    yield figure("simulator, 200 sources per Mpix", rate(200.0), "Mpix per CPU s", at_least(8))
    for profile, size in (("star", 0.0), ("exponential", 2.5), ("de Vaucouleurs", 2.5)):
        ours, peer = stamp(profile, size)
        light = abs(float(ours.sum(dtype=float)) / float(peer.sum()) - 1.0)
        wide = abs(half_light_radius(ours) / half_light_radius(peer) - 1.0)
        yield figure(f"stamp, {profile}: light against GalSim", light, "fraction", at_most(1e-3))
        yield figure(f"stamp, {profile}: size against GalSim", wide, "fraction", at_most(5e-3))
    for profile in ("star", "exponential"):
        ours_rate, theirs_rate = speed(profile)
        yield figure(f"stamps, {profile}", ours_rate, "per CPU s", peer="GalSim", peer_value=theirs_rate)
