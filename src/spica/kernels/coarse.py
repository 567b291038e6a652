"""The sky on a coarse mesh from a sparse sample of pixels: good enough to know what rises above it, nearly free."""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_pixels, compiled, inner
from spica.kernels.robust import keep_between, select_kth

_ENOUGH = 16
"""Fewest sampled pixels that make a cell valid."""


class CoarseSky(NamedTuple):
    """Per cell: level, noise, and the level that a tenth of the sampled pixels falls below.

    Each is (gy, gx) float64 in the unit of the image, NaN where too few pixels are good. ``box`` is the cells' side.
    """

    level: Float64
    sigma: Float64
    low: Float64
    box: int


@inner
def _cell_level(values: Float32, count: int) -> tuple[float, float, float]:
    """Level, noise and lowest tenth of the first `count` values, reordered; light of sources makes the upper side useless."""
    lowest = select_kth(values, count, count // 10)
    low = select_kth(values, count, int(0.1587 * count))
    middle = select_kth(values, count, count // 2)
    sigma = middle - low
    for _ in range(3):
        if sigma <= 0.0:
            break
        kept = keep_between(values, count, middle - 2.0 * sigma, middle + 2.0 * sigma)
        if kept == 0:
            break
        middle = select_kth(values, kept, kept // 2)
        # Cut at ±2 sigma about the middle, a normal distribution has its lowest sixth 0.93 sigma below.
        sigma = (middle - select_kth(values, kept, int(0.1587 * kept))) / 0.9298
        count = kept
    return middle, sigma, lowest


@compiled
def _coarse(
    image: Float32, mask: Int32, bad_bits: int, box: int, step: int, out: tuple[Float64, Float64, Float64]
) -> None:
    level, sigma, low = out
    ny, nx = image.shape
    buffer = np.empty((box // step + 1) * (box // step + 1), dtype=np.float32)
    for j in range(level.shape[0]):
        for i in range(level.shape[1]):
            count = 0
            for y in range(j * box, min((j + 1) * box, ny), step):
                # Rows are sampled at shifted columns, so that no bad column is seen by all of them.
                for x in range(i * box + (y // step) % step, min((i + 1) * box, nx), step):
                    if np.isfinite(image[y, x]) and mask[y, x] & bad_bits == 0:
                        buffer[count] = image[y, x]
                        count += 1
            level[j, i] = np.nan
            sigma[j, i] = np.nan
            low[j, i] = np.nan
            if count >= _ENOUGH:
                level[j, i], sigma[j, i], low[j, i] = _cell_level(buffer, count)


def coarse_sky(image: Numbers, mask: Numbers, *, bad_bits: int, box: int = 128, step: int = 4) -> CoarseSky:
    """Level and noise of the sky in coarse cells, from one pixel in step².

    Parameters
    ----------
    image : (ny, nx) array
        Pixels in any unit.
    mask : (ny, nx) array
        Mask bits.
    bad_bits : int
        Bits that exclude a pixel.
    box, step : int
        Side of a cell and distance of the sampled pixels [pixel].

    Returns
    -------
    CoarseSky
        In the unit of the image.
    """
    if mask.shape != image.shape:
        raise ValueError(f"mask of shape {mask.shape} for an image of shape {image.shape}")
    if not 1 <= step <= box:
        raise ValueError(f"cells of {box} pixels cannot be sampled at each {step}")
    grid = (-(-image.shape[0] // box), -(-image.shape[1] // box))
    level, sigma, low = np.empty(grid), np.empty(grid), np.empty(grid)
    _coarse(as_pixels(image), as_bits(mask), int(bad_bits), int(box), int(step), (level, sigma, low))
    return CoarseSky(level, sigma, low, int(box))


@compiled
def level_line(level: Float64, box: int, y: int, line: Float32) -> None:
    """Evaluate the level of one row of pixels by bilinear interpolation between the centres of cells."""
    gy, gx = level.shape
    v = min(max((y + 0.5) / box - 0.5, 0.0), gy - 1.0)
    j = min(int(v), max(gy - 2, 0))
    below = min(j + 1, gy - 1)
    t = v - j
    x = 0
    for i in range(gx):
        left = (1.0 - t) * level[j, i] + t * level[below, i]
        right = left if i == gx - 1 else (1.0 - t) * level[j, i + 1] + t * level[below, i + 1]
        end = line.size if i == gx - 1 else min((2 * i + 3) * box // 2, line.size)
        slope = (right - left) / box
        start = left + slope * (0.5 - (i + 0.5) * box)
        for k in range(x, end):
            line[k] = start + slope * k if k >= (2 * i + 1) * box // 2 else left
        x = max(end, x)


@compiled
def level_at(level: Float64, box: int, y: int, x: int) -> float:
    """The level at one pixel, as `level_line` has it."""
    gy, gx = level.shape
    v = min(max((y + 0.5) / box - 0.5, 0.0), gy - 1.0)
    u = min(max((x + 0.5) / box - 0.5, 0.0), gx - 1.0)
    j = min(int(v), max(gy - 2, 0))
    i = min(int(u), max(gx - 2, 0))
    t, s = v - j, u - i
    above = (1.0 - s) * level[j, i] + s * level[j, min(i + 1, gx - 1)]
    below = (1.0 - s) * level[min(j + 1, gy - 1), i] + s * level[min(j + 1, gy - 1), min(i + 1, gx - 1)]
    return float((1.0 - t) * above + t * below)
