"""Circular apertures with the exact overlap of circle and pixel, and radii that hold a fraction of the light."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import (
    Float32,
    Float64,
    Int32,
    Int64,
    Numbers,
    as_bits,
    as_coordinates,
    as_pixels,
    compiled,
    inner,
)
from spica.kernels.stamp import BAD, Planes, gather

_NEAR = 2e-3
"""From a circle that holds the wanted flux to this part the last step is taken along the slope: to 1e-4 pixel."""

_MAX_STEPS = 60


@dataclass(frozen=True)
class Apertures:
    """Photometry of n sources in m circles, every array (n, m).

    ``masked`` counts the pixels touched that are bad or outside of the image: like those of another source they are
    replaced by the opposite ones, or hold no light. Where the position is not finite all is NaN or 0.
    """

    flux: Float64
    flux_variance: Float64
    masked: Int64


@inner
def _cap(s: float) -> float:
    """Area between a chord of half length s and the arc of a unit circle: arcsin s - s √(1 - s²)."""
    if s > 0.25:
        return float(np.arcsin(min(s, 1.0)) - s * np.sqrt(max(1.0 - s * s, 0.0)))
    # Its series: a quarter of the time, exact to 1e-11.
    t = s * s
    return s * t * (2 / 3 + t * (1 / 5 + t * (3 / 28 + t * (5 / 72 + t * (35 / 704 + t * (63 / 1664))))))


@inner
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
        high = min(np.sqrt(r * r - full * full), y1)
        low = max(np.sqrt(max(r * r - end * end, 0.0)), y0)
        # Under the chord, and between chord and arc.
        area += 0.5 * (high + low - 2.0 * y0) * (end - full)
        area += _cap(0.5 * np.sqrt((end - full) ** 2 + (high - low) ** 2) / r) * r * r
    return area


@compiled
def circle_overlap(dx: float, dy: float, r: float) -> float:
    """Exact area of a unit pixel, centred at (dx, dy), inside a circle of radius r about the origin."""
    dx = abs(dx)
    dy = abs(dy)
    area = 0.0
    # A pixel on an axis has a part on the axis' other side, which is turned into the first quadrant.
    for part in range(4):
        x0, x1 = max(dx - 0.5, 0.0), dx + 0.5
        y0, y1 = max(dy - 0.5, 0.0), dy + 0.5
        if part & 1:
            x0, x1 = 0.0, 0.5 - dx
        if part & 2:
            y0, y1 = 0.0, 0.5 - dy
        if x1 > x0 and y1 > y0:
            area += _quarter(x0, x1, y0, y1, r)
    return area


@inner
def circle_sum(light: Float32, noise: Float32, state: Int32, x: float, y: float, r: float) -> tuple[float, float, int]:
    """Flux, its variance, and number of bad pixels, in a circle of a stamp."""
    flux = 0.0
    spread = 0.0
    bad = 0
    ny, nx = light.shape
    for j in range(max(int(np.floor(y - r + 0.5)), 0), min(int(np.floor(y + r + 0.5)), ny - 1) + 1):
        dy = abs(j - y)
        nearest = max(dy - 0.5, 0.0)
        wide = np.sqrt(max(r * r - nearest * nearest, 0.0))
        first = max(int(np.floor(x - wide + 0.5)), 0)
        last = min(int(np.floor(x + wide + 0.5)), nx - 1)
        # Pixels from `inner` to `outer` are wholly inside.
        square = r * r - (dy + 0.5) * (dy + 0.5)
        inner = last + 1
        outer = last
        if square > 0.0:
            full = np.sqrt(square) - 0.5
            inner = int(np.ceil(x - full))
            outer = int(np.floor(x + full))
            if inner > outer:
                inner = last + 1
                outer = last
        row, spreads, kinds = light[j], noise[j], state[j]
        for i in range(first, last + 1):
            part = 1.0 if inner <= i <= outer else circle_overlap(i - x, dy, r)
            flux += part * row[i]
            # Pixels are independent: a part of a pixel scales its noise, not its variance.
            spread += part * part * spreads[i]
            bad += part > 0.0 and kinds[i] == BAD
    return flux, spread, bad


@inner
def growth(light: Float32, x: float, y: float, out: Float64) -> None:
    """Light of the pixels whose centres are within 1, 2, ... pixels of the centre."""
    out[:] = 0.0
    reach = out.size
    ny, nx = light.shape
    for j in range(max(int(y) - reach, 0), min(int(y) + reach + 2, ny)):
        dy = (j - y) * (j - y)
        row = light[j]
        for i in range(max(int(x) - reach, 0), min(int(x) + reach + 2, nx)):
            ring = int(np.sqrt((i - x) * (i - x) + dy))
            if ring < out.size:
                out[ring] += row[i]
    for ring in range(1, out.size):
        out[ring] += out[ring - 1]


@inner
def _guess(grown: Float64, wanted: float) -> tuple[float, float]:
    """Where a growth curve passes the wanted flux, between its rings; and its slope there."""
    ring = 0
    while ring < grown.size - 1 and grown[ring] < wanted:
        ring += 1
    inner = grown[ring - 1] if ring > 0 else 0.0
    slope = grown[ring] - inner
    # Within a ring the light of an even surface grows as r².
    part = min(max((wanted - inner) / slope, 0.0), 1.0) if slope > 0.0 else 0.5
    r = np.sqrt(ring * ring + part * (2.0 * ring + 1.0))
    return r, slope


@inner
def light_radius(
    light: Float32, noise: Float32, state: Int32, x: float, y: float, wanted: float, grown: Float64, reach: float
) -> tuple[float, float]:
    """Radius, `reach` at most, whose circle holds the wanted flux, and the light per pixel of radius there.

    By secants in r² from where the growth curve points to, and by halving where they do not lead there; NaN where no
    such radius is found.
    """
    if not wanted > 0.0:
        return np.nan, np.nan
    r, slope = _guess(grown, wanted)
    r = min(max(r, 0.2), reach)
    low, high, below, above = 0.0, np.inf, -wanted, np.inf
    last = excess = 0.0
    for step in range(_MAX_STEPS):
        before, last = last, r
        was, excess = excess, circle_sum(light, noise, state, x, y, r)[0] - wanted
        if excess < 0.0:
            if r >= reach:
                return np.nan, np.nan
            low, below = r, excess
        else:
            high, above = r, excess
        if step > 0 and excess != was:
            slope = 2.0 * r * (excess - was) / (last * last - before * before)
        if step > 0 and slope > 0.0 and abs(excess) < _NEAR * wanted:
            return np.sqrt(max(r * r - 2.0 * r * excess / slope, 0.25 * r * r)), slope
        if high - low < _NEAR:
            return r, (above - below) / (high - low)
        square = r * r - 2.0 * r * excess / slope if slope > 0.0 else -1.0
        r = np.sqrt(square) if square > 0.0 else -1.0
        if not low < r < high or step % 4 == 3:
            # Beyond what encloses it, or slow: into the middle.
            r = 0.5 * (low + min(high, 2.0 * low + 1.0))
        r = min(r, reach)
    return np.nan, np.nan


@compiled
def _photometry(
    planes: Planes,
    bad_bits: int,
    own: Int32,
    xs: Float64,
    ys: Float64,
    radii: Float64,
    sums: Float64,
    masked: Int64,
) -> None:
    reach = int(np.ceil(radii.max())) + 1
    side = 2 * reach + 1
    light = np.empty((side, side), dtype=np.float32)
    noise = np.empty((side, side), dtype=np.float32)
    state = np.empty((side, side), dtype=np.int32)
    for k in range(xs.size):
        if not np.isfinite(xs[k] + ys[k]):
            sums[:, k, :] = np.nan
            masked[k, :] = 0
            continue
        x0 = int(np.floor(xs[k] + 0.5)) - reach
        y0 = int(np.floor(ys[k] + 0.5)) - reach
        gather(planes, bad_bits, 0.0, 0.0, int(np.int64(own[k])), (xs[k], ys[k]), (x0, y0), light, noise, state)
        for m in range(radii.size):
            found = circle_sum(light, noise, state, xs[k] - x0, ys[k] - y0, radii[m])
            sums[0, k, m], sums[1, k, m], masked[k, m] = found


def planes_of(
    image: Numbers, sky: Numbers | None, variance: Numbers, mask: Numbers | None, labels: Numbers | None
) -> Planes:
    """Planes in the dtypes of kernels, their shapes checked; a sky that is None is zero, masks and labels empty."""
    for name, plane in (("sky", sky), ("variance", variance), ("mask", mask), ("labels", labels)):
        if plane is not None and plane.shape != image.shape:
            raise ValueError(f"{name} of shape {plane.shape} for an image of shape {image.shape}")
    none = np.empty((0, 0), dtype=np.int32)
    level = np.zeros(image.shape, dtype=np.float32) if sky is None else as_pixels(sky)
    bits, numbers = (none if plane is None else as_bits(plane) for plane in (mask, labels))
    return as_pixels(image), level, as_pixels(variance), bits, numbers


def circular_photometry(
    image: Numbers,
    variance: Numbers,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    radii: npt.ArrayLike,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
    sky: Numbers | None = None,
    labels: Numbers | None = None,
    own: npt.ArrayLike = 0,
) -> Apertures:
    """Sum the light within circles at known places, with the exact area of every pixel inside them.

    Parameters
    ----------
    image, variance : (ny, nx) arrays
        Pixels and their variance.
    x, y : (n,) arrays [pixel]
        Centres, 0-based.
    radii : (m,) array [pixel]
        Radii, the same for every source.
    mask : (ny, nx) array, optional
        Mask bits.
    bad_bits : int
        Bits that exclude a pixel.
    sky : (ny, nx) array, optional
        Level to subtract.
    labels : (ny, nx) array, optional
        Numbers of the sources that pixels belong to; those of others are replaced.
    own : (n,) array or int
        Number of each source in `labels`.

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
    sums = np.empty((2, xs.size, rs.size))
    masked = np.empty((xs.size, rs.size), dtype=np.int64)
    numbers = as_bits(np.broadcast_to(np.asarray(own), xs.shape))
    _photometry(planes_of(image, sky, variance, mask, labels), int(bad_bits), numbers, xs, ys, rs, sums, masked)
    return Apertures(sums[0], sums[1], masked)
