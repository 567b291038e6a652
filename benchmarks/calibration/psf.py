"""Models of the point spread function against PSFEx's, on detectors whose true one varies as a telescope's does.

Ours: the tasks `stars` and `psf`, from the image and its catalogue, in a warm process. Theirs: the program psfex alone, on the
catalogue with stamps that source-extractor made for it (not counted). Both models are judged alike, at 63 places of each detector,
in stamps of three full widths to each side: PSFEx's is interpolated as PSFEx does, by Lanczos-4.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.calibration._psfex import psfex, write_catalogue
from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from benchmarks.single_frames._peers import chain, measured
from benchmarks.single_frames._scene import Scene, scenes
from spica.core.psf import PsfModel
from spica.files.psfex import read_psfex
from spica.kernels.draw import Psf, add_stars
from spica.kernels.psf_model import psf_stamps
from spica.tasks.psf import PsfSettings, psf
from spica.tasks.stars import StarsSettings, stars

Float64 = npt.NDArray[np.float64]

PEER = "PSFEx"
SEEING = (0.84, 1.18)
"""Arcseconds: the extremes of what the other benchmarks have."""
DEGREE = 2
PLACES = (7, 9)
REACH = 3.0
"""Half side of the stamps that are compared, in full widths."""
CORE = 1.0
"""Radius of what counts as the core, in full widths."""
_LANCZOS = 4


@dataclass(frozen=True, eq=False)
class Judged:
    """A model against the truth at n places.

    Rms of the residuals over the true peak, in the stamp and in the core; relative error of the size (square root of the
    weighted second moments), and error of both components of the ellipticity.
    """

    residual: Float64
    core: Float64
    size: Float64
    ellipticity: Float64


def figures() -> Iterator[Figure]:
    """Mpix per CPU-second, residuals, biases of size and ellipticity."""
    drawn = scenes(SEEING)
    steps = chain()
    ours, theirs = [], []
    mine = peer = 0.0
    for scene in drawn:
        held = measured(scene, steps)
        needs = {name: held[name] for name in ("science", "background", "sources")}
        _model(needs)
        with costing() as cost:
            model = _model(needs)
        mine += cost.cpu
        ours.append(_judge(scene, model, _quintic))
        with tempfile.TemporaryDirectory() as name:
            catalogue = write_catalogue(scene, Path(name))
            peer += psfex(catalogue, scene.fwhm, DEGREE).cpu
            theirs.append(_judge(scene, read_psfex(catalogue.with_suffix(".psf"))[0], _lanczos))
    pixels = sum(scene.sky.size for scene in drawn) / 1e6
    quick = at_least(8, of_peer=True)
    yield figure("PSF model", pixels / mine, "Mpix per CPU s", quick, peer=PEER, peer_value=pixels / peer)
    for what, unit, limit, value in (
        ("residual, rms over the peak", "", 0.0014, _mean("residual")),
        ("residual in the core", "", None, _mean("core")),
        ("size bias", "", 0.002, _bias("size")),
        ("size scatter over the detector", "", None, _scatter("size")),
        ("ellipticity error", "", 3e-4, _bias("ellipticity")),
        ("ellipticity scatter over the detector", "", None, _scatter("ellipticity")),
    ):
        goal = None if limit is None else at_most(limit)
        yield figure(f"PSF: {what}", value(ours), unit, goal, peer=PEER, peer_value=value(theirs))


def _model(needs: dict[str, Any]) -> PsfModel:
    chosen = stars(StarsSettings(), needs["sources"])["stars"]
    return PsfModel.from_catalogue(psf(PsfSettings(degree=DEGREE), stars=chosen, **needs)["psf"])


def _mean(name: str) -> Callable[[Sequence[Judged]], float]:
    return lambda judged: float(np.mean(np.concatenate([getattr(each, name) for each in judged])))


def _bias(name: str) -> Callable[[Sequence[Judged]], float]:
    """The mean error over a detector, its components together, averaged over detectors."""
    return lambda judged: float(np.mean([np.linalg.norm(np.mean(getattr(each, name), axis=0)) for each in judged]))


def _scatter(name: str) -> Callable[[Sequence[Judged]], float]:
    return lambda judged: float(np.sqrt(np.mean([np.var(getattr(each, name), axis=0).mean() for each in judged])))


def _judge(scene: Scene, model: PsfModel, draw: Callable[[PsfModel, Float64, Float64, int], Float64]) -> Judged:
    ny, nx = scene.image.shape
    x, y = (
        axis.ravel()
        for axis in np.meshgrid(np.linspace(100.3, nx - 100.7, PLACES[0]), np.linspace(99.8, ny - 100.2, PLACES[1]))
    )
    half = int(REACH * scene.fwhm)
    truth = _truth(scene.profile(x, y), x, y, half)
    made = draw(model, x, y, 2 * half + 1)
    made /= made.sum(axis=(1, 2), keepdims=True)
    peak = truth.max(axis=(1, 2))
    at = np.arange(-half, half + 1)
    core = np.hypot(at, at[:, None]) <= CORE * scene.fwhm
    off = made - truth
    one, other = _moments(made, scene.fwhm), _moments(truth, scene.fwhm)
    return Judged(
        np.sqrt(np.mean(off**2, axis=(1, 2))) / peak,
        np.sqrt(np.mean(off[:, core] ** 2, axis=1)) / peak,
        (np.sqrt(one[:, 0] / other[:, 0]) - 1.0)[:, None],
        one[:, 1:] - other[:, 1:],
    )


def _truth(profile: Psf, x: Float64, y: Float64, half: int) -> Float64:
    """True stars of unit light within their stamps."""
    drawn = np.zeros((x.size, 2 * half + 1, 2 * half + 1), np.float32)
    for k in range(x.size):
        some = slice(k, k + 1)
        one = Psf(profile.fwhm[some], profile.g1[some], profile.g2[some], profile.beta)
        at_x, at_y = (axis[some] - np.floor(axis[some] + 0.5) + half for axis in (x, y))
        add_stars(drawn[k], at_x, at_y, np.ones(1), one, 1e-9)
    return np.asarray(drawn / drawn.sum(axis=(1, 2), keepdims=True), np.float64)


def _quintic(model: PsfModel, x: Float64, y: Float64, size: int) -> Float64:
    return psf_stamps(model.coefficients, model.values(x, y), model.sampling, x, y, size)[:, 0].astype(np.float64)


def _lanczos(model: PsfModel, x: Float64, y: Float64, size: int) -> Float64:
    """As PSFEx and source-extractor resample a model: by a separable Lanczos-4 kernel of unit sum."""
    samples = model.samples(x, y).astype(np.float64)
    n = model.size
    drawn = []
    for k in range(x.size):
        weights = []
        for place in (x[k], y[k]):
            shift = place - np.floor(place + 0.5)
            at = (np.arange(size) - size // 2 - shift) / model.sampling + n // 2
            away = at[:, None] - np.arange(n)
            kernel = np.where(np.abs(away) < _LANCZOS, np.sinc(away) * np.sinc(away / _LANCZOS), 0.0)
            weights.append(kernel / np.maximum(kernel.sum(axis=1, keepdims=True), 0.5))
        drawn.append(weights[1] @ samples[k] @ weights[0].T)
    return np.asarray(drawn)


def _moments(stamps: Float64, fwhm: float) -> Float64:
    """Size² and two components of the ellipticity, (n, 3), under a round Gaussian window about the centroid."""
    half = stamps.shape[1] // 2
    x, y = np.meshgrid(np.arange(-half, half + 1.0), np.arange(-half, half + 1.0))
    width = 1.5 * (fwhm / 2.3548) ** 2
    found = []
    for stamp in stamps:
        u = v = 0.0
        for _ in range(12):
            window = stamp * np.exp(-0.5 * ((x - u) ** 2 + (y - v) ** 2) / width)
            total = window.sum()
            u += 2.0 * float((window * (x - u)).sum() / total)
            v += 2.0 * float((window * (y - v)).sum() / total)
        xx, yy, xy = (float((window * each).sum() / total) for each in ((x - u) ** 2, (y - v) ** 2, (x - u) * (y - v)))
        found.append((xx + yy, (xx - yy) / (xx + yy), 2.0 * xy / (xx + yy)))
    return np.asarray(found)
