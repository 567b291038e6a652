"""Parts of the fit of a group of overlapping sources: flux and place of each, by least squares with a known profile.

What `spica.kernels.psf_sources` makes a fit of. Each is called from one place of it: a compiled function is compiled again within
each that calls it.
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.cholesky import substitute
from spica.kernels.compiled import Float32, Float64, Int32, Int64, inner

X, Y, FLUX, X0, Y0, HALF, REACH, FREE = range(8)
"""Columns of a source's state: where it is and how bright; where it began; half of its stamp's side and radius of the
pixels that are fitted [pixel]; whether its place is fitted (1), is not (0), or could not be for now (-1)."""
VAR_FLUX, VAR_X, VAR_Y, COV_XY, CHI2, PIXELS, COVERED, SPREAD, SPREAD_ERR, STEP = range(10)
"""Columns of what comes out: variances; χ² and number of the pixels within reach; part of the profile's light there
that falls on good pixels; `SPREAD` and its error; the last change of flux in standard deviations."""
HELD = 1
"""The place was fitted, but ran away or the light was negative: it is held where it was detected."""
UNFINISHED = 2
"""The steps were used up."""
FAILED = 4
"""No answer: no good pixels, or sources that cannot be told apart."""
CONVERGED, STUCK, SINGULAR = range(3)
"""How a fit ended: well; at the last step allowed; without an answer."""
FLUXES, PLACES, ERRORS = range(3)
"""What is done in a step: fluxes alone, all, or nothing more: the equations are left at the solution."""

STEPS = 12
CLOSE = 2e-3
"""A step of no source by more than this ends the search [pixel]."""
_SMALL = 0.03
"""Or by this part of its standard error."""


class Room(NamedTuple):
    """Work space for the members of one group: profiles, stamps, and the box of pixels about all of them.

    Stamps and pixels begin at the first places of what is as large as the largest needs.
    """

    local: Float32
    stamps: Float32
    data: Float32
    rest: Float32
    weight: Float32
    matrix: Float64
    lower: Float64
    gradient: Float64
    step: Float64
    kept: Float64
    sums: Float64
    first: Int64


@inner
def origin_of(state: Float64, k: int) -> tuple[int, int, int]:
    """Place on the detector of the first pixel of a source's stamp, and half of its side."""
    half = int(state[k, HALF])
    return int(np.floor(state[k, X0] + 0.5)) - half, int(np.floor(state[k, Y0] + 0.5)) - half, half


@inner
def place_in_stamp(state: Float64, k: int) -> tuple[float, float, int]:
    """Where in its stamp a source is [pixel], and the stamp's side."""
    x0, y0, half = origin_of(state, k)
    return state[k, X] - x0, state[k, Y] - y0, 2 * half + 1


@inner
def begin(
    state: Float64, members: Int64, shape: tuple[int, int], kept: Float64, status: Int64
) -> tuple[tuple[int, int, int, int], bool]:
    """Columns and rows of the image that the stamps of all members cover, half open; and whether fluxes are known.

    Each member has another try at its place: its neighbours may have found theirs since.
    """
    ny, nx = shape
    x0, x1, y0, y1 = nx, 0, ny, 0
    known = False
    for a in range(members.size):
        k = members[a]
        x, y, half = origin_of(state, k)
        x0, x1 = min(x0, max(x, 0)), max(x1, min(x + 2 * half + 1, nx))
        y0, y1 = min(y0, max(y, 0)), max(y1, min(y + 2 * half + 1, ny))
        kept[a, 3] = state[k, FLUX]
        known |= state[k, FLUX] != 0.0
        state[k, FREE] = abs(state[k, FREE])
        status[k] = 0
    return (x0, max(x1, x0), y0, max(y1, y0)), known


@inner
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


@inner
def leave_rest(
    state: Float64,
    members: Int64,
    box: tuple[int, int, int, int],
    stamps: Float32,
    data: Float32,
    rest: Float32,
    back: bool,
) -> None:
    """What the members leave of the light, in `rest`.

    With `back`, their light is put back into `data` before.
    """
    bx0, bx1, by0, by1 = box
    for turn in range(0 if back else 1, 2):
        plane = data if turn == 0 else rest
        if turn == 1:
            for j in range(by1 - by0):
                for i in range(bx1 - bx0):
                    rest[j, i] = data[j, i]
        for a in range(members.size):
            k = members[a]
            x0, y0, half = origin_of(state, k)
            flux = np.float32(state[k, FLUX] if turn == 0 else -state[k, FLUX])
            i0, i1 = max(bx0, x0), min(bx1, x0 + 2 * half + 1)
            for y in range(max(by0, y0), min(by1, y0 + 2 * half + 1)):
                line, light = plane[y - by0, i0 - bx0 : i1 - bx0], stamps[a, 0, y - y0, i0 - x0 : i1 - x0]
                for i in range(line.size):
                    line[i] += flux * light[i]


@inner
def weigh(
    variance: Float32,
    gain: float,
    floor: float,
    box: tuple[int, int, int, int],
    rest: Float32,
    weight: Float32,
    fresh: int,
) -> float:
    """χ² of what is left; where `fresh` is 1, with new weights: the inverse variances that the model predicts.

    Those are the variances of the pixels without the noise that is in them: a pixel that is brighter by noise than the model
    says it should be has a variance larger by `gain` times that. Weights that follow the noise would pull fluxes down.
    """
    x0, x1, y0, y1 = box
    part, least = np.float32(gain), np.float32(floor)
    chi2 = 0.0
    for j in range(y1 - y0):
        for i in range(x1 - x0):
            if weight[j, i] > 0.0:
                left = rest[j, i]
                if fresh > 0:
                    weight[j, i] = np.float32(1.0) / max(variance[y0 + j, x0 + i] - part * left, least)
                chi2 += weight[j, i] * left * left
    return chi2


