"""Kron's adaptive ellipse on a stamp: its radius, and the flux within a multiple of it (Kron 1980, ApJS 43, 305)."""

import numpy as np

from spica.kernels.compiled import Float32, Int32, inner
from spica.kernels.stamp import BAD, NEIGHBOUR

_SUB = 5
"""A pixel on the boundary is divided into this many parts along each axis."""


@inner
def ellipse_form(a: float, b: float, theta: float) -> tuple[float, float, float, float, float]:
    """cxx, cyy, cxy of the reduced radius, and the half sizes along x and y of the unit ellipse."""
    c = np.cos(theta)
    s = np.sin(theta)
    return (
        c * c / (a * a) + s * s / (b * b),
        s * s / (a * a) + c * c / (b * b),
        2.0 * c * s * (1.0 / (a * a) - 1.0 / (b * b)),
        np.sqrt(a * a * c * c + b * b * s * s),
        np.sqrt(a * a * s * s + b * b * c * c),
    )


@inner
def kron_radius(
    light: Float32, x: float, y: float, form: tuple[float, float, float, float, float], reach: float
) -> float:
    """Σ r I / Σ I over the pixels within `reach` reduced radii; 0 where the light is not positive."""
    total = 0.0
    lever = 0.0
    limit = reach * reach
    ny, nx = light.shape
    for j in range(max(int(np.ceil(y - reach * form[4])), 0), min(int(np.floor(y + reach * form[4])), ny - 1) + 1):
        dy = j - y
        for i in range(max(int(np.ceil(x - reach * form[3])), 0), min(int(np.floor(x + reach * form[3])), nx - 1) + 1):
            dx = i - x
            square = form[0] * dx * dx + form[1] * dy * dy + form[2] * dx * dy
            if square <= limit:
                total += light[j, i]
                lever += np.sqrt(max(square, 0.0)) * light[j, i]
    if total <= 0.0 or lever <= 0.0:
        return 0.0
    return lever / total


@inner
def _part(form: tuple[float, float, float, float, float], dx: float, dy: float, limit: float) -> float:
    """Fraction of a pixel on the boundary that is inside of the ellipse."""
    hits = 0
    for v in range(_SUB):
        py = dy + (v + 0.5) / _SUB - 0.5
        for u in range(_SUB):
            px = dx + (u + 0.5) / _SUB - 0.5
            hits += form[0] * px * px + form[1] * py * py + form[2] * px * py <= limit
    return hits / (_SUB * _SUB)


@inner
def ellipse_sum(
    light: Float32,
    noise: Float32,
    state: Int32,
    x: float,
    y: float,
    form: tuple[float, float, float, float, float],
    scale: float,
    edge: float,
) -> tuple[float, float, int, float]:
    """Flux, variance, number of bad pixels, neighbours' part of the area; `edge` is half a pixel's diagonal over b."""
    flux = 0.0
    spread = 0.0
    area = 0.0
    taken = 0.0
    bad = 0
    outside = (scale + edge) * (scale + edge)
    inside = max(scale - edge, 0.0) ** 2
    height = scale * form[4]
    width = scale * form[3]
    ny, nx = light.shape
    for j in range(max(int(np.floor(y - height)), 0), min(int(np.ceil(y + height)), ny - 1) + 1):
        dy = j - y
        for i in range(max(int(np.floor(x - width)), 0), min(int(np.ceil(x + width)), nx - 1) + 1):
            dx = i - x
            square = form[0] * dx * dx + form[1] * dy * dy + form[2] * dx * dy
            if square >= outside:
                continue
            part = 1.0 if square <= inside else _part(form, dx, dy, scale * scale)
            flux += part * light[j, i]
            spread += part * part * noise[j, i]
            area += part
            if state[j, i] == NEIGHBOUR:
                taken += part
            bad += part > 0.0 and state[j, i] == BAD
    return flux, spread, bad, taken / max(area, 1.0)
