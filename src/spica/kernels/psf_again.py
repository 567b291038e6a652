"""A second look at sources that are not the points that they were fitted as: light of others upon them, companions within them.

Two things make a star look like a galaxy: an extended neighbour, of which a point's profile leaves much of the light where it is, and
a companion so near that both were detected as one. The first is taken away as its mirror image about its own centre has it: galaxies look alike
from both sides (Lupton's deblender of the SDSS rests on the same). The second is sought in what the fit of one point leaves, fitted as a second
point, and believed where two points say what one could not: of a galaxy two points leave nearly as much as one.

Each source is seen in a stamp of its own, from which all that was fitted of others is taken already. The stamps lie side by side in one image, so
that `fit_sources` fits them all.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Bools, Float32, Float64, Int64, Numbers, as_pixels
from spica.kernels.pairs import pairs_within
from spica.kernels.psf_companion import brightest_point
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_sources import Fitted, Fitting, fit_sources

_BRIGHT, _WORSE = 45.0, 1.3
"""Signal-to-noise, and χ² per degree of freedom, from which a source is looked at again."""
_EXTENDED, _CERTAIN = 0.003, 5.0
"""Spread, and spread over its error, from which a neighbour's light is that of no point."""
_NEAR, _MIRRORED = 5.0, 2
"""Extended neighbours matter up to so many widths, and so many of them at most."""
_BETTER = 0.8
"""A mirror image is believed where χ² falls to this part."""
_INNER, _OUTER, _FARTHEST = 0.4, 1.6, 2.0
"""Companions are sought between these distances, and believed up to this one [width]."""
_SEEN = 5.0
"""Signal-to-noise of a companion in what one point leaves."""
_EXCESS, _LESS = 0.35, 0.5
"""Two points are believed where the excess of χ² falls to this part, and the spread to that one or to nothing."""
_GOOD_CHI2 = 1.2


class Again(NamedTuple):
    """The fits after a second look.

    ``beside`` (n,): light of the companion that was fitted with each, 0 where there is none; ``cleared`` (n,): whether neighbours' light was
    taken away.
    """

    fitted: Fitted
    beside: Float64
    cleared: Bools


class _Stamps(NamedTuple):
    """Stamps (k, side, side) of the sources `rows`, whose first pixels are at `x0`, `y0`: light of the source alone, variance, good pixels."""

    rows: Int64
    x0: Int64
    y0: Int64
    light: Float32
    variance: Float32
    good: Bools

    def some(self, chosen: Bools) -> "_Stamps":
        rows, x0, y0, light, variance, good = self
        return _Stamps(rows[chosen], x0[chosen], y0[chosen], light[chosen], variance[chosen], good[chosen])


def look_again(
    variance: Numbers,
    mask: Numbers,
    bad_bits: int,
    psf: tuple[Numbers, Numbers, Float64, float],
    fitted: Fitted,
    unfit: Bools,
    settings: Fitting,
) -> Again:
    """Fit again what one point each did not explain.

    Parameters
    ----------
    variance, mask, bad_bits, psf, settings : as of `fit_sources`
    fitted : Fitted
        Of `fit_sources`.
    unfit : (n,) bool
        Sources that stay as they are: saturated, held where they were detected.
    """
    n = fitted.flux.size
    fitted = fitted._replace(**{name: getattr(fitted, name).copy() for name in _TAKEN})
    again = Again(fitted, np.zeros(n), np.zeros(n, np.bool_))
    chi2 = reduced(fitted)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = fitted.flux / np.sqrt(fitted.var_flux)
        rows = np.flatnonzero((snr > _BRIGHT) & (chi2 > _WORSE) & (fitted.status == 0) & ~unfit)
        extended = (snr > _BRIGHT) & (fitted.spread > np.maximum(_EXTENDED, _CERTAIN * fitted.spread_err))
    if rows.size == 0:
        return again
    reach = int(np.ceil(settings.reach))
    half = reach + int(np.ceil(_OUTER * settings.fwhm)) + 1
    # No light is drawn beyond what is fitted: stamps do not shine into each other.
    how = replace(settings, trace=np.inf, furthest=settings.fwhm)
    plain = _cut(fitted, variance, mask, bad_bits, psf, rows, half)
    mirrored = _without_mirrored(plain, fitted, variance, mask, bad_bits, extended, settings.fwhm)
    cleared = np.any(mirrored.light != plain.light, axis=(1, 2))
    turned = np.flatnonzero(cleared)
    these = rows[turned]
    one = _fitted(mirrored.some(cleared), psf, [(fitted.x[these], fitted.y[these], fitted.flux[these])], how)
    better = (one.status == 0) & (reduced(one) < _BETTER * chi2[these])
    cleared[turned] = better
    which = cleared[:, None, None]
    stamps = plain._replace(
        light=np.where(which, mirrored.light, plain.light),
        variance=np.where(which, mirrored.variance, plain.variance),
        good=np.where(which, mirrored.good, plain.good),
    )
    _take(again, rows[cleared], one, np.flatnonzero(better))
    again.cleared[rows[cleared]] = True
    left = stamps.light - _drawn(psf, again.fitted, rows, half) * again.fitted.flux[rows, None, None].astype(np.float32)
    _with_companions(again, stamps, left, psf, how)
    return again


