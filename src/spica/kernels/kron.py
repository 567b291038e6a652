"""Kron's adaptive ellipses: the first-moment radius of each source and the flux within a multiple of it."""

from dataclasses import dataclass

import numpy as np

from spica.kernels.aperture import is_good, planes_of
from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_coordinates, compiled

_SUB = 5
"""A pixel on the boundary is divided into this many parts along each axis."""


@dataclass(frozen=True)
class Kron:
    """Elliptical photometry of n sources.

    ``radius`` is the Kron radius in units of the axes a and b; ``scale`` what the axes were multiplied by, ``flux``
    and ``flux_variance`` the sums within that ellipse, ``masked`` the number of pixels touched that are bad or
    outside of the image.
    """

    radius: Float64
    scale: Float64
    flux: Float64
    flux_variance: Float64
    masked: Int64


@compiled
def _coefficients(a: float, b: float, theta: float, out: Float64) -> None:
    """Write cxx, cyy, cxy of the reduced radius, and the half sizes along x and y of the unit ellipse."""
    c = np.cos(theta)
    s = np.sin(theta)
    out[0] = c * c / (a * a) + s * s / (b * b)
    out[1] = s * s / (a * a) + c * c / (b * b)
    out[2] = 2.0 * c * s * (1.0 / (a * a) - 1.0 / (b * b))
    out[3] = np.sqrt(a * a * c * c + b * b * s * s)
    out[4] = np.sqrt(a * a * s * s + b * b * c * c)


@compiled
def _inside(form: Float64, dx: float, dy: float, scale: float, edge: float) -> float:
    """Fraction of a pixel inside the ellipse; `edge` is half a pixel's diagonal over the minor axis."""
    reduced = np.sqrt(max(form[0] * dx * dx + form[1] * dy * dy + form[2] * dx * dy, 0.0))
    if reduced > scale + edge:
        return 0.0
    if reduced < scale - edge:
        return 1.0
    hits = 0
    for v in range(_SUB):
        py = dy + (v + 0.5) / _SUB - 0.5
        for u in range(_SUB):
            px = dx + (u + 0.5) / _SUB - 0.5
            hits += form[0] * px * px + form[1] * py * py + form[2] * px * py <= scale * scale
    return hits / (_SUB * _SUB)


@compiled
def _first_moment(image: Float32, mask: Int32, bad_bits: int, x: float, y: float, form: Float64, reach: float) -> float:
    """Σ r I / Σ I over the pixels within `reach` reduced radii; 0 where the light is not positive."""
    light = 0.0
    lever = 0.0
    for j in range(int(np.ceil(y - reach * form[4])), int(np.floor(y + reach * form[4])) + 1):
        for i in range(int(np.ceil(x - reach * form[3])), int(np.floor(x + reach * form[3])) + 1):
            dx = i - x
            dy = j - y
            square = form[0] * dx * dx + form[1] * dy * dy + form[2] * dx * dy
            if square <= reach * reach and is_good(image, mask, bad_bits, i, j):
                light += image[j, i]
                lever += np.sqrt(max(square, 0.0)) * image[j, i]
    if light <= 0.0 or lever <= 0.0:
        return 0.0
    return lever / light


@compiled
def _ellipse_sum(
    image: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    x: float,
    y: float,
    form: Float64,
    scale: float,
    edge: float,
) -> tuple[float, float, int]:
    """Flux, variance and number of masked pixels within the scaled ellipse."""
    flux = 0.0
    noise = 0.0
    masked = 0
    height = scale * form[4]
    width = scale * form[3]
    for j in range(int(np.floor(y - height)), int(np.ceil(y + height)) + 1):
        for i in range(int(np.floor(x - width)), int(np.ceil(x + width)) + 1):
            part = _inside(form, i - x, j - y, scale, edge)
            if part <= 0.0:
                continue
            if not is_good(image, mask, bad_bits, i, j):
                masked += 1
                continue
            flux += part * image[j, i]
            noise += part * part * variance[j, i]
    return flux, noise, masked


@compiled
def _kron(
    image: Float32, variance: Float32, mask: Int32, bad_bits: int, sources: Float64, limits: Float64, out: Float64
) -> None:
    """Work all sources; `sources` are x, y, a, b, theta, `limits` factor, smallest scale, smallest size, reach."""
    form = np.empty(5)
    for k in range(sources.shape[1]):
        x, y, a, b = sources[0, k], sources[1, k], sources[2, k], sources[3, k]
        out[:, k] = np.nan
        out[4, k] = 0.0
        if not (np.isfinite(x + y + a) and a > 0.0 and b > 0.0):
            continue
        _coefficients(a, b, sources[4, k], form)
        radius = _first_moment(image, mask, bad_bits, x, y, form, limits[3])
        # A faint source gets the smallest ellipse, and a tiny one a circle of the smallest size.
        scale = max(limits[0] * radius, limits[1])
        if scale * np.sqrt(a * b) < limits[2]:
            _coefficients(1.0, 1.0, 0.0, form)
            scale = limits[2]
            b = 1.0
        out[0, k] = radius
        out[1, k] = scale
        edge = 0.7071067811865476 / b
        out[2, k], out[3, k], out[4, k] = _ellipse_sum(image, variance, mask, bad_bits, x, y, form, scale, edge)


def kron_photometry(
    image: Numbers,
    variance: Numbers,
    x: Numbers,
    y: Numbers,
    a: Numbers,
    b: Numbers,
    theta: Numbers,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
    factor: float = 2.5,
    smallest: float = 3.5,
    smallest_radius: float = 1.75,
    reach: float = 6.0,
) -> Kron:
    """Flux within Kron's adaptive ellipse (Kron 1980, ApJS 43, 305; SExtractor's AUTO).

    The Kron radius is Σ r I / Σ I over the ellipse of `reach` times the axes, with r the reduced elliptical radius.
    Light of neighbours is not removed.

    Parameters
    ----------
    image, variance : (ny, nx) arrays
        Background-subtracted pixels and their variance.
    x, y : (n,) arrays [pixel]
        Centres, 0-based.
    a, b, theta : (n,) arrays [pixel, pixel, radian]
        Ellipses of the second moments, from `spica.kernels.measure.ellipses`.
    mask : (ny, nx) array, optional
        Mask bits.
    bad_bits : int
        Bits that exclude a pixel.
    factor, smallest : float
        The axes are multiplied by factor × Kron radius, and at least by `smallest`.
    smallest_radius : float [pixel]
        When the ellipse is smaller than a circle of this radius, that circle is used.
    reach : float
        Size of the ellipse in which the radius is measured, in units of the axes.

    Returns
    -------
    Kron
        Fluxes in the unit of the image; NaN where the ellipse is not defined.
    """
    sources = np.stack([as_coordinates(column) for column in (x, y, a, b, theta)])
    limits = np.array([factor, smallest, smallest_radius, reach])
    out = np.empty((5, sources.shape[1]))
    _kron(*planes_of(image, variance, mask), int(bad_bits), sources, limits, out)
    return Kron(out[0], out[1], out[2], out[3], out[4].astype(np.int64))
