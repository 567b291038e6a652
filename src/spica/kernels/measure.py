"""Measurements of sources, each from its pixels gathered once: isophotal, windowed, apertures, Kron, light radii."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spica.kernels.aperture import circle_sum, growth, light_radius, planes_of
from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_coordinates, compiled, inner
from spica.kernels.detect import Segments
from spica.kernels.kron import ellipse_form, ellipse_sum, kron_radius
from spica.kernels.moments import PIXEL
from spica.kernels.stamp import Planes, gather
from spica.kernels.windowed import FWHM_TO_SIGMA, core_fwhm, windowed_centroid

FRACTIONS = (0.5, 0.8)
"""Of the light within the Kron ellipse: the radii that are measured."""

REALS = (
    "x_iso", "y_iso", "flux_iso", "var_iso", "peak", "var_peak",
    "xx", "yy", "xy", "var_x", "var_y", "cov_xy",
    "var_xx", "var_yy", "var_xy", "cov_xx_yy", "cov_xx_xy", "cov_yy_xy",
    "kron_radius", "kron_scale", "kron_size", "flux_auto", "var_auto", "neighbours",
    "radius_50", "radius_80", "radius_50_err", "radius_80_err",
    "x_win", "y_win", "var_x_win", "var_y_win", "cov_win", "fwhm", "fwhm_err", "background",
)  # fmt: skip
"""Columns of real numbers; then fluxes of the apertures and their variances."""
(
    _X, _Y, _FLUX, _VAR, _PEAK, _VPEAK,
    _XX, _YY, _XY, _VX, _VY, _CXY,
    _V_XX, _V_YY, _V_XY, _C_XX_YY, _C_XX_XY, _C_YY_XY,
    _KRON, _SCALE, _SIZE, _AUTO, _VAUTO, _TAKEN,
    _R50, _R80, _R50_ERR, _R80_ERR,
    _XW, _YW, _VXW, _VYW, _CW, _FWHM, _FWHM_ERR, _SKY,
) = range(len(REALS))  # fmt: skip

WHOLES = ("area", "x_min", "x_max", "y_min", "y_max", "bits", "good", "bad_auto", "converged")
(_AREA, _X_MIN, _X_MAX, _Y_MIN, _Y_MAX, _BITS, _GOOD, _BAD, _CONVERGED) = range(len(WHOLES))


_STRIP = 512
"""Width of the strips of columns in which sources are measured [pixel]."""


@dataclass(frozen=True)
class Photometry:
    """How sources are measured; lengths in pixels.

    Attributes
    ----------
    apertures : radii of the circles.
    factor, smallest : the Kron ellipse's axes are those of the moments times factor x Kron radius, at least `smallest`.
    floor : an ellipse smaller than a circle of this radius is that circle.
    reach : size of the ellipse in which the Kron radius is measured, in units of the axes.
    largest : no stamp reaches farther than this.
    fwhm : width of a point source: no window is narrower.
    inverse_gain : 0 where the variance is complete; else what turns a source's light into its own variance.
    haze : light per pixel of sources that are not seen and of the wings of those that are: taken from all but the sums
        in circles.
    """

    apertures: Sequence[float] = (3.0, 5.0, 8.0)
    factor: float = 2.5
    smallest: float = 3.5
    floor: float = 3.0
    reach: float = 6.0
    largest: int = 200
    fwhm: float = 3.0
    inverse_gain: float = 0.0
    haze: float = 0.0


class Measures(NamedTuple):
    """Tables by column: `REALS` and `WHOLES`, each (n,); fluxes and variances of the apertures, and bad pixels (n, m)."""

    reals: dict[str, Float64]
    wholes: dict[str, Int64]
    flux: Float64
    variance: Float64
    bad: Int64


@inner
def _isophotal(
    planes: Planes, bad_bits: int, gain: float, haze: float, pixels: Int32, row: Float64, whole: Int64
) -> None:
    """Flux, centroid, central moments with their covariances, peak, box and mask bits from a source's own pixels."""
    image, sky, variance, mask, _ = planes
    ny, nx = image.shape
    wide = np.int32(nx)
    y0 = pixels[0] // wide
    x0 = pixels[0] - y0 * wide
    flux = noise = total = sx = sy = xx = yy = xy = 0.0
    peak = -np.inf
    peak_noise = 0.0
    found = good = 0
    x_min, x_max, y_min, y_max = np.int32(nx), np.int32(-1), np.int32(ny), np.int32(-1)
    for p in pixels:
        v = p // wide
        u = p - v * wide
        dx = u - x0
        dy = v - y0
        value = float(image[v, u] - sky[v, u]) - haze
        spread = variance[v, u] + gain * max(value, 0.0)
        if mask.size > 0:
            found |= mask[v, u]
        x_min, x_max, y_min, y_max = min(x_min, u), max(x_max, u), min(y_min, v), max(y_max, v)
        if not np.isfinite(value) or (mask.size > 0 and mask[v, u] & bad_bits != 0):
            continue
        good += 1
        flux += value
        noise += spread
        if value > peak:
            peak, peak_noise = value, spread
        value = max(value, 0.0)
        total += value
        sx += value * dx
        sy += value * dy
        xx += value * dx * dx
        yy += value * dy * dy
        xy += value * dx * dy
    whole[_X_MIN], whole[_X_MAX], whole[_Y_MIN], whole[_Y_MAX] = x_min, x_max, y_min, y_max
    whole[_AREA], whole[_BITS], whole[_GOOD] = pixels.size, found, good
    row[_FLUX], row[_VAR], row[_PEAK], row[_VPEAK] = flux, noise, peak, peak_noise
    if total > 0.0:
        sx /= total
        sy /= total
        row[_XX] = max(xx / total - sx * sx, 0.0)
        row[_YY] = max(yy / total - sy * sy, 0.0)
        row[_XY] = xy / total - sx * sy
    else:
        sx = 0.5 * (x_min + x_max) - x0
        sy = 0.5 * (y_min + y_max) - y0
        row[_XX] = row[_YY] = row[_XY] = 0.0
    row[_X], row[_Y] = x0 + sx, y0 + sy
    _covariances(planes, bad_bits, gain, pixels, total, row)