def reduced(fitted: Fitted) -> Float64:
    """χ² per degree of freedom."""
    return np.asarray(fitted.chi2 / np.maximum(fitted.pixels - 3, 1))


def _drawn(psf: tuple[Numbers, Numbers, Float64, float], fitted: Fitted, rows: Int64, half: int) -> Float32:
    """Sources of unit light about their nearest pixels."""
    cube, _, values, sampling = psf
    return psf_stamps(cube, values[rows], sampling, fitted.x[rows], fitted.y[rows], 2 * half + 1)[:, 0]


def _cut(
    fitted: Fitted,
    variance: Numbers,
    mask: Numbers,
    bad_bits: int,
    psf: tuple[Numbers, Numbers, Float64, float],
    rows: Int64,
    half: int,
) -> _Stamps:
    """What the other sources leave around each, its own light included."""
    ny, nx = fitted.rest.shape
    x0, y0 = (np.floor(axis[rows] + 0.5).astype(np.int64) - half for axis in (fitted.x, fitted.y))
    at = np.arange(2 * half + 1)
    y, x = (y0[:, None] + at)[:, :, None], (x0[:, None] + at)[:, None, :]
    inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    y, x = np.clip(y, 0, ny - 1), np.clip(x, 0, nx - 1)
    light, spread = fitted.rest[y, x], np.asarray(variance)[y, x]
    good = inside & (np.asarray(mask)[y, x] & bad_bits == 0) & np.isfinite(light) & (spread > 0.0) & (spread < np.inf)
    own = _drawn(psf, fitted, rows, half) * fitted.flux[rows, None, None].astype(np.float32)
    return _Stamps(rows, x0, y0, np.where(good, light + own, 0.0).astype(np.float32), np.where(good, spread, 1.0), good)


def _without_mirrored(
    stamps: _Stamps,
    fitted: Fitted,
    variance: Numbers,
    mask: Numbers,
    bad_bits: int,
    extended: Bools,
    fwhm: float,
) -> _Stamps:
    """Less what extended neighbours leave on their other side."""
    ny, nx = fitted.rest.shape
    near = np.flatnonzero(extended)
    places = [(axis[stamps.rows], axis[near]) for axis in (fitted.x, fitted.y)]
    mine, other = pairs_within((places[0][0], places[1][0]), (places[0][1], places[1][1]), _NEAR * fwhm)
    alien = near[other] != stamps.rows[mine]
    mine, other = mine[alien], near[other[alien]]
    order = np.lexsort((-fitted.flux[other] * fitted.spread[other], mine))
    mine, other = mine[order], other[order]
    turn = np.arange(mine.size) - np.searchsorted(mine, mine)
    light, spread, good = stamps.light.copy(), stamps.variance.copy(), stamps.good.copy()
    at = np.arange(light.shape[1])
    for number in range(_MIRRORED):
        k, j = mine[turn == number], other[turn == number]
        # Nearest pixels of the mirrored places: of what varies slowly.
        y = np.rint(2.0 * fitted.y[j, None] - (stamps.y0[k, None] + at)).astype(np.int64)[:, :, None]
        x = np.rint(2.0 * fitted.x[j, None] - (stamps.x0[k, None] + at)).astype(np.int64)[:, None, :]
        inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
        y, x = np.clip(y, 0, ny - 1), np.clip(x, 0, nx - 1)
        value, noise = fitted.rest[y, x], np.asarray(variance)[y, x]
        known = inside & (np.asarray(mask)[y, x] & bad_bits == 0) & np.isfinite(value) & (noise < np.inf)
        light[k] -= np.where(known, value, 0.0).astype(np.float32)
        spread[k] += np.where(known, noise, 0.0).astype(np.float32)
        good[k] &= known
    return stamps._replace(light=light, variance=spread, good=good)


