"""A group of overlapping sources fitted at once: flux and place of each, by least squares with a known profile."""

from typing import NamedTuple

import numpy as np

from spica.kernels.cholesky import factorise, substitute
from spica.kernels.compiled import Float32, Float64, Int32, Int64, compiled
from spica.kernels.psf_model import place_model

X, Y, FLUX, X0, Y0, HALF, REACH, FREE = range(8)
"""Columns of a source's state: where it is and how bright; where it began; half of its stamp's side and radius of the
pixels that are fitted [pixel]; whether its place is fitted (1), is not (0), or could not be for now (-1)."""
VAR_FLUX, VAR_X, VAR_Y, COV_XY, CHI2, PIXELS, COVERED, SPREAD, SPREAD_ERR, STEP = range(10)
"""Columns of what comes out: variances; χ² and number of the pixels within reach; part of the profile's light there
that falls on good pixels; `SPREAD` and its error; the last change of flux in standard deviations."""
CONVERGED, STUCK, SINGULAR = range(3)
"""How a fit ended: well; at the last step allowed; without an answer."""
_FLUXES, _PLACES, _ERRORS = range(3)
"""What is done in a step: fluxes alone, all, or nothing more: the equations are left at the solution."""

_STEPS = 12
_CLOSE = 2e-3
"""A step of no source by more than this ends the search [pixel]."""
_SMALL = 0.03
"""Or by this part of its standard error."""


class Room(NamedTuple):
    """Work space for the members of one group: profiles, stamps, and the box of pixels about all of them."""

    local: Float32
    stamps: Float32
    wide: Float32
    data: Float32
    rest: Float32
    weight: Float32
    matrix: Float64
    lower: Float64
    gradient: Float64
    step: Float64
    kept: Float64
    first: Int64


@compiled
def stamp_of(stamps: Float32, a: int, half: int) -> Float32:
    """A member's stamps: its profile of unit light, and that one's slopes by x and y."""
    size = 2 * half + 1
    return stamps[a, : 3 * size * size].reshape(3, size, size)


@compiled
def plane_of(flat: Float32, box: tuple[int, int, int, int]) -> Float32:
    """Work space as the plane of the box's pixels."""
    x0, x1, y0, y1 = box
    return flat[: (y1 - y0) * (x1 - x0)].reshape(y1 - y0, x1 - x0)


@compiled
def origin_of(state: Float64, k: int) -> tuple[int, int, int]:
    """Place on the detector of the first pixel of a source's stamp, and half of its side."""
    half = int(state[k, HALF])
    return int(np.floor(state[k, X0] + 0.5)) - half, int(np.floor(state[k, Y0] + 0.5)) - half, half


