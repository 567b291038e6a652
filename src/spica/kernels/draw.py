"""Drawing of stars and galaxies into images of expected electrons.

Profiles are effective ones (the pixel's own response is part of the point spread function), sampled at pixel centres.
Shapes are reduced shears (g1, g2): axis ratio (1 - |g|) / (1 + |g|), angle atan2(g2, g1) / 2 from +x towards +y, area
preserved. Coordinates are 0-based pixel centres.
"""

import math
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, compiled, inner

_LOST = 4e-4
"""Fraction of a source's light that may fall outside of its stamp."""
_LOST_EACH = 2.5e-5
"""The same for each of the Gaussians of a galaxy, as a fraction of the whole galaxy's light."""
_STEEP = 60.0
"""Largest exponent of a factor of a Gaussian in float32, with room for its height."""
_FAR = 400.0
"""Largest radius of a stamp, pixels."""


class Psf(NamedTuple):
    """Moffat profile at each source: full width at half maximum [pixel] and shear, (n,) float64; one exponent."""

    fwhm: Float64
    g1: Float64
    g2: Float64
    beta: float


class Mixture(NamedTuple):
    """Concentric round Gaussians: ``flux`` fractions (sum 1) and ``variance`` in squares of the profile's scale."""

    flux: Float64
    variance: Float64


@inner
def moffat_scale(fwhm: float, beta: float) -> float:
    """Scale α of a Moffat profile of the width given: intensity ∝ (1 + r²/α²)^-β (Moffat 1969, A&A 3, 455)."""
    return 0.5 * fwhm / math.sqrt(2.0 ** (1.0 / beta) - 1.0)


@inner
def _add_moffat(
    image: Float32, x: float, y: float, peak: float, alpha: float, g1: float, g2: float, beta: float, radius: float
) -> None:
    """Add one Moffat profile inside a circle."""
    ny, nx = image.shape
    norm = 1.0 / ((1.0 - g1 * g1 - g2 * g2) * alpha * alpha)
    axx = np.float32(((1.0 - g1) ** 2 + g2 * g2) * norm)
    ayy = ((1.0 + g1) ** 2 + g2 * g2) * norm
    axy = -2.0 * g2 * norm
    halves = round(2.0 * beta)
    plain = abs(2.0 * beta - halves) < 1e-9 and 5 <= halves <= 8
    one = np.float32(1.0)
    height = np.float32(peak)
    power = np.float32(-beta)
    for j in range(max(0, math.ceil(y - radius)), min(ny - 1, math.floor(y + radius)) + 1):
        dy = j - y
        half = math.sqrt(max(radius * radius - dy * dy, 0.0))
        i0, i1 = max(0, math.ceil(x - half)), min(nx - 1, math.floor(x + half)) + 1
        line = image[j]
        tilt = np.float32(2.0 * axy * dy)
        base = np.float32(1.0 + ayy * dy * dy)
        start = np.float32(i0 - x)
        if not plain:
            for i in range(i0, i1):
                d = start + np.float32(i - i0)
                line[i] += height * (base + d * (tilt + axx * d)) ** power
            continue
        for i in range(i0, i1):
            d = start + np.float32(i - i0)
            u = base + d * (tilt + axx * d)
            low = u * u * u if halves >= 6 else u * u
            if halves == 8:
                low *= u
            line[i] += height * (one / low if halves % 2 == 0 else one / (low * np.sqrt(u)))


@compiled
def add_stars(image: Float32, x: Float64, y: Float64, flux: Float64, psf: Psf, edge: float) -> None:
    """Add point sources to an image, in place.

    Parameters
    ----------
    image : (ny, nx) float32
        Expected electrons; changed.
    x, y, flux : (n,) float64
        Place [pixel] and light [electron] of the infinite profile; stars may lie outside of the image.
    psf : Psf
        The profile at each of them.
    edge : float
        Stamps reach at least to this surface brightness [electron/pixel], and hold at least 0.9996 of the light.
    """
    beta = psf.beta
    for k in range(x.size):
        alpha = moffat_scale(psf.fwhm[k], beta)
        peak = flux[k] * (beta - 1.0) / (math.pi * alpha * alpha)
        reach = max(_LOST ** (-1.0 / (beta - 1.0)), (peak / edge) ** (1.0 / beta)) - 1.0
        g = math.sqrt(psf.g1[k] ** 2 + psf.g2[k] ** 2)
        radius = min(alpha * math.sqrt(max(reach, 1.0) * (1.0 + g) / (1.0 - g)), _FAR)
        ny, nx = image.shape
        if x[k] < -radius or y[k] < -radius or x[k] > nx - 1 + radius or y[k] > ny - 1 + radius:
            continue
        _add_moffat(image, x[k], y[k], peak, alpha, psf.g1[k], psf.g2[k], beta, radius)


