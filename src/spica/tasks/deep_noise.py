"""Deep noise: how the pixels of a stack are correlated, measured on blank sky, and errors that count with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.correlation import REACH, bell, covariance, excess, of_resampling, of_smoothing, smoothing_reach
from spica.kernels.detect import find_segments
from spica.kernels.resample import KERNELS
from spica.kernels.robust import half_sample_mode
from spica.kernels.seeing import star_widths

Plane = npt.NDArray[Any]

FEWEST_STARS = 5
"""Fewer peaks than this say nothing about the seeing."""
BLANK = 3.0
"""Connected pixels above this signal-to-noise of the filtered image are not blank."""
WILD = 5.0
"""Blank pixels farther than this from the sky, in units of the scatter, are something else."""
MANY = 3
"""Of so many exposures a pixel is as good as others though one of them was interpolated or clipped there."""
ENOUGH = 20_000
"""Fewer blank pixels tell no covariance: the kernel's is taken."""


class DeepNoiseSettings(Settings):
    """Where the noise is measured."""

    usual_fwhm: float = setting(4.0, "width of a point source where bright stars are too few", "pixel", gt=0.5)
    patch: int = setting(256, "side of the patches that are looked at", "pixel", ge=64, le=2048)
    patches: int = setting(64, "so many patches, evenly over the stack", ge=1, le=4096)
    grow: float = setting(2.0, "sources are not blank out to this many times the seeing from their pixels", ge=0, le=20)


