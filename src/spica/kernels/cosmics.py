"""Cosmic rays: second differences along four directions, against what any light through the telescope can have.

Laplacian edge detection (van Dokkum 2001, PASP 113, 1420) asks whether a pixel stands out from its neighbours, and tells
stars by the contrast with a fine-structure image. Here the second test is the bound of `spica.kernels.sharpness`, which
no light can break.

Pixels that are significant and sharp are gathered into connected sets. A set is a ray when one of its pixels is beyond
doubt alone, or all of them are together (a faint track). Then the neighbours of its pixels join that rise above the
light around the ray, with the ray's own pixels left out: one step, so that nothing can run away over a star.
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.coarse import CoarseSky, level_at, level_line
from spica.kernels.compiled import Float32, Float64, Int32, Int64, Numbers, as_pixels, compiled, inner
from spica.kernels.robust import median_in_place
from spica.kernels.sharpness import STEP_X, STEP_Y, sharpest_excess, sharpness, window

_PENDING = 1 << 30
"""Bit of a sharp pixel that no set holds yet, while the work goes on."""


class Limits(NamedTuple):
    """Thresholds, in units of the noise.

    ``pixel`` of a pixel above the sky and ``sharp`` of how much sharper than light it is, to be a ray alone; ``weak`` and
    ``weak_sharp`` to belong to a set, and ``track`` of the sharpness of three or more pixels of a set together; ``grow``
    of a neighbour above the light around the ray and ``grow_sharp`` of its sharpness; ``company`` lowers `grow` for each
    of the neighbour's own neighbours that belong to the ray.
    """

    pixel: float = 5.0
    sharp: float = 4.0
    weak: float = 3.0
    weak_sharp: float = 1.7
    track: float = 5.5
    grow: float = 2.8
    grow_sharp: float = 1.0
    company: float = 0.1


class Barred(NamedTuple):
    """Mask bits: ``bad`` pixels tell nothing, those that touch a ``full`` one (saturated, bled) start no ray."""

    bad: int
    full: int


class Cosmics(NamedTuple):
    """The mask with the new bit (int32, a copy), how many rays and pixels, and whether there were more than allowed."""

    mask: Int32
    hits: int
    pixels: int
    overflow: bool


@inner
def _least_variance(spreads: Float64) -> float:
    """Variance of the central pixel without its own charge: the smallest of it and its four neighbours."""
    c = spreads.shape[0] // 2
    least = spreads[c, c]
    for each in (spreads[c - 1, c], spreads[c + 1, c], spreads[c, c - 1], spreads[c, c + 1]):
        if each > 0.0:
            least = min(least, each)
    return float(least)


@inner
def _beyond(value: float, limit: float, spread: float) -> bool:
    """Whether value > limit √spread."""
    return value > 0.0 and value * value > limit * limit * spread


@inner
def _company(mask: Int32, bits: int, y: int, x: int) -> int:
    """How many of a pixel's neighbours have any of the bits."""
    count = 0
    for v in range(max(y - 1, 0), min(y + 2, mask.shape[0])):
        for u in range(max(x - 1, 0), min(x + 2, mask.shape[1])):
            count += mask[v, u] & bits != 0
    return count


@inner
def _mark_line(
    lines: tuple[Float32, Float32, Float32],
    noises: tuple[Float32, Float32, Float32],
    sky: Float32,
    rho: Float32,
    limits: Float32,
    marks: Int32,
) -> None:
    """Mark the pixels of a row that may be sharp, some too many: the tests of `sharpest_excess`, all pixels good.

    `limits`: squares of the least signal and of the least sharpness, in units of the noise. At the ends of a row the
    first test is all.
    """
    zero, half, quarter = np.float32(0.0), np.float32(0.5), np.float32(0.25)
    last = sky.size - 1
    for x in (0, last):
        value = lines[0][x] - sky[x]
        marks[x] = value * abs(value) > limits[0] * noises[0][x]
    row, spread = lines[0][1:last], noises[0][1:last]
    left, right, up, down = lines[0][: last - 1], lines[0][2:], lines[1][1:last], lines[2][1:last]
    up_left, up_right, down_left, down_right = lines[1][: last - 1], lines[1][2:], lines[2][: last - 1], lines[2][2:]
    s_left, s_right, s_up, s_down = noises[0][: last - 1], noises[0][2:], noises[1][1:last], noises[2][1:last]
    s_up_left, s_up_right = noises[1][: last - 1], noises[1][2:]
    s_down_left, s_down_right = noises[2][: last - 1], noises[2][2:]
    level, out = sky[1:last], marks[1:last]
    straight, diagonal, least, sharp = rho[0], rho[2], limits[0], limits[1]
    weight = np.float32(4.0) * (straight + diagonal)
    for x in range(out.size):
        value = row[x] - level[x]
        one, two = straight * value + level[x], diagonal * value + level[x]
        own_one, own_two = straight * straight * spread[x], diagonal * diagonal * spread[x]
        a, sa = one - half * (left[x] + right[x]), quarter * (s_left[x] + s_right[x])
        b, sb = one - half * (up[x] + down[x]), quarter * (s_up[x] + s_down[x])
        c, sc = two - half * (up_left[x] + down_right[x]), quarter * (s_up_left[x] + s_down_right[x])
        d, sd = two - half * (up_right[x] + down_left[x]), quarter * (s_up_right[x] + s_down_left[x])
        found = (a > zero) & (a * a > sharp * (own_one + sa))
        found |= (b > zero) & (b * b > sharp * (own_one + sb))
        found |= (c > zero) & (c * c > sharp * (own_two + sc))
        found |= (d > zero) & (d * d > sharp * (own_two + sd))
        total = (a + b) + (c + d)
        noise = (sa + sb) + (sc + sd) + quarter * weight * weight * spread[x]
        found |= (total > zero) & (total * total > sharp * noise)
        out[x] = found & (value * abs(value) > least * spread[x])