@inner
def _add_gaussian(
    image: Float32, x: float, y: float, flux: float, vxx: float, vxy: float, vyy: float, reach: float, work: Float32
) -> None:
    """Add one Gaussian over the bounding box of its ellipse of `reach` standard deviations.

    The exponential factorises into a column term, a row term and a product that grows by the same factor per column
    from row to row: two multiplications per pixel. The terms themselves follow by recurrence (in float64), because the
    ratio of a Gaussian's neighbouring values changes by a constant factor: eight exponentials in all.
    """
    ny, nx = image.shape
    det = vxx * vyy - vxy * vxy
    a, b, c = vyy / det, -vxy / det, vxx / det
    half_x, half_y = reach * math.sqrt(vxx), reach * math.sqrt(vyy)
    i0, i1 = max(0, math.ceil(x - half_x)), min(nx - 1, math.floor(x + half_x)) + 1
    j0, j1 = max(0, math.ceil(y - half_y)), min(ny - 1, math.floor(y + half_y)) + 1
    n = i1 - i0
    if n <= 0 or j1 <= j0:
        return
    peak = flux / (2.0 * math.pi * math.sqrt(det))
    if 0.5 * c * max(j0 - y, j1 - 1 - y, y - j0, y - j1 + 1) ** 2 > _STEEP:
        # So long and thin that the factors would leave the range of float32: pixel by pixel.
        for j in range(j0, j1):
            dy = j - y
            for i in range(i0, i1):
                dx = i - x
                image[j, i] += np.float32(peak * math.exp(-dx * (0.5 * a * dx + b * dy) - 0.5 * c * dy * dy))
        return
    column, growth = work[0, :n], work[1, :n]
    dx, dy = i0 - x, j0 - y
    value, step = peak * math.exp(-dx * (0.5 * a * dx + b * dy)), math.exp(-a * (dx + 0.5) - b * dy)
    factor, bend, tilt = math.exp(-b * dx), math.exp(-a), math.exp(-b)
    for i in range(n):
        column[i] = np.float32(value)
        growth[i] = np.float32(factor)
        value *= step
        step *= bend
        factor *= tilt
    row, step, bend = math.exp(-0.5 * c * dy * dy), math.exp(-c * (dy + 0.5)), math.exp(-c)
    for j in range(j0, j1):
        line = image[j, i0:i1]
        height = np.float32(row)
        for i in range(n):
            line[i] += height * column[i]
            column[i] *= growth[i]
        row *= step
        step *= bend


@inner
def _blend(psf: Mixture, profile: Mixture, alpha: float, size: float, out: Float64) -> int:
    """Pairs of Gaussians whose convolution is drawn: rows (flux, PSF variance, profile variance) [pixel²].

    Components of the profile that are much narrower than the core of the point spread function are drawn as one; for
    those much wider, the point spread function is taken as one Gaussian. Second moments stay what they are.
    """
    core = psf.variance[0] * alpha * alpha
    whole = 0.0
    for k in range(psf.flux.size):
        whole += psf.flux[k] * psf.variance[k] * alpha * alpha
    small_flux = 0.0
    small_moment = 0.0
    n = 0
    for j in range(profile.flux.size):
        variance = profile.variance[j] * size * size
        if variance < 0.05 * core:
            small_flux += profile.flux[j]
            small_moment += profile.flux[j] * variance
        elif variance > 8.0 * whole:
            out[n, 0], out[n, 1], out[n, 2] = profile.flux[j], whole, variance
            n += 1
        else:
            for k in range(psf.flux.size):
                out[n, 0] = profile.flux[j] * psf.flux[k]
                out[n, 1], out[n, 2] = psf.variance[k] * alpha * alpha, variance
                n += 1
    if small_flux > 0.0:
        for k in range(psf.flux.size):
            out[n, 0] = small_flux * psf.flux[k]
            out[n, 1], out[n, 2] = psf.variance[k] * alpha * alpha, small_moment / small_flux
            n += 1
    return n


@compiled
def add_galaxies(
    image: Float32,
    x: Float64,
    y: Float64,
    flux: Float64,
    size: Float64,
    shape: tuple[Float64, Float64],
    profile: Mixture,
    psf: Psf,
    moffat: Mixture,
    edge: float,
) -> None:
    """Add galaxies of one radial profile, seen through the point spread function, in place.

    Mixtures of Gaussians after Hogg & Lang (2013, PASP 125, 719): their convolution is a sum of variances.

    Parameters
    ----------
    image : (ny, nx) float32
        Expected electrons; changed.
    x, y, flux, size : (n,) float64
        Place [pixel], light [electron], half-light radius of the round profile of the same area [pixel].
    shape : two (n,) float64
        Shear g1, g2 of the galaxy before the atmosphere.
    profile : Mixture
        Radial profile, variances in half-light radii squared, narrowest first.
    psf : Psf
        Point spread function at each of them.
    moffat : Mixture
        The same Moffat profile as Gaussians, variances in α², narrowest first.
    edge : float
        Gaussians reach at least to this surface brightness [electron/pixel].
    """
    work = np.empty((2, image.shape[1]), dtype=np.float32)
    pairs = np.empty(((profile.flux.size + 1) * moffat.flux.size, 3))
    for k in range(x.size):
        n = _blend(moffat, profile, moffat_scale(psf.fwhm[k], psf.beta), size[k], pairs)
        p1, p2 = psf.g1[k], psf.g2[k]
        s1, s2 = shape[0][k], shape[1][k]
        pn, sn = 1.0 / (1.0 - p1 * p1 - p2 * p2), 1.0 / (1.0 - s1 * s1 - s2 * s2)
        for i in range(n):
            vp, vs = pairs[i, 1] * pn, pairs[i, 2] * sn
            vxx = vp * ((1.0 + p1) ** 2 + p2 * p2) + vs * ((1.0 + s1) ** 2 + s2 * s2)
            vyy = vp * ((1.0 - p1) ** 2 + p2 * p2) + vs * ((1.0 - s1) ** 2 + s2 * s2)
            vxy = 2.0 * (vp * p2 + vs * s2)
            light = flux[k] * pairs[i, 0]
            peak = light / (2.0 * math.pi * math.sqrt(vxx * vyy - vxy * vxy))
            depth = max(pairs[i, 0] / _LOST_EACH, peak / edge)
            if depth > 1.0:
                reach = math.sqrt(2.0 * math.log(depth))
                _add_gaussian(image, x[k], y[k], light, vxx, vxy, vyy, reach, work)