def _fitted(
    stamps: _Stamps,
    psf: tuple[Numbers, Numbers, Float64, float],
    starts: list[tuple[Float64, Float64, Float64]],
    how: Fitting,
) -> Fitted:
    """Points that begin at x, y, flux (k,) each, in each of the stamps: first of all stamps the first, then the second ones.

    Places and residuals are those of the row of stamps.
    """
    cube, wider, values, sampling = psf
    side, number = stamps.light.shape[1], len(stamps.rows)

    def in_row(planes: Numbers) -> Numbers:
        return np.ascontiguousarray(planes.transpose(1, 0, 2).reshape(side, -1))

    x = np.concatenate([start[0] - stamps.x0 + side * np.arange(number) for start in starts])
    y, flux = np.concatenate([start[1] - stamps.y0 for start in starts]), np.concatenate([start[2] for start in starts])
    known = np.tile(values[stamps.rows], (len(starts), 1))
    light = in_row(stamps.light)
    yes = np.ones(x.size, np.bool_)
    found = fit_sources(
        light,
        np.zeros_like(light),
        in_row(stamps.variance),
        in_row(~stamps.good).astype(np.int32),
        (cube, wider, known, sampling),
        (x, y, flux, yes, ~yes),
        how,
        bad_bits=1,
    )

    across = np.tile(stamps.x0 - side * np.arange(number), len(starts))
    return found._replace(x=found.x + across, y=found.y + np.tile(stamps.y0, len(starts)))


_TAKEN = ("flux", "x", "y", "var_flux", "var_x", "var_y", "cov_xy", "chi2", "pixels", "covered", "spread", "spread_err")


def _take(again: Again, rows: Int64, found: Fitted, taken: Int64) -> None:
    """Put rows of a fit in the place of what was there."""
    for name in _TAKEN:
        getattr(again.fitted, name)[rows] = getattr(found, name)[taken]


def _with_companions(
    again: Again, stamps: _Stamps, left: Float32, psf: tuple[Numbers, Numbers, Float64, float], how: Fitting
) -> None:
    """Seek a second point in what one leaves, fit both, and keep them where they explain it."""
    best, dx, dy, light = _brightest(stamps, left, psf, how.fwhm)
    seen = best > _SEEN
    stamps, dx, dy, light = stamps.some(seen), dx[seen], dy[seen], light[seen]
    rows, number = stamps.rows, int(np.count_nonzero(seen))
    if number == 0:
        return
    before = again.fitted
    half = stamps.light.shape[1] // 2
    x, y = stamps.x0 + half + dx, stamps.y0 + half + dy
    # What was fitted as one lies between the two.
    part = 0.75 * np.clip(light / before.flux[rows], 0.05, 1.0)
    first = before.x[rows] - part * (x - before.x[rows]), before.y[rows] - part * (y - before.y[rows])
    found = _fitted(stamps, psf, [(*first, before.flux[rows]), (x, y, light)], how)
    one, two = np.arange(number), np.arange(number, 2 * number)
    apart = np.hypot(found.x[one] - found.x[two], found.y[one] - found.y[two])
    # The brighter one is the source.
    swapped = found.flux[two] > found.flux[one]
    one, two = np.where(swapped, two, one), np.where(swapped, one, two)
    excess, spread = reduced(found)[one] - 1.0, np.abs(found.spread[one])
    believed = (found.status[one] == 0) & (found.status[two] == 0) & (apart < _FARTHEST * how.fwhm)
    believed &= (excess < _EXCESS * (reduced(before)[rows] - 1.0)) | (excess < _GOOD_CHI2 - 1.0)
    believed &= spread < np.maximum(_LESS * np.abs(before.spread[rows]), 3.0 * found.spread_err[one])
    _take(again, rows[believed], found, one[believed])
    again.beside[rows[believed]] = found.flux[two[believed]]


def _brightest(
    stamps: _Stamps, left: Float32, psf: tuple[Numbers, Numbers, Float64, float], fwhm: float
) -> tuple[Float64, Float64, Float64, Float64]:
    """The most significant point in what is left near each source: signal-to-noise, place from the stamp's middle, light."""
    cube, _, values, sampling = psf
    number = len(left)
    core = int(np.ceil(fwhm))
    zero = np.zeros(number)
    point = psf_stamps(cube, values[stamps.rows], sampling, zero, zero, 2 * core + 1)[:, 0]
    weight = np.where(stamps.good, 1.0 / stamps.variance, 0.0)
    best = np.zeros((4, number))
    brightest_point(as_pixels(weight * left), as_pixels(weight), as_pixels(point), _INNER * fwhm, _OUTER * fwhm, best)
    return best[0], best[1], best[2], best[3]
