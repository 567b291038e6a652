"""Detect: matched filter, threshold, connected pixels; blends divided, detections of bright sources' wings undone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.clean import clean
from spica.kernels.deblend import deblend
from spica.kernels.detect import Segments, find_segments
from spica.kernels.robust import half_sample_mode
from spica.kernels.seeing import star_widths

Plane = npt.NDArray[np.float32]

HIGH = 30.0
"""Peaks so many times the scatter of pixels tell the seeing."""
FEWEST_STARS = 5
"""Fewer peaks than this say nothing about the seeing."""
WIDEST, UNLIKE = 24.0, 1.5
"""Widths [pixel] above this that differ by this factor (quartiles) are those of trails."""


class DetectSettings(Settings):
    """What counts as a source."""

    threshold: float = setting(5.0, "signal-to-noise of a point source in the filtered image", "sigma", gt=0)
    filter_fwhm: float = setting(0.0, "width of the filter; 0: the seeing, measured from bright stars", "pixel", ge=0)
    usual_fwhm: float = setting(3.0, "width of the filter where bright stars are too few", "pixel", gt=0.5)
    minimum_area: int = setting(3, "fewest connected pixels", "pixel", ge=1)
    maximum_sources: int = setting(200_000, "more than these per detector are a fault, not a catalogue", ge=1)
    deblend: bool = setting(True, "divide connected sets that have several peaks")
    deblend_levels: int = setting(1024, "steps of brightness in which peaks are told apart", ge=2, le=4096)
    deblend_contrast: float = setting(0.005, "least part of the light where two peaks meet", ge=0, le=1)
    deblend_rise: float = setting(2.0, "least rise of a peak above its saddle", "sigma", ge=0)
    clean: bool = setting(True, "undo detections that the wings of brighter sources made")
    clean_beta: float = setting(2.0, "exponent of those wings, (1 + r²)^-beta; lower ones reach farther", gt=0.5, le=10)


def detect(settings: DetectSettings, science: Image, background: Image) -> Products:
    """Connected pixels above the threshold in the matched-filtered image, divided where they hold several sources.

    The noise is the sky's alone, as measured by the background, so that the filter stays linear. Saturated pixels
    take part: a star is not lost because its core is saturated. Peaks on bright sources have to rise above those
    sources' own noise.

    Returns
    -------
    segments : `spica.kernels.detect.Segments`.
    detection : metrics: width of the filter, connected sets, sources that are parts of blends.

    Raises
    ------
    DataFault
        ``data.too-many-sources``.
    """
    sky = background.variance
    if sky is None:
        raise DataFault("data.bad-value", "the background carries no variance", need="background")
    fwhm = settings.filter_fwhm or _seeing(settings, science, background.pixels, sky)
    sets = find_segments(
        science.pixels,
        background.pixels,
        sky,
        fwhm,
        settings.threshold,
        science.mask,
        bad_bits=int(Mask.unusable() & ~(Mask.SATURATED | Mask.BLEED)),
        min_area=settings.minimum_area,
        max_segments=settings.maximum_sources,
    )
    _few_enough(settings, sets)
    found = sets
    if settings.deblend:
        found = deblend(
            sets,
            None if science.variance is None else (science.variance, sky),
            levels=settings.deblend_levels,
            contrast=settings.deblend_contrast,
            rise=settings.deblend_rise,
            min_area=settings.minimum_area,
        )
        _few_enough(settings, found)
    if settings.clean:
        found = clean(found, settings.threshold, beta=settings.clean_beta, min_area=settings.minimum_area)
    figures = {
        "filter_fwhm": Measured(fwhm, "pixel"),
        "connected_sets": Measured(float(sets.count)),
        "blended_sources": Measured(float(np.count_nonzero(found.blended))),
    }
    return {"segments": found, "detection": figures}


def _seeing(settings: DetectSettings, science: Image, level: Plane, sky: Plane) -> float:
    """Mode of the widths of bright peaks, or the usual width where they are too few or no widths at all [pixel].

    Of a trail, whose light does not fall along it, the width is any large number: where most are wider than what is looked at, and
    do not agree, nothing is known.
    """
    raised = science.header.get("NOISEFAC") if "HOMONOIS" in science.header else 1.0
    # Of homogenised exposures errors are raised several times, far above the scatter of pixels, which is what peaks stand out of.
    height = HIGH / float(raised) if isinstance(raised, int | float) and raised > 0 else HIGH
    widths = star_widths(science.pixels, level, sky, science.mask, bad_bits=int(Mask.unusable()), height=height)
    if widths.size < FEWEST_STARS:
        return settings.usual_fwhm
    low, middle, high = np.quantile(widths, [0.25, 0.5, 0.75])
    trailed = middle > WIDEST and high > UNLIKE * low
    return settings.usual_fwhm if trailed else half_sample_mode(widths)


def _few_enough(settings: DetectSettings, found: Segments) -> None:
    if found.count > settings.maximum_sources:
        raise DataFault(
            "data.too-many-sources",
            f"{found.count} detections, more than the limit of {settings.maximum_sources}",
            detections=found.count,
            limit=settings.maximum_sources,
        )


TASK = Task(
    name="detect",
    version=4,
    grain=Grain.DETECTOR,
    settings=DetectSettings,
    needs=(Need("science"), Need("background")),
    gives=(
        Give("segments", Form.MEMORY, meaning="connected pixels of each source"),
        Give("detection", Form.METRICS, meaning="width of the filter, connected sets, blends"),
    ),
    run=detect,
)

DEEP = replace(TASK, name="deep_detect", grain=Grain.TILE_BAND)
"""The same of a stack."""
