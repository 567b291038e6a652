"""Detect: matched filter, threshold, connected pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.detect import gaussian_kernel, label, matched_filter


class DetectSettings(Settings):
    """What counts as a source."""

    threshold: float = setting(5.0, "signal-to-noise of a point source in the filtered image", "sigma", gt=0)
    filter_fwhm: float = setting(3.0, "width of the filter: about the seeing", "pixel", gt=0.5)
    minimum_area: int = setting(3, "fewest connected pixels", "pixel", ge=1)
    maximum_sources: int = setting(200_000, "more than these per detector are a fault, not a catalogue", ge=1)


def detect(settings: DetectSettings, science: Image, background: Image) -> Products:
    """Connected pixels above the threshold in the matched-filtered image.

    The noise is the sky's alone, as measured by the background, so that the filter stays linear. Saturated pixels
    take part: a star is not lost because its core is saturated.

    Returns
    -------
    segments : `spica.kernels.detect.Segments`.

    Raises
    ------
    DataFault
        ``data.too-many-sources``.
    """
    if background.variance is None:
        raise DataFault("data.bad-value", "the background carries no variance", need="background")
    found = label(
        matched_filter(
            science.pixels - background.pixels,
            _noise(science, background.variance),
            gaussian_kernel(settings.filter_fwhm),
            science.mask,
            bad_bits=int(Mask.unusable() & ~(Mask.SATURATED | Mask.BLEED)),
        ),
        settings.threshold,
        min_area=settings.minimum_area,
        max_segments=settings.maximum_sources,
    )
    if found.overflow:
        raise DataFault(
            "data.too-many-sources",
            f"{found.count} detections, more than the limit of {settings.maximum_sources}",
            detections=found.count,
            limit=settings.maximum_sources,
        )
    return {"segments": found}


def _noise(science: Image, sky: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Variance of the sky, 0 where the image has no data."""
    if science.mask is None:
        return sky
    return np.where(science.mask & np.int32(Mask.NO_DATA), np.float32(0), sky)


TASK = Task(
    name="detect",
    version=1,
    grain=Grain.DETECTOR,
    settings=DetectSettings,
    needs=(Need("science"), Need("background")),
    gives=(Give("segments", Form.MEMORY, meaning="connected pixels of each source"),),
    run=detect,
)
