"""Positions and widths on a stamp: the centroid through a Gaussian window, the width of the core."""

import numpy as np

from spica.kernels.compiled import Float32, Float64, inner

FWHM_TO_SIGMA = 1.0 / 2.3548200450309493
_STEPS = 32
_STEP = 1e-4
"""A position that moves by less than this [pixel] is final."""

_CORE = 1.5
"""The brightest pixel of a star lies this near to its centre [pixel]."""

_WINDOW = 4.0
"""Half side of the window in its own standard deviations."""

_LEAST = 0.3
"""Fraction of the brightest pixel of the centre below which pixels are no part of the core."""


@inner
def _weights(centre: float, sigma: float, size: int, out: Float64) -> tuple[int, int]:
    """Gaussian weights of the pixels of one axis; returns the first and the last within the window."""
    first = max(int(np.ceil(centre - _WINDOW * sigma)), 0)
    last = min(int(np.floor(centre + _WINDOW * sigma)), size - 1)
    scale = -0.5 / (sigma * sigma)
    for i in range(first, last + 1):
        out[i] = np.exp(scale * (i - centre) * (i - centre))
    return first, last


@inner
def _sums(
    light: Float32, x: float, y: float, sigma: float, wx: Float64, wy: Float64
) -> tuple[float, float, float, float, float]:
    """Σ w I, Σ w I dx, Σ w I dy, Σ w I dx², Σ w I dy²."""
    s = sx = sy = sxx = syy = 0.0
    x0, x1 = _weights(x, sigma, light.shape[1], wx)
    y0, y1 = _weights(y, sigma, light.shape[0], wy)
    for j in range(y0, y1 + 1):
        r = rx = rxx = 0.0
        for i in range(x0, x1 + 1):
            value = wx[i] * light[j, i]
            dx = i - x
            r += value
            rx += value * dx
            rxx += value * dx * dx
        dy = j - y
        s += wy[j] * r
        sx += wy[j] * rx
        sxx += wy[j] * rxx
        sy += wy[j] * r * dy
        syy += wy[j] * r * dy * dy
    return s, sx, sy, sxx, syy


@inner
def _noise(noise: Float32, x: float, y: float, sigma: float, wx: Float64, wy: Float64) -> tuple[float, float, float]:
    """Σ w² σ² dx², dy², dx dy; the weights are those of the last sums."""
    xx = yy = xy = 0.0
    reach = _WINDOW * sigma
    for j in range(max(int(np.ceil(y - reach)), 0), min(int(np.floor(y + reach)), noise.shape[0] - 1) + 1):
        dy = j - y
        for i in range(max(int(np.ceil(x - reach)), 0), min(int(np.floor(x + reach)), noise.shape[1] - 1) + 1):
            dx = i - x
            spread = (wx[i] * wy[j]) ** 2 * noise[j, i]
            xx += spread * dx * dx
            yy += spread * dy * dy
            xy += spread * dx * dy
    return xx, yy, xy


@inner
def windowed_centroid(
    light: Float32,
    noise: Float32,
    start: tuple[float, float],
    sigma: float,
    box: tuple[float, float, float, float],
    wx: Float64,
    wy: Float64,
) -> tuple[bool, float, float, float, float, float]:
    """Whether the search converged; x, y and their variances and covariance (as SExtractor's XWIN, YWIN).

    The centre is where Σ w I d vanishes, found by Newton's steps Σ w I d / Σ w I (1 - d²/σ²); for a Gaussian of the
    window's own width that is SExtractor's 2 Σ w I d / Σ w I. The variance follows from the same derivative. It may not
    leave `box` (x_min, x_max, y_min, y_max).
    """
    x, y = start
    square = sigma * sigma
    for _ in range(_STEPS):
        s, sx, sy, sxx, syy = _sums(light, x, y, sigma, wx, wy)
        if not s > 0.0:
            break
        # Never steeper than a source twice as wide as the window: noise may make the slope vanish.
        slope_x = max(s - sxx / square, 0.2 * s)
        slope_y = max(s - syy / square, 0.2 * s)
        dx = min(max(sx / slope_x, -sigma), sigma)
        dy = min(max(sy / slope_y, -sigma), sigma)
        if dx * dx + dy * dy < _STEP * _STEP:
            xx, yy, xy = _noise(noise, x, y, sigma, wx, wy)
            return True, x, y, xx / (slope_x * slope_x), yy / (slope_y * slope_y), xy / (slope_x * slope_y)
        x += dx
        y += dy
        if not (box[0] <= x <= box[1] and box[2] <= y <= box[3]):
            break
    return False, np.nan, np.nan, np.nan, np.nan, np.nan


@inner
def core_fwhm(light: Float32, noise: Float32, x: float, y: float, reach: float) -> tuple[float, float]:
    """Full width at half maximum of a core, and its standard error; NaN where the light does not fall outwards.

    A line is fitted to ln I against r² with weights I² over the pixels brighter than a fraction of the peak: a Gaussian
    gives its own width (widened by the pixel), and other profiles nearly theirs.
    """
    ny, nx = light.shape
    x0, x1 = max(int(np.ceil(x - reach)), 0), min(int(np.floor(x + reach)), nx - 1) + 1
    y0, y1 = max(int(np.ceil(y - reach)), 0), min(int(np.floor(y + reach)), ny - 1) + 1
    peak = 0.0
    for j in range(y0, y1):
        for i in range(x0, x1):
            if (i - x) ** 2 + (j - y) ** 2 <= _CORE * _CORE:
                peak = max(peak, float(light[j, i]))
    s0 = s1 = s2 = t0 = t1 = u0 = u1 = u2 = 0.0
    for j in range(y0, y1):
        for i in range(x0, x1):
            square = (i - x) ** 2 + (j - y) ** 2
            if square > reach * reach or light[j, i] <= _LEAST * peak:
                continue
            value = light[j, i] / peak
            weight = value * value
            height = np.log(value)
            s0 += weight
            s1 += weight * square
            s2 += weight * square * square
            t0 += weight * height
            t1 += weight * height * square
            # The variance of ln I is v / I².
            weight *= noise[j, i] / (peak * peak)
            u0 += weight
            u1 += weight * square
            u2 += weight * square * square
    spread = s0 * s2 - s1 * s1
    slope = (s0 * t1 - s1 * t0) / spread
    if not slope < 0.0:
        return np.nan, np.nan
    error = np.sqrt(max(s0 * s0 * u2 - 2.0 * s0 * s1 * u1 + s1 * s1 * u0, 0.0)) / spread
    width = np.sqrt(-0.5 / slope) / FWHM_TO_SIGMA
    return width, 0.5 * width * error / -slope
