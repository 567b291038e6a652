"""A source's pixels, gathered once: light above the sky, variance, and what stands for pixels that are not its own.

A pixel that is bad, or belongs to another source, is replaced by the one opposite the centre (as SExtractor's
MASK_TYPE CORRECT does), and by the sky where that one is no better.
"""

from typing import TypeAlias

import numpy as np

from spica.kernels.compiled import Float32, Int32, compiled

Planes: TypeAlias = tuple[Float32, Float32, Float32, Int32, Int32]
"""Image, sky, variance, mask and labels, (ny, nx) each; masks and labels may have no pixels."""

OWN = 0
"""The source's own pixel, or sky."""
NEIGHBOUR = 1
"""Another source's pixel: the light is that of the opposite one, or none."""
BAD = 2
"""A bad pixel, or outside of the image: likewise."""


@compiled
def _state(image: Float32, sky: Float32, mask: Int32, bad_bits: int, labels: Int32, own: int, u: int, v: int) -> int:
    """What column u, row v is to source `own`; masks and labels without pixels know of none."""
    ny, nx = image.shape
    if u < 0 or u >= nx or v < 0 or v >= ny:
        return BAD
    if (mask.size > 0 and mask[v, u] & bad_bits != 0) or not np.isfinite(image[v, u] - sky[v, u]):
        return BAD
    if labels.size > 0 and labels[v, u] != 0 and labels[v, u] != own:
        return NEIGHBOUR
    return OWN


@compiled
def gather(
    planes: Planes,
    bad_bits: int,
    inverse_gain: float,
    own: int,
    centre: tuple[float, float],
    origin: tuple[int, int],
    light: Float32,
    noise: Float32,
    state: Int32,
) -> None:
    """Fill a stamp whose pixel (0, 0) is `origin` (x, y) of the image.

    `planes` are image, sky, variance, mask and labels; with an inverse gain the variance is the sky's alone, and that of
    the source's own photons is added.
    """
    image, sky, variance, mask, labels = planes
    ny, nx = image.shape
    gain = np.float32(inverse_gain)
    zero = np.float32(0.0)
    endless = np.float32(np.inf)
    # In the type of the planes, so that the loops are vectorised.
    mine, other, ill = np.int32(OWN), np.int32(NEIGHBOUR), np.int32(BAD)
    number, wrong = np.int32(own), np.int32(bad_bits)
    wide = light.shape[1]
    x0, y0 = origin
    # Columns of the stamp that are columns of the image.
    first = min(max(-x0, 0), wide)
    last = max(min(nx - x0, wide), first)
    for j in range(light.shape[0]):
        v = y0 + j
        kinds = state[j]
        if v < 0 or v >= ny:
            kinds[:] = BAD
            continue
        kinds[:first] = BAD
        kinds[last:] = BAD
        values, level, spread = image[v, x0 + first : x0 + last], sky[v, x0 + first : x0 + last], variance[v]
        spread = spread[x0 + first : x0 + last]
        out, noisy, kinds = light[j, first:last], noise[j, first:last], kinds[first:last]
        for i in range(out.size):
            value = values[i] - level[i]
            out[i] = value
            noisy[i] = spread[i] + gain * max(value, zero)
            kinds[i] = mine if (value > -endless) & (value < endless) else ill
        if labels.size > 0:
            numbers = labels[v, x0 + first : x0 + last]
            for i in range(out.size):
                kinds[i] |= other if (numbers[i] != mine) & (numbers[i] != number) else mine
        if mask.size > 0:
            bits = mask[v, x0 + first : x0 + last]
            for i in range(out.size):
                kinds[i] = ill if bits[i] & wrong != mine else kinds[i]
    _replace(planes, bad_bits, inverse_gain, own, centre, origin, light, noise, state)


@compiled
def _replace(
    planes: Planes,
    bad_bits: int,
    gain: float,
    own: int,
    centre: tuple[float, float],
    origin: tuple[int, int],
    light: Float32,
    noise: Float32,
    state: Int32,
) -> None:
    """Put the opposite pixels in the place of those that are not the source's own."""
    image, sky, variance, mask, labels = planes
    zero = np.float32(0.0)
    for j in range(light.shape[0]):
        for i in range(light.shape[1]):
            if state[j, i] == OWN:
                continue
            # A pixel that is both is a bad one.
            state[j, i] = min(state[j, i], BAD)
            a = int(np.floor(2.0 * centre[0] - (origin[0] + i) + 0.5))
            b = int(np.floor(2.0 * centre[1] - (origin[1] + j) + 0.5))
            if _state(image, sky, mask, bad_bits, labels, own, a, b) != OWN:
                light[j, i] = zero
                noise[j, i] = zero
                continue
            value = image[b, a] - sky[b, a]
            light[j, i] = value
            noise[j, i] = variance[b, a] + np.float32(gain) * max(value, zero)