@inner
def _covariances(planes: Planes, bad_bits: int, gain: float, pixels: Int32, total: float, row: Float64) -> None:
    """Covariances of centroid and second moments: Σ σ² f g / (Σ I)² with f, g = dx, dy; dx² - xx, dy² - yy, dx dy - xy."""
    image, sky, variance, mask, _ = planes
    wide = np.int32(image.shape[1])
    x, y, xx, yy, xy = row[_X], row[_Y], row[_XX], row[_YY], row[_XY]
    c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = 0.0
    for p in pixels:
        v = p // wide
        u = p - v * wide
        spread = variance[v, u] + gain * max(float(image[v, u] - sky[v, u]), 0.0)
        if not np.isfinite(spread) or (mask.size > 0 and mask[v, u] & bad_bits != 0):
            continue
        dx = u - x
        dy = v - y
        f, g, h = dx * dx - xx, dy * dy - yy, dx * dy - xy
        c0 += spread * dx * dx
        c1 += spread * dy * dy
        c2 += spread * dx * dy
        c3 += spread * f * f
        c4 += spread * g * g
        c5 += spread * h * h
        c6 += spread * f * g
        c7 += spread * f * h
        c8 += spread * g * h
    scale = 1.0 / (total * total) if total > 0.0 else np.nan
    row[_VX], row[_VY], row[_CXY] = scale * c0, scale * c1, scale * c2
    row[_V_XX], row[_V_YY], row[_V_XY] = scale * c3, scale * c4, scale * c5
    row[_C_XX_YY], row[_C_XX_XY], row[_C_YY_XY] = scale * c6, scale * c7, scale * c8


@inner
def _ellipse(xx: float, yy: float, xy: float) -> tuple[float, float, float]:
    if xx * yy - xy * xy < PIXEL * PIXEL:
        xx += PIXEL
        yy += PIXEL
    mean = 0.5 * (xx + yy)
    spread = np.sqrt(0.25 * (xx - yy) * (xx - yy) + xy * xy)
    return np.sqrt(mean + spread), np.sqrt(max(mean - spread, 0.0)), 0.5 * np.arctan2(2.0 * xy, xx - yy)


