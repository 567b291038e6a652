"""A source's pixels, gathered once: light above the sky, variance, and what stands for pixels that are not its own.

A pixel that is bad, or belongs to another source, is replaced by the one opposite the centre (as SExtractor's
MASK_TYPE CORRECT does), and by the sky where that one is no better or outside of the stamp.
"""

from typing import TypeAlias

import numpy as np

from spica.kernels.compiled import Float32, Int32, inner

Planes: TypeAlias = tuple[Float32, Float32, Float32, Int32, Int32]
"""Image, sky, variance, mask and labels, (ny, nx) each; masks and labels may have no pixels."""

OWN = 0
"""The source's own pixel, or sky."""
NEIGHBOUR = 1
"""Another source's pixel: the light is that of the opposite one, or none."""
BAD = 2
"""A bad pixel, or outside of the image: likewise."""


@inner
def gather(
    planes: Planes,
    bad_bits: int,
    inverse_gain: float,
    haze: float,
    own: int,
    centre: tuple[float, float],
    origin: tuple[int, int],
    light: Float32,
    noise: Float32,
    state: Int32,
) -> None:
    """Fill a stamp whose pixel (0, 0) is `origin` (x, y) of the image.

    `planes` are image, sky, variance, mask and labels; with an inverse gain the variance is the sky's alone, and that of
    the source's own photons is added. `haze` is taken from each pixel besides its sky.
    """
    image, sky, variance, mask, labels = planes
    ny, nx = image.shape
    gain, veil = np.float32(inverse_gain), np.float32(haze)
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
            value = values[i] - level[i] - veil
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
    across = int(np.floor(2.0 * centre[0] + 0.5)) - 2 * x0
    along = int(np.floor(2.0 * centre[1] + 0.5)) - 2 * y0
    _replace(across, along, light, noise, state)


@inner
def _replace(across: int, along: int, light: Float32, noise: Float32, state: Int32) -> None:
    """Put opposite pixels in the place of those that are not the source's own.

    Opposite to column i is column `across` - i, to row j row `along` - j.
    """
    zero = np.float32(0.0)
    high, wide = light.shape
    for j in range(high):
        b = along - j
        inside = 0 <= b < high
        for i in range(wide):
            if state[j, i] == OWN:
                continue
            # A pixel that is both is a bad one.
            state[j, i] = min(state[j, i], BAD)
            a = across - i
            if inside and 0 <= a < wide and state[b, a] == OWN:
                light[j, i] = light[b, a]
                noise[j, i] = noise[b, a]
            else:
                light[j, i] = zero
                noise[j, i] = zero