@inner
def _cross_block(
    state: Float64,
    members: Int64,
    pair: tuple[int, int],
    corner: tuple[int, int],
    only: bool,
    box: tuple[int, int, int, int],
    stamps: Float32,
    weight: Float32,
    matrix: Float64,
    sums: Float64,
) -> None:
    """Normal equations of a pair of sources, from row and column `corner` of `matrix`."""
    k, m = members[pair[0]], members[pair[1]]
    one, other = stamps[pair[0]], stamps[pair[1]]
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


@inner
def equations(
    state: Float64,
    members: Int64,
    only: bool,
    box: tuple[int, int, int, int],
    stamps: Float32,
    rest: Float32,
    weight: Float32,
    matrix: Float64,
    gradient: Float64,
    first: Int64,
    sums: Float64,
) -> int:
    """Normal equations (lower triangle) and gradient of the fluxes only or of all; how many unknowns there are."""
    p = 0
    for a in range(members.size):
        k = members[a]
        first[a] = p
        x0, y0, half = origin_of(state, k)
        ff = fx = fy = xx = xy = yy = gf = gx = gy = 0.0
        i0, i1 = max(box[0], x0), min(box[1], x0 + 2 * half + 1)
        for y in range(max(box[2], y0), min(box[3], y0 + 2 * half + 1)):
            value, along, across = stamps[a, 0, y - y0], stamps[a, 1, y - y0], stamps[a, 2, y - y0]
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
        matrix[p, p], gradient[p] = ff, gf
        for b in range(a):
            _cross_block(state, members, (a, b), (first[a], first[b]), only, box, stamps, weight, matrix, sums)
        if state[k, FREE] > 0.0 and not only:
            flux = state[k, FLUX]
            matrix[p + 1, p], matrix[p + 2, p] = flux * fx, flux * fy
            matrix[p + 1, p + 1], matrix[p + 2, p + 2] = flux * flux * xx, flux * flux * yy
            matrix[p + 2, p + 1] = flux * flux * xy
            gradient[p + 1], gradient[p + 2] = flux * gx, flux * gy
            p += 2
        p += 1
    return p


@inner
def next_phase(phase: int, ended: int, step: int, settled: bool, fresh: bool) -> tuple[int, int, bool]:
    """What is done now, how that ends, and whether pixels are weighed anew: errors come once all is settled, or at the end."""
    if settled:
        return ERRORS, CONVERGED, True
    if step == STEPS + 1 and phase != ERRORS:
        return ERRORS, ended, True
    return phase, ended, fresh


@inner
def take_step(
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


@inner
def go_back(state: Float64, members: Int64, kept: Float64) -> None:
    """Undo a step."""
    for a in range(members.size):
        k = members[a]
        state[k, X], state[k, Y], state[k, FLUX] = kept[a, 0], kept[a, 1], kept[a, 2]


@inner
def hold(state: Float64, members: Int64, furthest: float, everybody: bool, status: Int64) -> bool:
    """Hold at their start the places of members that ran away or have no light; whether there were any."""
    some = False
    for k in members:
        if state[k, FREE] > 0.0:
            away = np.hypot(state[k, X] - state[k, X0], state[k, Y] - state[k, Y0])
            if everybody or not away <= furthest or not state[k, FLUX] > 0.0:
                state[k, X], state[k, Y], state[k, FREE] = state[k, X0], state[k, Y0], -1.0
                status[k] |= HELD
                some = True
    return some


@inner
def close(
    state: Float64,
    members: Int64,
    ended: int,
    size: int,
    room: tuple[Int64, Float64, Float64, Float64, Float64],
    out: Float64,
    status: Int64,
) -> None:
    """How the fit ended, and variances of each member from the factor of the whole group's equations: neighbours' are in them.

    `room`: the first unknown of each member, the factor, two vectors, and what each member had before.
    """
    first, lower, vector, answer, kept = room
    for a in range(members.size):
        k = members[a]
        status[k] |= FAILED if ended == SINGULAR else UNFINISHED if ended == STUCK else 0
        if ended == SINGULAR:
            state[k, FLUX] = out[k, STEP] = 0.0
            continue
        out[k, VAR_X] = out[k, VAR_Y] = out[k, COV_XY] = np.nan
        for i in range(3 if state[k, FREE] > 0.0 else 1):
            for q in range(size):
                vector[q] = 0.0
            vector[first[a] + i] = 1.0
            substitute(lower, size, vector, answer)
            out[k, VAR_FLUX + i] = answer[first[a] + i]
            if i == 1:
                out[k, COV_XY] = answer[first[a] + 2]
        out[k, STEP] = abs(state[k, FLUX] - kept[a, 3]) / np.sqrt(out[k, VAR_FLUX])


@inner
def put_back(plane: Float32, box: tuple[int, int, int, int], residual: Float32) -> None:
    """What is left of the light in the box, back where it was taken from."""
    for j in range(box[3] - box[2]):
        for i in range(box[1] - box[0]):
            residual[box[2] + j, box[0] + i] = plane[j, i]
