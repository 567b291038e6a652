"""Quality: the basic figures of one detector, for people and for rules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Flag
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task


class QualitySettings(Settings):
    """Which sources count as stars for the seeing."""

    least_snr: float = setting(30.0, "signal-to-noise of sources that the seeing is measured from", gt=0)
    least_stars: int = setting(5, "fewer such sources give no seeing", ge=1)


def quality(settings: QualitySettings, science: Image, background: Image, sources: Catalogue) -> Products:
    """Seeing, ellipticity, number of sources, sky, depth, and what fraction of the pixels is lost.

    The seeing is the mode of the widths of bright clean sources: stars all have the same width, galaxies have wider
    ones. The depth is the flux of a point source of 5σ in an aperture of radius 1.5 × seeing on the median sky.

    Returns
    -------
    quality : metrics [pixel, electron, fraction]; a figure that cannot be had is left out.
    """
    mask = np.zeros(science.shape, np.int32) if science.mask is None else science.mask
    figures: dict[str, Measured] = {
        "sources": Measured(float(len(sources))),
        "saturated_fraction": Measured(float(np.mean(mask & int(Mask.SATURATED) != 0))),
        "bad_fraction": Measured(float(np.mean(mask & int(Mask.BAD | Mask.NO_DATA) != 0))),
    }
    for keyword in ("RDNOISE", "GAINRAW"):
        value = science.header.get(keyword)
        if isinstance(value, int | float):
            name, units = {"RDNOISE": ("read_noise", "electron"), "GAINRAW": ("gain", "electron/adu")}[keyword]
            figures[name] = Measured(float(value), units)
    stars = star_like(settings, sources)
    if np.count_nonzero(stars) >= settings.least_stars:
        seeing = half_sample_mode(sources["fwhm"][stars].astype(np.float64))
        figures["seeing"] = Measured(seeing, "pixel")
        core = stars & (np.abs(sources["fwhm"] - seeing) < 0.2 * seeing)
        figures["stars"] = Measured(float(np.count_nonzero(core)))
        figures["ellipticity"] = Measured(float(np.median(1 - sources["b"][core] / sources["a"][core])))
        if background.variance is not None:
            area = np.pi * (1.5 * seeing) ** 2
            figures["depth_5sigma"] = Measured(5 * float(np.sqrt(area * np.median(background.variance))), "electron")
    return {"quality": figures}


def star_like(settings: QualitySettings, sources: Catalogue) -> npt.NDArray[np.bool_]:
    """Bright, whole, unsaturated sources with a width."""
    spoilt = Flag.SATURATED | Flag.TRUNCATED | Flag.BAD_PIXELS
    clean = sources["flags"].astype(np.int64) & spoilt == 0
    return np.asarray(clean & (sources["snr"] >= settings.least_snr) & (sources["fwhm"] > 0.5), bool)


def half_sample_mode(values: npt.NDArray[np.float64]) -> float:
    """Mode by halving: the densest half of the densest half … (Bickel & Frühwirth 2006), at least one value needed."""
    ordered = np.sort(values)
    while ordered.size > 3:
        half = (ordered.size + 1) // 2
        widths = ordered[half - 1 :] - ordered[: ordered.size - half + 1]
        first = int(np.argmin(widths))
        ordered = ordered[first : first + half]
    return float(np.mean(ordered))


TASK = Task(
    name="quality",
    version=1,
    grain=Grain.DETECTOR,
    settings=QualitySettings,
    needs=(Need("science"), Need("background"), Need("sources")),
    gives=(Give("quality", Form.METRICS, meaning="seeing, ellipticity, sky, depth, losses"),),
    run=quality,
)
