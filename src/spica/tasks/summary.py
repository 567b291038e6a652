"""Summary: an exposure's figures from those of its detectors."""

from __future__ import annotations

import numpy as np

from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task


class SummarySettings(Settings):
    """Which sources speak for the exposure."""

    least_snr: float = setting(30.0, "signal-to-noise of sources that count for the width", gt=0)


def summary(settings: SummarySettings, sources: tuple[Member, ...]) -> Products:
    """Number of sources and detectors, median width of the bright ones and how it differs between detectors.

    Returns
    -------
    exposure_quality : metrics [pixel]; a figure that cannot be had is left out.
    """
    widths = []
    for member in sources:
        catalogue = member.value
        bright = (catalogue["snr"] >= settings.least_snr) & (catalogue["flags"] == 0) & (catalogue["fwhm"] > 0)
        if np.any(bright):
            widths.append(float(np.median(catalogue["fwhm"][bright])))
    figures = {
        "detectors": Measured(float(len(sources))),
        "sources": Measured(float(sum(len(member.value) for member in sources))),
    }
    if widths:
        figures["fwhm"] = Measured(float(np.median(widths)), "pixel")
        figures["fwhm_range"] = Measured(float(np.ptp(widths)), "pixel")
    return {"exposure_quality": figures}


TASK = Task(
    name="summary",
    version=1,
    grain=Grain.EXPOSURE,
    settings=SummarySettings,
    needs=(Need("sources", grain=Grain.DETECTOR, columns=("snr", "flags", "fwhm"), quorum=1),),
    gives=(Give("exposure_quality", Form.METRICS, meaning="an exposure's figures from all its detectors"),),
    run=summary,
)