@inner
def _kron(
    stamp: tuple[Float32, Float32, Int32],
    x: float,
    y: float,
    axes: tuple[float, float, float],
    limits: Float64,
    row: Float64,
    whole: Int64,
) -> None:
    """Kron radius, ellipse and flux; `limits`: factor, smallest scale, smallest radius, reach."""
    light, noise, state = stamp
    a, b, theta = axes
    b = max(b, 0.3 * a / limits[3], 1e-3)
    form = ellipse_form(a, b, theta)
    row[_KRON] = kron_radius(light, x, y, form, limits[3])
    scale = max(limits[0] * row[_KRON], limits[1])
    # No farther than where the radius was looked for: noise and neighbours are beyond.
    scale = min(scale, limits[3])
    if scale * np.sqrt(a * b) < limits[2]:
        form = ellipse_form(1.0, 1.0, 0.0)
        scale = limits[2]
        a = b = 1.0
    row[_SCALE] = scale
    row[_SIZE] = scale * np.sqrt(a * b)
    edge = 0.7071067811865476 / b
    row[_AUTO], row[_VAUTO], whole[_BAD], row[_TAKEN] = ellipse_sum(light, noise, state, x, y, form, scale, edge)


@inner
def _radii(
    stamp: tuple[Float32, Float32, Int32], x: float, y: float, reach: float, grown: Float64, row: Float64
) -> None:
    """Radii of fractions of the Kron flux, and their errors."""
    light, noise, state = stamp
    growth(light, x, y, grown)
    for m in range(2):
        wanted = FRACTIONS[m] * row[_AUTO]
        row[_R50 + m], slope = light_radius(light, noise, state, x, y, wanted, grown, reach)
        # What is inside and what is outside scatter independently.
        part = FRACTIONS[m]
        row[_R50_ERR + m] = np.sqrt(part * (1.0 - part) * row[_VAUTO]) / slope


@inner
def _one(
    planes: Planes,
    bad_bits: int,
    pixels: Int32,
    number: int,
    radii: Float64,
    limits: Float64,
    scratch: tuple[Float32, Float32, Int32, Float64, Float64],
    row: Float64,
    whole: Int64,
    bad: Int64,
) -> None:
    """Measure one source into its rows; `limits` as in `_kron`, then largest reach, FWHM, inverse gain, haze."""
    _isophotal(planes, bad_bits, limits[6], limits[7], pixels, row, whole)
    x, y = row[_X], row[_Y]
    a, b, theta = _ellipse(row[_XX], row[_YY], row[_XY])
    largest = int(limits[4])
    outer = max(radii[-1], limits[2], 2.0 * limits[5]) + 1.5
    rx = min(int(max(limits[3] * np.sqrt(row[_XX]) + 1.0, outer)) + 1, largest)
    ry = min(int(max(limits[3] * np.sqrt(row[_YY]) + 1.0, outer)) + 1, largest)
    x0 = int(np.floor(x + 0.5)) - rx
    y0 = int(np.floor(y + 0.5)) - ry
    wide, high = 2 * rx + 1, 2 * ry + 1
    light = scratch[0][: wide * high].reshape(high, wide)
    noise = scratch[1][: wide * high].reshape(high, wide)
    state = scratch[2][: wide * high].reshape(high, wide)
    gather(planes, bad_bits, limits[6], limits[7], number, (x, y), (x0, y0), light, noise, state)
    stamp = (light, noise, state)
    _kron(stamp, x - x0, y - y0, (a, b, theta), limits, row, whole)
    # Round sources have their light within the ellipse; long ones need a wider circle.
    reach = min(float(min(rx, ry)) - 0.5, 1.5 * row[_SIZE] + 2.0)
    _radii(stamp, x - x0, y - y0, reach, scratch[3][: int(reach)], row)
    window = max(2.0 * row[_R50], limits[5]) if row[_R50] > 0.0 else limits[5]
    window = min(window, 0.5 * min(rx, ry))
    row[_FWHM], row[_FWHM_ERR] = core_fwhm(light, noise, x - x0, y - y0, max(window, 2.0))
    box = (
        whole[_X_MIN] - x0 - 0.5,
        whole[_X_MAX] - x0 + 0.5,
        whole[_Y_MIN] - y0 - 0.5,
        whole[_Y_MAX] - y0 + 0.5,
    )
    good, xw, yw, row[_VXW], row[_VYW], row[_CW] = windowed_centroid(
        light, noise, (x - x0, y - y0), window * FWHM_TO_SIGMA, box, scratch[3], scratch[4]
    )
    whole[_CONVERGED] = good
    row[_XW] = x0 + xw
    row[_YW] = y0 + yw
    # Circles about the better of the two centres.
    xc, yc = (xw, yw) if good else (x - x0, y - y0)
    for m in range(radii.size):
        place = len(REALS) + m
        row[place], row[place + radii.size], bad[m] = circle_sum(light, noise, state, xc, yc, radii[m])
        row[place] += limits[7] * np.pi * radii[m] * radii[m]
    v = min(max(int(np.floor(y + 0.5)), 0), planes[0].shape[0] - 1)
    u = min(max(int(np.floor(x + 0.5)), 0), planes[0].shape[1] - 1)
    row[_SKY] = planes[1][v, u]


