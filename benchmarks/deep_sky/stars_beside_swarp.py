"""Light and places of stars in a stack of four shifted and turned exposures without noise, ours and SWarp's, beside the truth."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from benchmarks.deep_sky.stack import swarp
from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import run_program
from spica.core.images import Image
from spica.files.images import open_rows, write_image
from spica.kernels.projection import Projection
from spica.kernels.wcs import sky_to_pixel, tangent_wcs
from spica.kernels.wcs_cards import to_cards

SIDE = 640
SPACING = 64
SIGMA = 1.8
PEAK = 1000.0
SCALE = 0.2 / 3600
RADIUS = 16
Array = npt.NDArray[np.float64]


def _drawn(x: Array, y: Array) -> Array:
    v, u = np.indices((SIDE, SIDE))
    image = np.zeros((SIDE, SIDE))
    for a, b in zip(x, y, strict=True):
        part = np.s_[max(int(b) - 20, 0) : int(b) + 21, max(int(a) - 20, 0) : int(a) + 21]
        image[part] += PEAK * np.exp(-((u[part] - a) ** 2 + (v[part] - b) ** 2) / (2.0 * SIGMA**2))
    return image


def _write(folder: Path, x: Array, y: Array) -> None:
    where = Projection(
        "TAN", np.array([10.0, 20.0]), np.array([0.5 * (SIDE - 1)] * 2), SCALE * np.array([[-1.0, 0.0], [0.0, 1.0]])
    )
    rng = np.random.default_rng(2)
    for n in range(4):
        turn, shift = 5e-4 * (n - 1.5), rng.uniform(-8.0, 8.0, 2)
        cd = SCALE * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        wcs = tangent_wcs([10.0, 20.0], (0.5 * SIDE + shift).tolist(), cd)
        pixels = _drawn(*sky_to_pixel(wcs, *where.pixel_to_sky(x, y))).astype(np.float32)
        cards, ones = to_cards(wcs), np.ones((SIDE, SIDE), np.float32)
        write_image(
            folder / f"e{n}d0.prod.fits",
            Image(pixels, ones, np.zeros((SIDE, SIDE), np.int32), cards),
            {},
            lossless=True,
        )
        fits.writeto(folder / f"e{n}d0.fits", pixels, fits.Header(cards))
        fits.writeto(folder / f"e{n}d0.weight.fits", ones, fits.Header(cards))
    (folder / "tile.json").write_text(json.dumps({"nx": SIDE, "ny": SIDE, "cards": where.cards()}))
    fits.Header(where.cards()).totextfile(folder / "swarp.head", endcard=True)


def _errors(image: Array, x: Array, y: Array) -> tuple[float, float]:
    """Largest relative error of the light of a star, and largest error of a place [pixel]."""
    v, u = np.mgrid[: image.shape[0], : image.shape[1]]
    light, place = [], []
    for a, b in zip(x, y, strict=True):
        near = np.hypot(u - a, v - b) < RADIUS
        values, total = image[near], image[near].sum()
        light.append(total / (PEAK * 2.0 * np.pi * SIGMA**2) - 1.0)
        place.append(np.hypot((u[near] * values).sum() / total - a, (v[near] * values).sum() / total - b))
    return float(np.abs(light).max()), float(np.max(place))


def figures() -> Iterator[Figure]:
    """Of the worst star."""
    grid = np.arange(SPACING, SIDE - SPACING + 1, SPACING, dtype=np.float64)
    x, y = (each.ravel() for each in np.meshgrid(grid, grid))
    away = np.random.default_rng(5).uniform(0.0, 1.0, (2, x.size))
    x, y = x + away[0], y + away[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, x, y)
        out = folder / "ours.out"
        run_program([sys.executable, "-m", "benchmarks.deep_sky._stack_folder", name, "mean", str(out)])
        swarp(folder, "WEIGHTED")
        mine = _errors(np.nan_to_num(np.asarray(open_rows(out).read(0, SIDE), np.float64)), x, y)
        with fits.open(folder / "swarp.fits") as file:
            theirs = _errors(np.asarray(file[0].data, np.float64), x, y)
        for what, unit, limit, k in (("light of stars", "", 1e-4, 0), ("places of stars", "pixel", 0.005, 1)):
            yield figure(f"{what}, largest error", mine[k], unit, at_most(limit), peer="SWarp", peer_value=theirs[k])
