"""Images of a sky with known stars, and HiPS pixels by another way than ours: wcslib's HPX projection."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

Floats = npt.NDArray[np.float64]
Star = tuple[float, float, float]
"""Right ascension, declination [degree], flux."""


def solution(cards: dict[str, Any]) -> WCS:
    """The sky solution of cards as astropy has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(fits.Header(cards))


def image(
    path: Path,
    middle: tuple[float, float],
    stars: Sequence[Star] = (),
    *,
    size: int = 200,
    scale: float = 2.0,
    code: str = "TAN",
    level: float = 0.0,
    noise: float = 0.0,
    seed: int = 1,
    hole: tuple[slice, slice] | None = None,
    **cards: object,
) -> Path:
    """Write an image of stars of 2.5 pixels' width that holds their whole flux; `scale` [arcsec]."""
    told: dict[str, Any] = {
        "CTYPE1": f"RA---{code}", "CTYPE2": f"DEC--{code}", "CRVAL1": middle[0], "CRVAL2": middle[1],
        "CRPIX1": 0.5 * size + 0.5, "CRPIX2": 0.5 * size + 0.5, "CD1_1": -scale / 3600, "CD1_2": 0.0, "CD2_1": 0.0,
        "CD2_2": scale / 3600, "MAGZERO": 30.0, **cards,
    }  # fmt: skip
    y, x = np.mgrid[0:size, 0:size].astype(float)
    pixels = np.random.default_rng(seed).normal(level, noise, y.shape) if noise else np.full(y.shape, level)
    sigma = 2.5 / 2.3548
    for ra, dec, flux in stars:
        x0, y0 = solution(told).all_world2pix(ra, dec, 0)
        pixels += flux / (2 * np.pi * sigma**2) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2))
    if hole is not None:
        pixels[hole] = np.nan
    fits.writeto(path, pixels.astype(np.float32), fits.Header(told), overwrite=True)
    return path


def tile_solution(order: int, cell: int) -> WCS:
    """Pixels (0-based, row 0 at the bottom) of a HiPS tile to the sky: a diamond of the HPX plane, standing on its corner."""
    nside = 2**order
    face, inside = divmod(cell, nside**2)
    ix = sum(((inside >> (2 * bit)) & 1) << bit for bit in range(order))
    iy = sum(((inside >> (2 * bit + 1)) & 1) << bit for bit in range(order))
    row, column = divmod(face, 4)
    lon, lat = (90.0 * column + (0.0 if row == 1 else 45.0)), 45.0 - 45.0 * row
    lon -= 360.0 * (lon > 180.0)
    # The corner of the tile that is nearest to its first pixel, the eastern one, in the plane.
    east, north = lon + 45.0 * (ix + 1 - iy) / nside, lat + 45.0 * (ix + 1 + iy - nside) / nside
    step = 45.0 / (nside * 512)
    # HPX has its reference at the plane's origin: CRPIX is where that lies in pixels of the tile.
    matrix = np.array([[-step, -step], [step, -step]])
    origin = np.linalg.solve(matrix, [-east, -north])
    return solution({
        "CTYPE1": "RA---HPX", "CTYPE2": "DEC--HPX", "CRVAL1": 0.0, "CRVAL2": 0.0, "CRPIX1": origin[0] + 0.5,
        "CRPIX2": origin[1] + 0.5, "CD1_1": -step, "CD1_2": -step, "CD2_1": step, "CD2_2": -step,
    })  # fmt: skip


def on_sky(solved: WCS, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Positions of pixels [degree]."""
    ra, dec = solved.all_pix2world(x, y, 0)
    return np.asarray(ra) % 360.0, np.asarray(dec)


def apart(ra: npt.ArrayLike, dec: npt.ArrayLike, ra0: npt.ArrayLike, dec0: npt.ArrayLike) -> Floats:
    """Distances on the sky [arcsec]."""
    lon, lat = np.radians(np.subtract(ra, ra0)), np.radians(dec)
    there = np.radians(dec0)
    half = np.sin((lat - there) / 2) ** 2 + np.cos(lat) * np.cos(there) * np.sin(lon / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(half))) * 3600)
