"""Circular aperture photometry with exact overlap of circle and pixel, and radii that hold a fraction of the light."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_bits, as_coordinates, as_pixels, compiled

_HALF_DIAGONAL = 0.7071067811865476
_TOLERANCE = 1e-4
"""Light radii are found to this many pixels."""

_MAX_STEPS = 60


@dataclass(frozen=True)
class Apertures:
    """Photometry of n sources in m circles, every array (n, m).

    ``flux`` and ``flux_variance`` sum the good pixels only; ``area`` [pixel²] is the area of theirs inside the circle,
    so that π r² / area scales the flux of a flat source up to the whole circle. ``masked`` counts the pixels touched
    that are bad or outside of the image. Where the position is not finite all is NaN or 0.
    """

    flux: Float64
    flux_variance: Float64
    area: Float64
    masked: Int64


@compiled
def _quarter(x0: float, x1: float, y0: float, y1: float, r: float) -> float:
    """Area inside the circle about the origin of a rectangle in the first quadrant."""
    if x0 * x0 + y0 * y0 >= r * r:
        return 0.0
    # The arc lies above y1 up to x = full, above y0 up to x = end.
    full = np.sqrt(r * r - y1 * y1) if y1 < r else 0.0
    full = min(max(full, x0), x1)
    end = min(np.sqrt(r * r - y0 * y0), x1)
    area = (full - x0) * (y1 - y0)
    if end > full:
        upper = end * np.sqrt(r * r - end * end) + r * r * np.arcsin(min(end / r, 1.0))
        lower = full * np.sqrt(r * r - full * full) + r * r * np.arcsin(full / r)
        area += 0.5 * (upper - lower) - y0 * (end - full)
    return area


@compiled
def _beside(x0: float, x1: float, y0: float, y1: float, r: float) -> float:
    """Area inside the circle of a rectangle with x ≥ 0 that may straddle the x axis."""
    if y0 >= 0.0:
        return _quarter(x0, x1, y0, y1, r)
    if y1 <= 0.0:
        return _quarter(x0, x1, -y1, -y0, r)
    return _quarter(x0, x1, 0.0, y1, r) + _quarter(x0, x1, 0.0, -y0, r)


@compiled
def circle_overlap(dx: float, dy: float, r: float) -> float:
    """Exact area of a unit pixel, centred at (dx, dy), inside a circle of radius r about the origin."""
    distance = np.sqrt(dx * dx + dy * dy)
    if distance + _HALF_DIAGONAL <= r:
        return 1.0
    if distance - _HALF_DIAGONAL >= r:
        return 0.0
    x0 = dx - 0.5
    x1 = dx + 0.5
    y0 = dy - 0.5
    y1 = dy + 0.5
    if x0 >= 0.0:
        return _beside(x0, x1, y0, y1, r)
    if x1 <= 0.0:
        return _beside(-x1, -x0, y0, y1, r)
    return _beside(0.0, x1, y0, y1, r) + _beside(0.0, -x0, y0, y1, r)


@compiled
def is_good(image: Float32, mask: Int32, bad_bits: int, i: int, j: int) -> bool:
    """Whether column i, row j is a pixel of the image and has none of the bad bits."""
    ny, nx = image.shape
    return i >= 0 and i < nx and j >= 0 and j < ny and (mask.size == 0 or mask[j, i] & bad_bits == 0)


@compiled
def _circle(
    image: Float32, variance: Float32, mask: Int32, bad_bits: int, x: float, y: float, r: float
) -> tuple[float, float, float, int]:
    """Flux, its variance, good area and number of masked pixels in one circle."""
    flux = 0.0
    noise = 0.0
    area = 0.0
    masked = 0
    for j in range(int(np.floor(y - r + 0.5)), int(np.floor(y + r + 0.5)) + 1):
        for i in range(int(np.floor(x - r + 0.5)), int(np.floor(x + r + 0.5)) + 1):
            inside = circle_overlap(i - x, j - y, r)
            if inside <= 0.0:
                continue
            if not is_good(image, mask, bad_bits, i, j):
                masked += 1
                continue
            flux += inside * image[j, i]
            # Pixels are independent: a part of a pixel scales its noise, not its variance.
            noise += inside * inside * variance[j, i]
            area += inside
    return flux, noise, area, masked


@compiled
def _photometry(
    image: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    xs: Float64,
    ys: Float64,
    radii: Float64,
    sums: Float64,
    masked: Int64,
) -> None:
    for k in range(xs.size):
        for m in range(radii.size):
            if np.isfinite(xs[k] + ys[k]):
                found = _circle(image, variance, mask, bad_bits, xs[k], ys[k], radii[m])
                sums[0, k, m], sums[1, k, m], sums[2, k, m], masked[k, m] = found
            else:
                sums[:, k, m] = np.nan
                masked[k, m] = 0


def planes_of(image: Numbers, variance: Numbers | None, mask: Numbers | None) -> tuple[Float32, Float32, Int32]:
    """Image, variance (the image itself where there is none) and mask in the dtypes of kernels, their shapes checked."""
    for name, plane in (("variance", variance), ("mask", mask)):
        if plane is not None and plane.shape != image.shape:
            raise ValueError(f"{name} of shape {plane.shape} for an image of shape {image.shape}")
    pixels = as_pixels(image)
    bits = np.empty((0, 0), dtype=np.int32) if mask is None else as_bits(mask)
    return pixels, pixels if variance is None else as_pixels(variance), bits


def circular_photometry(
    image: Numbers,
    variance: Numbers,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    radii: npt.ArrayLike,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
) -> Apertures:
    """Sum the light within circles, with the exact area of every pixel inside them.

    Parameters
    ----------
    image, variance : (ny, nx) arrays
        Background-subtracted pixels and their variance.
    x, y : (n,) arrays [pixel]
        Centres, 0-based.
    radii : (m,) array [pixel]
        Radii, the same for every source.
    mask : (ny, nx) array, optional
        Mask bits.
    bad_bits : int
        Bits that exclude a pixel.

    Returns
    -------
    Apertures
        Sums, each (n, m).
    """
    xs, ys, rs = as_coordinates(x), as_coordinates(y), as_coordinates(radii)
    if xs.shape != ys.shape:
        raise ValueError(f"{xs.size} x and {ys.size} y coordinates")
    if not np.all(rs > 0.0):
        raise ValueError(f"radii {rs.tolist()} are not all positive")
    sums = np.empty((3, xs.size, rs.size))
    masked = np.empty((xs.size, rs.size), dtype=np.int64)
    _photometry(*planes_of(image, variance, mask), int(bad_bits), xs, ys, rs, sums, masked)
    return Apertures(sums[0], sums[1], sums[2], masked)


@compiled
def _light_radius(
    image: Float32, variance: Float32, mask: Int32, bad_bits: int, x: float, y: float, wanted: float, reach: float
) -> float:
    """Radius within `reach` whose circle holds the wanted flux, by bisection guided by the secant."""
    low = 0.0
    below = -wanted
    high = reach
    above = _circle(image, variance, mask, bad_bits, x, y, reach)[0] - wanted
    if not wanted > 0.0 or above < 0.0:
        return np.nan
    for step in range(_MAX_STEPS):
        if high - low < _TOLERANCE:
            break
        # Flux grows as r² near the centre; every second step halves the bracket, which bounds the work.
        r = 0.5 * (low + high)
        if step % 2 == 0 and above > below:
            r = np.sqrt(low * low + (high * high - low * low) * (-below) / (above - below))
            r = min(max(r, low + 0.25 * _TOLERANCE), high - 0.25 * _TOLERANCE)
        excess = _circle(image, variance, mask, bad_bits, x, y, r)[0] - wanted
        if excess < 0.0:
            low = r
            below = excess
        else:
            high = r
            above = excess
    return 0.5 * (low + high)


@compiled
def _light_radii(
    image: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    xs: Float64,
    ys: Float64,
    wanted: Float64,
    reach: Float64,
    out: Float64,
) -> None:
    for k in range(xs.size):
        out[k] = np.nan
        if np.isfinite(xs[k] + ys[k] + reach[k]):
            out[k] = _light_radius(image, variance, mask, bad_bits, xs[k], ys[k], wanted[k], reach[k])


def light_radius(
    image: Numbers,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    flux: npt.ArrayLike,
    reach: npt.ArrayLike,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
    fraction: float = 0.5,
) -> Float64:
    """Radius of the circle that holds a fraction of a source's flux (the half-light radius by default).

    Parameters
    ----------
    image : (ny, nx) array
        Background-subtracted pixels.
    x, y : (n,) arrays [pixel]
        Centres, 0-based.
    flux : (n,) array
        Total flux of each source, in the unit of the image.
    reach : (n,) array or float [pixel]
        Largest radius considered.
    mask : (ny, nx) array, optional
        Mask bits.
    bad_bits : int
        Bits that exclude a pixel.
    fraction : float
        Fraction of the flux.

    Returns
    -------
    (n,) float64 [pixel]
        Radii to 1e-4 pixel; NaN where the flux is not positive or `reach` does not hold the fraction of it.
    """
    xs, ys = as_coordinates(x), as_coordinates(y)
    wanted = np.full(xs.shape, fraction * as_coordinates(flux))
    limits = np.full(xs.shape, as_coordinates(reach))
    out = np.empty(xs.size)
    _light_radii(*planes_of(image, None, mask), int(bad_bits), xs, ys, wanted, limits, out)
    return out
