"""One detection for several bands: chi squared of their matched-filtered images, and its connected pixels.

The sum over bands of the squared signal-to-noise is distributed as χ² where there is only sky (Szalay, Connolly & Szokoly 1999,
AJ 117, 68). Its root grows in proportion to light; moved and scaled so that sky has the middle 0, and that what is as unlikely
as 5 sigma of a Gaussian is 5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.background import expand_grid, filter_grid
from spica.kernels.clean import clean
from spica.kernels.compiled import Float32, Float64, Int32
from spica.kernels.deblend import deblend
from spica.kernels.detect import Segments, find_segments
from spica.kernels.skymesh import sky_mesh

_SIGMA = 5.0
_NARROW = 0.7
"""Width [pixel] of a filter that leaves an image as it is: it has been filtered."""
_ENOUGH = 50
_FWHM = 2.3548200450309493


class Cut(NamedTuple):
    """What counts as a source: threshold [sigma], fewest pixels, contrast of deblending."""

    threshold: float = 5.0
    area: int = 3
    contrast: float = 0.005


def flat_sky(pixels: Float32, mask: Int32 | None, bad_bits: int, box: int) -> tuple[Float32, Float32] | None:
    """Level and rms of the sky at every pixel, as the task `background` has them; None without good pixels."""
    mesh = sky_mesh(pixels, mask, bad_bits=bad_bits, box=box)
    if not np.any(np.isfinite(mesh.level)):
        return None
    level, rms = filter_grid(mesh.level), filter_grid(mesh.rms)
    return expand_grid(level, pixels.shape), expand_grid(rms, pixels.shape, least=float(rms.min()))


def filtered(light: Float32, variance: Float32, good: npt.NDArray[np.bool_], fwhm: float) -> Float32:
    """Signal-to-noise of a point source at every pixel, for noise of single pixels; 0 where nothing is good."""
    from scipy.ndimage import gaussian_filter

    inverse = np.divide(1.0, variance, out=np.zeros_like(variance), where=good)
    signal = np.where(good, light, np.float32(0.0)) * inverse
    sigma = fwhm / _FWHM
    # The square of the filter is narrower by √2; its sum is that of the filter's squares.
    above = gaussian_filter(signal, sigma, mode="constant")
    below = gaussian_filter(inverse, sigma / np.sqrt(2.0), mode="constant") / np.float32(4.0 * np.pi * sigma**2)
    return np.asarray(np.divide(above, np.sqrt(below), out=np.zeros_like(above), where=below > 0), np.float32)


def chi(signals: Sequence[Float32], seen: Sequence[npt.NDArray[np.bool_]]) -> Float32:
    """The detection image of bands, each in units of its noise; what a band has not seen counts in none."""
    from scipy.stats import chi2, norm

    number = np.sum(np.stack(seen), axis=0)
    total = np.zeros(signals[0].shape, np.float32)
    for signal, good in zip(signals, seen, strict=True):
        total += np.where(good, signal, np.float32(0.0)) ** 2
    made = np.zeros_like(total)
    for bands in range(1, len(signals) + 1):
        here = number == bands
        middle, limit = np.sqrt(chi2.median(bands)), np.sqrt(chi2.isf(norm.sf(_SIGMA), bands))
        made[here] = (np.sqrt(total[here]) - middle) * (_SIGMA / (limit - middle))
    return made


def segments_of(image: Float32, mask: Int32, bad_bits: int, cut: Cut) -> Segments:
    """Sources of a detection image, the same from the same image."""
    zero, one = np.zeros_like(image), np.ones_like(image)
    sets = find_segments(image, zero, one, _NARROW, cut.threshold, mask, bad_bits=bad_bits, min_area=cut.area)
    return clean(deblend(sets, contrast=cut.contrast, min_area=cut.area), cut.threshold, min_area=cut.area)


def rounded(radii: Float64, least: float, most: float) -> Float64:
    """Radii in steps of a twentieth, so that many sources share one."""
    return np.asarray(1.05 ** np.ceil(np.log(np.clip(np.nan_to_num(radii, nan=least), least, most)) / np.log(1.05)))


def light_gain(light: Float32, variance: Float32) -> float:
    """Variance that a unit of light brings: as bright pixels have it beside dark ones, 0 where there are none."""
    good = np.isfinite(light) & np.isfinite(variance) & (variance > 0)
    bright_light, spread = light[good], variance[good]
    if spread.size == 0:
        return 0.0
    dark = float(np.median(spread))
    bright = bright_light > 20.0 * np.sqrt(dark)
    if np.count_nonzero(bright) < _ENOUGH:
        return 0.0
    return max(float(np.median((spread[bright] - dark) / bright_light[bright])), 0.0)