@compiled
def box_of(state: Float64, members: Int64, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Columns and rows of the image that the stamps of all members cover, half open."""
    ny, nx = shape
    x0, x1, y0, y1 = nx, 0, ny, 0
    for k in members:
        x, y, half = origin_of(state, k)
        x0, x1 = min(x0, max(x, 0)), max(x1, min(x + 2 * half + 1, nx))
        y0, y1 = min(y0, max(y, 0)), max(y1, min(y + 2 * half + 1, ny))
    return x0, max(x1, x0), y0, max(y1, y0)


@compiled
def add_members(
    state: Float64, members: Int64, box: tuple[int, int, int, int], stamps: Float32, flat: Float32, sign: float
) -> None:
    """Add the light of all members to the pixels of the box, times `sign`."""
    bx0, bx1, by0, by1 = box
    plane = plane_of(flat, box)
    for a in range(members.size):
        k = members[a]
        x0, y0, half = origin_of(state, k)
        unit = stamp_of(stamps, a, half)[0]
        flux = np.float32(sign * state[k, FLUX])
        i0, i1 = max(bx0, x0), min(bx1, x0 + 2 * half + 1)
        for y in range(max(by0, y0), min(by1, y0 + 2 * half + 1)):
            line, light = plane[y - by0, i0 - bx0 : i1 - bx0], unit[y - y0, i0 - x0 : i1 - x0]
            for i in range(line.size):
                line[i] += flux * light[i]


@compiled
def gather(
    residual: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    state: Float64,
    members: Int64,
    box: tuple[int, int, int, int],
    data: Float32,
    weight: Float32,
) -> None:
    """The light that is left in the box, in `data`, and 1 in `weight` at the good pixels within reach of a member."""
    x0, x1, y0, y1 = box
    wrong = np.int32(bad_bits)
    for j in range(y1 - y0):
        for i in range(x1 - x0):
            data[j, i] = residual[y0 + j, x0 + i]
            weight[j, i] = np.float32(0.0)
    for k in members:
        reach = state[k, REACH]
        for y in range(max(y0, int(np.ceil(state[k, Y0] - reach))), min(y1, int(np.floor(state[k, Y0] + reach)) + 1)):
            half = np.sqrt(max(reach * reach - (y - state[k, Y0]) ** 2, 0.0))
            for x in range(max(x0, int(np.ceil(state[k, X0] - half))), min(x1, int(np.floor(state[k, X0] + half)) + 1)):
                value, spread = residual[y, x], variance[y, x]
                if mask[y, x] & wrong == 0 and np.isfinite(value) and spread > 0.0 and spread < np.inf:
                    weight[y - y0, x - x0] = np.float32(1.0)


@compiled
def _leave_rest(
    state: Float64,
    members: Int64,
    box: tuple[int, int, int, int],
    stamps: Float32,
    data: Float32,
    rest: Float32,
    weight: Float32,
) -> float:
    """What the members leave of the light, in `rest`; its χ² with the weights as they are."""
    size = (box[1] - box[0]) * (box[3] - box[2])
    for i in range(size):
        rest[i] = data[i]
    add_members(state, members, box, stamps, rest, -1.0)
    chi2 = 0.0
    for i in range(size):
        if weight[i] > 0.0:
            chi2 += weight[i] * rest[i] * rest[i]
    return chi2


@compiled
def _weigh(
    variance: Float32, gain: float, floor: float, box: tuple[int, int, int, int], rest: Float32, weight: Float32
) -> float:
    """Inverse variances that the model predicts: those of the pixels without the noise that is in them; χ² with them.

    A pixel that is brighter by noise than the model says it should be has a variance larger by `gain` times that. Weights
    that follow the noise would pull fluxes down.
    """
    x0, x1, y0, y1 = box
    part, least = np.float32(gain), np.float32(floor)
    chi2 = 0.0
    for j in range(y1 - y0):
        for i in range(x1 - x0):
            if weight[j, i] > 0.0:
                left = rest[j, i]
                weight[j, i] = np.float32(1.0) / max(variance[y0 + j, x0 + i] - part * left, least)
                chi2 += weight[j, i] * left * left
    return chi2


@compiled
def _own_block(
    state: Float64,
    k: int,
    p: int,
    only: bool,
    box: tuple[int, int, int, int],
    unit: Float32,
    rest: Float32,
    weight: Float32,
    matrix: Float64,
    gradient: Float64,
) -> None:
    """Normal equations of source k with itself, from row p of `matrix` and of `gradient`."""
    x0, y0, half = origin_of(state, k)
    ff = fx = fy = xx = xy = yy = gf = gx = gy = 0.0
    i0, i1 = max(box[0], x0), min(box[1], x0 + 2 * half + 1)
    for y in range(max(box[2], y0), min(box[3], y0 + 2 * half + 1)):
        value, along, across = unit[0, y - y0], unit[1, y - y0], unit[2, y - y0]
        line, left = weight[y - box[2]], rest[y - box[2]]
        for x in range(i0, i1):
            w = line[x - box[0]]
            if w > 0.0:
                v, s, t, r = value[x - x0], along[x - x0], across[x - x0], left[x - box[0]]
                wv, ws, wt = w * v, w * s, w * t
                ff += wv * v
                fx += wv * s
                fy += wv * t
                xx += ws * s
                xy += ws * t
                yy += wt * t
                gf += wv * r
                gx += ws * r
                gy += wt * r
    flux = state[k, FLUX]
    matrix[p, p], gradient[p] = ff, gf
    if state[k, FREE] > 0.0 and not only:
        matrix[p + 1, p], matrix[p + 2, p] = flux * fx, flux * fy
        matrix[p + 1, p + 1], matrix[p + 2, p + 2] = flux * flux * xx, flux * flux * yy
        matrix[p + 2, p + 1] = flux * flux * xy
        gradient[p + 1], gradient[p + 2] = flux * gx, flux * gy


@compiled
def _cross_block(
    state: Float64,
    pair: tuple[int, int],
    corner: tuple[int, int],
    only: bool,
    box: tuple[int, int, int, int],
    one: Float32,
    other: Float32,
    weight: Float32,
    matrix: Float64,
    sums: Float64,
) -> None:
    """Normal equations of a pair of sources, from row and column `corner` of `matrix`."""
    k, m = pair
    ax, ay, ah = origin_of(state, k)
    bx, by, bh = origin_of(state, m)
    i0, i1 = max(box[0], ax, bx), min(box[1], ax + 2 * ah + 1, bx + 2 * bh + 1)
    for i in range(9):
        sums[i // 3, i % 3] = 0.0
    for y in range(max(box[2], ay, by), min(box[3], ay + 2 * ah + 1, by + 2 * bh + 1)):
        line = weight[y - box[2]]
        for x in range(i0, i1):
            w = line[x - box[0]]
            if w > 0.0:
                for i in range(3):
                    value = w * one[i, y - ay, x - ax]
                    for j in range(3):
                        sums[i, j] += value * other[j, y - by, x - bx]
    for i in range(3 if state[k, FREE] > 0.0 and not only else 1):
        for j in range(3 if state[m, FREE] > 0.0 and not only else 1):
            scale = (state[k, FLUX] if i > 0 else 1.0) * (state[m, FLUX] if j > 0 else 1.0)
            matrix[corner[0] + i, corner[1] + j] = scale * sums[i, j]


@compiled
def _normal_equations(
    state: Float64, members: Int64, only: bool, box: tuple[int, int, int, int], room: Room, sums: Float64
) -> int:
    """Fill in `matrix` (lower triangle) and `gradient`, of the fluxes only or of all; how many unknowns there are."""
    size = 0
    for a in range(members.size):
        room.first[a] = size
        size += 3 if state[members[a], FREE] > 0.0 and not only else 1
    rest, weight = plane_of(room.rest, box), plane_of(room.weight, box)
    for a in range(members.size):
        k, p = members[a], room.first[a]
        unit = stamp_of(room.stamps, a, int(state[k, HALF]))
        for q in range(p):
            room.matrix[p, q] = 0.0
        _own_block(state, k, p, only, box, unit, rest, weight, room.matrix, room.gradient)
        for b in range(a):
            other = stamp_of(room.stamps, b, int(state[members[b], HALF]))
            _cross_block(state, (k, members[b]), (p, room.first[b]), only, box, unit, other, weight, room.matrix, sums)
    return size


@compiled
def _take_step(
    state: Float64,
    members: Int64,
    only: bool,
    limit: float,
    first: Int64,
    step: Float64,
    matrix: Float64,
    kept: Float64,
) -> float:
    """Go by `step`, no member farther than `limit` along an axis; the largest step that is more than small."""
    largest = 0.0
    for a in range(members.size):
        k, p = members[a], first[a]
        kept[a, 0], kept[a, 1], kept[a, 2] = state[k, X], state[k, Y], state[k, FLUX]
        state[k, FLUX] += step[p]
        if state[k, FREE] > 0.0 and not only:
            for i in range(2):
                move = min(max(step[p + 1 + i], -limit), limit)
                state[k, X + i] += move
                # Of an unblended source: good enough to tell a small step.
                if abs(move) > _SMALL / np.sqrt(matrix[p + 1 + i, p + 1 + i]):
                    largest = max(largest, abs(move))
    return largest


@compiled
def _draw_members(sampling: float, state: Float64, members: Int64, local: Float32, stamps: Float32) -> None:
    for a in range(members.size):
        k = members[a]
        x0, y0, half = origin_of(state, k)
        place_model(local[a], sampling, state[k, X] - x0, state[k, Y] - y0, stamp_of(stamps, a, half))


@compiled
def _go_back(state: Float64, members: Int64, kept: Float64) -> None:
    for a in range(members.size):
        k = members[a]
        state[k, X], state[k, Y], state[k, FLUX] = kept[a, 0], kept[a, 1], kept[a, 2]


@compiled
def fit_members(
    variance: Float32,
    limits: tuple[float, float, float, float, float],
    state: Float64,
    members: Int64,
    box: tuple[int, int, int, int],
    room: Room,
    known: int,
) -> tuple[int, int]:
    """Levenberg's and Marquardt's steps in fluxes and free places; how it ended, and the number of unknowns.

    `limits`: pixels per sample, variance per light, least variance, longest step; unless fluxes are `known` (1, not 0), they come first, with all
    places held. Weights are those of the model at the first places; the equations left behind are those of the last.
    """
    sampling, gain, floor, limit, _ = limits
    sums = np.empty((3, 3))
    phase = _PLACES if known > 0 else _FLUXES
    ended = STUCK
    damping = chi2 = largest = 0.0
    moved, fresh = True, True
    size = 0
    for step in range(_STEPS + 3):
        if moved:
            _draw_members(sampling, state, members, room.local, room.stamps)
        if step == 0 and known > 0:
            add_members(state, members, box, room.stamps, room.data, 1.0)
        new = _leave_rest(state, members, box, room.stamps, room.data, room.rest, room.weight)
        accepted = fresh or new <= chi2 * (1.0 + 1e-6) + 1e-6
        if not fresh and accepted and largest < _CLOSE:
            phase, fresh, ended = _ERRORS, True, CONVERGED
        if step == _STEPS + 1 and phase != _ERRORS:
            phase, fresh = _ERRORS, True
        if accepted or phase == _ERRORS:
            chi2 = new
            if fresh:
                chi2 = _weigh(variance, gain, floor, box, plane_of(room.rest, box), plane_of(room.weight, box))
            damping *= 0.1
            size = _normal_equations(state, members, phase == _FLUXES, box, room, sums)
        else:
            damping = max(10.0 * damping, 1e-2)
            _go_back(state, members, room.kept)
        if phase == _ERRORS:
            return (ended, size) if factorise(room.matrix, 0.0, size, room.lower) else (SINGULAR, size)
        if not factorise(room.matrix, damping + 1e-9, size, room.lower):
            break
        substitute(room.lower, size, room.gradient, room.step)
        largest = _take_step(state, members, phase == _FLUXES, limit, room.first, room.step, room.matrix, room.kept)
        moved, fresh = phase == _PLACES and (largest > 0.0 or not accepted), phase == _FLUXES
        phase = _PLACES
    return SINGULAR, size