@compiled
def _find_sharp(
    planes: tuple[Float32, Float32, Int32],
    bits: tuple[int, int],
    sky: tuple[Float64, int],
    rho: Float64,
    limits: Limits,
    found: tuple[Int64, Float32],
) -> int:
    """Fill `found` with flat indices in rising order and sharpness, negative where the pixel is no ray alone.

    Returns how many there are (-1: more than fit).
    """
    image, variance, mask = planes
    ny, nx = image.shape
    line, marks = np.empty(nx, dtype=np.float32), np.empty(nx, dtype=np.int32)
    values = np.empty((7, 7))
    spreads = np.empty((7, 7))
    # A pixel's own variance holds the photons of its own charge: 0.8 makes the first test generous.
    # Rounding must not lose a pixel either.
    floors = np.array([0.8 * limits.weak**2, (0.99 * limits.weak_sharp) ** 2], dtype=np.float32)
    ratios = rho.astype(np.float32)
    count = 0
    for y in range(ny):
        level_line(sky[0], sky[1], y, line)
        flags, above, below = mask[y], max(y - 1, 0), min(y + 1, ny - 1)
        lines = image[y], image[above], image[below]
        _mark_line(lines, (variance[y], variance[above], variance[below]), line, ratios, floors, marks)
        for x in range(nx):
            if not marks[x] or flags[x] & bits[0]:
                continue
            if _company(mask, bits[1], y, x):
                continue
            window(planes, bits[0], y, x, np.float64(line[x]), values, spreads)
            least = _least_variance(spreads)
            sharp = sharpest_excess(values, spreads, rho)
            if sharp > limits.weak_sharp and _beyond(values[3, 3], limits.weak, least):
                if count == found[0].size:
                    return -1
                found[0][count] = np.int64(y) * nx + x
                alone = sharp > limits.sharp and _beyond(values[3, 3], limits.pixel, least)
                found[1][count] = sharp if alone else -sharp
                count += 1
    return count