def deep_noise(settings: DeepNoiseSettings, science: Image, background: Image) -> Products:
    """Covariance of blank sky between neighbouring pixels; variances raised to what they mean for a point source.

    A resampled pixel shares its noise with its neighbours, so that variances of single pixels promise errors of sums
    that are too small. In a crowded field with too little blank sky the covariance is that of the stack's kernel, and its stated
    variance is believed. Both images come back with variances that, taken as those of uncorrelated pixels, give the true
    error of a point source's light: thresholds and fits are then what they say. Figures of other extents are put right by
    the covariance, which is told, too.

    Returns
    -------
    honest : the stack, its variance raised. Of three exposures or more it is not marked INTERPOLATED or CLIPPED any more: one
        value of many was, its variance tells what it lost, and of a deep stack hardly any pixel would be left.
    sky : the background, its variance raised.
    noise : `fwhm` [pixel]; `covariance`, rows of the covariance by distance in units of the variance that the stack states;
        `point`, what errors of a point source were raised by.
    noise_figures : metrics; `noise_large` is what a large aperture's error has to be raised by (the card NOISECOR, measured).

    Raises
    ------
    DataFault
        ``data.bad-value`` where the stack has no variance; ``data.no-pixels`` where too little of it is blank, and no card RESAMPLE
        tells how its noise is correlated.
    """
    if science.variance is None:
        raise DataFault("data.bad-value", "a stack is measured with its variance", need="science")
    fwhm = _seeing(settings, science, background)
    ratio, noise = _card(science, "PIXRATIO"), _card(science, "HOMONOIS")
    reach = REACH if noise >= 1.0 else REACH + smoothing_reach(noise, ratio)
    found, pixels = covariance(_blank(settings, science, background, science.variance, fwhm), reach)
    measured = pixels >= ENOUGH
    if not measured:
        found = _foretold(science, pixels)
    stated = found[found.shape[0] // 2, found.shape[0] // 2]
    point = excess(found, bell(fwhm)[0])
    figures = {
        "noise_scale": Measured(float(np.sqrt(stated))),
        "noise_point": Measured(point),
        "noise_large": Measured(float(np.sqrt(max(found.sum() / stated, 0.0)))),
        "noise_pixels": Measured(pixels),
        "noise_measured": Measured(float(measured)),
        "deep_fwhm": Measured(fwhm, "pixel"),
    }
    card = science.header.get("NOISECOR")
    if isinstance(card, int | float):
        figures["noise_large_stated"] = Measured(float(card))
    raised = science.variance * np.float32(point**2)
    # The scatter of the background's cells is that of single pixels as they are, not as they are said to be.
    scatter = _scatter(background) * np.float32(point**2 / stated)
    cards: dict[str, Scalar] = {**science.header, "NOISEFAC": round(point, 5)}
    return {
        "honest": Image(science.pixels, raised, _mask(science), cards),
        "sky": Image(background.pixels, scatter, background.mask, background.header),
        "noise": {"fwhm": fwhm, "covariance": found.tolist(), "point": point},
        "noise_figures": figures,
    }


def _mask(science: Image) -> Plane | None:
    """The stack's mask, without what concerns one exposure of many."""
    number = science.header.get("NCOMBINE")
    if science.mask is None or not isinstance(number, int | float) or number < MANY:
        return science.mask
    return np.asarray(science.mask & ~np.int32(Mask.INTERPOLATED | Mask.CLIPPED), np.int32)


def _foretold(science: Image, pixels: float) -> Plane:
    """The covariance that the stack's own kernel makes, where a crowded field leaves too little sky to measure it on."""
    kernel = science.header.get("RESAMPLE")
    if kernel not in KERNELS:
        raise DataFault(
            "data.no-pixels",
            f"{pixels:.0f} pixels of the stack are blank sky ({ENOUGH} needed), and no card RESAMPLE names its kernel",
            pixels=pixels,
        )
    ratio, noise = _card(science, "PIXRATIO"), _card(science, "HOMONOIS")
    made = of_resampling(str(kernel), ratio)
    return of_smoothing(made, noise, ratio) if noise < 1.0 else made


def _louder(science: Image, fwhm: float) -> np.float32:
    """What the variance of a point source's filter has to be raised by beside that of single pixels, where exposures were homogenised.

    Pixels that are as alike as there would be sources all over a blank sky.
    """
    if _card(science, "HOMONOIS") >= 1.0 or science.header.get("RESAMPLE") not in KERNELS:
        return np.float32(1.0)
    found = _foretold(science, 0.0)
    middle = found.shape[0] // 2
    return np.float32(excess(found, bell(fwhm)[0]) ** 2 / found[middle, middle])


def _card(science: Image, name: str) -> float:
    """A positive number of the header, 1 where there is none."""
    value = science.header.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else 1.0


def _seeing(settings: DeepNoiseSettings, science: Image, background: Image) -> float:
    planes = science.pixels, background.pixels, _scatter(background), science.mask
    widths = star_widths(*planes, bad_bits=int(Mask.unusable()))
    return half_sample_mode(widths) if widths.size >= FEWEST_STARS else settings.usual_fwhm


def _scatter(background: Image) -> Plane:
    if background.variance is None:
        raise DataFault("data.bad-value", "the background carries no variance", need="background")
    return background.variance


def _blank(
    settings: DeepNoiseSettings, science: Image, background: Image, variance: Plane, fwhm: float
) -> Iterator[tuple[Plane, Plane]]:
    """Patches of the stack in units of its stated error, and which pixels are blank sky."""
    from scipy.ndimage import binary_dilation

    spread = _scatter(background) * _louder(science, fwhm)
    planes = science.pixels, background.pixels, spread, fwhm, BLANK, science.mask
    sets = find_segments(*planes, bad_bits=int(Mask.unusable()), min_area=3)
    labels = sets.labels()
    ny, nx = science.shape
    side, margin = settings.patch, round(settings.grow * fwhm)
    for y0, x0 in _corners(ny, nx, side, settings.patches):
        here = slice(y0, y0 + side), slice(x0, x0 + side)
        stated = variance[here]
        good = np.isfinite(science.pixels[here]) & (stated > 0)
        if science.mask is not None:
            good &= science.mask[here] & int(Mask.unusable()) == 0
        if margin:
            good &= ~binary_dilation(labels[here] > 0, iterations=margin)
        else:
            good &= labels[here] == 0
        light = science.pixels[here] - background.pixels[here]
        # As they scatter, not as they are said to.
        good &= np.abs(light) < WILD * np.sqrt(_scatter(background)[here])
        yield np.divide(light, np.sqrt(stated), out=np.zeros_like(light), where=good), good


def _corners(ny: int, nx: int, side: int, most: int) -> Iterator[tuple[int, int]]:
    """Corners of patches that lie evenly over the image, side by side where they all are wanted."""
    rows, columns = max(-(-ny // side), 1), max(-(-nx // side), 1)
    step = max(rows * columns / most, 1.0)
    for number in np.unique(np.arange(0, rows * columns, step).astype(int)):
        yield int(number) // columns * side, int(number) % columns * side


TASK = Task(
    name="deep_noise",
    version=4,
    grain=Grain.TILE_BAND,
    settings=DeepNoiseSettings,
    needs=(Need("science"), Need("background")),
    gives=(
        Give("honest", Form.MEMORY, meaning="the stack with variances that are honest for a point source"),
        Give("sky", Form.MEMORY, meaning="level and variance of the sky, honest for a point source"),
        Give("noise", Form.VALUE, meaning="covariance of the stack's noise by distance"),
        Give("noise_figures", Form.METRICS, meaning="how the stack's noise is correlated"),
    ),
    run=deep_noise,
)
