"""Photometry with a known point spread function: all sources of an image, neighbours at once, and how extended they are."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spica.kernels.cholesky import factorise, substitute
from spica.kernels.compiled import (  # fmt: skip
    Bools,
    Float32,
    Float64,
    Int32,
    Int64,
    Numbers,
    as_bits,
    as_coordinates,
    as_pixels,
    as_plain,
    compiled,
    inner,
)
from spica.kernels.psf_groups import groups
from spica.kernels.psf_members import (
    CHI2,
    CLOSE,
    COV_XY,
    COVERED,
    ERRORS,
    FAILED,
    FLUX,
    FLUXES,
    FREE,
    HALF,
    PIXELS,
    PLACES,
    REACH,
    SINGULAR,
    SPREAD,
    SPREAD_ERR,
    STEP,
    STEPS,
    STUCK,
    VAR_FLUX,
    VAR_X,
    VAR_Y,
    X0,
    Y0,
    Room,
    X,
    Y,
    begin,
    close,
    equations,
    gather,
    go_back,
    hold,
    leave_rest,
    next_phase,
    origin_of,
    place_in_stamp,
    put_back,
    take_step,
    weigh,
)  # fmt: skip
from spica.kernels.psf_model import combine_terms, place_model

LEAST = 0.5
"""No variance is smaller than this part of the dark sky's."""
_COLUMNS = 10
_SETTLED = 0.05
"""A neighbour whose flux changed by less than this many standard deviations is not looked at again."""


@dataclass(frozen=True)
class Fitting:
    """How sources are fitted; lengths in pixels.

    Attributes
    ----------
    fwhm : width of the profile.
    reach : radius of the pixels that are fitted.
    link : sources nearer to each other than this are fitted at once.
    largest : members of a group; larger ones are divided.
    sweeps : how often a group whose neighbours changed is fitted.
    furthest : a place may move so far from where it began.
    gain : variance that one unit of light brings [unit of the image].
    sky : variance of a pixel of dark sky [unit²].
    trace : a stamp reaches to where the light of a source is this part of the sky's noise in a pixel.
    """

    fwhm: float
    reach: float
    link: float
    largest: int = 8
    sweeps: int = 3
    furthest: float = 1.5
    gain: float = 1.0
    sky: float = 1.0
    trace: float = 0.2


class Fitted(NamedTuple):
    """Arrays (n,): fluxes, places and their variances, χ², its pixels, covered part of the profile, spread, its error, how.

    ``rest`` (ny, nx): the image less sky and sources.
    """

    flux: Float64
    x: Float64
    y: Float64
    var_flux: Float64
    var_x: Float64
    var_y: Float64
    cov_xy: Float64
    chi2: Float64
    pixels: Int64
    covered: Float64
    spread: Float64
    spread_err: Float64
    status: Int64
    group: Int64
    rest: Float32


@inner
def _judge(
    state: Float64,
    k: int,
    box: tuple[int, int, int, int],
    stamp: Float32,
    rest: Float32,
    weight: Float32,
    out: Float64,
) -> None:
    """χ² of the member's own pixels, how much of its profile they hold, and how much more extended than a star it is.

    `stamp` holds the profile, and the blurred one.
    """
    x0, y0, half = origin_of(state, k)
    unit, wide = stamp[0], stamp[1]
    flux, square = state[k, FLUX], state[k, REACH] ** 2
    chi2 = light = seen = ff = gf = gg = fp = gp = 0.0
    count = 0
    for v in range(2 * half + 1):
        y = y0 + v
        for u in range(2 * half + 1):
            x = x0 + u
            if (x - state[k, X0]) ** 2 + (y - state[k, Y0]) ** 2 > square:
                continue
            f, g = unit[v, u], wide[v, u]
            light += f
            if not (box[0] <= x < box[1] and box[2] <= y < box[3]):
                continue
            w, r = weight[y - box[2], x - box[0]], rest[y - box[2], x - box[0]]
            if w > 0.0:
                count += 1
                seen += f
                chi2 += w * r * r
                p = r + flux * f
                ff += w * f * f
                gf += w * g * f
                gg += w * g * g
                fp += w * f * p
                gp += w * g * p
    out[k, CHI2], out[k, PIXELS] = chi2, count
    out[k, COVERED] = seen / light if light > 0.0 else 0.0
    # SPREAD_MODEL and its error (Desai et al. 2012, ApJ 757, 83, eq. 2; Bouy et al. 2013, A&A 554, A101).
    out[k, SPREAD] = gp / fp - gf / ff
    out[k, SPREAD_ERR] = np.sqrt(max(gg * fp * fp + ff * gp * gp - 2.0 * gf * fp * gp, 0.0)) / (fp * fp)


