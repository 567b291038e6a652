"""Ellipses of second moments, with errors."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float64

PIXEL = 1.0 / 12.0
"""Variance of a uniform distribution over one pixel."""


class Shapes(NamedTuple):
    """Ellipses, and the standard error of each of their figures.

    ``a, b`` [pixel] are the root mean square extents along the major and the minor axis, ``theta`` [radian] the angle of
    the major axis from +x to +y in (-π/2, π/2], ``elongation`` a / b.
    """

    a: Float64
    b: Float64
    theta: Float64
    elongation: Float64
    a_err: Float64
    b_err: Float64
    theta_err: Float64
    elongation_err: Float64


def shapes(moments: Mapping[str, Float64]) -> Shapes:
    """Ellipses that have the given central second moments.

    Where a source is thinner than a pixel (xx yy - xy² < 1/144) the variance of one pixel is added to both moments, as
    SExtractor does. Errors are propagated to first order; that of the angle of a round source has no meaning.

    Parameters
    ----------
    moments : ``xx, yy, xy`` [pixel²], their variances ``var_xx, var_yy, var_xy`` and covariances ``cov_xx_yy,
        cov_xx_xy, cov_yy_xy`` [pixel⁴].
    """
    xx, yy, xy = (moments[name] for name in ("xx", "yy", "xy"))
    thin = xx * yy - xy * xy < PIXEL * PIXEL
    wide_x, wide_y = np.where(thin, xx + PIXEL, xx), np.where(thin, yy + PIXEL, yy)
    mean, spread = 0.5 * (wide_x + wide_y), np.hypot(0.5 * (wide_x - wide_y), xy)
    theta = 0.5 * np.arctan2(2.0 * xy, wide_x - wide_y)
    a, b = np.sqrt(mean + spread), np.sqrt(np.maximum(mean - spread, 0.0))
    c, s = np.cos(theta), np.sin(theta)
    with np.errstate(divide="ignore", invalid="ignore"):
        a_err = _error(moments, c * c, s * s, 2.0 * c * s) / (2.0 * a)
        b_err = _error(moments, s * s, c * c, -2.0 * c * s) / (2.0 * b)
        # dθ = ((xx - yy) dxy - xy (dxx - dyy)) / ((xx - yy)² + 4 xy²)
        theta_err = _error(moments, -xy, xy, wide_x - wide_y) / (4.0 * spread * spread)
        ratio = np.where(b > 0.0, a / b, np.nan)
        ratio_err = ratio * np.hypot(a_err / a, b_err / b)
    return Shapes(a, b, theta, ratio, a_err, b_err, theta_err, ratio_err)


def _error(moments: Mapping[str, Float64], p: Float64, q: Float64, r: Float64) -> Float64:
    """Standard error of p xx + q yy + r xy."""
    variance = p * p * moments["var_xx"] + q * q * moments["var_yy"] + r * r * moments["var_xy"]
    variance = variance + 2.0 * (
        p * q * moments["cov_xx_yy"] + p * r * moments["cov_xx_xy"] + q * r * moments["cov_yy_xy"]
    )
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
