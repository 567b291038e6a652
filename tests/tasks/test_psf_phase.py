"""Undersampled stars: by how much the fitted place follows the place within the pixel, and why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.psf import PsfModel
from spica.kernels.draw import add_stars
from spica.tasks.psf import PsfSettings, psf
from spica.tasks.psf_measure import PsfMeasureSettings, psf_measure
from spica.tasks.stars import StarsSettings, stars
from tests.support.starfield import SKY, Field, catalogue, even, places

FINE, SIZE = 5, (640, 640)
"""Samples along a pixel; pixels."""


def integrated(fwhm: float, seed: int) -> Field:
    """Moffat stars whose light pixels gather over their whole area."""
    rng = np.random.default_rng(seed)
    x, y = places(250, SIZE, rng)
    flux = np.exp(rng.uniform(np.log(2e4), np.log(3e5), x.size))
    fine = np.zeros((SIZE[1] * FINE, SIZE[0] * FINE), np.float32)
    add_stars(fine, (x + 0.5) * FINE - 0.5, (y + 0.5) * FINE - 0.5, flux, even(fwhm * FINE)(x, y), 4e-4)
    expected = (SKY + fine.reshape(SIZE[1], FINE, SIZE[0], FINE).sum((1, 3))).astype(np.float32)
    pixels = rng.poisson(expected).astype(np.float32)
    image = Image(pixels, expected.copy(), np.zeros(pixels.shape, np.int32), {"GAIN": 1.0})
    level = Image(np.full_like(pixels, SKY), np.full_like(pixels, SKY))
    seen = x + rng.normal(0, 0.02, x.size), y + rng.normal(0, 0.02, x.size)
    return Field(image, level, catalogue(*seen, flux, np.hypot(fwhm, 0.7)), x, y, flux)


def fitted(field: Field, _fwhm: float) -> Catalogue:
    chosen = stars(StarsSettings(), field.sources)["stars"]
    made: Catalogue = psf(PsfSettings(), field.image, field.background, field.sources, chosen)["psf"]
    return made


def native(field: Field, _fwhm: float) -> Catalogue:
    chosen = stars(StarsSettings(), field.sources)["stars"]
    made: Catalogue = psf(PsfSettings(sampling=1.0), field.image, field.background, field.sources, chosen)["psf"]
    return made


def true(_field: Field, fwhm: float) -> Catalogue:
    """The drawn profile, gathered over a pixel, a quarter of a pixel between samples."""
    step, half, per = 0.25, 28, 20
    middle = int(per * (half * step + 1.0))
    drawn = np.zeros((2 * middle + 1, 2 * middle + 1), np.float32)
    one = np.full(1, float(middle))
    add_stars(drawn, one, one, np.ones(1), even(fwhm * per)(one, one), 1e-12)
    box = np.ones(per + 1)
    box[[0, -1]] = 0.5
    whole = convolve1d(convolve1d(drawn.astype(np.float64), box, axis=0, mode="constant"), box, axis=1, mode="constant")
    at = middle + round(step * per) * np.arange(-half, half + 1)
    cube = whole[np.ix_(at, at)]
    cube /= cube.sum() * step**2
    centre = (0.5 * SIZE[0], 0.5 * SIZE[1])
    return PsfModel(cube[None].astype(np.float32), 0, centre, centre, step, float(np.hypot(fwhm, 0.7))).to_catalogue()


def phase_bias(fwhm: float, model: Callable[[Field, float], Catalogue]) -> tuple[float, float]:
    """Amplitude of the sine of the places' error over the pixel [pixel], and the width of their pulls."""
    off, phase, pulls = [], [], []
    for seed in (1, 2, 3, 4):
        field = integrated(fwhm, seed)
        made = psf_measure(
            PsfMeasureSettings(again=False), field.image, field.background, field.sources, model(field, fwhm)
        )["psf_sources"]
        for name, place in (("x_psf", field.x), ("y_psf", field.y)):
            away = made[name] - place
            away -= np.median(away)
            off.append(away)
            pulls.append(away / made[f"{name}_err"])
            phase.append(place - np.rint(place))
    away, at = np.concatenate(off), 2.0 * np.pi * np.concatenate(phase)
    clean = np.abs(away) < 0.2
    design = np.stack([np.sin(at), np.cos(at), np.sin(2 * at), np.ones(at.size)], axis=1)[clean]
    amplitude = np.linalg.lstsq(design, away[clean], rcond=None)[0][0]
    return float(amplitude), 1.4826 * float(np.median(np.abs(np.concatenate(pulls))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fwhm", "model", "most", "pull"),
    [(2.0, fitted, 0.0012, 1.08), (1.6, fitted, 0.004, 1.3), (1.3, fitted, 0.006, 1.65), (1.3, true, 0.0012, 1.08)],
)
def test_places_hardly_follow_the_pixels(
    fwhm: float, model: Callable[[Field, float], Catalogue], most: float, pull: float
) -> None:
    """What bias there is belongs to the model that is fitted to stars: with the true one there is none."""
    bias, width = phase_bias(fwhm, model)
    assert abs(bias) < most
    assert 0.9 < width < pull


@pytest.mark.slow
def test_samples_as_coarse_as_pixels_are_worse_where_stars_are_two_pixels_wide() -> None:
    assert abs(phase_bias(2.0, native)[0]) > 3.0 * abs(phase_bias(2.0, fitted)[0])
