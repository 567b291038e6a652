"""Normalise: an object frame to the pattern that its sky leaves, sources masked: what fringe masters are made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Float32, Image, Int32
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Keep, Need, Products, Task
from spica.kernels.background import expand_grid, filter_grid, mesh_statistics
from spica.kernels.smooth import even_cells, fit_surface, surface

Bools = npt.NDArray[np.bool_]


class NormaliseSettings(Settings):
    """What is masked, and how smooth the sky is."""

    box: int = setting(64, "side of the cells that the sky is measured in", "pixel", ge=16)
    order: int = setting(2, "greatest order of the polynomial through the cells: too smooth for fringes", ge=0, le=8)
    threshold: float = setting(2.0, "means of 5 x 5 pixels so far above the sky are sources'", "sigma", gt=0)
    peak: float = setting(6.0, "and single pixels so far above it", "sigma", gt=0)
    grow: int = setting(4, "pixels that the masks of sources reach further", "pixel", ge=0)
    most_masked: float = setting(0.6, "a frame of which more is masked shows no sky", ge=0, le=1)


def normalise(settings: NormaliseSettings, frame: Image) -> Products:
    """Sky of a frame in units of its smooth level, less 1; sources have no value.

    The scatter (sigma) that sources must exceed is measured in cells and holds the fringes' own: the crest of a sine lies
    at 1.4 of its scatter, and is not taken for a source.

    Parameters
    ----------
    frame : detrended and flattened object frame [electron].

    Returns
    -------
    pattern : Image [sky levels], about 0 in the mean, with variance; NaN and DETECTED where a source is, mask of `frame`
        besides. Header: SKYLEVEL [electron], MASKED (fraction).

    Raises
    ------
    DataFault
        ``data.no-pixels`` where too little sky is left, ``data.bad-value`` where the sky is not positive.
    """
    bits = np.zeros(frame.shape, np.int32) if frame.mask is None else frame.mask
    sky, scatter = _sky(settings, frame.pixels, bits)
    sources = _sources(settings, frame, bits, sky, scatter)
    masked = bits | np.where(sources, np.int32(Mask.DETECTED), np.int32(0))
    bad = int(Mask.unusable() | Mask.DETECTED)
    share = float(np.mean(masked & bad != 0))
    if share > settings.most_masked:
        raise DataFault("data.no-pixels", f"{share:.0%} of the frame is masked: too little sky", masked=share)
    # Once more without the sources, which had lifted it.
    sky, _ = _sky(settings, frame.pixels, masked)
    level = float(np.median(sky))
    if not level > 0 or not float(np.min(sky)) > 0:
        raise DataFault("data.bad-value", f"the sky of {level:.4g} electron is not positive everywhere", sky=level)
    pixels = np.where(masked & bad == 0, frame.pixels / sky - np.float32(1), np.float32(np.nan))
    variance = None if frame.variance is None else (frame.variance / (sky * sky)).astype(np.float32)
    header = {**frame.header, "BUNIT": "", "SKYLEVEL": level, "MASKED": share}
    return {"pattern": Image(pixels.astype(np.float32), variance, masked, header)}


def _sky(settings: NormaliseSettings, pixels: Float32, bits: Int32) -> tuple[Float32, Float32]:
    """Smooth sky and the scatter about it."""
    shape, box = (pixels.shape[0], pixels.shape[1]), even_cells((pixels.shape[0], pixels.shape[1]), settings.box)
    bad = int(Mask.unusable() | Mask.DETECTED)
    level, rms = mesh_statistics(pixels, bits, bad_bits=bad, box=box)
    found = fit_surface(level, shape, box, settings.order)
    if found is None:
        raise DataFault("data.no-pixels", f"too few of the {level.size} cells have enough sky", cells=level.size)
    return surface(found.coefficients, shape), expand_grid(filter_grid(rms, 3), shape, box)


def _sources(settings: NormaliseSettings, frame: Image, bits: Int32, sky: Float32, scatter: Float32) -> Bools:
    """Where sources are, grown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        above = (frame.pixels - sky) / scatter
    above[(bits & int(Mask.unusable()) != 0) | ~np.isfinite(above)] = 0
    found = (_box_mean(above, 2) > settings.threshold) | (above > settings.peak)
    return _box_mean(found.astype(np.float32), settings.grow) > 0.5 / (2 * settings.grow + 1) ** 2


def _box_mean(values: Float32, half: int) -> Float32:
    """Mean of the square of ±half pixels about each, zeros outside."""
    side = 2 * half + 1
    sums = np.pad(values.astype(np.float64), ((half + 1, half), (half + 1, half)))
    for axis in (0, 1):
        sums = np.cumsum(sums, axis=axis)
        sums = np.take(sums, range(side, sums.shape[axis]), axis) - np.take(sums, range(sums.shape[axis] - side), axis)
    return (sums / side**2).astype(np.float32)


TASK = Task(
    name="normalise",
    version=1,
    grain=Grain.DETECTOR,
    settings=NormaliseSettings,
    needs=(Need("frame"),),
    gives=(Give("pattern", Form.IMAGE, keep=Keep.SCRATCH, meaning="pattern of the sky, sources masked"),),
    run=normalise,
)
