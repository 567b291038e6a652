"""A first look at the width of stars, before anything is detected: cores of bright isolated peaks."""

import numpy as np

from spica.kernels.aperture import planes_of
from spica.kernels.compiled import Float32, Float64, Int32, Numbers, compiled, inner
from spica.kernels.stamp import Planes, gather
from spica.kernels.windowed import core_fwhm

_REACH = 12
"""Half side of the stamps [pixel]: cores up to twice as wide are measured."""


@inner
def _is_peak(image: Float32, sky: Float32, mask: Int32, bad_bits: int, x: int, y: int, peak: float) -> bool:
    """Whether a pixel is the highest of its neighbours, all of them good, and not the only one above their sky."""
    around = 0.0
    for v in range(y - 1, y + 2):
        for u in range(x - 1, x + 2):
            if mask.size > 0 and mask[v, u] & bad_bits != 0:
                return False
            value = image[v, u] - sky[v, u]
            if not value <= peak:
                return False
            around += value
    # A cosmic ray is a peak without surroundings: of the narrowest sampled star they hold as much as the peak.
    return bool(around - peak > peak)


@inner
def _shift(before: float, peak: float, after: float) -> float:
    """Where between three pixels a Gaussian has its top: a parabola through the logarithms."""
    if before <= 0.0 or after <= 0.0:
        return 0.0
    a, b = np.log(before / peak), np.log(after / peak)
    return 0.5 * (a - b) / (a + b) if a + b < 0.0 else 0.0


@compiled
def _widths(planes: Planes, bad_bits: int, height: float, out: Float64) -> int:
    """Fill the widths of the peaks above `height` times the noise; returns how many found room."""
    image, sky, variance, mask, _ = planes
    ny, nx = image.shape
    side = 2 * _REACH + 1
    light = np.empty((side, side), dtype=np.float32)
    noise = np.empty((side, side), dtype=np.float32)
    state = np.empty((side, side), dtype=np.int32)
    square = np.float32(height * height)
    count = 0
    for y in range(1, ny - 1):
        row, level, spread = image[y], sky[y], variance[y]
        for x in range(1, nx - 1):
            value = row[x] - level[x]
            if value <= 0.0 or value * value <= square * spread[x] or count == out.size:
                continue
            if not _is_peak(image, sky, mask, bad_bits, x, y, value):
                continue
            gather(planes, bad_bits, 0.0, 0.0, 0, (float(x), float(y)), (x - _REACH, y - _REACH), light, noise, state)
            middle = float(_REACH)
            dx = _shift(light[_REACH, _REACH - 1], light[_REACH, _REACH], light[_REACH, _REACH + 1])
            dy = _shift(light[_REACH - 1, _REACH], light[_REACH, _REACH], light[_REACH + 1, _REACH])
            out[count] = core_fwhm(light, noise, middle + dx, middle + dy, middle)[0]
            count += 1
    return count


def star_widths(
    image: Numbers,
    sky: Numbers,
    variance: Numbers,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
    height: float = 30.0,
    most: int = 5000,
) -> Float64:
    """Full widths at half maximum of the peaks that stand high above the noise.

    Parameters
    ----------
    image, sky, variance : (ny, nx) arrays
        Pixels, level of the sky, and its variance.
    mask : (ny, nx) array, optional
        Mask bits.
    bad_bits : int
        Bits (saturation among them) that no pixel of a peak may have.
    height : float
        Least height of a peak in units of the noise of a pixel.
    most : int
        Largest number of peaks looked at, from the first row on.

    Returns
    -------
    float64 array [pixel]
        Widths of stars, galaxies and blends, in no order of brightness: their mode is the seeing.
    """
    widths = np.empty(most)
    count = _widths(planes_of(image, sky, variance, mask, None), int(bad_bits), float(height), widths)
    found = widths[:count]
    return np.asarray(found[np.isfinite(found)])
