"""Isophotal measurements from the gathered pixels of each source: flux, centroid, second moments, peak, box, bits."""

from dataclasses import dataclass

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_bits, as_pixels, as_plain, compiled

_PIXEL = 1.0 / 12.0
"""Variance of a uniform distribution over one pixel."""

_COLUMNS = 11
_INTEGERS = 8


@dataclass(frozen=True)
class Isophotal:
    """Isophotal measurements, one element per segment.

    Positions are 0-based pixel centres; ``x_variance, y_variance, xy_covariance`` [pixel²] are those of the centroid,
    from the variance plane. Second moments ``xx, yy, xy`` [pixel²] are central. The bounding box is inclusive. ``bits``
    is the OR of the mask over the segment. ``flux`` [image unit] sums all pixels; centroid and moments weigh pixels by
    their value where it is positive.
    """

    area: Int64
    flux: Float64
    flux_variance: Float64
    x: Float64
    y: Float64
    x_variance: Float64
    y_variance: Float64
    xy_covariance: Float64
    xx: Float64
    yy: Float64
    xy: Float64
    peak: Float64
    peak_x: Int64
    peak_y: Int64
    x_min: Int64
    x_max: Int64
    y_min: Int64
    y_max: Int64
    bits: Int64


@compiled
def _brightest(image: Float32, pixels: Int64) -> int:
    """Index (in the flat image) of the brightest pixel; the first of equals."""
    best = pixels[0]
    for p in pixels:
        if image[p] > image[best]:
            best = p
    return int(best)


@compiled
def _extent(mask: Int32, nx: int, pixels: Int64, out: Int64) -> None:
    """Write x_min, x_max, y_min, y_max and the OR of the mask."""
    x_min = nx
    x_max = -1
    bits = 0
    for p in pixels:
        x = p % nx
        x_min = min(x_min, x)
        x_max = max(x_max, x)
        if mask.size > 0:
            bits |= mask[p]
    out[0] = x_min
    out[1] = x_max
    out[2] = pixels[0] // nx
    out[3] = pixels[-1] // nx
    out[4] = bits


@compiled
def _moments(image: Float32, variance: Float32, nx: int, pixels: Int64, x0: int, y0: int, out: Float64) -> None:
    """Write flux and its variance, centroid and its covariance, and central moments; offsets count from (x0, y0)."""
    flux = 0.0
    noise = 0.0
    total = 0.0
    sx = 0.0
    sy = 0.0
    for p in pixels:
        value = float(image[p])
        flux += value
        noise += variance[p]
        value = max(value, 0.0)
        total += value
        sx += value * (p % nx - x0)
        sy += value * (p // nx - y0)
    flat = total <= 0.0
    if flat:
        total = float(pixels.size)
        for p in pixels:
            sx += p % nx - x0
            sy += p // nx - y0
    sx /= total
    sy /= total
    for k in range(6):
        out[4 + k] = 0.0
    for p in pixels:
        dx = p % nx - x0 - sx
        dy = p // nx - y0 - sy
        value = 1.0 if flat else max(float(image[p]), 0.0)
        spread = float(variance[p])
        out[4] += spread * dx * dx
        out[5] += spread * dy * dy
        out[6] += spread * dx * dy
        out[7] += value * dx * dx
        out[8] += value * dy * dy
        out[9] += value * dx * dy
    for k in range(3):
        out[4 + k] /= total * total
        out[7 + k] /= total
    out[0] = flux
    out[1] = noise
    out[2] = x0 + sx
    out[3] = y0 + sy


@compiled
def _measure(
    image: Float32, variance: Float32, mask: Int32, nx: int, start: Int64, pixels: Int64, table: Float64, whole: Int64
) -> None:
    for k in range(start.size - 1):
        own = pixels[start[k] : start[k + 1]]
        peak = _brightest(image, own)
        x0 = peak % nx
        y0 = peak // nx
        _moments(image, variance, nx, own, x0, y0, table[k])
        table[k, 10] = image[peak]
        whole[k, 0] = own.size
        whole[k, 1] = x0
        whole[k, 2] = y0
        _extent(mask, nx, own, whole[k, 3:])


def measure_segments(
    image: Numbers, variance: Numbers, start: Int64, pixels: Int64, mask: Numbers | None = None
) -> Isophotal:
    """Measure each segment from its own pixels.

    Centroids are first moments, shapes central second moments (Bertin & Arnouts 1996, A&AS 117, 393); the covariance
    of a centroid is Σ σ² (x - x̄)² / (Σ I)².

    Parameters
    ----------
    image : (ny, nx) array
        Background-subtracted pixels.
    variance : (ny, nx) array
        Variance of each pixel, sources included.
    start, pixels : int64 arrays
        Segments, from `spica.kernels.detect.label` (flat indices in rising order).
    mask : (ny, nx) array, optional
        Mask bits, OR-ed over each segment.

    Returns
    -------
    Isophotal
        Arrays of the number of segments.
    """
    if variance.shape != image.shape or (mask is not None and mask.shape != image.shape):
        shapes = [None if plane is None else plane.shape for plane in (image, variance, mask)]
        raise ValueError(f"image, variance and mask differ in shape: {shapes}")
    number = start.size - 1
    table = np.empty((number, _COLUMNS))
    whole = np.empty((number, _INTEGERS), dtype=np.int64)
    bits = np.empty(0, dtype=np.int32) if mask is None else as_bits(mask).ravel()
    nx = image.shape[1]
    lists = as_plain(start, np.int64), as_plain(pixels, np.int64)
    _measure(as_pixels(image).ravel(), as_pixels(variance).ravel(), bits, nx, *lists, table, whole)
    t = np.ascontiguousarray(table.T)
    w = np.ascontiguousarray(whole.T)
    return Isophotal(
        area=w[0],
        flux=t[0],
        flux_variance=t[1],
        x=t[2],
        y=t[3],
        x_variance=t[4],
        y_variance=t[5],
        xy_covariance=t[6],
        xx=t[7],
        yy=t[8],
        xy=t[9],
        peak=t[10],
        peak_x=w[1],
        peak_y=w[2],
        x_min=w[3],
        x_max=w[4],
        y_min=w[5],
        y_max=w[6],
        bits=w[7],
    )


def ellipses(xx: Float64, yy: Float64, xy: Float64) -> tuple[Float64, Float64, Float64]:
    """Semi-axes and position angle of the ellipses that have the given second moments.

    Where a segment is thinner than a pixel (xx yy - xy² < 1/144) the variance of one pixel is added to both moments,
    as SExtractor does.

    Parameters
    ----------
    xx, yy, xy : float64 arrays [pixel²]
        Central second moments.

    Returns
    -------
    a, b : float64 arrays [pixel]
        Root mean square extents along the major and minor axis.
    theta : float64 array [radian]
        Angle of the major axis from +x to +y, in (-π/2, π/2].
    """
    thin = xx * yy - xy * xy < _PIXEL * _PIXEL
    wide_x = np.where(thin, xx + _PIXEL, xx)
    wide_y = np.where(thin, yy + _PIXEL, yy)
    mean = 0.5 * (wide_x + wide_y)
    spread = np.hypot(0.5 * (wide_x - wide_y), xy)
    theta = 0.5 * np.arctan2(2.0 * xy, wide_x - wide_y)
    return np.sqrt(mean + spread), np.sqrt(np.maximum(mean - spread, 0.0)), theta