@inner
def _gather_set(mask: Int32, seed: int, pixels: Int64, sharp: Float32, queue: Int64) -> tuple[int, float, bool]:
    """Fill `queue` with the pending pixels connected with a seed; return their number, sum of sharpness, any alone."""
    ny, nx = mask.shape
    queue[0] = seed
    mask[seed // nx, seed % nx] ^= _PENDING
    first, last = 0, 1
    total = 0.0
    alone = False
    while first < last:
        y, x = queue[first] // nx, queue[first] % nx
        each = sharp[np.searchsorted(pixels, queue[first])]
        total += abs(each)
        alone |= each > 0.0
        first += 1
        for v in range(max(y - 1, 0), min(y + 2, ny)):
            for u in range(max(x - 1, 0), min(x + 2, nx)):
                if mask[v, u] & _PENDING:
                    mask[v, u] ^= _PENDING
                    queue[last] = np.int64(v) * nx + u
                    last += 1
    return last, total, alone


@compiled
def _keep_rays(mask: Int32, bit: int, limits: Limits, pixels: Int64, sharp: Float32, rays: Int64) -> tuple[int, int]:
    """Gather the sets and mark those that are rays; fill `rays` with their pixels, return how many rays and pixels."""
    nx = mask.shape[1]
    for pixel in pixels:
        mask[pixel // nx, pixel % nx] |= _PENDING
    hits = 0
    count = 0
    for pixel in pixels:
        if mask[pixel // nx, pixel % nx] & _PENDING:
            size, total, alone = _gather_set(mask, pixel, pixels, sharp, rays[count:])
            if alone or (size >= 3 and total > limits.track * np.sqrt(size)):
                for each in rays[count : count + size]:
                    mask[each // nx, each % nx] |= bit
                hits += 1
                count += size
    return hits, count


@inner
def _light_around(values: Float64, spreads: Float64, scratch: Float32) -> float:
    """Median of the usable pixels within two pixels, the pixel itself left out; the sky where fewer than five are."""
    count = 0
    for j in range(1, 6):
        for i in range(1, 6):
            if spreads[j, i] > 0.0 and (j != 3 or i != 3):
                scratch[count] = values[j, i]
                count += 1
    return median_in_place(scratch, count) if count >= 5 else 0.0


@inner
def _bridge(values: Float64, spreads: Float64, y: int, x: int, weights: Float64) -> float:
    """A pixel's value, or that of the usable pixels around it, weighted by nearness; the window's centre is left out."""
    if spreads[y, x] > 0.0:
        return float(values[y, x])
    total = 0.0
    weight = 0.0
    for j in range(-2, 3):
        for i in range(-2, 3):
            if spreads[y + j, x + i] > 0.0 and (y + j != 3 or x + i != 3):
                each = weights[abs(j)] * weights[abs(i)]
                weight += each
                total += each * values[y + j, x + i]
    return float(total / weight) if weight > 0.0 else 0.0


@inner
def _joins(
    values: Float64, spreads: Float64, company: int, rho: Float64, limits: Limits, scratch: tuple[Float32, Float64]
) -> bool:
    """Whether a neighbour of a ray rises above the light around it and is not smooth."""
    if spreads[3, 3] <= 0.0:
        return False
    least = _least_variance(spreads)
    limit = limits.grow - limits.company * company
    if not _beyond(values[3, 3] - _light_around(values, spreads, scratch[0]), limit, least):
        return False
    for k in range(4):
        v, u = STEP_Y[k], STEP_X[k]
        ahead = _bridge(values, spreads, 3 + v, 3 + u, scratch[1])
        behind = _bridge(values, spreads, 3 - v, 3 - u, scratch[1])
        excess = rho[k] * values[3, 3] - 0.5 * (ahead + behind)
        if _beyond(excess, limits.grow_sharp, least * (rho[k] * rho[k] + 0.5)):
            return True
    return False


@compiled
def _grow(
    planes: tuple[Float32, Float32, Int32],
    bits: tuple[int, int],
    sky: tuple[Float64, int],
    rho: Float64,
    limits: Limits,
    rays: Int64,
) -> int:
    """Let the neighbours of the rays' pixels join; return how many did."""
    mask = planes[2]
    bad, bit = bits
    ny, nx = mask.shape
    scratch = (np.empty(25, dtype=np.float32), np.exp(-0.7 * np.arange(3.0) ** 2))
    values = np.empty((7, 7))
    spreads = np.empty((7, 7))
    joined = 0
    for ray in rays:
        y, x = ray // nx, ray % nx
        for v in range(max(y - 1, 0), min(y + 2, ny)):
            for u in range(max(x - 1, 0), min(x + 2, nx)):
                if mask[v, u] & (bad | bit) == 0:
                    window(planes, bad | bit, v, u, level_at(sky[0], sky[1], v, u), values, spreads)
                    if _joins(values, spreads, _company(mask, bit, v, u), rho, limits, scratch):
                        mask[v, u] |= bit
                        joined += 1
    return joined


def find_cosmics(
    image: Numbers,
    variance: Numbers,
    mask: Numbers,
    sky: CoarseSky,
    fwhm: float,
    *,
    barred: Barred,
    cosmic_bit: int,
    limits: Limits | None = None,
    most: int | None = None,
) -> Cosmics:
    """Find the pixels that cosmic rays hit.

    Parameters
    ----------
    image, variance : (ny, nx) array [electron, electron²]
        Variance of all noise; pixels without a positive one take no part.
    mask : (ny, nx) array
        Mask bits.
    sky : CoarseSky
        Level of the sky, finite, rather too low than too high: above a level that is too high light looks sharper.
    fwhm : float [pixel]
        No light is sharper than a star of this width.
    barred : Barred
        Bits of pixels that neither start nor join a ray, and of which nothing is concluded.
    cosmic_bit : int
        The bit to set.
    limits : Limits
        Thresholds.
    most : int
        More sharp pixels than this are an overflow: the search ends; by default a tenth of the image.

    Returns
    -------
    Cosmics
    """
    if variance.shape != image.shape or mask.shape != image.shape:
        raise ValueError(f"image, variance and mask differ in shape: {image.shape}, {variance.shape}, {mask.shape}")
    if not np.all(np.isfinite(sky.level)):
        raise ValueError("the level of the sky is not finite everywhere")
    straight, diagonal = sharpness(fwhm)
    rho = np.array([straight, straight, diagonal, diagonal])
    marked = np.array(mask, dtype=np.int32, order="C")
    planes = (as_pixels(image), as_pixels(variance), marked)
    bit = int(cosmic_bit)
    bits = (int(barred.bad | barred.full) & ~bit, int(barred.full))
    order = Limits(*map(float, limits or Limits()))
    level = (sky.level, sky.box)
    room = max(image.size // 10, 16) if most is None else max(int(most), 1)
    pixels, sharp = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.float32)
    count = _find_sharp(planes, bits, level, rho, order, (pixels, sharp))
    if count < 0:
        return Cosmics(marked, 0, room + 1, True)
    rays = np.empty(count, dtype=np.int64)
    hits, kept = _keep_rays(marked, bit, order, pixels[:count], sharp[:count], rays)
    joined = _grow(planes, (bits[0], bit), level, rho, order, rays[:kept])
    return Cosmics(marked, hits, kept + joined, False)
