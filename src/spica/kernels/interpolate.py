"""Pixels without a value of their own, from the good ones around them."""

import numpy as np

from spica.kernels.compiled import Float32, Int32, as_bits, as_pixels, compiled, inner


@inner
def _reach(mask: Int32, y: int, x: int, dy: int, dx: int, unfit: int, most: int) -> int:
    """Steps to the next fit pixel in one direction, 0 where there is none within `most`."""
    ny, nx = mask.shape
    for step in range(1, most + 1):
        v, u = y + step * dy, x + step * dx
        if v < 0 or v >= ny or u < 0 or u >= nx:
            return 0
        if mask[v, u] & unfit == 0:
            return step
    return 0


@inner
def _pixel(
    pixels: Float32, variance: Float32, mask: Int32, y: int, x: int, unfit: int, most: int
) -> tuple[float, float]:
    """Value and variance for one pixel; the variance is negative where too few neighbours are fit."""
    value, weights, spread = 0.0, 0.0, 0.0
    ends = np.zeros((4, 3))
    count = 0
    for axis in range(2):
        dy, dx = axis, 1 - axis
        back, ahead = _reach(mask, y, x, -dy, -dx, unfit, most), _reach(mask, y, x, dy, dx, unfit, most)
        if back == 0 or ahead == 0:
            continue
        gap = float(back + ahead)
        # A line across a narrow gap is worth more than one across a wide one: the error of a line grows as its square.
        weight = 1.0 / (gap * gap)
        for step, share in ((-back, ahead / gap), (ahead, back / gap)):
            v, u = y + step * dy, x + step * dx
            ends[count, 0], ends[count, 1], ends[count, 2] = weight * share, pixels[v, u], variance[v, u]
            count += 1
        weights += weight
    if count == 0:
        return 0.0, -1.0
    for n in range(count):
        value += ends[n, 0] / weights * ends[n, 1]
        spread += ends[n, 0] / weights * ends[n, 2]
    for n in range(count):
        spread += ends[n, 0] / weights * (ends[n, 1] - value) ** 2
    return value, spread


@compiled
def _interpolate(
    pixels: Float32, variance: Float32, mask: Int32, bits: Int32, out: Float32, out_variance: Float32, marks: Int32
) -> int:
    """`bits`: those to be replaced, those that make no neighbour, the one to set, and how far to look."""
    replaced, unfit, mark, most = bits[0], bits[1], bits[2], bits[3]
    done = 0
    for y in range(mask.shape[0]):
        line = mask[y]
        for x in range(line.size):
            if line[x] & replaced == 0:
                continue
            value, spread = _pixel(pixels, variance, mask, y, x, unfit, most)
            if spread >= 0.0:
                out[y, x], out_variance[y, x] = value, spread
                marks[y, x] |= mark
                done += 1
    return done


def interpolate(
    pixels: Float32, variance: Float32, mask: Int32, *, replaced: int, unfit: int, mark: int, reach: int
) -> tuple[Float32, Float32, Int32, int]:
    """Replace pixels by straight lines between the nearest fit pixels of their row and of their column.

    A line counts by the inverse square of its gap: a bad column is bridged along the rows, a lone pixel from all four
    sides. The variance is that of a neighbour plus the scatter of the neighbours about the value: more than any of them
    has, and much more where the image is steep.

    Parameters
    ----------
    pixels, variance : (ny, nx) float32
        Image, and its variance.
    mask : (ny, nx) int32
        Mask bits.
    replaced, unfit : int
        Bits of pixels to be replaced; of pixels that nothing is taken from.
    mark : int
        Bit to set on what was replaced.
    reach : int
        How far the next fit pixel may be on either side; where neither row nor column has two, a pixel stays.

    Returns
    -------
    pixels, variance, mask, number
        New arrays, and how many pixels were replaced.
    """
    out, spread, marks = pixels.copy(), variance.copy(), mask.copy()
    bits = np.array([replaced, unfit | replaced, mark, reach], np.int32)
    done = _interpolate(as_pixels(pixels), as_pixels(variance), as_bits(mask), bits, out, spread, marks)
    return out, spread, marks, int(done)