@compiled
def _measure(
    planes: Planes,
    bad_bits: int,
    start: Int64,
    pixels: Int32,
    order: Int64,
    radii: Float64,
    limits: Float64,
    reals: Float64,
    wholes: Int64,
    bad: Int64,
) -> None:
    side = 2 * int(limits[4]) + 1
    scratch = (
        np.empty(side * side, dtype=np.float32),
        np.empty(side * side, dtype=np.float32),
        np.empty(side * side, dtype=np.int32),
        np.empty(side),
        np.empty(side),
    )
    for k in order:
        own = pixels[start[k] : start[k + 1]]
        _one(planes, bad_bits, own, k + 1, radii, limits, scratch, reals[k], wholes[k], bad[k])


def measure_sources(
    image: Numbers,
    sky: Numbers,
    variance: Numbers,
    segments: Segments,
    labels: Numbers,
    settings: Photometry,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
) -> Measures:
    """Measure each segment.

    Isophotal centroids and moments are those of Bertin & Arnouts (1996, A&AS 117, 393), from the source's own pixels;
    all else comes from a stamp about the isophotal centroid in which bad pixels and those of other sources are replaced
    by the opposite ones.

    Parameters
    ----------
    image, sky, variance : (ny, nx) arrays
        Pixels, level of the sky, and variance of each pixel (complete, or the sky's alone: `Photometry.inverse_gain`).
    segments, labels : `spica.kernels.detect.Segments` and their image of numbers.
    settings : how.
    mask : (ny, nx) array, optional
        Mask bits, OR-ed over each segment.
    bad_bits : int
        Bits of pixels that are replaced.

    Returns
    -------
    Measures
        Positions 0-based pixel centres; fluxes in the unit of the image; NaN where a figure cannot be had.
    """
    radii = np.sort(as_coordinates(settings.apertures))
    if not np.all(radii > 0.0):
        raise ValueError(f"radii {radii.tolist()} are not all positive")
    # Room for the apertures and a window of twice the seeing, whatever the limit.
    largest = max(float(settings.largest), radii[-1] + 4.0, settings.floor + 4.0, 2.0 * settings.fwhm + 4.0)
    limits = np.array([
        settings.factor, settings.smallest, settings.floor, settings.reach, np.ceil(largest), settings.fwhm,
        settings.inverse_gain, settings.haze,
    ])  # fmt: skip
    number = segments.start.size - 1
    reals = np.empty((number, len(REALS) + 2 * radii.size))
    wholes = np.empty((number, len(WHOLES)), dtype=np.int64)
    bad = np.empty((number, radii.size), dtype=np.int64)
    planes = planes_of(image, sky, variance, mask, labels)
    # Down one strip of columns after the other: rows of a strip stay in the processor's cache.
    first = segments.pixels[segments.start[:-1]]
    order = np.lexsort((first // segments.nx, first % segments.nx // _STRIP))
    lists = segments.start, segments.pixels, order
    _measure(planes, int(bad_bits), *lists, radii, limits, reals, wholes, bad)
    named = {name: reals[:, column] for column, name in enumerate(REALS)}
    counts = {name: wholes[:, column] for column, name in enumerate(WHOLES)}
    fluxes = reals[:, len(REALS) :]
    return Measures(named, counts, fluxes[:, : radii.size], fluxes[:, radii.size :], bad)
