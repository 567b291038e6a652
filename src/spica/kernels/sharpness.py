"""How sharp light can be: the bound by which cosmic rays are told from stars, and how sharp a frame's stars are.

The sky, however crowded, is a sum of positive points blurred by one point spread function. For each such point the mean
of two pixels opposite to each other is at least ρ times the pixel between them, where ρ is the profile one step from its
centre: f(x - 1) + f(x + 1) ≥ 2 ρ f(x) for bell-shaped profiles wherever the point lies. So it is for their sum. The
statistic is T = ρ p - m, with p the pixel and m the mean of the pair, both above the sky: where T > 0 beyond the noise,
there is something that is no light. The test by pairs is that of the SDSS photometric pipeline (R. Lupton); compare
Rhoads (2000, PASP 112, 703).
"""

import numpy as np

from spica.kernels.coarse import CoarseSky, level_line
from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_pixels, compiled, inner

STEP_Y = (0, 1, 1, -1)
STEP_X = (1, 0, 1, 1)
"""The four directions: along rows, columns and diagonals."""


def sharpness(fwhm: float) -> tuple[float, float]:
    """Profile of a star one pixel, and one diagonal, from its centre.

    Parameters
    ----------
    fwhm : float [pixel]
        Full width at half maximum, pixels included; profiles with wider wings have the same core.

    Returns
    -------
    (float, float)
        In units of the centre.
    """
    straight = float(np.exp(-4.0 * np.log(2.0) / fwhm**2))
    return straight, straight * straight


@inner
def window(
    planes: tuple[Float32, Float32, Int32], bits: int, y: int, x: int, sky: float, values: Float64, spreads: Float64
) -> None:
    """Copy the pixels around a pixel, above the sky, and their variances; 0 variance where one is unusable."""
    image, variance, mask = planes
    reach = values.shape[0] // 2
    for j in range(values.shape[0]):
        for i in range(values.shape[0]):
            v, u = y + j - reach, x + i - reach
            values[j, i] = 0.0
            spreads[j, i] = 0.0
            if v < 0 or u < 0 or v >= mask.shape[0] or u >= mask.shape[1]:
                continue
            value = image[v, u] - sky
            if mask[v, u] & bits == 0 and variance[v, u] > 0.0 and np.isfinite(value):
                values[j, i] = value
                spreads[j, i] = variance[v, u]


@inner
def sharpest_excess(values: Float64, spreads: Float64, rho: Float64) -> float:
    """Largest T of the central pixel in units of its noise: of the four pairs, and of all eight neighbours together."""
    c = spreads.shape[0] // 2
    best = -np.inf
    pairs = 0
    total = 0.0
    noise = 0.0
    weight = 0.0
    for k in range(4):
        v, u = STEP_Y[k], STEP_X[k]
        ahead, behind = spreads[c + v, c + u], spreads[c - v, c - u]
        if ahead <= 0.0 or behind <= 0.0:
            continue
        excess = rho[k] * values[c, c] - 0.5 * (values[c + v, c + u] + values[c - v, c - u])
        spread = 0.25 * (ahead + behind)
        best = max(best, excess / np.sqrt(rho[k] * rho[k] * spreads[c, c] + spread))
        pairs += 1
        total += 2.0 * excess
        # The pixel itself enters once, with the sum of the weights; its neighbours each on their own.
        noise += 4.0 * spread
        weight += 2.0 * rho[k]
    if pairs == 4:
        best = max(best, total / np.sqrt(noise + weight * weight * spreads[c, c]))
    return best


@compiled
def _peak_widths(
    planes: tuple[Float32, Float32, Int32], bits: int, level: Float64, box: int, snr: float, widths: Float64
) -> int:
    """Fill `widths` with the narrowest width of each bright peak; return how many there are, at most what fits."""
    image, variance, _ = planes
    ny, nx = image.shape
    line = np.empty(nx, dtype=np.float32)
    values = np.empty((7, 7))
    spreads = np.empty((7, 7))
    bright = np.float32(snr * snr)
    count = 0
    for y in range(3, ny - 3):
        level_line(level, box, y, line)
        row, noise = image[y], variance[y]
        for x in range(3, nx - 3):
            value = row[x] - line[x]
            if not value * abs(value) > bright * noise[x] or row[x - 1] > row[x] or row[x + 1] >= row[x]:
                continue
            window(planes, bits, y, x, np.float64(line[x]), values, spreads)
            if values.max() > values[3, 3] or spreads.min() <= 0.0 or count == widths.size:
                continue
            least = np.inf
            for k in range(4):
                v, u = STEP_Y[k], STEP_X[k]
                ratio = 0.5 * (values[3 + v, 3 + u] + values[3 - v, 3 - u]) / values[3, 3]
                # A Gaussian of this width has this ratio at the pair's distance; 1e-3 stands for nothing at all.
                least = min(least, np.sqrt(-4.0 * np.log(2.0) * (v * v + u * u) / np.log(max(ratio, 1e-3))))
            widths[count] = least
            count += 1
    return count


def peak_widths(
    image: Numbers,
    variance: Numbers,
    mask: Numbers,
    sky: CoarseSky,
    *,
    bad_bits: int,
    snr: float = 30.0,
    most: int = 20_000,
) -> Float64:
    """Full widths at half maximum of bright peaks, each along the direction in which it is narrowest.

    Parameters
    ----------
    image, variance, mask, sky, bad_bits : as `find_cosmics` takes them.
    snr : float
        Signal-to-noise of the central pixel.
    most : int
        No more peaks than this.

    Returns
    -------
    (n,) float64 [pixel]
        Of the peaks that are the brightest of 7 x 7 good pixels; cosmic rays among them.
    """
    planes = (as_pixels(image), as_pixels(variance), as_bits(mask))
    widths = np.empty(most)
    count = _peak_widths(planes, int(bad_bits), sky.level, sky.box, float(snr), widths)
    return widths[:count]
