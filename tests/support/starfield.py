"""Small fields of stars whose point spread function varies as told, with the catalogue that detection would make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.core.columns import COLUMNS, Catalogue
from spica.core.images import Image
from spica.core.psf import PsfModel
from spica.kernels.draw import Psf, add_stars
from spica.kernels.psf_model import psf_stamps

Float64 = npt.NDArray[np.float64]
Shape = Callable[[Float64, Float64], Psf]
SKY = 200.0


def even(fwhm: float, g1: float = 0.0, g2: float = 0.0, beta: float = 3.0) -> Shape:
    """The same profile everywhere."""

    def shape(x: Float64, y: Float64) -> Psf:
        ones = np.ones(np.broadcast(x, y).shape)
        return Psf(fwhm * ones, g1 * ones, g2 * ones, beta)

    return shape


def sloping(size: tuple[int, int], fwhm: float = 3.4) -> Shape:
    """A profile whose width and shape change over an image of `size` (nx, ny)."""

    def shape(x: Float64, y: Float64) -> Psf:
        u, v = 2 * x / size[0] - 1, 2 * y / size[1] - 1
        return Psf(fwhm * (1 + 0.05 * u + 0.04 * v * v), 0.02 + 0.04 * u * v, 0.03 * v, 3.0)

    return shape


@dataclass
class Field:
    """An image, its background, the sources of its catalogue, and where the stars truly are."""

    image: Image
    background: Image
    sources: Catalogue
    x: Float64
    y: Float64
    flux: Float64


def places(number: int, size: tuple[int, int], rng: np.random.Generator, apart: float = 0.7) -> tuple[Float64, Float64]:
    """About `number` places that keep away from one another and from the edges."""
    step = np.sqrt(size[0] * size[1] / number)
    x, y = np.meshgrid(np.arange(0.5 * step, size[0], step), np.arange(0.5 * step, size[1], step))
    moved = rng.uniform(-0.5, 0.5, (2, x.size)) * step * (1 - apart)
    return np.clip(x.ravel() + moved[0], 16, size[0] - 17), np.clip(y.ravel() + moved[1], 16, size[1] - 17)


def catalogue(
    x: Float64, y: Float64, flux: Float64, fwhm: Float64 | float, sky: float = SKY, **columns: npt.NDArray[np.generic]
) -> Catalogue:
    """What detection and measurement know of sources that look like stars of a width; `columns` replace what differs."""
    n = x.size
    wide = np.broadcast_to(np.asarray(fwhm, float), (n,))
    light, radii = np.maximum(flux, 1.0), np.array([3.0, 5.0, 8.0])
    alpha = 0.5 * wide / np.sqrt(2 ** (1 / 3) - 1)
    inside = 1 - (1 + (radii / alpha[:, None]) ** 2) ** -2
    made: dict[str, npt.NDArray[np.generic]] = {
        name: np.zeros((n, 3) if column.size == 3 else n, column.dtype) for name, column in COLUMNS.items()
    }
    area = 4.5 * wide**2
    made |= {
        "source_id": np.arange(n) + 1,
        "x": x,
        "y": y,
        "flux_auto": light,
        "snr": (light / np.sqrt(light + area * sky)).astype(np.float32),
        "half_light_radius": (0.63 * wide).astype(np.float32),
        "half_light_radius_err": (0.63 * wide * np.sqrt(light + area * sky) / light).astype(np.float32),
        "flux_aper": light[:, None] * inside,
        "flux_aper_err": np.sqrt(light[:, None] * inside + np.pi * radii**2 * sky).astype(np.float32),
        "x2": (0.25 * wide**2).astype(np.float32),
        "y2": (0.25 * wide**2).astype(np.float32),
    }
    made |= columns
    header = {"APER1": 3.0, "APER2": 5.0, "APER3": 8.0, "FILTFWHM": float(np.median(wide)) if n else 3.0}
    return Catalogue(made, header)


def field(
    shape: Shape,
    number: int = 80,
    size: tuple[int, int] = (420, 400),
    seed: int = 1,
    light: tuple[float, float] = (2e4, 2e5),
    extra: tuple[Float64, Float64, Float64] | None = None,
) -> Field:
    """Draw stars (and `extra` ones: x, y, flux) on an even sky with photon noise; the first sources are the stars."""
    rng = np.random.default_rng(seed)
    x, y = places(number, size, rng)
    flux = np.exp(rng.uniform(np.log(light[0]), np.log(light[1]), x.size))
    if extra is not None:
        x, y, flux = (np.concatenate(both) for both in zip((x, y, flux), extra, strict=True))
    expected = np.full(size[::-1], np.float32(SKY))
    profile = shape(x, y)
    add_stars(expected, x, y, flux, profile, 0.01)
    pixels = rng.poisson(expected).astype(np.float32)
    image = Image(pixels, expected.copy(), np.zeros(pixels.shape, np.int32), {"GAIN": 1.0})
    level = Image(np.full_like(pixels, SKY), np.full_like(pixels, SKY))
    measured = x + rng.normal(0, 0.02, x.size), y + rng.normal(0, 0.02, x.size)
    return Field(image, level, catalogue(*measured, flux, profile.fwhm), x, y, flux)


def misfit(model: PsfModel, shape: Shape, x: Float64, y: Float64, half: int = 9) -> Float64:
    """Root mean square of model minus truth in stamps at places, as a part of the true peak."""
    profile = shape(x, y)
    size = 2 * half + 1
    drawn = psf_stamps(model.coefficients, model.values(x, y), model.sampling, x, y, size)[:, 0]
    truth = np.zeros_like(drawn)
    for k in range(x.size):
        one = Psf(profile.fwhm[k : k + 1], profile.g1[k : k + 1], profile.g2[k : k + 1], profile.beta)
        at_x, at_y = (axis[k : k + 1] - np.floor(axis[k : k + 1] + 0.5) + half for axis in (x, y))
        add_stars(truth[k], at_x, at_y, np.ones(1), one, 1e-9)
    # Both of unit light within the stamp: the model's ends in a square of its own.
    drawn = drawn / drawn.sum((1, 2), keepdims=True) * truth.sum((1, 2), keepdims=True)
    return np.asarray(np.sqrt(((drawn - truth) ** 2).mean((1, 2))) / truth.max((1, 2)), float)