@compiled
def _fit_groups(
    planes: tuple[Float32, Float32, Int32], bad_bits: int, psf: tuple[Float32, Float32, Float64],
    limits: tuple[float, float, float, float, float], state: Float64, start: Int64, listed: Int64, visit: Int64,
    room: Room, out: Float64, status: Int64,
) -> None:  # fmt: skip
    """Fit groups one after the other, and leave in the first plane what their members do not explain.

    By Levenberg's and Marquardt's steps in fluxes and free places; unless they are known, fluxes come first, with all places
    held. Weights are those of the model at the first places; the equations left behind are those of the last. `limits`: pixels
    per sample, variance per light, least variance, longest step, farthest place.
    """
    residual, variance, mask = planes
    for g in visit:
        members = listed[start[g] : start[g + 1]]
        box, known = begin(state, members, residual.shape, room.kept, status)
        for a in range(members.size):
            combine_terms(psf[0], psf[2][members[a]], room.local[a])
        gather(residual, variance, mask, bad_bits, state, members, box, room.data, room.weight)
        size, ended = 0, SINGULAR
        # Each time that somebody is held, one at least: so often at most.
        for again in range(members.size + 1):
            back = known and again == 0
            ended, phase = STUCK, PLACES if back else FLUXES
            damping = chi2 = largest = 0.0
            # True, but no literal: for that everything would be compiled once more.
            moved = fresh = again >= 0
            for step in range(STEPS + 3):
                for a in range(members.size if moved else 0):
                    x, y, side = place_in_stamp(state, members[a])
                    place_model(room.local[a], limits[0], x, y, side, room.stamps[a])
                leave_rest(state, members, box, room.stamps, room.data, room.rest, back and step == 0)
                new = weigh(variance, limits[1], limits[2], box, room.rest, room.weight, 0)
                accepted = fresh or new <= chi2 * (1.0 + 1e-6) + 1e-6
                settled = not fresh and accepted and largest < CLOSE
                phase, ended, fresh = next_phase(phase, ended, step, settled, fresh)
                if accepted or phase == ERRORS:
                    chi2 = weigh(variance, limits[1], limits[2], box, room.rest, room.weight, int(fresh))
                    damping *= 0.1
                    size = equations(
                        state, members, phase == FLUXES, box, room.stamps, room.rest, room.weight,
                        room.matrix, room.gradient, room.first, room.sums,
                    )  # fmt: skip
                else:
                    damping = max(10.0 * damping, 1e-2)
                    go_back(state, members, room.kept)
                known_well = factorise(room.matrix, 0.0 if phase == ERRORS else damping + 1e-9, size, room.lower)
                ended = ended if known_well else SINGULAR
                if phase == ERRORS or ended == SINGULAR:
                    break
                substitute(room.lower, size, room.gradient, room.step)
                only = phase == FLUXES
                largest = take_step(state, members, only, limits[3], room.first, room.step, room.matrix, room.kept)
                moved, fresh, phase = not only and (largest > 0.0 or not accepted), only, PLACES
            if not hold(state, members, limits[4], ended == SINGULAR, status):
                break
        work = room.first, room.lower, room.gradient, room.step, room.kept
        close(state, members, ended, size, work, out, status)
        for a in range(0 if ended == SINGULAR else members.size):
            combine_terms(psf[1], psf[2][members[a]], room.local[a])
            x, y, side = place_in_stamp(state, members[a])
            place_model(room.local[a], limits[0], x, y, side, room.stamps[a, 1:2])
            _judge(state, members[a], box, room.stamps[a], room.rest, room.weight, out)
        put_back(room.data if ended == SINGULAR else room.rest, box, residual)


def blurred(coefficients: Numbers, scale: float) -> Float32:
    """Each term convolved with a circular exponential disk of that scale length [sample], (terms, n, n).

    In Fourier space, where the disk is (1 + (2π f h)²)^-3/2: it may be much smaller than a sample.
    """
    n = coefficients.shape[1]
    wide = 2 * n
    f2 = np.fft.fftfreq(wide)[:, None] ** 2 + np.fft.rfftfreq(wide)[None, :] ** 2
    transfer = (1.0 + (2.0 * np.pi * scale) ** 2 * f2) ** -1.5
    made = np.fft.irfft2(np.fft.rfft2(coefficients, (wide, wide)) * transfer, (wide, wide))
    return as_pixels(made[:, :n, :n])


