"""Stars' stamps: cut out, without what is not theirs."""

import math
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_bits, as_pixels, compiled, inner

_SEEN = 0.5
"""Neighbours' pixels are left out as far as they are brighter than this part of the sky's noise."""
_WORTH = 0.05
"""And their light is taken from the others as far as it is brighter than this part."""
HALF_LIGHT = 0.64
"""Half-light radius of a star in units of its full width (Moffat, β = 3)."""
_WHOLE = 0.7
"""Stars with fewer good pixels within their full width do not count."""


class Neighbours(NamedTuple):
    """Sources near stars, every array (m,).

    ``star`` says of which star, ascending; ``x``, ``y`` [pixel], ``flux`` [electron], ``size`` half-light radius [pixel], ``noise``
    variance of the sky there [electron²].
    """

    star: Int64
    x: Float64
    y: Float64
    flux: Float64
    size: Float64
    noise: Float64


@compiled
def gather_stamps(
    image: Float32,
    level: Float32,
    mask: Int32,
    bad_bits: int,
    haze: float,
    centre: Int64,
    near: Float64,
    owner: Int64,
    wing: tuple[float, float],
    light: Float32,
    good: Float32,
) -> None:
    """Cut out the stars; leave out bad pixels and those of neighbours, and take the neighbours' wings away.

    Parameters
    ----------
    image, level, mask : (ny, nx)
        Pixels, sky, mask bits.
    bad_bits, haze : int, float
        Bits of pixels that do not count; light that is taken away besides the sky [electron].
    centre : (2, n)
        Pixels x, y of the middles of the stamps.
    near : (5, m)
        Neighbours: x, y [pixel], flux [electron], radius within which their pixels do not count, half side of the box in
        which their wings are taken away.
    owner : (n + 1,)
        Which neighbours are of which star.
    wing : two float
        Scale [pixel] and exponent of the Moffat profile of the neighbours' wings.
    light, good : (n, size, size)
        Filled in.
    """
    ny, nx = image.shape
    size = light.shape[1]
    half = size // 2
    for k in range(light.shape[0]):
        x0, y0 = centre[0, k] - half, centre[1, k] - half
        for j in range(size):
            for i in range(size):
                u, v = x0 + i, y0 + j
                light[k, j, i] = 0.0
                good[k, j, i] = 0.0
                if u < 0 or v < 0 or u >= nx or v >= ny or mask[v, u] & bad_bits != 0:
                    continue
                value = image[v, u] - level[v, u] - haze
                if np.isfinite(value):
                    light[k, j, i] = value
                    good[k, j, i] = 1.0
        for m in range(owner[k], owner[k + 1]):
            _leave_out(near[:, m], x0, y0, wing, light[k], good[k])


@inner
def _leave_out(near: Float64, x0: int, y0: int, wing: tuple[float, float], light: Float32, good: Float32) -> None:
    """Take away a neighbour's light as far as it is worth it, and leave out the pixels where it is bright."""
    size, alpha2 = light.shape[0], wing[0] * wing[0]
    x, y, peak = near[0] - x0, near[1] - y0, near[2] * (wing[1] - 1.0) / (math.pi * alpha2)
    square, far = near[3] * near[3], near[4]
    for j in range(max(math.ceil(y - far), 0), min(math.floor(y + far) + 1, size)):
        for i in range(max(math.ceil(x - far), 0), min(math.floor(x + far) + 1, size)):
            r2 = (i - x) ** 2 + (j - y) ** 2
            if good[j, i] > 0.0 or light[j, i] != 0.0:
                light[j, i] -= np.float32(peak * (1.0 + r2 / alpha2) ** -wing[1])
            if r2 <= square:
                good[j, i] = 0.0


def cut_stars(
    planes: tuple[Numbers, Numbers, Numbers],
    bad_bits: int,
    places: tuple[Float64, Float64],
    around: Neighbours,
    profile: tuple[float, float],
    reach: float,
    *,
    haze: float = 0.0,
) -> tuple[Float32, Float32, Int64]:
    """Cut out stars, leave out bad pixels and those where neighbours shine, and take away the neighbours' wings.

    Parameters
    ----------
    planes : three (ny, nx) arrays
        Image, sky [electron], mask bits.
    bad_bits : int
        Bits of pixels that do not count.
    places : two (n,) arrays
        The stars' x and y [pixel].
    around : Neighbours
        Of the stars.
    profile : two float
        Full width [pixel] and exponent of a Moffat profile, for the neighbours.
    reach : float
        Radius of the pixels that count [pixel].
    haze : float
        Light that is taken away besides the sky [electron].

    Returns
    -------
    light, good : (n, size, size) float32
        Light above the sky [electron], 0 in bad pixels; 1 where a pixel counts, 0 elsewhere.
    corner : (2, n) int64
        Places x, y of the stamps' first pixels.
    """
    width, beta = profile
    alpha = 0.5 * width / math.sqrt(2.0 ** (1.0 / beta) - 1.0)
    peak, noise = around.flux * (beta - 1.0) / (math.pi * alpha**2), np.sqrt(around.noise)
    radius, far = (
        alpha * np.sqrt(np.maximum((peak / (part * noise)) ** (1.0 / beta) - 1.0, 0.0)) for part in (_SEEN, _WORTH)
    )
    # What is larger than a star is brighter farther out.
    radius += 1.0 + 2.0 * np.maximum(around.size - HALF_LIGHT * width, 0.0)
    near = np.ascontiguousarray([around.x, around.y, around.flux, radius, np.maximum(far, radius)], np.float64)
    half, number = math.ceil(reach), len(places[0])
    owner = np.searchsorted(around.star, np.arange(number + 1)).astype(np.int64)
    middle = np.floor(np.stack(places) + 0.5).astype(np.int64)
    light = np.empty((number, 2 * half + 1, 2 * half + 1), np.float32)
    good = np.empty_like(light)
    image, level, mask = as_pixels(planes[0]), as_pixels(planes[1]), as_bits(planes[2])
    gather_stamps(image, level, mask, bad_bits, haze, middle, near, owner, (alpha, beta), light, good)
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    good *= np.hypot(u, v) <= reach
    core = np.hypot(u, v) <= width
    good[good[:, core].mean(axis=1) < _WHOLE] = 0.0
    return light, good, middle - half