def _radii(profile: Float64, sampling: float, flux: Float64, noise: float, settings: Fitting) -> Float64:
    """Half the side of each source's stamp: as far as its light shows, within the model."""
    n = profile.shape[0]
    y, x = np.indices(profile.shape) - n // 2
    ring = np.rint(np.hypot(x, y) * sampling).astype(int)
    height = np.zeros(ring.max() + 1)
    np.maximum.at(height, ring, np.abs(profile))
    # From outside: the first ring that shows light of a source so bright.
    outside = np.maximum.accumulate(height[::-1])[::-1]
    shows = np.where(np.isfinite(flux) & (flux > 0.0), flux, 0.0)[:, None] * outside > settings.trace * noise
    last = np.where(shows.any(axis=1), height.size - np.argmax(shows[:, ::-1], axis=1), 0)
    least, most = np.ceil(settings.reach), np.floor((n // 2) * sampling)
    return np.clip(last, least, max(most, least)).astype(float)


def fit_sources(
    image: Numbers,
    sky: Numbers,
    variance: Numbers,
    mask: Numbers,
    psf: tuple[Numbers, Numbers, Numbers, float],
    sources: tuple[Numbers, Numbers, Numbers, Bools, Bools],
    settings: Fitting,
    *,
    bad_bits: int = 0,
) -> Fitted:
    """Fit a point source at each place of a list, all of them together.

    Sources nearer than `Fitting.link` are solved for at once; the others see each other through what is subtracted, the
    brightest first, in as many sweeps as it takes (as DAOPHOT does, Stetson 1987, PASP 99, 191). Pixels have the weights
    of the variance that the model predicts.

    Parameters
    ----------
    image, sky, variance : (ny, nx) arrays
        Pixels, what lies under the sources, complete variance of the pixels.
    mask : (ny, nx) int32 array
        Mask bits.
    psf : coefficients (terms, n, n), the same blurred, values of the terms at each source (sources, terms), sampling
        As `spica.kernels.psf_model` has them.
    sources : x, y [pixel], flux, free, lost; (n,) arrays
        Where to begin, and how bright; whether the place is fitted; whether the middle is lost (saturated): then all of
        the profile is fitted.
    settings : how.
    bad_bits : int
        Bits of pixels that are left out.

    Returns
    -------
    Fitted
        NaN where there is no answer.
    """
    coefficients, wider, values, sampling = psf
    x, y, flux = (as_coordinates(column) for column in sources[:3])
    free, lost = sources[3:]
    state, out = np.zeros((x.size, 8)), np.full((x.size, _COLUMNS), np.nan)
    middle = np.tensordot(np.median(values, axis=0), coefficients, 1) if x.size else coefficients[0]
    half = _radii(np.asarray(middle, np.float64), sampling, flux, float(np.sqrt(settings.sky)), settings)
    reach = np.where(lost, half, settings.reach)
    for column, numbers in ((X, x), (Y, y), (X0, x), (Y0, y), (HALF, half), (REACH, reach), (FREE, free)):
        state[:, column] = numbers
    status = np.zeros(x.size, np.int64)
    joined = groups(x, y, flux, settings.link, settings.largest, half)
    planes = as_pixels(image - sky), as_pixels(variance), as_bits(mask)
    model = as_pixels(coefficients), as_pixels(wider), as_plain(values, np.float64)
    room = _room(joined.start, joined.members, state, coefficients.shape[1])
    least = LEAST * float(settings.sky)
    limits = (float(sampling), float(settings.gain), least, 0.3 * float(settings.fwhm), float(settings.furthest))
    visit = np.arange(joined.start.size - 1)
    for _ in range(settings.sweeps):
        _fit_groups(planes, int(bad_bits), model, limits, state, joined.start, joined.members, visit, room, out, status)
        stir = out[:, STEP] > _SETTLED
        one, other = joined.near[:, 0], joined.near[:, 1]
        visit = np.unique(joined.number[np.concatenate([one[stir[other]], other[stir[one]]])])
        if visit.size == 0:
            break
    failed = status & FAILED != 0
    return Fitted(
        flux=np.where(failed, np.nan, state[:, FLUX]),
        x=state[:, X],
        y=state[:, Y],
        var_flux=out[:, VAR_FLUX],
        var_x=out[:, VAR_X],
        var_y=out[:, VAR_Y],
        cov_xy=out[:, COV_XY],
        chi2=out[:, CHI2],
        pixels=np.nan_to_num(out[:, PIXELS]).astype(np.int64),
        covered=np.nan_to_num(out[:, COVERED]),
        spread=out[:, SPREAD],
        spread_err=out[:, SPREAD_ERR],
        status=status,
        group=joined.number,
        rest=planes[0],
    )


def _room(start: Int64, members: Int64, state: Float64, n: int) -> Room:
    """Work space for the largest group and the largest box of one."""
    most = int(np.diff(start).max(initial=1))
    side = 2 * int(state[:, HALF].max(initial=1.0)) + 1
    wide, high = side, side
    if members.size:
        wide, high = (
            int(np.max(
                np.maximum.reduceat(state[members, c] + state[members, HALF], start[:-1])
                - np.minimum.reduceat(state[members, c] - state[members, HALF], start[:-1])
            )) + 3
            for c in (X0, Y0)
        )  # fmt: skip
    return Room(
        local=np.empty((most, n, n), np.float32),
        stamps=np.empty((most, 3, side, side), np.float32),
        data=np.empty((high, wide), np.float32),
        rest=np.empty((high, wide), np.float32),
        weight=np.empty((high, wide), np.float32),
        matrix=np.empty((3 * most, 3 * most)),
        lower=np.empty((3 * most, 3 * most)),
        gradient=np.empty(3 * most),
        step=np.empty(3 * most),
        kept=np.empty((most, 4)),
        sums=np.empty((3, 3)),
        first=np.empty(most, np.int64),
    )
